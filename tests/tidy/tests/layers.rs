//! Dependencies point one way.

use tidy::packages;

/// The level of each crate in `crates/`: it may depend on lower levels only.
const LEVELS: &[(&str, u8)] = &[
    ("gaia-balancer", 0),
    ("gaia-openai", 1),
    ("gaia-gguf", 0),
    ("gaia-page", 0),
    ("gaia-prompt", 0),
    ("gaia-rag", 0),
    ("gaia-trace", 0),
    ("gaia-manifest", 0),
    ("gaia-grammar", 0),
    ("gaia-outbound", 0),
    ("gaia-mcp-server", 0),
    ("gaia-statements", 0),
    ("gaia-convert", 1),
    ("gaia-ledger", 1),
    ("gaia-registry", 1),
    ("gaia-metering", 2),
    ("gaia-tools", 1),
    ("gaia-chat", 2),
];

/// Native libraries that stand on another native library. Only `gaia`, the binary, puts parts together.
const HOST_SHELLS: &[(&str, &str)] = &[
    ("gaia-chain", "gaia-keystore"),
    ("gaia-chain", "gaia-ledger-store"),
    ("gaia-gateway", "gaia-chain"),
    ("gaia-gateway", "gaia-counting"),
    ("gaia-gateway", "gaia-domain"),
    ("gaia-gateway", "gaia-ingress"),
    ("gaia-gateway", "gaia-keystore"),
    ("gaia-gateway", "gaia-ledger-store"),
    ("gaia-gateway", "gaia-tunnel"),
    ("gaia-mcp", "gaia-egress"),
    ("gaia-counting", "gaia-engine"),
    ("gaia-member", "gaia-tunnel"),
    ("gaia-wasi-nn", "gaia-engine"),
    ("gaia-vector-store", "gaia-archive"),
    ("gaia-tunnel", "gaia-authorities"),
    ("gaia-ledger-store", "gaia-authorities"),
];

fn level(name: &str) -> u8 {
    let found = LEVELS.iter().find(|(known, _)| *known == name);
    found
        .unwrap_or_else(|| {
            panic!("{name} has no level yet: give it one in tests/tidy/tests/layers.rs")
        })
        .1
}

#[test]
fn a_crate_depends_only_on_crates_of_a_lower_level() {
    for package in packages()
        .iter()
        .filter(|package| package.folder.starts_with("crates/"))
    {
        for need in &package.needs {
            assert!(
                level(need) < level(&package.name),
                "{} must not depend on {need}",
                package.name
            );
        }
    }
}

#[test]
fn every_crate_has_a_level() {
    for package in packages()
        .iter()
        .filter(|package| package.folder.starts_with("crates/"))
    {
        level(&package.name);
    }
}

#[test]
fn guest_and_host_never_import_each_other() {
    let all = packages();
    let folder = |name: &str| {
        all.iter()
            .find(|package| package.name == name)
            .map(|package| package.folder.clone())
    };
    for package in &all {
        for need in &package.needs {
            let target = folder(need).unwrap_or_default();
            let crossing = (package.folder.starts_with("wasm-apps/")
                && target.starts_with("host/"))
                || (package.folder.starts_with("host/") && target.starts_with("wasm-apps/"));
            assert!(
                !crossing,
                "{} must not depend on {need}: they meet over HTTP and the WASI-NN ABI",
                package.name
            );
        }
    }
}

#[test]
fn host_libraries_do_not_reach_sideways() {
    let all = packages();
    let is_host = |name: &String| {
        all.iter()
            .any(|package| &package.name == name && package.folder.starts_with("host/"))
    };
    for package in all
        .iter()
        .filter(|package| package.folder.starts_with("host/") && package.name != "gaia")
    {
        for need in package.needs.iter().filter(|need| is_host(need)) {
            let allowed = HOST_SHELLS.contains(&(package.name.as_str(), need.as_str()));
            assert!(
                allowed,
                "{} must not depend on {need}: only the binary puts parts together",
                package.name
            );
        }
    }
}
