//! Where things lie in a snapshot: a server's layout, written and read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use tar::{Builder, Header};

use super::archive::{Budget, unpack};
use crate::collection::Manifest;
use crate::error::StoreError;
use crate::options::SnapshotLimits;
use crate::wire::collection::CollectionConfig;

const CONFIG_FILE: &str = "config.json";
const VERSION_FILE: &str = "version.info";
/// The version of the collection format; a server has had this one since 2023.
const COLLECTION_VERSION: &str = "0.4.2";
/// There is one shard, and its number is 0.
const SHARD_DIR: &str = "0";
const SEGMENTS_DIR: &str = "segments";
const WAL_DIR: &str = "wal";
/// What only a store with RocksDB writes, inside a segment.
const ROCKSDB_MARKS: &[&str] = &["db_backup", "payload_index_db_backup", "CURRENT"];

/// Writes the shard in `shard` as an archive to the new file `path`.
pub(super) fn write(path: &Path, manifest: &Manifest, shard: &Path) -> Result<(), StoreError> {
    let mut archive = Builder::new(BufWriter::new(
        File::options().write(true).create_new(true).open(path)?,
    ));
    archive.follow_symlinks(false);
    add_json(&mut archive, CONFIG_FILE, &manifest.config)?;
    add(&mut archive, VERSION_FILE, COLLECTION_VERSION.as_bytes())?;
    // A server restores its replica set from these two; the peer's number is a placeholder.
    add_json(
        &mut archive,
        "0/shard_config.json",
        &json!({"type": {"ReplicaSet": {}}}),
    )?;
    let replica = json!({"is_local": true, "this_peer_id": 0, "peers": {"0": "Active"}});
    add_json(&mut archive, "0/replica_state.json", &replica)?;
    archive.append_dir_all(
        format!("{SHARD_DIR}/{SEGMENTS_DIR}"),
        shard.join(SEGMENTS_DIR),
    )?;
    add_log(&mut archive, &shard.join(WAL_DIR))?;
    let mut file = archive.into_inner()?;
    file.flush()?;
    Ok(file.get_ref().sync_all()?)
}

/// The log's files. A thread of the engine's may just be making the next one under a temporary
/// name: that one is empty and can be left out.
fn add_log(archive: &mut Builder<impl Write>, dir: &Path) -> Result<(), StoreError> {
    archive.append_dir(format!("{SHARD_DIR}/{WAL_DIR}"), dir)?;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with("tmp-")) else {
            continue;
        };
        match File::open(dir.join(name)) {
            Ok(mut file) => {
                archive.append_file(format!("{SHARD_DIR}/{WAL_DIR}/{name}"), &mut file)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn add_json<T: Serialize>(
    archive: &mut Builder<impl Write>,
    name: &str,
    value: &T,
) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::from)?;
    Ok(add(archive, name, &bytes)?)
}

fn add(archive: &mut Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    archive.append_data(&mut header, name, bytes)
}

/// Unpacks the archive at `path` so that `target` becomes a shard of the engine. Gives the
/// collection's configuration.
pub(super) fn read(
    path: &Path,
    target: &Path,
    limits: &SnapshotLimits,
) -> Result<CollectionConfig, StoreError> {
    let size = fs::metadata(path)?.len();
    if size > limits.archive_bytes_max {
        return Err(StoreError::TooLarge(format!(
            "the archive has {size} bytes, more than {}",
            limits.archive_bytes_max
        )));
    }
    let mut budget = Budget::new(limits, size);
    // Beside the target and named like it: whatever goes wrong, the next start sweeps it up.
    let unpacked = target.with_extension("unpacked");
    let result = unpack(path, &unpacked, &mut budget).and_then(|()| {
        let config = read_config(&unpacked)?;
        let shard = unpacked.join(SHARD_DIR);
        unpack_segments(&shard.join(SEGMENTS_DIR), &mut budget)?;
        if !shard.join(WAL_DIR).is_dir() {
            return Err(StoreError::BadInput(
                "the archive has no log under `0/wal`".to_owned(),
            ));
        }
        fs::create_dir(target)?;
        fs::rename(shard.join(SEGMENTS_DIR), target.join(SEGMENTS_DIR))?;
        fs::rename(shard.join(WAL_DIR), target.join(WAL_DIR))?;
        config.to_engine()?.save(target)?;
        Ok(config)
    });
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    result
}

fn read_config(unpacked: &Path) -> Result<CollectionConfig, StoreError> {
    let bytes = fs::read(unpacked.join(CONFIG_FILE)).map_err(|_| {
        StoreError::BadInput(
            "this is no snapshot of a collection: it has no `config.json`".to_owned(),
        )
    })?;
    let config: Value = serde_json::from_slice(&bytes)
        .map_err(|error| StoreError::BadInput(format!("the snapshot's `config.json`: {error}")))?;
    let shards = config["params"]["shard_number"].as_u64().unwrap_or(1);
    let config: CollectionConfig = serde_json::from_value(config)
        .map_err(|error| StoreError::BadInput(format!("the snapshot's `config.json`: {error}")))?;
    match shards {
        1 if unpacked.join(SHARD_DIR).join(SEGMENTS_DIR).is_dir() => Ok(config),
        1 => Err(StoreError::BadInput(
            "the snapshot has no segments under `0/segments`".to_owned(),
        )),
        many => Err(StoreError::BadInput(format!(
            "the snapshot is of a collection in {many} shards; only one can be recovered"
        ))),
    }
}

/// Brings every segment to its plain form: a folder with the engine's files in it. Servers pack
/// each into an archive of its own, or wrap its files in a folder `files`.
fn unpack_segments(segments: &Path, budget: &mut Budget<'_>) -> Result<(), StoreError> {
    for entry in fs::read_dir(segments)? {
        let path = entry?.path();
        let packed = path.extension().is_some_and(|extension| extension == "tar");
        let folder = if packed {
            path.with_extension("")
        } else {
            path.clone()
        };
        if packed {
            unpack(&path, &folder, budget)?;
            fs::remove_file(&path)?;
        }
        if folder.is_dir() {
            hoist(&folder, "snapshot")?;
            refuse_rocksdb(&folder)?;
            hoist(&folder, "files")?;
            refuse_rocksdb(&folder)?;
        }
    }
    Ok(())
}

/// Moves what is in `folder/inner` into `folder`, if there is such a folder.
fn hoist(folder: &Path, inner: &str) -> Result<(), StoreError> {
    let inner = folder.join(inner);
    if !inner.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&inner)? {
        let entry = entry?;
        fs::rename(entry.path(), folder.join(entry.file_name()))?;
    }
    Ok(fs::remove_dir(&inner)?)
}

/// The engine would load such a segment without its payloads, or not at all.
fn refuse_rocksdb(segment: &Path) -> Result<(), StoreError> {
    let marked = ROCKSDB_MARKS.iter().any(|mark| segment.join(mark).exists());
    let state = fs::read(segment.join("segment.json")).unwrap_or_default();
    // What cannot be parsed is refused by the engine, with its own reason.
    let state: Value = serde_json::from_slice(&state).unwrap_or_default();
    if marked || is_rocksdb(&state["config"]) {
        return Err(StoreError::BadInput(
            "the snapshot was written with RocksDB, as Qdrant before 1.16 does, which this engine \
             cannot read. Start the Qdrant it comes from (a GaiaNet node has one) and answer from \
             there, `gaia config set store_url http://127.0.0.1:6333`; or load it into a Qdrant \
             1.16.1 to 1.17, restart that (it rewrites RocksDB then) and take a new snapshot"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Whether a segment's configuration names storage that lies in RocksDB on disk: payloads of the
/// types `in_memory` and `on_disk` (`mmap` took their place), dense vectors of the type `Memory`
/// (once one `in_memory` for the segment), sparse ones of the type `on_disk`.
fn is_rocksdb(config: &Value) -> bool {
    let of_segment = ["payload_storage_type", "storage_type"]
        .into_iter()
        .filter_map(|key| config[key]["type"].as_str());
    let is_old = |kind: &str| matches!(kind, "in_memory" | "on_disk" | "Memory");
    let of_vectors = ["vector_data", "sparse_vector_data"]
        .into_iter()
        .filter_map(|kind| config[kind].as_object())
        .flat_map(serde_json::Map::values)
        .filter_map(|vector| vector["storage_type"].as_str());
    of_segment.chain(of_vectors).any(is_old)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(files: &[(&str, &str)], word: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.snapshot");
        let mut archive = Builder::new(File::create(&path).unwrap());
        for (name, content) in files {
            add(&mut archive, name, content.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        let error = read(
            &path,
            &dir.path().join("shard-1"),
            &SnapshotLimits::default(),
        )
        .unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing stays behind"
        );
    }

    #[test]
    fn what_is_no_snapshot_is_told_apart() {
        let config = r#"{"params": {"vectors": {"size": 1, "distance": "Dot"}}, "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000}}"#;
        let shards = r#"{"params": {"shard_number": 3}}"#;
        check_refused(&[("readme", "hello")], "no `config.json`");
        check_refused(&[("config.json", "{")], "config.json");
        check_refused(&[("config.json", config)], "no segments");
        check_refused(&[("config.json", shards)], "config.json");
        check_refused(
            &[("config.json", config), ("0/segments/a/segment.json", "{}")],
            "no log",
        );
        check_refused(
            &[("config.json", config), ("0/segments/a/db_backup/x", "")],
            "RocksDB",
        );
        check_refused(
            &[("config.json", config), ("0/segments/a/files/CURRENT", "")],
            "RocksDB",
        );
        let check_segment = |state: &str, word: &str| {
            let state = format!("{{\"config\":{state}}}");
            let files = [
                ("config.json", config),
                ("0/segments/a/segment.json", state.as_str()),
            ];
            check_refused(&files, word);
        };
        let vector = r#"{"vector_data":{"":{"storage_type":"Memory"}}}"#;
        check_segment(vector, "RocksDB");
        let sparse = r#"{"sparse_vector_data":{"s":{"storage_type":"on_disk"}}}"#;
        check_segment(sparse, "RocksDB");
        for kind in ["in_memory", "on_disk"] {
            let payload = format!(r#"{{"payload_storage_type":{{"type":"{kind}"}}}}"#);
            check_segment(&payload, "RocksDB");
        }
        let oldest = r#"{"storage_type":{"type":"in_memory"}}"#;
        check_segment(oldest, "RocksDB");
        let new = r#"{"vector_data":{"":{"storage_type":"ChunkedMmap"}},"payload_storage_type":{"type":"mmap"}}"#;
        check_segment(new, "no log");
    }
}
