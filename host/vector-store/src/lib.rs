//! Qdrant's REST API over Qdrant's own engine, in this process.
//!
//! [`VectorStore::open`] takes a folder, [`VectorStore::serve`] a listener. What a client is told is
//! `completed` (`wait=true`) survives kill -9 from that moment on. One process has a folder at a
//! time; a second one is told so.
//!
//! Refused on purpose: names, uploads and request fields never become paths, nothing is fetched
//! from a URL a request names, and nothing is computed without a bound ([`Limits`]).

mod collection;
mod commit;
mod disk;
mod error;
mod import;
mod options;
mod query;
mod registry;
mod routes;
mod snapshot;
mod upkeep;
mod wire;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::{fmt, io};

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

pub use crate::error::{OpenError, StoreError};
pub use crate::import::{ImportError, RemoteCollection};
pub use crate::options::{ApiKey, Limits, Options, SnapshotLimits, Upkeep};
use crate::registry::Registry;
use crate::upkeep::Threads;

/// An open store. Clones share it; it closes when the last one is dropped.
#[derive(Clone)]
pub struct VectorStore(Arc<Inner>);

// Dropped from top to bottom: threads end, then collections flush and close, then the lock goes.
struct Inner {
    _threads: Threads,
    registry: Arc<Registry>,
    dir: PathBuf,
}

impl fmt::Debug for VectorStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VectorStore")
            .field("dir", &self.0.dir)
            .finish_non_exhaustive()
    }
}

impl VectorStore {
    /// Opens the store in `dir`, making the folder if there is none. Blocks while collections load.
    ///
    /// # Errors
    /// The folder is in use by another process or cannot be used. A single collection that cannot
    /// be loaded is no error here: requests to it are answered with the reason.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let dir = dir.as_ref().to_owned();
        let at = |source: io::Error| OpenError::Io {
            path: dir.clone(),
            source,
        };
        disk::create_private_dir(&dir).map_err(at)?;
        let lock = disk::lock_dir(&dir)
            .map_err(at)?
            .ok_or_else(|| OpenError::InUse { path: dir.clone() })?;
        snapshot::remove_parts(&dir).map_err(at)?;
        let (reaper, dropped) = channel();
        let registry = Arc::new(Registry::open(&dir, options.limits, reaper, lock).map_err(at)?);
        let threads =
            Threads::start(&registry, dropped, &options.upkeep).map_err(OpenError::Thread)?;
        Ok(Self(Arc::new(Inner {
            _threads: threads,
            registry,
            dir,
        })))
    }

    /// The API as a router, to be served by whoever composes the process. Without a key only
    /// requests that name this machine (`Host: localhost`, `127.0.0.1`, `[::1]`) are answered.
    pub fn router(&self, api_key: Option<ApiKey>) -> Router {
        routes::router(self.clone(), api_key)
    }

    /// Answers on `listener` until `shutdown` is ready, then finishes the requests under way and
    /// brings everything to disk.
    ///
    /// # Errors
    /// The listener failed, or the last flush did.
    pub async fn serve(
        self,
        listener: TcpListener,
        api_key: Option<ApiKey>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let router = self.router(api_key);
        let listener = listener.tap_io(|stream| {
            // Without it an answer in two pieces waits 40 ms for the client's acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY not set");
            }
        });
        axum::serve(listener, router)
            .with_graceful_shutdown(shutdown)
            .await?;
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.flush())
            .await
            .map_err(io::Error::other)?
    }

    /// Brings everything written so far to disk.
    ///
    /// # Errors
    /// The first collection that could not be flushed; the others are.
    pub fn flush(&self) -> io::Result<()> {
        let results: Vec<_> = self
            .0
            .registry
            .all()
            .into_iter()
            .map(|(_, collection)| collection.flush())
            .collect();
        results
            .into_iter()
            .collect::<Result<(), StoreError>>()
            .map_err(io::Error::other)
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0.dir
    }
}
