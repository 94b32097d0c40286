//! The application compiled to machine code, once for each of its versions and WasmEdge's.
//!
//! Worth a factor of twenty in speed, and takes about twenty seconds, so the result is kept in
//! the cache. Invariant: a file under its final name is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::wasmedge::WasmEdge;
use crate::home::{WriteHomeError, make_private_folder};

/// Lines of the compiler's output that an error shows.
const OUTPUT_LINES_MAX: usize = 5;

/// What the folders of running compilations are called.
const SCRATCH: &str = ".compile-";

/// Why there is no compiled application.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The application could not be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The cache folder could not be made.
    #[error(transparent)]
    Folder(#[from] WriteHomeError),
    /// The result could not be put into the cache.
    #[error("failed to write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The compiler did not start.
    #[error("failed to start `{command} compile`")]
    Start {
        /// The command.
        command: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The compiler refused.
    #[error("`wasmedge compile` failed: {output}")]
    Refused {
        /// The end of what it wrote.
        output: String,
    },
}

/// Where the compiled form of `wasm` lies or will lie in `folder`.
pub fn compiled_path(
    folder: &Path,
    wasm: &Path,
    wasmedge: &WasmEdge,
) -> Result<PathBuf, CompileError> {
    let bytes = fs::read(wasm).map_err(|source| CompileError::Read {
        path: wasm.to_owned(),
        source,
    })?;
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(folder.join(format!("{digest}-{}.wasm", wasmedge.version)))
}

/// Compiles `wasm` to `target`, whole or not at all. Where two processes want the same, the second
/// waits for the first's result.
pub fn compile(wasmedge: &WasmEdge, wasm: &Path, target: &Path) -> Result<(), CompileError> {
    let write = |source| CompileError::Write {
        path: target.to_owned(),
        source,
    };
    let folder = target.parent().unwrap_or(Path::new("."));
    make_private_folder(folder)?;
    let _lock = lock(&folder.join(".lock")).map_err(write)?;
    if target.is_file() {
        return Ok(());
    }
    remove_leftovers(folder);
    let scratch = tempfile::Builder::new()
        .prefix(SCRATCH)
        .tempdir_in(folder)
        .map_err(write)?;
    let output_file = scratch.path().join("out.wasm");
    let output = Command::new(&wasmedge.command)
        .arg("compile")
        .arg(wasm)
        .arg(&output_file)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CompileError::Start {
            command: wasmedge.command.clone(),
            source,
        })?;
    if !output.status.success() || !output_file.is_file() {
        let text = [output.stdout, output.stderr].concat();
        return Err(CompileError::Refused {
            output: last_lines(&String::from_utf8_lossy(&text)),
        });
    }
    fs::rename(&output_file, target).map_err(write)
}

/// Held until the value is dropped or the process ends.
fn lock(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).append(true).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Removes what a killed compilation left; the caller holds the lock, so none is running.
fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(SCRATCH.as_bytes())
        {
            let _stays_until_the_next_time = fs::remove_dir_all(entry.path());
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(OUTPUT_LINES_MAX)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::wasmedge::Version;
    use super::*;

    fn fake(folder: &Path, script: &str) -> WasmEdge {
        let command = folder.join("wasmedge");
        fs::write(&command, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
        WasmEdge {
            command,
            version: Version(0, 17, 1),
        }
    }

    #[test]
    fn whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let wasm = folder.path().join("a.wasm");
        fs::write(&wasm, "abc").unwrap();
        let cache = folder.path().join("aot");

        let broken = fake(
            folder.path(),
            "echo half > \"$3\"; echo no LLVM >&2; exit 1",
        );
        let target = compiled_path(&cache, &wasm, &broken).unwrap();
        let error = compile(&broken, &wasm, &target).unwrap_err();
        assert_eq!(error.to_string(), "`wasmedge compile` failed: no LLVM");
        let names = || {
            let entries = fs::read_dir(&cache).unwrap().flatten();
            entries
                .map(|entry| entry.path())
                .filter(|path| !path.ends_with(".lock"))
                .collect::<Vec<_>>()
        };
        assert!(names().is_empty(), "nothing left behind");
        fs::create_dir(cache.join(".compile-killed")).unwrap();

        let good = fake(folder.path(), "cat \"$2\" \"$2\" > \"$3\"");
        compile(&good, &wasm, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"abcabc");
        assert_eq!(names(), std::slice::from_ref(&target));
        compile(&broken, &wasm, &target).unwrap();
    }

    #[test]
    fn the_name_depends_on_content_and_version() {
        let folder = tempfile::tempdir().unwrap();
        let wasm = folder.path().join("a.wasm");
        fs::write(&wasm, "abc").unwrap();
        let new = fake(folder.path(), "");
        let old = WasmEdge {
            version: Version(0, 14, 1),
            ..new.clone()
        };
        let name = |wasmedge| compiled_path(Path::new("/c"), &wasm, wasmedge).unwrap();
        assert_ne!(name(&new), name(&old));
        let before = name(&new);
        fs::write(&wasm, "abd").unwrap();
        assert_ne!(name(&new), before);
        assert!(before.to_str().unwrap().ends_with("-0.17.1.wasm"));
    }
}
