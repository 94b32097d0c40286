//! Where the models are whose vocabularies are counted with, and one counter of each for all tests.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, fs};

use gaia_counting::{Counter, NodeTexts};
use gaia_manifest::Manifest;

/// What nodes that answers were recorded from said to their model.
pub const SYSTEM: &str = "You are a helpful node of a test.";

/// The chat model: `GAIA_TEST_CHAT_MODEL`, or the default one in the cache.
pub fn chat_path() -> PathBuf {
    find("GAIA_TEST_CHAT_MODEL", "smollm2-135m-instruct")
}

/// The embedding model: `GAIA_TEST_EMBEDDING_MODEL`, or the default one in the cache.
pub fn embedding_path() -> PathBuf {
    find("GAIA_TEST_EMBEDDING_MODEL", "all-minilm-l6-v2")
}

fn find(variable: &str, name: &str) -> PathBuf {
    let named = env::var_os(variable).map(PathBuf::from);
    let path = named.unwrap_or_else(|| cache().join("models").join(file_of(name)));
    assert!(
        path.is_file(),
        "{} is missing: run `gaia model pull {name}`, or set {variable}",
        path.display()
    );
    path
}

/// The name of a model's file, from its manifest.
fn file_of(name: &str) -> String {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
    let manifest = fs::read_to_string(format!("{models}/{name}.toml")).unwrap();
    Manifest::parse(&manifest).unwrap().file
}

fn cache() -> PathBuf {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from);
    folder("GAIA_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("gaia")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/gaia")))
        .unwrap()
}

/// Counts for nodes that say nothing of their own.
pub fn chat() -> &'static Counter {
    static COUNTER: OnceLock<Counter> = OnceLock::new();
    COUNTER.get_or_init(|| Counter::open(&chat_path()).unwrap())
}

/// Counts for nodes with [`SYSTEM`].
pub fn chat_with_system() -> Counter {
    let texts = NodeTexts {
        system: Some(SYSTEM.to_owned()),
        ..NodeTexts::default()
    };
    chat().with_nodes(texts).unwrap()
}

/// Counts for embeddings.
pub fn embedding() -> &'static Counter {
    static COUNTER: OnceLock<Counter> = OnceLock::new();
    COUNTER.get_or_init(|| Counter::open(&embedding_path()).unwrap())
}
