//! The models that every machine can have, in the cache that set-up fills: what a pull made of their
//! packages is what their manifests promise.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::path::PathBuf;
use std::{env, fs};

use gaia_gguf::{Header, TensorType};
use gaia_manifest::Sha256;
use gaia_models::{Catalogue, Library, Settings};
use sha2::{Digest, Sha256 as Hasher};

/// A model's file, fetched if it is not there.
fn check(name: &str, matrices: TensorType) {
    let cache = env::var_os("GAIA_CACHE").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap()).join(".cache/gaia");
    let library = Library::new(Settings::new(cache.unwrap_or_else(home).join("models")));
    let catalogue = Catalogue::built_in();
    let manifest = catalogue.find(name).unwrap();
    let path = library.pull(manifest, &mut |_| {}).unwrap().path;
    let file = fs::read(path).unwrap();
    let sum = Sha256(Hasher::digest(&file).into());
    assert_eq!(manifest.sha256, Some(sum), "{name}");
    let header = Header::from_bytes(&file).unwrap();
    let facts = header.facts();
    assert_eq!(facts.file_type, Some(manifest.quantisation.as_str()));
    assert_eq!(facts.parameter_count, manifest.parameters);
    assert_eq!(facts.context_length, Some(manifest.context));
    let query = header.tensor("blk.0.attn_q.weight").unwrap();
    assert_eq!(query.kind, matrices);
}

#[test]
fn the_small_chat_model_is_requantised() {
    check("smollm2-135m-instruct", TensorType::Q8_0);
}

#[test]
fn the_embedding_model_is_converted() {
    check("all-minilm-l6-v2", TensorType::F16);
}
