//! Whole nodes for the end-to-end tests: real processes, real models, ports chosen by the system.
//!
//! Every test owns its stack: a home in a temporary folder, started by `gaia`, stopped and looked
//! after when dropped. Nothing here knows the inside of a node: only its command line, its HTTP
//! interface and `run/state.json`.

pub mod http;
pub mod node;
pub mod process;
pub mod random_model;

use std::path::{Path, PathBuf};

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

/// A model file that `gaia model pull` left in the cache.
#[must_use]
pub fn model(file: &str) -> PathBuf {
    let path = cache().join("models").join(file);
    assert!(
        path.exists(),
        "{} is missing: run `make test`, which pulls it",
        path.display()
    );
    path
}
