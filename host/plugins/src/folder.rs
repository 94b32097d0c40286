//! The node's plugins: a folder each, put there whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gaia_prompt::prompt::hash;

use crate::module::{self, MODULE_BYTES_MAX, ModuleError};
use crate::stamp::Stamp;
use crate::{MANIFEST_BYTES_MAX, MANIFEST_FILE, MODULE_FILE, Manifest, Plugin, ReadManifestError};

/// The most plugins of a node.
pub const PLUGINS_MAX: usize = 64;

/// Why a folder is no plugin, or cannot become one of the node's.
#[derive(Debug, thiserror::Error)]
pub enum AddPluginError {
    /// A file is missing or cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something cannot be written.
    #[error("failed to write `{path}`")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What it says of itself is wrong.
    #[error("`{path}`: {source}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ReadManifestError,
    },
    /// Its program may not run.
    #[error("`{path}`: {source}")]
    Module {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ModuleError,
    },
    /// Another has its name.
    #[error("there is a plugin `{0}` already; remove it first: gaia tools remove {0}")]
    Taken(String),
    /// One too many.
    #[error("a node has at most {PLUGINS_MAX} plugins")]
    TooMany,
}

/// The node's plugins, and what is wrong with those that are left out.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of their names.
    pub plugins: Vec<Plugin>,
    /// Folder and reason.
    pub problems: Vec<(PathBuf, AddPluginError)>,
}

/// Programs that were found good, as their files looked then: they need not be read again.
#[derive(Debug, Default)]
pub struct Accepted(BTreeMap<PathBuf, (Stamp, String)>);

/// A folder of plugins as it looks from outside: what is in it, and when it was changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look(Vec<(PathBuf, [Option<Stamp>; 2])>);

impl Look {
    /// At what lies in `folder` now.
    pub fn at(folder: &Path) -> Self {
        let stamps = |folder: &PathBuf| {
            [MANIFEST_FILE, MODULE_FILE].map(|name| Stamp::of(&folder.join(name)))
        };
        let folders = folders(folder).into_iter();
        Self(
            folders
                .map(|folder| (folder.clone(), stamps(&folder)))
                .collect(),
        )
    }
}

/// Reads the plugin in `folder`, program and all.
///
/// # Errors
/// It is none, and the error names the file and why.
pub fn read(folder: &Path) -> Result<Plugin, AddPluginError> {
    read_with(folder, &mut Accepted::default())
}

/// The same, but a program that was accepted before and looks as it did is not read.
fn read_with(folder: &Path, accepted: &mut Accepted) -> Result<Plugin, AddPluginError> {
    let (manifest, module) = (folder.join(MANIFEST_FILE), folder.join(MODULE_FILE));
    let text = read_file(&manifest, MANIFEST_BYTES_MAX as u64)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let parsed = Manifest::parse(&text).map_err(|source| AddPluginError::Manifest {
        path: manifest,
        source,
    })?;
    let program = accepted.hash_of(&module)?;
    Ok(Plugin {
        version: format!(
            "{}@{}",
            parsed.name,
            hash(format!("{text}{program}").as_bytes())
        ),
        manifest: parsed,
        module,
    })
}

impl Accepted {
    /// The hash of the program at `path`, which may run as a plugin.
    fn hash_of(&mut self, path: &Path) -> Result<String, AddPluginError> {
        // Looked at before it is read: what changes meanwhile is read again the next time.
        let stamp = Stamp::of(path);
        if let (Some((known, hash)), Some(stamp)) = (self.0.get(path), stamp)
            && *known == stamp
        {
            return Ok(hash.clone());
        }
        let bytes = read_file(path, MODULE_BYTES_MAX)?;
        module::check(&bytes).map_err(|source| AddPluginError::Module {
            path: path.to_owned(),
            source,
        })?;
        let hash = hash(&bytes);
        if let Some(stamp) = stamp {
            self.0.insert(path.to_owned(), (stamp, hash.clone()));
        }
        Ok(hash)
    }
}

/// All that lie in `folder`; a bad one harms no other.
pub fn find_all(folder: &Path) -> Found {
    find_again(folder, &mut Accepted::default())
}

/// The same, without reading programs again that were `accepted`.
pub fn find_again(folder: &Path, accepted: &mut Accepted) -> Found {
    let mut found = Found::default();
    for folder in folders(folder) {
        match read_with(&folder, accepted) {
            Ok(plugin) if found.plugins.len() < PLUGINS_MAX => found.plugins.push(plugin),
            Ok(_) => found.problems.push((folder, AddPluginError::TooMany)),
            Err(problem) => found.problems.push((folder, problem)),
        }
    }
    let there: Vec<&PathBuf> = found.plugins.iter().map(|plugin| &plugin.module).collect();
    accepted.0.retain(|path, _| there.contains(&path));
    found
}

/// What may be plugins, in the order of their names.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let hidden = |path: &PathBuf| {
        path.file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    let mut folders: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| !hidden(path))
        .collect();
    folders.sort();
    folders
}

/// Copies the plugin in `source` under its name into `folder`.
///
/// # Errors
/// It is no plugin, its name is taken, or the system says no; then nothing has changed.
pub fn add(source: &Path, folder: &Path) -> Result<Plugin, AddPluginError> {
    let plugin = read(source)?;
    let target = folder.join(&plugin.manifest.name);
    if target.exists() {
        return Err(AddPluginError::Taken(plugin.manifest.name));
    }
    if find_all(folder).plugins.len() >= PLUGINS_MAX {
        return Err(AddPluginError::TooMany);
    }
    copy(source, folder, &target).map_err(|source| AddPluginError::Write {
        path: target.clone(),
        source,
    })?;
    read(&target)
}

fn copy(source: &Path, folder: &Path, target: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let scratch = tempfile::Builder::new()
        .prefix(".add-")
        .tempdir_in(folder)?;
    for name in [MANIFEST_FILE, MODULE_FILE] {
        let copied = scratch.path().join(name);
        fs::copy(source.join(name), &copied)?;
        File::open(&copied)?.sync_all()?;
    }
    // Becomes the plugin at once, or not at all.
    fs::rename(scratch.path(), target)?;
    let _gone = scratch.keep();
    File::open(folder)?.sync_all()
}

fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, AddPluginError> {
    let read = |source| AddPluginError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str) -> PathBuf {
        let source = folder.join(format!("source-{name}"));
        fs::create_dir_all(&source).unwrap();
        let manifest = format!("name = '{name}'\n[parameters]\ntype = 'object'\n");
        fs::write(source.join(MANIFEST_FILE), manifest).unwrap();
        let module = wat::parse_str("(module (func (export \"_start\")))").unwrap();
        fs::write(source.join(MODULE_FILE), module).unwrap();
        source
    }

    #[test]
    fn a_plugin_is_added_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        let added = add(&write(folder.path(), "convert"), &plugins).unwrap();
        assert_eq!(added.module, plugins.join("convert").join(MODULE_FILE));
        let again = add(&write(folder.path(), "convert"), &plugins).unwrap_err();
        assert!(
            again.to_string().contains("gaia tools remove convert"),
            "{again}"
        );
        let found = find_all(&plugins);
        assert_eq!(found.plugins, [added]);
        assert!(found.problems.is_empty());
    }

    #[test]
    fn a_bad_one_is_named_and_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        add(&write(folder.path(), "good"), &plugins).unwrap();
        fs::create_dir(plugins.join("empty")).unwrap();
        fs::create_dir(plugins.join(".add-killed")).unwrap();
        let found = find_all(&plugins);
        assert_eq!(found.plugins.len(), 1);
        assert_eq!(
            found.problems.len(),
            1,
            "what a killed command left is no plugin"
        );
        let said = found.problems[0].1.to_string();
        assert!(said.contains("empty/plugin.toml"), "{said}");

        let bad = write(folder.path(), "bad");
        fs::write(bad.join(MODULE_FILE), "text").unwrap();
        assert!(
            add(&bad, &plugins)
                .unwrap_err()
                .to_string()
                .contains("no WebAssembly")
        );
        assert!(!plugins.join("bad").exists());
    }

    #[test]
    fn a_change_in_place_is_seen_and_only_what_changed_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        let plugin = add(&write(folder.path(), "one"), &plugins).unwrap();
        let mut accepted = Accepted::default();
        let before = (Look::at(&plugins), find_again(&plugins, &mut accepted));
        assert_eq!(before.0, Look::at(&plugins));
        // What looks as it did is not read: other bytes of the same length, time and inode go unnoticed.
        let changed = fs::metadata(&plugin.module).unwrap().modified().unwrap();
        let bytes = fs::read(&plugin.module).unwrap();
        fs::write(&plugin.module, vec![0; bytes.len()]).unwrap();
        let file = File::options().write(true).open(&plugin.module).unwrap();
        file.set_modified(changed).unwrap();
        assert_eq!(
            find_again(&plugins, &mut accepted).plugins,
            before.1.plugins
        );
        assert_eq!(find_all(&plugins).problems.len(), 1);
        fs::write(&plugin.module, &bytes).unwrap();

        let manifest = plugins.join("one").join(MANIFEST_FILE);
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, format!("time_ms = 7\n{text}")).unwrap();
        assert_ne!(before.0, Look::at(&plugins));
        let after = find_again(&plugins, &mut accepted).plugins.remove(0);
        assert_eq!(after.manifest.time_ms, 7);
        assert_ne!(after.version, plugin.version);
        fs::write(&plugin.module, "text").unwrap();
        assert_eq!(find_again(&plugins, &mut accepted).problems.len(), 1);
    }

    #[test]
    fn a_node_has_so_many_plugins() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        for number in 0..PLUGINS_MAX {
            add(&write(folder.path(), &format!("p{number}")), &plugins).unwrap();
        }
        let error = add(&write(folder.path(), "more"), &plugins).unwrap_err();
        assert!(matches!(error, AddPluginError::TooMany));
    }
}
