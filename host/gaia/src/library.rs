//! Files that callers hand in, and vector stores made of them.
//!
//! Files are kept as they came; what a caller calls one is data. A vector store is a collection of the node's store,
//! and a note of which files are in it. A thread brings one file after the other in; who asks meanwhile is told that
//! it is on its way.
//!
//! Invariants: everything belongs to the key that it came with, and is not there for others; a file that was on its
//! way when the node was killed is on its way again at the next start.

mod batches;
mod files;
mod ingesting;
mod rag;
mod searching;
mod store_files;
mod stores;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use gaia_ingest::Endpoint;
use gaia_ingress::Worker;
use gaia_openai::vector_store::ATTRIBUTES_BYTES_MAX;
use gaia_openai::{ApiError, Limits};
use gaia_records::{Id, OpenRecordsError, Owner, PutError, Records, WhenFull};
use hyper::Method;
use tokio::sync::watch;
use tracing::warn;

use self::ingesting::Job;
use crate::password::random_hex;
use crate::supervisor::state::Service;

/// Files of a node.
pub const FILES_MAX: usize = 1000;
/// Bytes of a file. The ingress and the worker let less through unless `body_bytes_max` is larger than this.
pub const FILE_BYTES_MAX: usize = 64 << 20;
/// Bytes of all files.
const FILES_BYTES_MAX: u64 = 4 << 30;
/// Vector stores of a node.
pub const STORES_MAX: usize = 100;
/// Batches of files that a node knows; then the oldest go of the key that has most. Their files stay.
pub const BATCHES_MAX: usize = 1000;
/// Seconds after which a caller may ask again while the worker is being restarted.
const RETRY_AFTER_SECONDS: u32 = 2;
/// Bytes of what is noted of a file or of a batch.
const NOTE_BYTES_MAX: usize = 1 << 20;
/// Bytes of what is noted of a store: twice what its files' attributes may take.
const STORE_BYTES_MAX: usize = 2 * ATTRIBUTES_BYTES_MAX;

/// The files and vector stores of a node.
#[derive(Debug)]
pub struct Library {
    /// What is noted of each file, and its bytes, under the same id.
    notes: Records,
    bytes: Records,
    stores: Records,
    batches: Records,
    /// Held while a note is read, changed and written.
    changing: Mutex<()>,
    /// The vector store's own address.
    store: Service,
    /// The collection of the node's own knowledge.
    knowledge: String,
    worker: watch::Receiver<Option<Worker>>,
    jobs: Sender<Job>,
    limits: Limits,
}

/// What is asked, by whom.
#[derive(Debug)]
pub struct Question<'a> {
    /// Whose files.
    pub owner: &'a Owner,
    /// How.
    pub method: &'a Method,
    /// The route, as the API has it.
    pub path: &'a str,
    /// What stands after the path's `?`.
    pub query: &'a str,
    /// What the body is.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// The answer to a question that was none to refuse.
#[derive(Debug)]
pub struct Given {
    /// What it is.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl Library {
    /// Opens the library in `folder` and goes on with what was on its way.
    ///
    /// # Errors
    /// The folder cannot be read or made.
    pub fn open(
        folder: &Path,
        store: Service,
        knowledge: &str,
        worker: watch::Receiver<Option<Worker>>,
    ) -> Result<Arc<Self>, OpenRecordsError> {
        let open = |name: &str, records_max, record_bytes_max, bytes_max, when_full| {
            let limits = gaia_records::Limits {
                records_max,
                bytes_max,
                record_bytes_max,
                when_full,
            };
            Records::open(&folder.join(name), limits)
        };
        let (whole, refuse) = (u64::MAX, WhenFull::Refuse);
        let (jobs, coming) = mpsc::channel();
        let library = Arc::new(Self {
            notes: open("notes", FILES_MAX, NOTE_BYTES_MAX, whole, refuse)?,
            bytes: open("bytes", FILES_MAX, FILE_BYTES_MAX, FILES_BYTES_MAX, refuse)?,
            stores: open("stores", STORES_MAX, STORE_BYTES_MAX, whole, refuse)?,
            batches: open(
                "batches",
                BATCHES_MAX,
                NOTE_BYTES_MAX,
                whole,
                WhenFull::OldestGo,
            )?,
            changing: Mutex::new(()),
            store,
            knowledge: knowledge.to_owned(),
            worker,
            jobs,
            limits: Limits::default(),
        });
        library.go_on_where_it_stopped();
        ingesting::start(Arc::downgrade(&library), coming).map_err(|source| OpenRecordsError {
            path: PathBuf::from(folder),
            source,
        })?;
        Ok(library)
    }

    /// Answers. May wait for the disk, the worker and the store.
    ///
    /// # Errors
    /// What the caller is to be told.
    pub fn answer(&self, asked: &Question<'_>) -> Result<Given, ApiError> {
        let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
        if let ["v1", "vector_stores", id, rest @ ..] = parts.as_slice() {
            return self.answer_of_store(asked, id, rest);
        }
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["v1", "files"]) => self.list_files(asked),
            ("POST", ["v1", "files"]) => self.take_file(asked),
            ("GET", ["v1", "files", id]) => self.show_file(asked, id),
            ("DELETE", ["v1", "files", id]) => self.delete_file(asked, id),
            ("GET", ["v1", "files", id, "content"]) => self.file_content(asked, id),
            ("GET", ["v1", "vector_stores"]) => self.list_stores(asked),
            ("POST", ["v1", "vector_stores"]) => self.make_store(asked),
            ("POST", ["v1", "create", "rag"]) => self.learn(asked),
            ("POST", ["v1", "chunks"]) => self.show_chunks(asked),
            (method, _) => Err(ApiError::not_found(method, asked.path)),
        }
    }

    /// Answers what is asked of one vector store: what stands after its name.
    fn answer_of_store(
        &self,
        asked: &Question<'_>,
        id: &str,
        rest: &[&str],
    ) -> Result<Given, ApiError> {
        match (asked.method.as_str(), rest) {
            ("GET", []) => self.show_store(asked, id),
            ("POST", []) => self.change_store(asked, id),
            ("DELETE", []) => self.delete_store(asked, id),
            ("POST", ["search"]) => self.search(asked, id),
            ("GET", ["files"]) => self.list_store_files(asked, id),
            ("POST", ["files"]) => self.add_file(asked, id),
            ("GET", ["files", file]) => self.show_store_file(asked, id, file),
            ("POST", ["files", file]) => self.change_store_file(asked, id, file),
            ("DELETE", ["files", file]) => self.drop_file(asked, id, file),
            ("GET", ["files", file, "content"]) => self.store_file_content(asked, id, file),
            ("POST", ["file_batches"]) => self.make_batch(asked, id),
            ("GET", ["file_batches", batch]) => self.show_batch(asked, id, batch),
            ("POST", ["file_batches", batch, "cancel"]) => self.cancel_batch(asked, id, batch),
            ("GET", ["file_batches", batch, "files"]) => self.list_batch_files(asked, id, batch),
            (method, _) => Err(ApiError::not_found(method, asked.path)),
        }
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The running worker; `None` while there is none.
    fn worker(&self) -> Option<gaia_ingest::Worker> {
        let worker = self.worker.borrow();
        let worker = worker.as_ref()?;
        Some(gaia_ingest::Worker::new(Endpoint {
            name: "worker",
            url: format!("http://{}", worker.address),
            key: Some(worker.key.reveal().to_owned()),
        }))
    }

    /// The running worker.
    ///
    /// # Errors
    /// 503 while there is none.
    fn awake(&self) -> Result<gaia_ingest::Worker, ApiError> {
        let message = "The node is waiting for its worker.";
        let unavailable = || ApiError::unavailable(message, RETRY_AFTER_SECONDS);
        self.worker().ok_or_else(unavailable)
    }

    /// The collection of a vector store.
    fn collection(&self, id: &Id) -> gaia_ingest::Store {
        self.named_collection(id.as_str())
    }

    /// The collection of the node's own knowledge.
    fn knowledge(&self) -> gaia_ingest::Store {
        self.named_collection(&self.knowledge)
    }

    fn named_collection(&self, name: &str) -> gaia_ingest::Store {
        let endpoint = Endpoint {
            name: "store",
            url: self.store.url.clone(),
            key: Some(self.store.key.clone()).filter(|key| !key.is_empty()),
        };
        gaia_ingest::Store::new(endpoint, name)
    }
}

fn json(value: &impl serde::Serialize) -> Result<Given, ApiError> {
    Ok(Given {
        content_type: "application/json",
        body: serde_json::to_vec(value).map_err(|error| broken(&error))?,
    })
}

/// A new name with this prefix.
fn new_id(prefix: &str) -> Result<Id, ApiError> {
    let tail = random_hex::<16>().map_err(|error| broken(&error))?;
    let id = Id::parse(&format!("{prefix}_{tail}"));
    id.ok_or_else(|| ApiError::internal("The node made a name that is none."))
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The caller learns that it is not his fault; the log learns why.
fn broken(error: &dyn std::error::Error) -> ApiError {
    let cause = error.source().map(ToString::to_string);
    warn!(%error, cause, "files and vector stores");
    ApiError::internal("The node cannot do this just now; its log says more.")
}

fn not_put(error: PutError, what: &str) -> ApiError {
    match error {
        PutError::Full => {
            let message = format!("There is no room for another {what}: delete some.");
            ApiError::invalid_value(what, message)
        }
        PutError::TooLarge { bytes_max, .. } => ApiError::body_too_large(bytes_max as u64),
        error @ (PutError::Taken(_) | PutError::Write { .. }) => broken(&error),
    }
}

/// What stands after a path's `?`, taken apart. Nothing there needs more than plain letters.
fn page(query: &str) -> Result<gaia_openai::responses::Page, ApiError> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    gaia_openai::responses::Page::parse(pairs)
}

#[cfg(test)]
mod tests;
