//! Pulls over real sockets, from a server that misbehaves on demand.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod server;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use gaia_gguf::{TensorType, Writer};
use gaia_manifest::{Kind, Manifest, Sha256, Source};
use gaia_models::{
    Event, FetchError, FinishError, Library, PullError, Pulled, Settings, SourceError,
};
use server::{Behaviour, Server};
use sha2::{Digest, Sha256 as Hasher};

const HUB: &str = "https://huggingface.co";

/// A file that passes for a model, of about `kibibytes` KiB.
fn model(kibibytes: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new();
    writer.set("general.architecture", "test").unwrap();
    let numbers = kibibytes * 256;
    let data = move || {
        (0..numbers as u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect()
    };
    writer
        .add_tensor("weights", &[numbers], TensorType::F32, data)
        .unwrap();
    writer.write(&mut bytes).unwrap();
    bytes
}

fn sum(bytes: &[u8]) -> Sha256 {
    Sha256(Hasher::digest(bytes).into())
}

fn manifest(url: &str, file: &[u8]) -> Manifest {
    Manifest {
        name: "test".to_owned(),
        kind: Kind::Chat,
        description: "For tests.".to_owned(),
        licence: "MIT".to_owned(),
        file: "test.gguf".to_owned(),
        sha256: Some(sum(file)),
        size_bytes: file.len() as u64,
        context: 512,
        dimensions: None,
        parameters: 1000,
        quantisation: "F32".to_owned(),
        memory_bytes: 1000,
        auto: true,
        sources: vec![Source::Url {
            url: url.to_owned(),
        }],
    }
}

fn settings(folder: &Path, server: &Server) -> Settings {
    Settings {
        hub: Some(server.base.clone()),
        retry_wait: Duration::from_millis(5),
        stall_timeout: Duration::from_millis(500),
        probe_timeout: Duration::from_millis(500),
        reserve_bytes: 0,
        ..Settings::new(folder)
    }
}

/// A server with a file, a folder, and a manifest that fits.
struct Scene {
    folder: tempfile::TempDir,
    server: Server,
    file: Vec<u8>,
    manifest: Manifest,
}

impl Scene {
    fn new(kibibytes: u64) -> Self {
        let file = model(kibibytes);
        let server = Server::start(Behaviour::serving(file.clone()));
        let manifest = manifest(&format!("{HUB}/a/b/blob/main/test.gguf"), &file);
        Self {
            folder: tempfile::tempdir().unwrap(),
            server,
            file,
            manifest,
        }
    }

    fn library(&self) -> Library {
        Library::new(settings(self.folder.path(), &self.server))
    }

    fn pull(&self) -> Result<Pulled, PullError> {
        self.library().pull(&self.manifest, &mut |_| {})
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("test.gguf")
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join(".partial/test.gguf.part")
    }

    #[track_caller]
    fn assert_whole(&self) {
        assert!(
            fs::read(self.path()).unwrap() == self.file,
            "the file is not the one served"
        );
        assert!(!self.part().exists());
    }

    /// The pull fails with one reason, and nothing has the final name.
    #[track_caller]
    fn reason(&self) -> SourceError {
        let error = self.pull().unwrap_err();
        assert!(!self.path().exists());
        match error {
            PullError::Sources { mut failures, .. } => failures.remove(0).1,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn fetches_once_from_the_hub_s_stand_in() {
    let scene = Scene::new(64);
    let pulled = scene.pull().unwrap();
    assert_eq!(pulled.sum, Some(sum(&scene.file)));
    assert!(pulled.is_checked);
    scene.assert_whole();
    assert_eq!(
        scene.server.asked()[0].line,
        "GET /a/b/resolve/main/test.gguf HTTP/1.1"
    );
    let again = scene.pull().unwrap();
    assert_eq!(again.source, None);
    assert_eq!(again.sum, Some(sum(&scene.file)));
    assert_eq!(scene.server.asked().len(), 1);
}

#[test]
fn goes_on_after_a_broken_connection() {
    let scene = Scene::new(1024);
    scene.server.change(|it| it.break_after = Some(300_000));
    scene.pull().unwrap();
    scene.assert_whole();
    let ranges = scene.server.ranges();
    let expected = [
        None,
        Some("bytes=300000-"),
        Some("bytes=600000-"),
        Some("bytes=900000-"),
    ];
    assert_eq!(ranges, expected.map(|it| it.map(str::to_owned)));
}

#[test]
fn goes_on_after_a_standstill() {
    let scene = Scene::new(256);
    scene.server.change(|it| it.pause = Duration::from_secs(5));
    let changing = scene.server.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        changing.change(|it| it.pause = Duration::ZERO);
    });
    scene.pull().unwrap();
    scene.assert_whole();
    assert_eq!(scene.server.ranges()[1].as_deref(), Some("bytes=65536-"));
}

#[test]
fn starts_anew_when_the_file_has_changed_in_between() {
    let mut scene = Scene::new(256);
    scene.server.change(|it| {
        it.break_after = Some(100_000);
        it.status = 200;
    });
    let other = model(300);
    let (changing, file) = (scene.server.clone(), other.clone());
    let mut changed = false;
    scene.manifest = Manifest {
        sha256: Some(sum(&other)),
        size_bytes: other.len() as u64,
        ..scene.manifest
    };
    let library = scene.library();
    let pulled = library.pull(&scene.manifest, &mut |event| {
        if matches!(event, Event::Retrying { .. }) && !changed {
            changed = true;
            let file = file.clone();
            changing.change(|it| {
                *it = Behaviour {
                    etag: Some("\"two\"".to_owned()),
                    ..Behaviour::serving(file)
                }
            });
        }
    });
    pulled.unwrap();
    scene.file = other;
    scene.assert_whole();
}

#[test]
fn gives_up_on_a_server_that_stays_broken() {
    let scene = Scene::new(64);
    scene.server.change(|it| it.break_after = Some(0));
    assert!(matches!(scene.reason(), SourceError::Fetch(_)));
    assert_eq!(scene.server.asked().len(), 6, "once, and five times more");
}

#[test]
fn without_a_network_the_next_source_is_tried_soon() {
    let scene = Scene::new(64);
    // Nothing listens on port 1.
    let hub = Some("http://127.0.0.1:1".to_owned());
    let settings = Settings {
        hub,
        ..settings(scene.folder.path(), &scene.server)
    };
    let mut retries = 0;
    let count =
        &mut |event: Event<'_>| retries += usize::from(matches!(event, Event::Retrying { .. }));
    Library::new(settings)
        .pull(&scene.manifest, count)
        .unwrap_err();
    assert_eq!(retries, 1);
}

#[test]
fn says_what_the_server_says() {
    let scene = Scene::new(64);
    for (status, asked) in [(404, 1), (403, 2), (503, 8)] {
        scene.server.change(|it| it.status = status);
        let reason = scene.reason();
        assert!(
            matches!(reason, SourceError::Fetch(FetchError::Status { status: found }) if found == status)
        );
        assert_eq!(scene.server.asked().len(), asked);
    }
}

#[test]
fn refuses_and_removes_a_file_with_a_wrong_sum() {
    let scene = Scene::new(64);
    scene.server.change(|it| it.file[70] ^= 1);
    assert!(matches!(
        scene.reason(),
        SourceError::Finish(FinishError::Sum { .. })
    ));
    assert!(!scene.part().exists());
    scene.server.change(|it| it.file[70] ^= 1);
    scene.pull().unwrap();
    scene.assert_whole();
}

#[test]
fn checks_and_records_the_sum_that_the_server_announces() {
    let mut scene = Scene::new(64);
    scene.manifest.sha256 = None;
    let right = format!("\"{}\"", sum(&scene.file));
    let wrong = format!("\"{}\"", sum(b"other"));
    scene.server.change(|it| it.linked_etag = Some(wrong));
    assert!(matches!(
        scene.reason(),
        SourceError::Finish(FinishError::Sum { .. })
    ));
    scene.server.change(|it| it.linked_etag = Some(right));
    let pulled = scene.pull().unwrap();
    assert!(pulled.is_checked);
    assert_eq!(pulled.sum, Some(sum(&scene.file)));
    let record = fs::read_to_string(scene.folder.path().join("test.gguf.sha256")).unwrap();
    assert_eq!(record, format!("{}  test.gguf\n", sum(&scene.file)));
}

#[test]
fn takes_a_file_without_any_sum_only_if_it_is_a_model() {
    let mut scene = Scene::new(64);
    scene.manifest.sha256 = None;
    scene
        .server
        .change(|it| it.file = b"<html>Please sign in</html>".to_vec());
    assert!(matches!(
        scene.reason(),
        SourceError::Finish(FinishError::NotAModel(_))
    ));
    let file = scene.file.clone();
    scene.server.change(|it| it.file = file);
    let pulled = scene.pull().unwrap();
    assert!(!pulled.is_checked);
    scene.assert_whole();
}

#[test]
fn refuses_before_it_starts_when_the_disk_is_full() {
    let scene = Scene::new(64);
    let settings = Settings {
        reserve_bytes: u64::MAX / 2,
        ..settings(scene.folder.path(), &scene.server)
    };
    let error = Library::new(settings)
        .pull(&scene.manifest, &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, PullError::Space { .. }), "{error}");
    assert!(scene.server.asked().is_empty());
}

#[test]
fn tries_the_sources_in_order() {
    let mut scene = Scene::new(64);
    let local = scene.folder.path().join("elsewhere.gguf");
    let file = Source::File {
        path: local.to_str().unwrap().to_owned(),
    };
    scene.manifest.sources.insert(0, file.clone());
    let mut failed = 0;
    let pulled = scene.library().pull(&scene.manifest, &mut |event| {
        failed += usize::from(matches!(event, Event::Failed { .. }))
    });
    assert_eq!(
        (failed, pulled.unwrap().source),
        (1, Some(scene.manifest.sources[1].clone()))
    );

    assert!(scene.library().remove(&scene.manifest).unwrap());
    assert!(!scene.library().remove(&scene.manifest).unwrap());
    fs::write(&local, &scene.file).unwrap();
    assert_eq!(scene.pull().unwrap().source, Some(file));
    scene.assert_whole();
    assert_eq!(scene.server.asked().len(), 1);
}

#[test]
fn two_pulls_at_once_download_once() {
    let scene = Scene::new(512);
    scene
        .server
        .change(|it| it.pause = Duration::from_millis(20));
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| scene.pull().unwrap()))
            .collect();
        pulls
            .into_iter()
            .for_each(|pull| assert!(pull.join().unwrap().path.exists()));
    });
    scene.assert_whole();
    assert_eq!(scene.server.asked().len(), 1);
}

#[test]
fn a_complete_download_is_not_repeated_for_its_last_step() {
    let scene = Scene::new(64);
    // A folder in the way: the file cannot get its name.
    fs::create_dir_all(scene.path().join("x")).unwrap();
    scene.pull().unwrap_err();
    fs::remove_dir_all(scene.path()).unwrap();
    scene.pull().unwrap();
    scene.assert_whole();
    assert_eq!(scene.server.asked().len(), 1);
}

#[test]
fn lists_what_is_here_and_what_is_begun() {
    let scene = Scene::new(256);
    let manifests = [scene.manifest.clone()];
    scene.server.change(|it| it.break_after = Some(1000));
    scene.server.change(|it| it.etag = None);
    scene.pull().unwrap_err();
    let library = scene.library();
    let listed = &library.list(&manifests)[0];
    assert_eq!((listed.path.clone(), listed.partial_bytes), (None, 1000));
    scene.server.change(|it| it.break_after = None);
    scene.pull().unwrap();
    let listed = &library.list(&manifests)[0];
    assert_eq!(
        (listed.path.clone(), listed.partial_bytes),
        (Some(scene.path()), 0)
    );
    assert_eq!(listed.sum, Some(sum(&scene.file)));
}

/// Not a test: what the next one runs in a process of its own, to kill it.
#[test]
fn child_that_pulls() {
    let (Ok(folder), Ok(base)) = (env::var("PULL_FOLDER"), env::var("PULL_BASE")) else {
        return;
    };
    let manifest = manifest(&format!("{base}/test.gguf"), &model(4096));
    let library = Library::new(Settings {
        reserve_bytes: 0,
        ..Settings::new(folder)
    });
    library.pull(&manifest, &mut |_| {}).unwrap();
}

fn start_child(scene: &Scene) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_that_pulls"])
        .env("PULL_FOLDER", scene.folder.path())
        .env("PULL_BASE", &scene.server.base)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_pull_leaves_no_half_file_and_the_next_goes_on() {
    let scene = Scene::new(4096);
    scene
        .server
        .change(|it| it.pause = Duration::from_millis(20));
    let mut len_before = 0;
    for kill in 1..=3 {
        let mut child = start_child(&scene);
        let started = Instant::now();
        let len = || fs::metadata(scene.part()).map_or(0, |it| it.len());
        while len() < len_before + 300_000 {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "no progress in round {kill}"
            );
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!scene.path().exists());
        len_before = len();
    }
    scene.server.change(|it| it.pause = Duration::ZERO);
    assert!(start_child(&scene).wait().unwrap().success());
    scene.assert_whole();
    let ranges = scene.server.ranges();
    assert_eq!(ranges.len(), 4);
    assert!(
        ranges[0].is_none() && ranges[1..].iter().all(Option::is_some),
        "{ranges:?}"
    );
}
