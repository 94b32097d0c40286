//! What is kept, for whom, and for how long.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gaia_records::{Id, Limits, Owner, PutError, Records, WhenFull};

fn id(number: usize) -> Id {
    Id::parse(&format!("resp_{number:032x}")).unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::parse(name).unwrap()
}

fn open(folder: &Path, limits: Limits) -> Records {
    Records::open(folder, limits).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let inside = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    inside.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_record_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    let anna = owner("anna");
    open(&path, Limits::default())
        .put(&anna, &id(1), b"one\ntwo\0")
        .unwrap();
    let again = open(&path, Limits::default());
    assert_eq!(again.get(&anna, &id(1)).unwrap().unwrap(), b"one\ntwo\0");
    assert_eq!(again.bytes(&anna, &id(1)), Some(8));
    again.put(&anna, &id(1), b"three").unwrap();
    assert!(again.delete(&anna, &id(1)).unwrap());
    assert!(!again.delete(&anna, &id(1)).unwrap());
    assert_eq!(
        open(&path, Limits::default()).get(&anna, &id(1)).unwrap(),
        None
    );
}

#[test]
fn another_keys_record_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let records = open(folder.path(), Limits::default());
    let (anna, ben) = (owner("anna"), owner("ben"));
    records.put(&anna, &id(1), b"mine").unwrap();
    for records in [records, open(folder.path(), Limits::default())] {
        assert_eq!(records.get(&ben, &id(1)).unwrap(), None);
        assert!(!records.delete(&ben, &id(1)).unwrap());
        assert!(matches!(
            records.put(&ben, &id(1), b"yours"),
            Err(PutError::Taken(_))
        ));
        assert_eq!(records.list(&ben, "resp_"), []);
        assert_eq!(records.list(&anna, "resp_"), [id(1)]);
        assert_eq!(records.get(&anna, &id(1)).unwrap().unwrap(), b"mine");
    }
}

#[test]
fn files_and_folders_are_the_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    open(&path, Limits::default())
        .put(&owner("anna"), &id(1), b"x")
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let [file] = files(&path).try_into().unwrap();
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(&path), 0o700);
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        records_max: 3,
        ..Limits::default()
    };
    let anna = owner("anna");
    let records = open(folder.path(), limits);
    for number in 0..5 {
        records.put(&anna, &id(number), b"x").unwrap();
    }
    // Replaced, it is as old as before.
    records.put(&anna, &id(2), b"y").unwrap();
    assert_eq!(records.list(&anna, ""), [id(2), id(3), id(4)]);
    assert_eq!(files(folder.path()).len(), 3);
    records.put(&anna, &id(5), b"x").unwrap();
    assert_eq!(records.list(&anna, ""), [id(3), id(4), id(5)]);
}

#[test]
fn the_oldest_go_when_there_are_too_many_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        bytes_max: 10,
        record_bytes_max: 10,
        ..Limits::default()
    };
    let anna = owner("anna");
    let records = open(folder.path(), limits);
    records.put(&anna, &id(1), b"12345").unwrap();
    records.put(&anna, &id(2), b"12345").unwrap();
    records.put(&anna, &id(3), b"1").unwrap();
    assert_eq!(records.list(&anna, ""), [id(2), id(3)]);
    records.put(&anna, &id(4), b"1234567890").unwrap();
    assert_eq!(records.list(&anna, ""), [id(4)]);
    let refused = records.put(&anna, &id(5), b"12345678901");
    assert!(matches!(
        refused,
        Err(PutError::TooLarge {
            bytes: 11,
            bytes_max: 10
        })
    ));
    assert_eq!(records.list(&anna, ""), [id(4)]);
}

#[test]
fn who_writes_many_makes_only_his_own_go() {
    let folder = tempfile::tempdir().unwrap();
    let (anna, ben) = (owner("anna"), owner("ben"));
    let limits = Limits {
        records_max: 4,
        bytes_max: 100,
        ..Limits::default()
    };
    let records = open(folder.path(), limits);
    records.put(&anna, &id(1), b"the oldest").unwrap();
    for number in 2..20 {
        records.put(&ben, &id(number), b"x").unwrap();
    }
    assert_eq!(records.list(&anna, ""), [id(1)]);
    assert_eq!(records.list(&ben, ""), [id(17), id(18), id(19)]);
    // By bytes it is whoever has most bytes, also if that is one record among many.
    records.put(&anna, &id(20), &[b'x'; 95]).unwrap();
    assert_eq!(records.list(&anna, ""), [id(20)]);
    records.put(&ben, &id(21), &[b'x'; 5]).unwrap();
    assert_eq!(records.list(&anna, ""), []);
    assert_eq!(records.list(&ben, "").len(), 3);
}

#[test]
fn what_must_not_go_keeps_the_new_out() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        records_max: 2,
        bytes_max: 10,
        record_bytes_max: 10,
        when_full: WhenFull::Refuse,
    };
    let anna = owner("anna");
    let records = open(folder.path(), limits);
    records.put(&anna, &id(1), b"1234").unwrap();
    records.put(&anna, &id(2), b"1234").unwrap();
    assert!(matches!(
        records.put(&anna, &id(3), b"1"),
        Err(PutError::Full)
    ));
    records.put(&anna, &id(2), b"123456").unwrap();
    assert!(matches!(
        records.put(&anna, &id(2), b"1234567"),
        Err(PutError::Full)
    ));
    assert_eq!(records.get(&anna, &id(2)).unwrap().unwrap(), b"123456");
    let all = records.all().into_iter().map(|(_, id)| id);
    assert_eq!(all.collect::<Vec<_>>(), [id(1), id(2)]);
}

#[test]
fn what_is_none_of_ours_stays_and_what_is_half_goes() {
    let folder = tempfile::tempdir().unwrap();
    let anna = owner("anna");
    open(folder.path(), Limits::default())
        .put(&anna, &id(0x10), b"x")
        .unwrap();
    let inside = folder.path().join("10");
    fs::write(inside.join(".new"), "half").unwrap();
    fs::write(inside.join("README"), "hello").unwrap();
    fs::write(inside.join(id(0x110).as_str()), "no header").unwrap();
    fs::write(folder.path().join("note"), "hello").unwrap();
    let records = open(folder.path(), Limits::default());
    assert_eq!(records.list(&anna, ""), [id(0x10)]);
    assert!(inside.join("README").exists() && !inside.join(".new").exists());
    assert_eq!(records.get(&anna, &id(0x110)).unwrap(), None);
}

/// Set in the process that writes until it is killed.
const WRITER: &str = "GAIA_RECORDS_TEST_FOLDER";

/// Not a test of its own: what [`kill_minus_nine_loses_nothing_acknowledged`] kills.
#[test]
fn a_writer_that_is_killed() {
    let Some(folder) = std::env::var_os(WRITER) else {
        return;
    };
    let records = open(Path::new(&folder), Limits::default());
    for number in 0.. {
        let bytes = vec![b'x'; 4096 + number];
        records.put(&owner("anna"), &id(number), &bytes).unwrap();
        println!("kept {number}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn kill_minus_nine_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["a_writer_that_is_killed", "--exact", "--nocapture"])
        .env(WRITER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap).filter_map(|line| {
        let (_, number) = line.split_once("kept ")?;
        number.parse::<usize>().ok()
    });
    acknowledged.extend(lines.by_ref().take(40));
    writer.kill().unwrap();
    acknowledged.extend(lines);
    writer.wait().unwrap();
    let records = open(folder.path(), Limits::default());
    for number in &acknowledged {
        let bytes = records.get(&owner("anna"), &id(*number)).unwrap();
        assert_eq!(
            bytes.map(|bytes| bytes.len()),
            Some(4096 + number),
            "{number}"
        );
    }
    assert!(acknowledged.len() >= 40);
    let is_half = |path: &PathBuf| path.file_name().is_some_and(|name| name == ".new");
    assert!(!files(folder.path()).iter().any(is_half));
}
