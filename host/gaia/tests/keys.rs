//! `gaia key api`: keys are made, listed, taken back; without a node.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::Sandbox;

fn every_file(sandbox: &Sandbox) -> String {
    let mut all = String::new();
    let mut folders = vec![sandbox.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => all.push_str(&String::from_utf8_lossy(&fs::read(entry.path()).unwrap())),
            }
        }
    }
    all
}

#[test]
fn a_key_is_shown_once_and_kept_as_a_hash() {
    let sandbox = Sandbox::new();
    let made = sandbox.gaia(&["key", "api", "create", "alice", "--rate", "60/min"]);
    assert!(
        made.err.contains("only time") && made.err.contains("needs a key"),
        "{}",
        made.err
    );
    let key = made.ok().trim().to_owned();
    assert!(key.starts_with("gaia_") && key.len() == 57, "{key}");
    let (id, secret) = key["gaia_".len()..].split_once('_').unwrap();

    let kept = fs::read_to_string(sandbox.path("home/api-keys.toml")).unwrap();
    let hash = gaia_ingress::keys::KeyHash::of(key.as_bytes()).to_hex();
    assert!(kept.contains(&hash) && kept.contains(id), "{kept}");
    assert!(!every_file(&sandbox).contains(secret));
    let facts = fs::metadata(sandbox.path("home/api-keys.toml")).unwrap();
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);

    let listed = sandbox.gaia(&["key", "api", "list"]).ok();
    let shown = sandbox.gaia(&["key", "api", "show", "alice"]).ok();
    let listed_json = sandbox.gaia(&["--json", "key", "api", "list"]).ok();
    for said in [&listed, &shown, &listed_json] {
        assert!(said.contains("alice") && said.contains(id), "{said}");
        assert!(!said.contains(secret) && !said.contains(&hash), "{said}");
    }
    assert!(
        shown.contains("60/min") && shown.contains("inference"),
        "{shown}"
    );
    assert!(shown.contains("last used   never"), "{shown}");
}

#[test]
fn keys_have_terms() {
    let sandbox = Sandbox::new();
    let create = [
        "--json",
        "key",
        "api",
        "create",
        "bot",
        "--scope",
        "knowledge,inference",
        "--scope",
        "inference",
        "--tokens-per-day",
        "5000",
        "--expires",
        "2099-01-01",
    ];
    let made = sandbox.gaia(&create).json();
    assert_eq!(
        made["scopes"],
        serde_json::json!(["inference", "knowledge"])
    );
    assert_eq!(made["tokens_per_day"], 5000);
    assert_eq!(made["expires"], "2099-01-01T00:00:00Z");
    let listed = sandbox.gaia(&["--json", "key", "api", "list"]).json();
    assert_eq!(listed["keys"][0]["id"], made["id"]);
    assert_eq!(listed["keys"][0]["tokens_today"], 0);
    assert_eq!(listed["keys"][0].get("key"), None);
}

#[test]
fn a_rotated_key_keeps_its_id_and_a_revoked_one_is_gone() {
    let sandbox = Sandbox::new();
    let first = sandbox.gaia(&["key", "api", "create", "bot"]).ok();
    let second = sandbox.gaia(&["key", "api", "rotate", "bot"]).ok();
    assert_eq!(first[..14], second[..14]);
    assert_ne!(first, second);
    let kept = || fs::read_to_string(sandbox.path("home/api-keys.toml")).unwrap();
    let hash = |key: &str| gaia_ingress::keys::KeyHash::of(key.trim().as_bytes()).to_hex();
    assert!(kept().contains(&hash(&second)) && !kept().contains(&hash(&first)));
    let revoked = sandbox.gaia(&["key", "api", "revoke", &first[5..13]]);
    assert!(revoked.err.contains("stays closed"), "{}", revoked.err);
    assert!(!kept().contains(&hash(&second)));
    assert!(
        sandbox
            .gaia(&["key", "api", "list"])
            .ok()
            .contains("no keys")
    );
}

#[test]
fn what_makes_no_key_says_why() {
    let sandbox = Sandbox::new();
    sandbox.gaia(&["key", "api", "create", "bot"]).ok();
    let check = |arguments: &[&str], expected: &str| {
        let run = sandbox.gaia(&[&["key", "api"], arguments].concat());
        assert_ne!(run.code, 0, "{arguments:?}");
        assert!(run.err.contains(expected), "{arguments:?}: {}", run.err);
    };
    check(&["create", "bot"], "there is a key `bot` already");
    check(&["create", "a b"], "letters, digits");
    check(
        &["create", "x", "--scope", "root"],
        "not inference, knowledge or admin",
    );
    check(
        &["create", "x", "--rate", "0"],
        "requests a minute must be 1 to",
    );
    check(&["create", "x", "--tokens-per-day", "0"], "at least 1");
    check(&["create", "x", "--expires", "2020-01-01"], "over already");
    check(&["create", "x", "--expires", "soon"], "neither a span");
    check(&["revoke", "nobody"], "no key `nobody`");
    check(&["rotate", "nobody"], "no key `nobody`");
    check(&["show", "nobody"], "no key `nobody`");
    let kept = fs::read_to_string(sandbox.path("home/api-keys.toml")).unwrap();
    assert_eq!(kept.matches("[[key]]").count(), 1, "{kept}");
}

#[test]
fn a_named_key_is_a_key_for_another_address() {
    let sandbox = Sandbox::new();
    let open = ["config", "set", "host", "0.0.0.0"];
    let refused = sandbox.gaia(&open);
    assert!(
        refused.err.contains("gaia key api create NAME"),
        "{}",
        refused.err
    );
    sandbox.gaia(&["key", "api", "create", "alice"]).ok();
    sandbox.gaia(&open).ok();
    sandbox.gaia(&["config", "list"]).ok();
}
