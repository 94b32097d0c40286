//! Unpacking snapshots from strangers: nothing outside the folder, and no more than was allowed.

#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;

use archive::{Budget, unpack};
use options::SnapshotLimits;

/// The store's own code. The store itself would bring Qdrant's engine along, which takes minutes to compile.
#[path = "../../host/vector-store/src/snapshot/archive.rs"]
mod archive;
#[path = "../../host/vector-store/src/options.rs"]
#[allow(
    dead_code,
    reason = "the limits are wanted, and what stands beside them comes along"
)]
mod options;

/// As much of the store's errors as unpacking has.
mod error {
    #[derive(Debug, thiserror::Error)]
    pub enum StoreError {
        #[error("{0}")]
        BadInput(String),
        #[error("{0}")]
        TooLarge(String),
        #[error(transparent)]
        Io(#[from] std::io::Error),
    }
}

const BYTES_MAX: u64 = 32 << 10;
const ENTRIES_MAX: u64 = 8;
const DEPTH_MAX: usize = 3;

/// Files and folders below `folder`, their bytes, and how deep they lie.
fn count(folder: &Path, depth: usize) -> (u64, u64, usize) {
    let mut all = (0, 0, depth);
    for entry in fs::read_dir(folder).expect("a folder of our own") {
        let path = entry.expect("an entry").path();
        let facts = path.symlink_metadata().expect("it is there");
        assert!(!facts.is_symlink(), "{path:?}");
        let (entries, bytes, deepest) = match facts.is_dir() {
            true => count(&path, depth + 1),
            false => (0, facts.len(), depth + 1),
        };
        all = (all.0 + entries + 1, all.1 + bytes, all.2.max(deepest));
    }
    all
}

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("archive");
    let target = folder.path().join("target");
    fs::write(&file, bytes).expect("a file of our own");
    let limits = SnapshotLimits {
        entries_max: ENTRIES_MAX,
        unpacked_bytes_max: BYTES_MAX,
        depth_max: DEPTH_MAX,
        ..SnapshotLimits::default()
    };
    let mut budget = Budget::new(&limits, bytes.len() as u64);
    let done = unpack(&file, &target, &mut budget).is_ok();
    let (entries, unpacked, deepest) = count(folder.path(), 0);
    // The archive itself, and the folder, lie there as well.
    let unpacked = unpacked - bytes.len() as u64;
    // One block more may be on disk before it is seen that it is too much.
    assert!(unpacked <= BYTES_MAX + (1 << 16), "{unpacked} bytes");
    assert!(!done || unpacked <= BYTES_MAX, "{unpacked} bytes");
    assert!(
        entries <= 2 + ENTRIES_MAX * DEPTH_MAX as u64,
        "{entries} entries"
    );
    assert!(deepest <= DEPTH_MAX + 1, "{deepest} deep");
});
