//! One collection: the engine's shard, its folder, and who may touch it when.
//!
//! The engine locks itself for reads and updates. What it does not know is here:
//! * `writes` — updates and flushes share it, a snapshot or a replacement takes it alone;
//! * `upkeep` — the one who changes segment files holds it: optimiser, snapshot, replacement, and
//!   the removal of the folder. A folder is never removed under a running optimisation.
//!
//! Invariant: an update that was told `completed` is on disk.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use qdrant_edge::{EdgeConfig, EdgeShard, UpdateOperation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::commit::GroupCommit;
use crate::disk;
use crate::error::StoreError;
use crate::snapshot;
use crate::wire::collection::{CollectionConfig, UpdateCollection};
use crate::wire::reply::{UpdateReply, UpdateStatus};

/// The file that makes a folder a collection.
pub(crate) const COLLECTION_FILE: &str = "collection.json";
/// Where snapshots are kept.
pub(crate) const SNAPSHOTS_DIR: &str = "snapshots";

/// What [`COLLECTION_FILE`] holds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Manifest {
    pub name: String,
    /// Name of the engine's folder. A replacement is built beside the old one and this changes.
    pub shard: String,
    pub config: CollectionConfig,
}

/// A collection in the making: its shard is on disk, and nobody can see it yet.
#[derive(Debug)]
pub(crate) struct Draft {
    pub manifest: Manifest,
    pub shard: EdgeShard,
}

impl Draft {
    /// An empty shard in a folder of its own in `dir`.
    pub(crate) fn empty(
        dir: &Path,
        name: &str,
        config: CollectionConfig,
    ) -> Result<Self, StoreError> {
        let manifest = Manifest {
            name: name.to_owned(),
            shard: new_shard_name(),
            config,
        };
        let shard = EdgeShard::new(&dir.join(&manifest.shard), manifest.config.to_engine()?)?;
        shard.flush()?;
        Ok(Self { manifest, shard })
    }

    /// The shard that lies in `dir` under the manifest's name.
    pub(crate) fn load(dir: &Path, manifest: Manifest) -> Result<Self, StoreError> {
        let shard = load_shard(&dir.join(&manifest.shard))?;
        shard.flush()?;
        Ok(Self { manifest, shard })
    }
}

/// A collection that is open.
#[derive(Debug)]
pub(crate) struct Collection {
    dir: PathBuf,
    manifest: RwLock<Manifest>,
    shard: RwLock<Result<Arc<EdgeShard>, String>>,
    writes: RwLock<()>,
    upkeep: Mutex<()>,
    recovery: Mutex<()>,
    commit: GroupCommit,
    operations: AtomicU64,
    /// Written since the last flush began.
    unflushed: AtomicBool,
    /// Changed since the optimiser last looked.
    unoptimized: AtomicBool,
    optimizing: AtomicBool,
    optimizer_error: Mutex<Option<String>>,
}

impl Collection {
    /// Makes a collection of what lies in the folder `dir`. It exists once its manifest is on disk,
    /// which is what this does.
    pub(crate) fn commit(dir: &Path, draft: Draft) -> Result<Self, StoreError> {
        disk::create_private_dir(&dir.join(SNAPSHOTS_DIR))?;
        disk::write_json_atomic(&dir.join(COLLECTION_FILE), &draft.manifest)?;
        if let Some(parent) = dir.parent() {
            disk::sync_dir(parent)?;
        }
        Ok(Self::new(dir, draft.manifest, Ok(Arc::new(draft.shard))))
    }

    /// Opens the collection in `dir`. A shard that cannot be loaded does not keep the others from
    /// being served: requests to this one are answered with the reason.
    pub(crate) fn open(dir: &Path, manifest: Manifest) -> Self {
        remove_stale_shards(dir, &manifest.shard);
        if let Err(error) = snapshot::remove_parts(&dir.join(SNAPSHOTS_DIR)) {
            tracing::warn!(collection = manifest.name, %error, "half-written snapshots stay");
        }
        let shard = load_shard(&dir.join(&manifest.shard)).map_err(|error| {
            tracing::error!(collection = manifest.name, %error, "collection cannot be loaded");
            error.to_string()
        });
        Self::new(dir, manifest, shard.map(Arc::new))
    }

    fn new(dir: &Path, manifest: Manifest, shard: Result<Arc<EdgeShard>, String>) -> Self {
        Self {
            dir: dir.to_owned(),
            manifest: RwLock::new(manifest),
            shard: RwLock::new(shard),
            writes: RwLock::new(()),
            upkeep: Mutex::new(()),
            recovery: Mutex::new(()),
            commit: GroupCommit::default(),
            operations: AtomicU64::new(0),
            unflushed: AtomicBool::new(true),
            unoptimized: AtomicBool::new(true),
            optimizing: AtomicBool::new(false),
            optimizer_error: Mutex::new(None),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn manifest(&self) -> Manifest {
        self.manifest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn snapshots_dir(&self) -> PathBuf {
        self.dir.join(SNAPSHOTS_DIR)
    }

    /// The engine, for reading. The guard-free `Arc` stays valid when the shard is replaced.
    pub(crate) fn shard(&self) -> Result<Arc<EdgeShard>, StoreError> {
        let shard = self.shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.clone().map_err(StoreError::Internal)
    }

    pub(crate) fn engine_config(&self) -> Result<EdgeConfig, StoreError> {
        Ok(self.shard()?.config().clone())
    }

    /// Applies `operations` in order. With `wait` it returns after they are on disk.
    pub(crate) fn update(
        &self,
        operations: impl IntoIterator<Item = UpdateOperation>,
        wait: bool,
    ) -> Result<UpdateReply, StoreError> {
        let _writes = self.writes.read().unwrap_or_else(PoisonError::into_inner);
        let shard = self.shard()?;
        let mut operation_id = self.operations.load(Ordering::Relaxed);
        for operation in operations {
            operation_id = self.operations.fetch_add(1, Ordering::Relaxed) + 1;
            let applied = shard.update(operation);
            // After the update: set before it, a flush in between would clear it too early.
            self.unflushed.store(true, Ordering::Release);
            self.unoptimized.store(true, Ordering::Release);
            applied?;
        }
        if wait {
            self.sync(&shard)?;
        }
        let status = if wait {
            UpdateStatus::Completed
        } else {
            UpdateStatus::Acknowledged
        };
        Ok(UpdateReply {
            operation_id,
            status,
        })
    }

    /// Brings everything applied so far to disk.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        // A flush replaces files: not while somebody copies them.
        let _writes = self.writes.read().unwrap_or_else(PoisonError::into_inner);
        let shard = self.shard()?;
        self.sync(&shard)
    }

    /// Flushes if something was written since the last time.
    pub(crate) fn flush_if_needed(&self) -> Result<(), StoreError> {
        match self.unflushed.load(Ordering::Acquire) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn sync(&self, shard: &EdgeShard) -> Result<(), StoreError> {
        let flush = || {
            self.unflushed.store(false, Ordering::Release);
            shard.flush().map_err(|error| {
                self.unflushed.store(true, Ordering::Release);
                error.to_string()
            })
        };
        self.commit.sync(flush).map_err(StoreError::Internal)
    }

    /// Runs the optimiser if the collection changed since it last did. Gives whether it did any work.
    pub(crate) fn optimize_if_needed(&self) -> Result<bool, StoreError> {
        match self.unoptimized.load(Ordering::Acquire) {
            true => self.optimize(),
            false => Ok(false),
        }
    }

    /// Merges, indexes and vacuums segments until there is nothing left to do.
    pub(crate) fn optimize(&self) -> Result<bool, StoreError> {
        let _upkeep = self.lock_upkeep();
        let shard = self.shard()?;
        self.unoptimized.store(false, Ordering::Release);
        self.optimizing.store(true, Ordering::Release);
        let result = catch_unwind(AssertUnwindSafe(|| shard.optimize()));
        self.optimizing.store(false, Ordering::Release);
        let result = match result {
            Ok(result) => result.map_err(StoreError::from),
            Err(_) => Err(StoreError::Internal("the optimiser panicked".to_owned())),
        };
        *self
            .optimizer_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) =
            result.as_ref().err().map(ToString::to_string);
        result
    }

    /// Holds off the optimiser and other upkeep.
    pub(crate) fn lock_upkeep(&self) -> MutexGuard<'_, ()> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One recovery at a time: the next would take the folder of this one for a stale one.
    pub(crate) fn lock_recovery(&self) -> MutexGuard<'_, ()> {
        self.recovery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `copy` on the shard's folder while nothing in it changes and everything is on disk.
    pub(crate) fn frozen<T>(
        &self,
        copy: impl FnOnce(&Manifest, &Path) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _upkeep = self.lock_upkeep();
        let _writes = self.writes.write().unwrap_or_else(PoisonError::into_inner);
        let shard = self.shard()?;
        shard.flush()?;
        copy(&self.manifest(), shard.path())
    }

    /// Puts `replacement`, which lies in this collection's folder, in place of the present shard.
    /// Readers under way finish on the old one.
    pub(crate) fn replace(&self, replacement: Draft) -> Result<(), StoreError> {
        let _upkeep = self.lock_upkeep();
        let _writes = self.writes.write().unwrap_or_else(PoisonError::into_inner);
        let Draft { manifest, shard } = replacement;
        disk::write_json_atomic(&self.dir.join(COLLECTION_FILE), &manifest)?;
        let kept = manifest.shard.clone();
        *self
            .manifest
            .write()
            .unwrap_or_else(PoisonError::into_inner) = manifest;
        let old = std::mem::replace(
            &mut *self.shard.write().unwrap_or_else(PoisonError::into_inner),
            Ok(Arc::new(shard)),
        );
        self.unoptimized.store(true, Ordering::Release);
        // A reader may still hold the old shard, and dropping it flushes into its folder: then the
        // folder goes at the next start.
        if old.map_or(true, |old| Arc::into_inner(old).map(drop).is_some()) {
            remove_stale_shards(&self.dir, &kept);
        }
        Ok(())
    }

    /// Changes what a `PATCH` may change; the optimiser brings the segments in line.
    pub(crate) fn reconfigure(&self, update: UpdateCollection) -> Result<(), StoreError> {
        let _upkeep = self.lock_upkeep();
        let shard = self.shard()?;
        let mut manifest = self
            .manifest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut changed = manifest.clone();
        changed.config.apply(update)?;
        let engine = changed.config.to_engine()?;
        shard.set_hnsw_config(changed.config.hnsw_config)?;
        shard.set_optimizers_config(changed.config.optimizer_config.to_engine())?;
        for (name, params) in &engine.vectors {
            if let Some(hnsw) = params.hnsw_config {
                shard.set_vector_hnsw_config(name, hnsw)?;
            }
        }
        disk::write_json_atomic(&self.dir.join(COLLECTION_FILE), &changed)?;
        *manifest = changed;
        self.unoptimized.store(true, Ordering::Release);
        Ok(())
    }

    /// Body of `GET /collections/{name}`.
    pub(crate) fn info(&self) -> Result<Value, StoreError> {
        let info = self.shard()?.info()?;
        let optimizing = self.optimizing.load(Ordering::Acquire);
        let error = self
            .optimizer_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let optimizer_status = match error {
            Some(error) => json!({ "error": error }),
            None => json!("ok"),
        };
        Ok(json!({
            "status": if optimizing { "yellow" } else { "green" },
            "optimizer_status": optimizer_status,
            "indexed_vectors_count": info.indexed_vectors_count,
            "points_count": info.points_count,
            "segments_count": info.segments_count,
            "config": self.manifest().config,
            "payload_schema": info.payload_schema.iter()
                .map(|(key, index)| (key.to_string(), json!(index)))
                .collect::<serde_json::Map<_, _>>(),
        }))
    }
}

/// A name for an engine's folder that was never used before.
pub(crate) fn new_shard_name() -> String {
    format!("shard-{}", Uuid::new_v4())
}

/// Loads a shard; what the engine panics about is an error as well.
fn load_shard(path: &Path) -> Result<EdgeShard, StoreError> {
    match catch_unwind(|| EdgeShard::load(path, None)) {
        Ok(shard) => Ok(shard?),
        Err(_) => Err(StoreError::Internal(
            "its files are damaged: the engine gave up".to_owned(),
        )),
    }
}

/// Removes the folders a replacement or a crash left behind.
fn remove_stale_shards(dir: &Path, kept: &str) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let stale = name
            .to_str()
            .is_some_and(|name| name.starts_with("shard-") && name != kept);
        if stale && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "a stale folder stays");
        }
    }
}
