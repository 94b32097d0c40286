//! Whole nodes for the end-to-end tests: real processes, real models, ports chosen by the system.
//!
//! Every test owns its stack: a home in a temporary folder, started by `gaia`, stopped and looked
//! after when dropped. Nothing here knows the inside of a node: only its command line, its HTTP
//! interface and `run/state.json`.

pub mod http;
pub mod node;
pub mod process;
pub mod random_model;

use std::fs;
use std::path::{Path, PathBuf};

use gaia_manifest::Manifest;

/// The small chat model that can be had everywhere, and which the bars of the bench are about.
pub const CHAT_MODEL: &str = "smollm2-135m-instruct";

/// The embedding model.
pub const EMBEDDING_MODEL: &str = "all-minilm-l6-v2";

/// The root of the workspace.
///
/// # Panics
/// Never, as long as this crate lies two folders below it.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("tests/e2e lies two folders below the root")
        .to_path_buf()
}

/// The programs under test, built by `make build`.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = root().join("target/release").join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make build`",
        path.display()
    );
    path
}

/// The cache folder that set-up fills.
///
/// # Panics
/// When neither `GAIA_CACHE` nor `HOME` is set.
#[must_use]
pub fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    variable("GAIA_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("gaia")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/gaia")))
        .expect("GAIA_CACHE or HOME is set")
}

/// The `wasmedge` under test: `GAIA_WASMEDGE`, else the newer one of the cache.
#[must_use]
pub fn wasmedge() -> PathBuf {
    std::env::var_os("GAIA_WASMEDGE").map_or_else(
        || cache().join("wasmedge/0.17.1/bin/wasmedge"),
        PathBuf::from,
    )
}

/// The file of a model that `gaia model pull NAME` left in the cache.
///
/// # Panics
/// When no manifest has this name, or the file is not there.
#[must_use]
pub fn model(name: &str) -> PathBuf {
    let manifest = root()
        .join("models")
        .join(name)
        .with_added_extension("toml");
    let manifest = fs::read_to_string(manifest).expect("a manifest of this name");
    let manifest = Manifest::parse(&manifest).expect("a manifest that is right");
    let path = cache().join("models").join(manifest.file);
    assert!(
        path.exists(),
        "{} is missing: run `make test`, which pulls it",
        path.display()
    );
    path
}
