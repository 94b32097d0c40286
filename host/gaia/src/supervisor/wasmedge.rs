//! Finds WasmEdge and what runs in it: the runtime, the plugin, the application.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::environment::Environment;

/// The oldest WasmEdge that works.
pub const VERSION_MIN: Version = Version(0, 14, 1);
/// From here on an AOT file is only run as such when asked.
const RUN_MODE_SINCE: Version = Version(0, 17, 0);

/// A WasmEdge version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A usable WasmEdge.
#[derive(Debug, Clone)]
pub struct WasmEdge {
    /// The command.
    pub command: PathBuf,
    /// Its version.
    pub version: Version,
}

impl WasmEdge {
    /// Options that make it run an AOT file as machine code.
    pub fn aot_options(&self) -> &'static [&'static str] {
        if self.version >= RUN_MODE_SINCE {
            &["--run-mode=aot"]
        } else {
            &[]
        }
    }
}

/// Why a part cannot be used. Each says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum FindPartError {
    /// No WasmEdge anywhere.
    #[error(
        "no WasmEdge {VERSION_MIN} or newer found (looked at GAIA_WASMEDGE, PATH, \
         ~/.wasmedge/bin and {cache}); `make setup` installs one{}",
        list(rejected)
    )]
    NoWasmEdge {
        /// The cache folder.
        cache: PathBuf,
        /// What was found and not taken, and why.
        rejected: Vec<String>,
    },
    /// The one that was asked for does not work.
    #[error("GAIA_WASMEDGE is {why}")]
    Chosen {
        /// What is wrong with it.
        why: String,
    },
    /// A file that comes with `gaia` is missing.
    #[error("`{name}` is not beside `{beside}`; `make build` puts it there, or set {variable}")]
    NotBeside {
        /// The file.
        name: &'static str,
        /// The folder of the executable.
        beside: PathBuf,
        /// What overrides it.
        variable: &'static str,
    },
    /// The variable names a file that is not there.
    #[error("{variable} is `{path}`, and there is no such file")]
    NoSuchFile {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
    },
}

fn list(rejected: &[String]) -> String {
    rejected.iter().map(|line| format!("; {line}")).collect()
}

/// The first WasmEdge that works.
pub fn find_wasmedge(environment: &Environment) -> Result<WasmEdge, FindPartError> {
    if let Some(command) = &environment.wasmedge {
        return probe(command).map_err(|why| FindPartError::Chosen { why });
    }
    let mut rejected = Vec::new();
    for command in candidates(environment)
        .into_iter()
        .filter(|path| path.is_file())
    {
        match probe(&command) {
            Ok(found) => return Ok(found),
            Err(why) => rejected.push(why),
        }
    }
    Err(FindPartError::NoWasmEdge {
        cache: environment.cache.join("wasmedge"),
        rejected,
    })
}

fn candidates(environment: &Environment) -> Vec<PathBuf> {
    let mut found: Vec<_> = environment
        .search_path
        .iter()
        .map(|folder| folder.join("wasmedge"))
        .collect();
    if let Some(user_home) = &environment.user_home {
        found.push(user_home.join(".wasmedge/bin/wasmedge"));
    }
    found.extend(in_cache(&environment.cache.join("wasmedge")));
    found
}

/// The versions that `make setup` installed, newest first.
fn in_cache(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut versions: Vec<_> = entries
        .filter_map(|entry| Some((parse_version(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions
        .into_iter()
        .map(|(_, path)| path.join("bin/wasmedge"))
        .collect()
}

/// Runs `command --version`; the error says what is wrong with it.
fn probe(command: &Path) -> Result<WasmEdge, String> {
    let shown = command.display();
    let output = Command::new(command)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`{shown}`, which does not start ({error})"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_whitespace()
        .find_map(parse_version)
        .ok_or_else(|| format!("`{shown}`, which names no version"))?;
    if version < VERSION_MIN {
        return Err(format!("`{shown}` {version}, older than {VERSION_MIN}"));
    }
    Ok(WasmEdge {
        command: command.to_owned(),
        version,
    })
}

/// `0.14.1`, also with a suffix such as `0.17.1-rc.2`.
fn parse_version(text: &str) -> Option<Version> {
    let number = text.split(['-', '+']).next()?;
    let mut parts = number.split('.').map(|part| part.parse().ok());
    let version = Version(parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}

/// The WASI-NN plugin.
pub fn find_plugin(environment: &Environment) -> Result<PathBuf, FindPartError> {
    find_beside(
        "libgaia_wasi_nn.so",
        "GAIA_PLUGIN",
        environment.plugin.as_deref(),
    )
}

/// The application.
pub fn find_api_server(environment: &Environment) -> Result<PathBuf, FindPartError> {
    find_beside(
        "api-server.wasm",
        "GAIA_API_SERVER",
        environment.api_server.as_deref(),
    )
}

/// The vector store's program.
pub fn find_store(environment: &Environment) -> Result<PathBuf, FindPartError> {
    find_beside(
        "gaia-vector-store",
        "GAIA_VECTOR_STORE",
        environment.store.as_deref(),
    )
}

fn find_beside(
    name: &'static str,
    variable: &'static str,
    chosen: Option<&Path>,
) -> Result<PathBuf, FindPartError> {
    if let Some(path) = chosen {
        return match path.is_file() {
            true => Ok(path.to_owned()),
            false => Err(FindPartError::NoSuchFile {
                variable,
                path: path.to_owned(),
            }),
        };
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let beside = executable.parent().unwrap_or(Path::new("/")).to_owned();
    let path = beside.join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(FindPartError::NotBeside {
            name,
            beside,
            variable,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn versions() {
        let check = |text, expected| assert_eq!(parse_version(text), expected, "{text}");
        check("0.14.1", Some(Version(0, 14, 1)));
        check("0.17.1-rc.2", Some(Version(0, 17, 1)));
        check("0.17", None);
        check("0.17.1.2", None);
        check("version", None);
        assert!(Version(0, 14, 1) < Version(0, 17, 0));
    }

    fn fake(folder: &Path, name: &str, version: &str) -> PathBuf {
        let path = folder.join(name).join("bin/wasmedge");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(
            &path,
            format!("#!/bin/sh\necho wasmedge version {version}\n"),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn an_old_one_in_the_path_is_passed_over_for_a_good_one_in_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let old = fake(folder.path(), "old", "0.13.5");
        fake(folder.path(), "wasmedge/0.14.1", "0.14.1");
        let new = fake(folder.path(), "wasmedge/0.17.1", "0.17.1");
        let mut environment = Environment {
            cache: folder.path().to_owned(),
            search_path: vec![old.parent().unwrap().to_owned()],
            ..Environment::default()
        };
        let found = find_wasmedge(&environment).unwrap();
        assert_eq!(found.command, new);
        assert_eq!(found.aot_options(), ["--run-mode=aot"]);

        environment.wasmedge = Some(old);
        let error = find_wasmedge(&environment).unwrap_err().to_string();
        assert!(error.contains("0.13.5, older than 0.14.1"), "{error}");

        environment.wasmedge = None;
        environment.cache = folder.path().join("nothing");
        let error = find_wasmedge(&environment).unwrap_err().to_string();
        assert!(
            error.contains("make setup") && error.contains("0.13.5"),
            "{error}"
        );
    }

    #[test]
    fn missing_files_say_how_to_mend_it() {
        let environment = Environment {
            plugin: Some("/nonexistent.so".into()),
            ..Environment::default()
        };
        let error = find_plugin(&environment).unwrap_err().to_string();
        assert_eq!(
            error,
            "GAIA_PLUGIN is `/nonexistent.so`, and there is no such file"
        );
        let error = find_api_server(&Environment::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("make build"), "{error}");
    }
}
