//! What the owner of a store chooses, and the bounds it keeps.
//!
//! No behaviour lives here: one place in the program fills these structs in and everything else
//! reads them.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The key a client must show. Prints as `****`.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes the key's text as clients send it.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// Whether `offered` is this key. Takes the same time whatever the answer: digests of equal
    /// length are compared, so neither the length nor a common prefix shows.
    pub fn matches(&self, offered: &[u8]) -> bool {
        let ours = Sha256::digest(self.0.as_bytes());
        let theirs = Sha256::digest(offered);
        ours.as_slice().ct_eq(theirs.as_slice()).into()
    }

    /// The key itself, to be shown to another server.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The bounds every request is held to.
    pub limits: Limits,
    /// When the work behind the scenes happens.
    pub upkeep: Upkeep,
}

/// When the work behind the scenes happens.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// How often what was written without `wait` is brought to disk, also during an optimisation.
    pub flush_interval: Duration,
    /// How often collections that changed are looked at by the optimiser. `None` switches the
    /// optimiser off; `POST /collections/{name}/optimize` still works.
    pub optimize_interval: Option<Duration>,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(5),
            optimize_interval: Some(Duration::from_secs(2)),
        }
    }
}

/// Largest values a request may ask for. Past them: 400, 413 or 503, never unbounded work.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request body, snapshot uploads aside.
    pub body_bytes_max: usize,
    /// Requests being answered at the same time; past it 503 with `Retry-After`.
    pub requests_running_max: usize,
    /// Collections in one store.
    pub collections_max: usize,
    /// Other names for collections in one store.
    pub aliases_max: usize,
    /// Characters of a collection's, a vector's or an alias' name.
    pub name_len_max: usize,
    /// Named vectors, dense and sparse together, in one collection.
    pub vectors_max: usize,
    /// Dimensions of a dense vector.
    pub vector_size_max: usize,
    /// Points one answer may hold: `limit` plus `offset`.
    pub limit_max: usize,
    /// Queries in a batch, and prefetches in a query, all levels together.
    pub queries_max: usize,
    /// How the archives of snapshots are bounded.
    pub snapshot: SnapshotLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 << 20,
            requests_running_max: 256,
            collections_max: 256,
            aliases_max: 1024,
            name_len_max: 255,
            vectors_max: 64,
            vector_size_max: 65_536,
            limit_max: 65_536,
            queries_max: 128,
            snapshot: SnapshotLimits::default(),
        }
    }
}

/// Bounds on the archive of one snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotLimits {
    /// Bytes of an uploaded archive.
    pub archive_bytes_max: u64,
    /// Entries in an archive, the archives inside it included.
    pub entries_max: u64,
    /// Bytes of all files once unpacked.
    pub unpacked_bytes_max: u64,
    /// Unpacked bytes per byte of archive, beyond `ratio_free_bytes`.
    pub ratio_max: u64,
    /// Unpacked bytes any archive may have: a new segment is mostly holes, which archives leave out.
    pub ratio_free_bytes: u64,
    /// Folders an entry may be nested in.
    pub depth_max: usize,
    /// Snapshots kept of one collection.
    pub kept_max: usize,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self {
            archive_bytes_max: 16 << 30,
            entries_max: 200_000,
            unpacked_bytes_max: 32 << 30,
            ratio_max: 64,
            ratio_free_bytes: 1 << 30,
            depth_max: 16,
            kept_max: 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_matches_itself_only_and_never_prints() {
        let key = ApiKey::new("hunter2");
        assert!(key.matches(b"hunter2"));
        for wrong in [&b"hunter"[..], b"hunter22", b"", b"HUNTER2"] {
            assert!(!key.matches(wrong));
        }
        assert_eq!(format!("{key:?}"), "****");
    }
}
