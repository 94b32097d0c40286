//! House rules as tests: what depends on what, what a crate may touch, how files begin and how long they get.
//!
//! Reads the working tree and `cargo metadata`; changes nothing. The rules themselves are in `tests/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/tidy lies two folders below the root")
        .to_path_buf()
}

/// One package of the workspace, as cargo sees it.
pub struct Package {
    /// Name in Cargo.toml, for example `gaia-rag`.
    pub name: String,
    /// Folder relative to the root, for example `crates/rag`.
    pub folder: String,
    /// Names of the workspace packages it depends on, tests aside.
    pub needs: Vec<String>,
}

/// The packages of the workspace.
///
/// # Panics
/// When cargo does not run or its answer is not the one it documents.
#[must_use]
pub fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let list = metadata["packages"]
        .as_array()
        .expect("metadata lists packages");
    let names: Vec<&str> = list
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    list.iter()
        .map(|package| read_package(package, &names))
        .collect()
}

fn read_package(package: &serde_json::Value, names: &[&str]) -> Package {
    let manifest = Path::new(
        package["manifest_path"]
            .as_str()
            .expect("a package has a manifest"),
    );
    let folder = manifest
        .parent()
        .and_then(|path| path.strip_prefix(root()).ok());
    let needs = package["dependencies"].as_array().into_iter().flatten();
    Package {
        name: package["name"]
            .as_str()
            .expect("a package has a name")
            .to_owned(),
        folder: folder
            .expect("a member lies in the workspace")
            .to_string_lossy()
            .into_owned(),
        needs: needs
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| names.contains(name))
            .map(str::to_owned)
            .collect(),
    }
}

/// The files git tracks, or would, whose name ends in `ending`, relative to the root.
///
/// # Panics
/// When git does not run.
#[must_use]
pub fn files(ending: &str) -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git ls-files runs");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|path| path.ends_with(ending) && root().join(path).is_file())
        .map(str::to_owned)
        .collect()
}

/// The text of a file relative to the root.
///
/// # Panics
/// When it cannot be read as UTF-8.
#[must_use]
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A Rust source without its unit tests (by house style they stand last, behind `#[cfg(test)]`).
#[must_use]
pub fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]").next().unwrap_or(source)
}
