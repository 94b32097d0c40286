//! The models known here: those built in, and those the owner added as files.

use std::path::{Path, PathBuf};
use std::{fs, io};

use gaia_manifest::{MANIFEST_BYTES_MAX, Manifest, ParseManifestError};

/// File name and text of every manifest in `models/`.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/manifests.rs"));

/// Why an owner's manifest was left out.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The folder or a file cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A manifest is wrong.
    #[error("the manifest `{path}` is wrong")]
    Parse {
        /// Which one.
        path: PathBuf,
        /// Everything wrong with it.
        #[source]
        source: ParseManifestError,
    },
}

/// All known models, ordered by name.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// The models.
    pub manifests: Vec<Manifest>,
    /// What was left out, and why: worth a warning.
    pub problems: Vec<CatalogueError>,
}

impl Catalogue {
    /// The built-in models.
    pub fn built_in() -> Self {
        let mut catalogue = Self::default();
        for (file, text) in BUILT_IN {
            catalogue.add(Path::new(file), text);
        }
        catalogue
    }

    /// The built-in models and those in `folder` (`*.toml`), which win over built-in ones of the
    /// same name. A folder that is not there is an empty one.
    pub fn with_folder(folder: &Path) -> Self {
        let mut catalogue = Self::built_in();
        match toml_files(folder) {
            Ok(paths) => paths.iter().for_each(|path| catalogue.add_file(path)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let path = folder.to_owned();
                catalogue
                    .problems
                    .push(CatalogueError::Read { path, source });
            }
        }
        catalogue
    }

    /// The model with this name.
    pub fn find(&self, name: &str) -> Option<&Manifest> {
        self.manifests.iter().find(|manifest| manifest.name == name)
    }

    fn add_file(&mut self, path: &Path) {
        // Longer ones are refused by the parser; there is no need to read all of them first.
        let too_long = fs::metadata(path).is_ok_and(|it| it.len() > MANIFEST_BYTES_MAX as u64 * 2);
        let text = match too_long {
            true => Err(io::Error::other("it is too long for a manifest")),
            false => fs::read_to_string(path),
        };
        match text {
            Ok(text) => self.add(path, &text),
            Err(source) => {
                let path = path.to_owned();
                self.problems.push(CatalogueError::Read { path, source });
            }
        }
    }

    fn add(&mut self, path: &Path, text: &str) {
        match Manifest::parse(text) {
            Ok(manifest) => {
                self.manifests.retain(|known| known.name != manifest.name);
                self.manifests.push(manifest);
                self.manifests.sort_by(|a, b| a.name.cmp(&b.name));
            }
            Err(source) => {
                let path = path.to_owned();
                self.problems.push(CatalogueError::Parse { path, source });
            }
        }
    }
}

fn toml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_manifest_is_right_and_named_like_its_file() {
        let catalogue = Catalogue::built_in();
        assert!(catalogue.problems.is_empty(), "{:?}", catalogue.problems);
        for (file, _) in BUILT_IN {
            let name = file.trim_end_matches(".toml");
            assert!(
                catalogue.find(name).is_some(),
                "{file} describes another model"
            );
        }
        assert_eq!(catalogue.manifests.len(), BUILT_IN.len());
    }

    #[test]
    fn the_owner_s_manifests_win_and_broken_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (_, text) = BUILT_IN[0];
        let name = Manifest::parse(text).unwrap().name;
        let own = text.replacen("licence = \"", "licence = \"My-", 1);
        fs::write(folder.path().join("mine.toml"), own).unwrap();
        fs::write(folder.path().join("broken.toml"), "name = 1").unwrap();
        let catalogue = Catalogue::with_folder(folder.path());
        assert!(catalogue.find(&name).unwrap().licence.starts_with("My-"));
        assert_eq!(catalogue.problems.len(), 1);
        assert!(catalogue.problems[0].to_string().contains("broken.toml"));
        assert!(
            Catalogue::with_folder(Path::new("/nowhere"))
                .problems
                .is_empty()
        );
    }
}
