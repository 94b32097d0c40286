//! What a `wasmedge` command really starts, so that nothing else need be startable.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The most segments of a program that are looked at for its loader.
const SEGMENTS_MAX: u16 = 64;
/// The longest name of a loader.
const LOADER_BYTES_MAX: u64 = 4096;

/// How the first bytes of a program for a 64-bit machine with the small end first look.
const MAGIC: &[u8] = b"\x7fELF\x02\x01";

/// A program, looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What is started.
    pub command: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
    /// What it is made of.
    pub read: Vec<PathBuf>,
    /// What must be startable for it to start; none: not known.
    pub run: Option<Vec<PathBuf>>,
}

impl Program {
    /// What `command` starts.
    pub fn of(command: &Path) -> Self {
        let real = fs::canonicalize(command).unwrap_or(command.to_owned());
        if let Some(program) = from_private_prefix(&real) {
            return program;
        }
        // An installer's prefix has its libraries and plugins beside the folder of programs.
        let prefix = real
            .parent()
            .and_then(Path::parent)
            .unwrap_or(Path::new("/"));
        let beside = ["lib", "lib64", "plugin"].map(|name| prefix.join(name));
        let run = loader(&real).ok().map(|loader| {
            let programs = [Some(real.clone()), loader];
            programs.into_iter().flatten().collect()
        });
        Self {
            command: command.to_owned(),
            arguments: Vec::new(),
            read: [&beside[..], &[real]].concat(),
            run,
        }
    }
}

/// What `make setup` puts up where the system has no WasmEdge is a script, which starts WasmEdge by the
/// loader that came with it. The same without the script.
fn from_private_prefix(script: &Path) -> Option<Program> {
    let root = script.parent()?.parent()?.join("root");
    let loader = root.join("usr/lib64/ld-linux-x86-64.so.2");
    let wasmedge = root.join("usr/bin/wasmedge");
    if is_program(script) || !loader.exists() || !wasmedge.exists() {
        return None;
    }
    let libraries = root.join("usr/lib");
    let own = [libraries.join("x86_64-linux-gnu")].into_iter();
    let folders: Vec<_> = own.chain(of_llvm(&libraries)).collect();
    let folders = std::env::join_paths(folders).ok()?;
    Some(Program {
        arguments: vec!["--library-path".into(), folders, wasmedge.into()],
        read: vec![root],
        run: Some(vec![loader.clone()]),
        command: loader,
    })
}

fn of_llvm(libraries: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(libraries).into_iter().flatten().flatten();
    let is_llvm = |name: &OsStr| name.as_bytes().starts_with(b"llvm-");
    entries
        .filter(move |entry| is_llvm(&entry.file_name()))
        .map(|entry| entry.path().join("lib"))
}

fn is_program(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut start, 0));
    read.is_ok() && start == MAGIC
}

/// What the program at `path` names as its loader; none if it needs none. An error if it is no program.
fn loader(path: &Path) -> io::Result<Option<PathBuf>> {
    const LOADER: u32 = 3;
    let file = File::open(path)?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    if !header.starts_with(MAGIC) {
        return Err(io::Error::other("not a program for this machine"));
    }
    let table = number(&header, 32);
    let (size, count) = (short(&header, 54), short(&header, 56));
    for index in 0..count.min(SEGMENTS_MAX) {
        let mut segment = [0; 56];
        let at = u64::from(index) * u64::from(size);
        file.read_exact_at(&mut segment, table.saturating_add(at))?;
        if number(&segment, 0) as u32 == LOADER {
            let length = number(&segment, 32).min(LOADER_BYTES_MAX) as usize;
            let mut name = vec![0; length];
            file.read_exact_at(&mut name, number(&segment, 8))?;
            name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(length));
            return Ok(Some(OsString::from_vec(name).into()));
        }
    }
    Ok(None)
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes
        .get(at..at + 8)
        .and_then(|bytes| bytes.try_into().ok());
    u64::from_le_bytes(bytes.unwrap_or_default())
}

fn short(bytes: &[u8], at: usize) -> u16 {
    let bytes = bytes
        .get(at..at + 2)
        .and_then(|bytes| bytes.try_into().ok());
    u16::from_le_bytes(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_started_with_its_loader_and_nothing_else() {
        let own = std::env::current_exe().unwrap();
        let program = Program::of(&own);
        assert_eq!(program.command, own);
        let run = program.run.unwrap();
        assert_eq!(run[0], fs::canonicalize(&own).unwrap());
        for loader in &run[1..] {
            assert!(loader.exists(), "{loader:?}");
        }
    }

    #[test]
    fn what_a_script_starts_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["#!/bin/sh\nexec wasmedge\n", "", "\x7fELF"] {
            let script = folder.path().join("wasmedge");
            fs::write(&script, text).unwrap();
            assert_eq!(Program::of(&script).run, None, "{text:?}");
        }
        let nowhere = Path::new("/nonexistent/wasmedge");
        assert_eq!(Program::of(nowhere).run, None);
    }

    #[test]
    fn the_script_of_a_private_prefix_is_seen_through() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        let write = |name: &str| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "#!/bin/sh\n").unwrap();
            path
        };
        let script = write("bin/wasmedge");
        let wasmedge = write("root/usr/bin/wasmedge");
        let loader = write("root/usr/lib64/ld-linux-x86-64.so.2");
        write("root/usr/lib/llvm-19/lib/x");
        let program = Program::of(&script);
        assert_eq!(program.run, Some(vec![loader.clone()]));
        assert_eq!(program.command, loader);
        let libraries = folder.join("root/usr/lib");
        let (own, llvm) = ("x86_64-linux-gnu", "llvm-19/lib");
        let expected = format!("{0}/{own}:{0}/{llvm}", libraries.display());
        assert_eq!(program.arguments[1].to_str().unwrap(), expected);
        assert_eq!(program.arguments[2], wasmedge);
    }
}
