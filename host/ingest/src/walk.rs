//! From what was typed (a file, a folder, `-`) to the documents in it and their names.
//!
//! A document's name is what citations show: the file's name, or the folder's name and the path inside it. Links are
//! not followed, names that start with a dot are passed over. Limits are reached before anything is written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gaia_rag::Format;
use sha2::{Digest, Sha256};

use crate::read::{ReadError, Skipped};

/// The deepest folder in a folder.
pub const DEPTH_MAX: usize = 32;
/// The most entries in a folder with all its folders.
pub const ENTRIES_MAX: usize = 200_000;

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// No such file, or no permission.
    #[error("cannot read `{path}`")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither a file nor a folder.
    #[error("`{path}` is neither a file nor a folder")]
    Kind {
        /// What.
        path: PathBuf,
    },
    /// Folders in folders in folders.
    #[error("`{path}` is more than {DEPTH_MAX} folders deep")]
    Depth {
        /// Where.
        path: PathBuf,
    },
    /// A folder like `/`.
    #[error("`{path}` has more than {ENTRIES_MAX} entries: add parts of it")]
    Entries {
        /// The folder that was given.
        path: PathBuf,
    },
}

/// One document to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name it has in the knowledge base.
    pub name: String,
    /// Where it is; `None` for standard input.
    pub path: Option<PathBuf>,
    /// Its size when found, for the progress only.
    pub bytes: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Sources {
    /// The documents, in the order of their names.
    pub documents: Vec<Source>,
    /// Files that are not documents.
    pub skipped: Vec<Skipped>,
    /// For a folder: what the names in it start with. Documents of that prefix that are gone are dropped.
    pub prefix: Option<String>,
    /// A mark of the place it was read from, never the path itself.
    pub origin: String,
    /// Whether the name was given by the user, who then answers for it being the same thing again.
    pub is_named: bool,
}

/// Finds the documents at `path`, which is a file, a folder or `-` for standard input. `name` replaces the file's or
/// folder's own name.
///
/// # Errors
/// When the path cannot be read or a limit is reached.
pub fn find(path: &Path, name: Option<&str>) -> Result<Sources, WalkError> {
    if path.as_os_str() == "-" {
        let name = name.unwrap_or("stdin").to_owned();
        let documents = vec![Source {
            name,
            path: None,
            bytes: 0,
        }];
        return Ok(Sources {
            documents,
            origin: "-".into(),
            is_named: true,
            ..Sources::default()
        });
    }
    let failed = |source| WalkError::Io {
        path: path.to_owned(),
        source,
    };
    let canonical = path.canonicalize().map_err(failed)?;
    let own_name = canonical
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let chosen = name
        .map(str::to_owned)
        .or(own_name)
        .unwrap_or_else(|| "documents".to_owned());
    let metadata = fs::metadata(&canonical).map_err(failed)?;
    let origin = origin(&canonical);
    let is_named = name.is_some();
    if metadata.is_file() {
        let documents = vec![Source {
            name: chosen,
            path: Some(canonical),
            bytes: metadata.len(),
        }];
        return Ok(Sources {
            documents,
            origin,
            is_named,
            ..Sources::default()
        });
    }
    if !metadata.is_dir() {
        return Err(WalkError::Kind {
            path: path.to_owned(),
        });
    }
    let mut walk = Walk {
        root: path.to_owned(),
        entries: 0,
        found: Sources::default(),
    };
    walk.folder(&canonical, &chosen, 0)?;
    let prefix = Some(format!("{chosen}/"));
    Ok(Sources {
        prefix,
        origin,
        is_named,
        ..walk.found
    })
}

fn origin(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

struct Walk {
    root: PathBuf,
    entries: usize,
    found: Sources,
}

impl Walk {
    fn folder(&mut self, folder: &Path, name: &str, depth: usize) -> Result<(), WalkError> {
        if depth > DEPTH_MAX {
            return Err(WalkError::Depth {
                path: folder.to_owned(),
            });
        }
        let failed = |source| WalkError::Io {
            path: folder.to_owned(),
            source,
        };
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(WalkError::Entries {
                    path: self.root.clone(),
                });
            }
            entries.push(entry.map_err(failed)?);
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        entries
            .iter()
            .try_for_each(|entry| self.entry(entry, name, depth))
    }

    fn entry(&mut self, entry: &fs::DirEntry, parent: &str, depth: usize) -> Result<(), WalkError> {
        let file_name = entry.file_name().to_string_lossy().into_owned();
        if file_name.starts_with('.') {
            return Ok(());
        }
        let path = entry.path();
        let name = format!("{parent}/{file_name}");
        let metadata = entry.metadata().map_err(|source| WalkError::Io {
            path: path.clone(),
            source,
        })?;
        if metadata.is_dir() {
            return self.folder(&path, &name, depth + 1);
        }
        if metadata.is_symlink() {
            self.found.skipped.push(Skipped {
                name,
                reason: ReadError::Link,
            });
        } else if !metadata.is_file() || !is_document(&file_name) {
            self.found.skipped.push(Skipped {
                name,
                reason: ReadError::Format,
            });
        } else {
            self.found.documents.push(Source {
                name,
                path: Some(path),
                bytes: metadata.len(),
            });
        }
        Ok(())
    }
}

/// In a folder only what says it is a document, or says nothing, as `README`.
fn is_document(file_name: &str) -> bool {
    Format::from_name(file_name).is_some() || !file_name.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        folder
    }

    fn check(files: &[&str], documents: &[&str], skipped: &[&str]) {
        let folder = folder(files);
        let found = find(folder.path(), Some("k")).unwrap();
        assert_eq!(
            found
                .documents
                .iter()
                .map(|source| source.name.as_str())
                .collect::<Vec<_>>(),
            documents
        );
        assert_eq!(
            found
                .skipped
                .iter()
                .map(|skipped| skipped.name.as_str())
                .collect::<Vec<_>>(),
            skipped
        );
        assert_eq!(found.prefix.as_deref(), Some("k/"));
    }

    #[test]
    fn finds_documents_by_name() {
        check(&[], &[], &[]);
        check(
            &["b.md", "a.txt", "c/d.html"],
            &["k/a.txt", "k/b.md", "k/c/d.html"],
            &[],
        );
        check(
            &["README", "x.png", ".git/a.md", ".b.md"],
            &["k/README"],
            &["k/x.png"],
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = folder(&["a.md"]);
        std::os::unix::fs::symlink("/", folder.path().join("root")).unwrap();
        let found = find(folder.path(), Some("k")).unwrap();
        assert_eq!(found.documents.len(), 1);
        assert!(matches!(found.skipped[0].reason, ReadError::Link));
    }

    #[test]
    fn a_file_has_its_own_name() {
        let folder = folder(&["a.md"]);
        let found = find(&folder.path().join("a.md"), None).unwrap();
        assert_eq!(
            (found.documents[0].name.as_str(), found.prefix.as_deref()),
            ("a.md", None)
        );
        assert!(matches!(
            find(&folder.path().join("b.md"), None),
            Err(WalkError::Io { .. })
        ));
    }

    #[test]
    fn too_deep_is_an_error() {
        let at_limit = "d/".repeat(DEPTH_MAX) + "a.md";
        let over_limit = "d/".repeat(DEPTH_MAX + 1) + "a.md";
        assert_eq!(
            find(folder(&[&at_limit]).path(), None)
                .unwrap()
                .documents
                .len(),
            1
        );
        assert!(matches!(
            find(folder(&[&over_limit]).path(), None),
            Err(WalkError::Depth { .. })
        ));
    }

    #[test]
    fn too_many_entries_are_an_error() {
        let folder = folder(&["a.md"]);
        let mut walk = Walk {
            root: folder.path().to_owned(),
            entries: ENTRIES_MAX,
            found: Sources::default(),
        };
        assert!(matches!(
            walk.folder(folder.path(), "k", 0),
            Err(WalkError::Entries { .. })
        ));
    }
}
