//! The models that are known, and the files of them that are here.

use std::path::PathBuf;

use gaia_manifest::{Kind, Manifest};
use gaia_models::{Catalogue, Library, PullError, Settings, report};

use super::ChooseModelError;
use super::named::name;
use crate::environment::Environment;
use crate::home::Home;

/// Known models and the files that are here.
#[derive(Debug)]
pub struct Shelf {
    /// What is known.
    pub catalogue: Catalogue,
    /// What is here.
    pub library: Library,
}

impl Shelf {
    /// The models of this machine and this home.
    pub fn open(home: &Home, environment: &Environment) -> Self {
        let mut settings = Settings::new(environment.cache.join("models"));
        settings.hub = environment.hub.clone();
        let folder = environment
            .manifests
            .clone()
            .unwrap_or_else(|| home.root().join("models"));
        Self {
            catalogue: Catalogue::with_folder(&folder),
            library: Library::new(settings),
        }
    }

    /// Fetches `manifest` if it is not here; shows a bar and gives the file.
    pub fn pull(&self, manifest: &Manifest, say: &dyn Fn(&str)) -> Result<PathBuf, PullError> {
        let mut on = report(&manifest.name, say);
        Ok(self.library.pull(manifest, &mut on)?.path)
    }

    /// The known model called `name`; the error suggests one like it.
    pub fn find(&self, key: &'static str, name: &str) -> Result<&Manifest, ChooseModelError> {
        self.catalogue
            .find(name)
            .ok_or_else(|| ChooseModelError::Unknown {
                key,
                name: name.to_owned(),
                nearest: self.nearest(name),
            })
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let names = self
            .catalogue
            .manifests
            .iter()
            .map(|manifest| &manifest.name);
        names
            .map(|known| (strsim::jaro_winkler(known, &name.to_lowercase()), known))
            .filter(|(similarity, _)| *similarity > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known.clone())
    }

    /// The file that `wanted`, a name, path or URL, stands for, if it is here.
    pub fn file_here(&self, wanted: &str) -> Option<PathBuf> {
        let kind = self.catalogue.find(wanted).map_or(Kind::Chat, |it| it.kind);
        name(self, "model", wanted, kind).ok()?.file_here(self)
    }
}
