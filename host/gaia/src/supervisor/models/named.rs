//! What a model key of the configuration names: a known model, a file, or the address of one.

use std::path::{Path, PathBuf};

use gaia_manifest::{Kind, Manifest, Source};
use sha2::{Digest, Sha256};

use super::{ChooseModelError, Shelf};

/// What a key names.
#[derive(Debug)]
pub enum Named {
    /// A model with a manifest.
    Known(Manifest),
    /// A file on this machine.
    File(PathBuf),
    /// A file elsewhere, as a manifest.
    Url(Manifest),
}

impl Named {
    /// The model's own name.
    pub fn name(&self) -> String {
        match self {
            Self::Known(manifest) | Self::Url(manifest) => manifest.name.clone(),
            Self::File(path) => {
                let stem = path.file_stem().unwrap_or_default();
                stem.to_string_lossy().into_owned()
            }
        }
    }

    /// Its file, if it is here.
    pub fn file_here(&self, shelf: &Shelf) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Known(manifest) | Self::Url(manifest) => {
                let here = shelf.library.is_present(manifest);
                here.then(|| shelf.library.path(manifest))
            }
        }
    }
}

/// Reads `wanted`, the value of `key`, which needs a model of `kind`. Fetches nothing.
pub fn name(
    shelf: &Shelf,
    key: &'static str,
    wanted: &str,
    kind: Kind,
) -> Result<Named, ChooseModelError> {
    if is_url(wanted) {
        return manifest_of_url(key, wanted, kind).map(Named::Url);
    }
    if is_path(wanted) {
        let path = PathBuf::from(wanted);
        return match path.is_file() {
            true => Ok(Named::File(path)),
            false => Err(ChooseModelError::NoSuchFile { key, path }),
        };
    }
    let manifest = shelf.find(key, wanted)?;
    if manifest.kind != kind {
        let (name, kind) = (wanted.to_owned(), manifest.kind.name());
        return Err(ChooseModelError::OtherKind { key, name, kind });
    }
    Ok(Named::Known(manifest.clone()))
}

fn is_url(wanted: &str) -> bool {
    wanted.starts_with("https://") || wanted.starts_with("http://")
}

fn is_path(wanted: &str) -> bool {
    wanted.contains('/')
        || Path::new(wanted)
            .extension()
            .is_some_and(|end| end == "gguf")
}

/// A manifest for a file that only its address describes. The address is part of the file's name
/// here, so that two files of one name do not take each other's place.
fn manifest_of_url(key: &'static str, url: &str, kind: Kind) -> Result<Manifest, ChooseModelError> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let file = path.rsplit('/').next().unwrap_or_default();
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let Some(stem) = file
        .strip_suffix(".gguf")
        .filter(|stem| !stem.is_empty() && !stem.starts_with('.') && stem.chars().all(is_safe))
    else {
        return Err(ChooseModelError::NoFileName {
            key,
            url: url.to_owned(),
        });
    };
    let digest: String = Sha256::digest(url)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Manifest {
        name: stem.to_owned(),
        kind,
        description: String::new(),
        licence: String::new(),
        file: format!("{stem}-{digest}.gguf"),
        sha256: None,
        size_bytes: 0,
        context: 0,
        dimensions: None,
        parameters: 0,
        quantisation: String::new(),
        memory_bytes: 0,
        auto: false,
        sources: vec![Source::Url {
            url: url.to_owned(),
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_urls() {
        let check = |wanted, path, url| {
            assert_eq!((is_path(wanted), is_url(wanted)), (path, url), "{wanted}");
        };
        check("qwen3-1.7b", false, false);
        check("model.gguf", true, false);
        check("./model", true, false);
        check("https://a/b.gguf", true, true);
    }

    fn check_url(url: &str, expected: Option<&str>) {
        let got = manifest_of_url("chat_model", url, Kind::Chat).ok();
        assert_eq!(
            got.as_ref().map(|manifest| manifest.name.as_str()),
            expected,
            "{url}"
        );
        if let Some(manifest) = got {
            assert!(manifest.file.starts_with(&manifest.name) && manifest.file.ends_with(".gguf"));
        }
    }

    #[test]
    fn a_url_names_its_file() {
        check_url("https://h/a/m-Q4_K.gguf", Some("m-Q4_K"));
        check_url("https://h/a/m.gguf?download=true", Some("m"));
        check_url("https://h/a/", None);
        check_url("https://h/..gguf", None);
        check_url("https://h/a%2f..%2fb.gguf", None);
        check_url("https://h/m.bin", None);
    }
}
