//! Downloads of files that are no models, over real sockets.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod server;

use std::fs;
use std::path::Path;
use std::time::Duration;

use gaia_models::{Download, FetchError, Settings};
use server::{Behaviour, Server};

/// Fetches from a server that behaves so, into a folder of its own; gives what is there then.
fn fetch(server: &Server, folder: &Path, bytes_max: u64) -> Result<Vec<u8>, FetchError> {
    let settings = Settings {
        retry_wait: Duration::from_millis(5),
        stall_timeout: Duration::from_millis(500),
        reserve_bytes: 0,
        ..Settings::new(folder)
    };
    let part = folder.join("download");
    let download = Download {
        url: &format!("{}/k.snapshot", server.base),
        part: &part,
        bytes_max,
    };
    settings.download(&download, &mut |_| {})?;
    Ok(fs::read(part).unwrap())
}

fn file() -> Vec<u8> {
    (0..200_000u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn goes_on_where_the_last_try_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::serving(file()));
    server.change(|it| it.break_after = Some(300_000));
    assert!(fetch(&server, folder.path(), u64::MAX).unwrap() == file());
    let asked = server.asked();
    assert_eq!(asked[1].range.as_deref(), Some("bytes=300000-"));
    // Whole: nothing more is asked for than whether it is still the same.
    assert!(fetch(&server, folder.path(), u64::MAX).unwrap() == file());
    assert_eq!(server.ranges().len(), asked.len());
}

#[test]
fn what_has_changed_on_the_server_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::serving(file()));
    let check = |expected: &[u8], fetches: usize| {
        let got = fetch(&server, folder.path(), u64::MAX).unwrap();
        assert!(got == expected);
        assert_eq!(server.ranges().len(), fetches);
    };
    check(&file(), 1);
    check(&file(), 1);
    let mut other = file();
    other[7] = 0xff;
    server.change(|it| {
        it.file.clone_from(&other);
        it.etag = Some("\"two\"".to_owned());
    });
    check(&other, 2);
    // One that no longer tells its tag has not said that it has another; another length says enough.
    server.change(|it| it.etag = None);
    check(&other, 2);
    let shorter = other[..1000].to_vec();
    server.change(|it| it.file.clone_from(&shorter));
    check(&shorter, 3);
    // One that does not answer well has not said that it has another.
    server.change(|it| it.status = 404);
    check(&shorter, 3);
}

#[test]
fn a_file_past_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::serving(file()));
    let error = fetch(&server, folder.path(), 799_999).unwrap_err();
    assert!(
        matches!(error, FetchError::TooLong { bytes_max: 799_999 }),
        "{error}"
    );
    assert!(fetch(&server, folder.path(), 800_000).is_ok());
}

#[test]
fn a_file_without_the_announced_sum_is_refused_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::serving(file()));
    server.change(|it| it.etag = Some(format!("\"{}\"", "0".repeat(64))));
    let error = fetch(&server, folder.path(), u64::MAX).unwrap_err();
    assert!(matches!(error, FetchError::WrongSum), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_part_of_something_else_goes_before_the_space_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::serving(file()));
    let part = folder.path().join("download");
    fs::write(&part, file()).unwrap();
    let settings = Settings {
        reserve_bytes: u64::MAX,
        ..Settings::new(folder.path())
    };
    let download = Download {
        url: &format!("{}/k.snapshot", server.base),
        part: &part,
        bytes_max: u64::MAX,
    };
    let error = settings.download(&download, &mut |_| {}).unwrap_err();
    assert!(matches!(error, FetchError::Space { .. }), "{error}");
    assert_eq!(fs::metadata(&part).unwrap().len(), 0);
}
