//! The automatic choice, with a server in the place of the hub.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod server;

use std::time::Duration;

use gaia_manifest::{Kind, Manifest, Reach, Source};
use gaia_models::{Catalogue, Library, Settings};
use server::{Behaviour, Server};

fn library(folder: &std::path::Path, hub: &str) -> Library {
    Library::new(Settings {
        hub: Some(hub.to_owned()),
        probe_timeout: Duration::from_millis(500),
        // Whether pip is there must not matter here: this program always succeeds.
        python: "true".into(),
        ..Settings::new(folder)
    })
}

/// What is chosen from the built-in models with so much memory, when the hub has `paths`.
#[track_caller]
fn check(memory_gigabytes: f64, paths: &[&str], expected: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    let server = Server::start(Behaviour {
        paths,
        ..Behaviour::serving(b"model".to_vec())
    });
    let manifests = Catalogue::built_in().manifests;
    let memory = (memory_gigabytes * 1e9) as u64;
    let choice = library(folder.path(), &server.base).choose(&manifests, Kind::Chat, memory);
    let chosen = choice
        .chosen
        .as_ref()
        .map(|(manifest, _)| manifest.name.as_str());
    assert_eq!(chosen, Some(expected), "{:?}", choice.reasons());
    choice.reasons()
}

#[test]
fn takes_the_best_that_fits_and_is_there() {
    check(64.0, &[], "qwen3-8b");
    check(5.0, &[], "qwen3-4b-instruct-2507");
    check(3.0, &[], "qwen3-1.7b");
    check(1.0, &[], "smollm2-135m-instruct");
    check(64.0, &["Qwen3-1.7B"], "qwen3-1.7b");
    check(64.0, &["something else"], "smollm2-135m-instruct");
}

#[test]
fn says_what_was_passed_over_and_why() {
    let reasons = check(5.0, &["Qwen3-1.7B"], "qwen3-1.7b");
    assert!(
        reasons[0].starts_with("qwen3-8b: needs 6.5 GB of memory"),
        "{reasons:?}"
    );
    assert!(reasons.iter().any(
        |it| it.starts_with("qwen3-4b-instruct-2507: cannot be had now") && it.contains("404")
    ));
    assert!(
        reasons
            .iter()
            .any(|it| it.starts_with("gemma-3-4b-it: only when named"))
    );
}

#[test]
fn without_a_network_the_small_one_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = Catalogue::built_in().manifests;
    // Nothing listens on port 1.
    let choice =
        library(folder.path(), "http://127.0.0.1:1").choose(&manifests, Kind::Chat, u64::MAX);
    assert_eq!(choice.chosen.unwrap().0.name, "smollm2-135m-instruct");
}

#[test]
fn a_silent_server_is_waited_for_once() {
    let folder = tempfile::tempdir().unwrap();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = format!("http://{}", silent.local_addr().unwrap());
    let manifests = Catalogue::built_in().manifests;
    let choice = library(folder.path(), &hub).choose(&manifests, Kind::Chat, u64::MAX);
    assert_eq!(choice.chosen.unwrap().0.name, "smollm2-135m-instruct");
    // Whoever was waited for has connected: the connections stand in the listener's queue.
    silent.set_nonblocking(true).unwrap();
    let asked = std::iter::from_fn(|| silent.accept().ok()).count();
    assert_eq!(asked, 1);
}

#[test]
fn what_is_here_needs_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let manifests: Vec<Manifest> = Catalogue::built_in().manifests;
    let local = manifests.iter().find(|it| it.name == "qwen3-1.7b").unwrap();
    std::fs::write(folder.path().join(&local.file), b"model").unwrap();
    let library = library(folder.path(), "http://127.0.0.1:1");
    let choice = library.choose_present(&manifests, Kind::Chat, u64::MAX);
    assert_eq!(choice.chosen, Some((local, Reach::Present)));
    assert!(matches!(library.reach(local), Reach::Present));
    let gone = Manifest {
        file: "none.gguf".to_owned(),
        sources: vec![Source::File {
            path: "/none".to_owned(),
        }],
        ..local.clone()
    };
    assert_eq!(
        library.reach(&gone),
        Reach::Unreachable("there is no file /none".to_owned())
    );
}
