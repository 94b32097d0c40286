//! Archives of all kinds, friendly and hostile.

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const CONFIG: &str = r#"{"params":{"vectors":{"size":384,"distance":"Cosine"}}}"#;
const FILE: EntryType = EntryType::Regular;

/// An archive, under names no well-meaning library would write.
fn tar(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snapshot() -> Vec<u8> {
    snapshot_with(CONFIG)
}

fn snapshot_with(config: &str) -> Vec<u8> {
    let segment = tar(&[("segment.json", FILE, b"{}")]);
    tar(&[
        ("0/segments/a.tar", FILE, &segment),
        ("./config.json", FILE, config.as_bytes()),
    ])
}

fn limits() -> Limits {
    Limits {
        reserve_bytes: 0,
        ..Limits::default()
    }
}

/// Opens `bytes` under a name that says nothing. Gives what came of it; the snapshot's bytes are
/// those of `snapshot()`, and nothing else is left in or outside the folder.
fn opened(bytes: &[u8], limits: &Limits) -> Result<Vectors, OpenSnapshotError> {
    let outside = tempfile::tempdir().unwrap();
    let (path, folder) = (outside.path().join("x"), outside.path().join("private"));
    fs::write(&path, bytes).unwrap();
    fs::create_dir(&folder).unwrap();
    let result = open(&path, &folder, limits, &ProgressBar::hidden());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 2);
    assert_eq!(fs::read(&path).unwrap(), bytes, "the original stays");
    result.map(|opened| {
        let layers: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
        let own = usize::from(opened.file != path);
        assert_eq!(layers.len(), own, "{layers:?}");
        assert!(fs::read(&opened.file).unwrap() == snapshot());
        opened.vectors
    })
}

fn check(bytes: &[u8]) {
    let vectors = opened(bytes, &limits()).unwrap();
    assert_eq!((vectors.size, vectors.distance.as_str()), (384, "Cosine"));
}

#[track_caller]
fn refuse(bytes: &[u8], limits: Limits, expected: &str) {
    let error = opened(bytes, &limits).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn every_wrapping_is_opened() {
    let plain = snapshot();
    check(&plain);
    check(&gzip(&plain));
    let wrapped = tar(&[("default-2024.snapshot", FILE, &plain)]);
    check(&wrapped);
    check(&gzip(&wrapped));
    // As macOS packs: a folder, and a companion of each file.
    let packed = tar(&[
        ("k/", EntryType::Directory, b""),
        ("k/._default.snapshot", FILE, b"\0\x05\x16\x07"),
        ("k/default.snapshot", FILE, &plain),
        ("k/default.snapshot.checksum", FILE, b"abc"),
    ]);
    check(&gzip(&packed));
    // A whole server's snapshot has a `config.json` of another kind.
    let whole = tar(&[
        ("config.json", FILE, br#"{"collections_mapping":{}}"#),
        ("default.snapshot", FILE, &plain),
    ]);
    check(&whole);
    // Two members, as `cat a.gz b.gz` makes them.
    let (first, second) = plain.split_at(700);
    check(&[gzip(first), gzip(second)].concat());
}

#[test]
fn what_is_no_snapshot_is_told_apart() {
    let refuse = |bytes: &[u8], expected: &str| refuse(bytes, limits(), expected);
    refuse(b"", "neither a tar archive nor");
    refuse(b"<html>", "neither a tar archive nor");
    refuse(&gzip(b"GGUF"), "neither a tar archive nor");
    refuse(&tar(&[("readme", FILE, b"hello")]), "holds no snapshot");
    let plain = snapshot();
    let two = [("a.snapshot", FILE, &plain[..]), ("b", FILE, &plain[..])];
    refuse(&tar(&two), "restore one: a.snapshot, b");
    refuse(&gzip(&plain)[..60], "damaged or cut off");
    refuse(&plain[..plain.len() / 2], "damaged or cut off");
    let named = r#"{"params":{"vectors":{"text":{"size":1,"distance":"Dot"}}}}"#;
    refuse(&snapshot_with(named), "named vectors (text)");
    let sparse = r#"{"params":{"vectors":{}}}"#;
    refuse(&snapshot_with(sparse), "no dense vectors");
}

#[test]
fn hostile_entries_are_refused() {
    let plain = snapshot();
    let with = |name: &str, kind, expected: &str| {
        let entries = [("a.snapshot", FILE, &plain[..]), (name, kind, &b""[..])];
        refuse(&gzip(&tar(&entries)), limits(), expected);
    };
    with("../evil", FILE, "`../evil` leads outside");
    with("a/../../evil", FILE, "leads outside");
    with("/etc/evil", FILE, "leads outside");
    with("link", EntryType::Symlink, "neither a file nor a folder");
    with("link", EntryType::Link, "neither a file nor a folder");
    with("device", EntryType::Char, "neither a file nor a folder");
    with("pipe", EntryType::Fifo, "neither a file nor a folder");
}

#[test]
fn an_entrys_name_may_not_fill_the_memory() {
    let plain = snapshot();
    let name = [b'a'; 70_000];
    let entries = [
        ("name", EntryType::GNULongName, &name[..]),
        ("a.snapshot", FILE, &plain),
    ];
    let error = opened(&gzip(&tar(&entries)), &limits()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("headers are larger than"), "{cause}");
}

#[test]
fn every_limit_holds() {
    let plain = snapshot();
    let bomb = gzip(&vec![0; 1 << 20]);
    let small = Limits {
        bytes_max: (1 << 20) - 1,
        ..limits()
    };
    refuse(&bomb, small, "more than 1048575 bytes unpacked");
    let length = Limits {
        bytes_max: plain.len() as u64 - 1,
        ..limits()
    };
    refuse(&tar(&[("a", FILE, &plain)]), length, "bytes unpacked");
    let layers = Limits {
        layers_max: 2,
        ..limits()
    };
    assert!(opened(&gzip(&plain), &layers).is_ok());
    refuse(&gzip(&gzip(&plain)), layers, "more than 2 layers");
    let entries = Limits {
        entries_max: 1,
        ..limits()
    };
    refuse(&plain, entries, "more than 1 entries");
    let config = Limits {
        config_bytes_max: CONFIG.len() as u64 - 1,
        ..limits()
    };
    refuse(&plain, config, "bytes of config.json");
    let full = Limits {
        reserve_bytes: u64::MAX,
        ..limits()
    };
    refuse(&gzip(&plain), full, "not enough space");
}
