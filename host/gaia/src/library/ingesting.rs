//! Brings files into vector stores, one after the other, on a thread of its own.

use std::io;
use std::sync::Weak;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use gaia_ingest::{IngestError, Options, Report, Source, Sources, ingest};
use gaia_openai::ApiError;
use gaia_openai::vector_store::{Chunking, FileStatus, LastError, StoreFile};
use gaia_records::{Id, Owner};
use tracing::warn;

use super::{Library, broken};

/// How often a worker is looked for while there is none.
const WORKER_LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How often a file is tried when the worker or the store breaks off.
const ATTEMPTS_MAX: u32 = 5;
/// The time between two attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_secs(2);

/// A file that is to go into a vector store.
#[derive(Debug)]
pub(super) struct Job {
    owner: Owner,
    store: Id,
    file: Id,
}

impl Job {
    /// `None` where the file's name is none.
    pub(super) fn new(owner: &Owner, store: &Id, file: &str) -> Option<Self> {
        Some(Self {
            owner: owner.clone(),
            store: store.clone(),
            file: Id::parse(file)?,
        })
    }
}

/// Takes jobs for as long as there is a library.
pub(super) fn start(library: Weak<Library>, jobs: Receiver<Job>) -> io::Result<()> {
    let work = move || {
        for job in jobs {
            let Some(library) = library.upgrade() else {
                return;
            };
            if let Err(error) = library.bring(&job) {
                warn!(%error, store = %job.store, file = %job.file, "a file is not brought in");
            }
        }
    };
    let thread = thread::Builder::new().name("ingesting".to_owned());
    thread.spawn(work).map(|_| ())
}

impl Library {
    fn bring(&self, job: &Job) -> Result<(), ApiError> {
        let entry = self.entry(job)?;
        let Some(entry) = entry.filter(|entry| entry.status == FileStatus::InProgress) else {
            return Ok(());
        };
        let done = self.tried(job, &entry)?;
        self.note(job, &entry, done)?;
        // Somebody may have taken it out again while it was brought in, or the whole store away.
        let Some(store) = self.kept_store(&job.owner, &job.store)? else {
            let destroyed = self.collection(&job.store).destroy();
            return destroyed.map_err(|error| broken(&error));
        };
        let entry = store.file(job.file.as_str());
        match entry.is_none_or(|entry| entry.status == FileStatus::Cancelled) {
            true => self.remove_passages(&job.store, job.file.as_str()),
            false => Ok(()),
        }
    }

    /// How the file stands in its store; `None` if it is not to be there any more.
    fn entry(&self, job: &Job) -> Result<Option<StoreFile>, ApiError> {
        let store = self.kept_store(&job.owner, &job.store)?;
        let files = store.map(|store| store.files).unwrap_or_default();
        Ok(files.into_iter().find(|of| of.id == job.file.as_str()))
    }

    fn tried(&self, job: &Job, entry: &StoreFile) -> Result<Result<(), LastError>, ApiError> {
        let (_, file) = self.named_file(&job.owner, job.file.as_str())?;
        let bytes = self.bytes.get(&job.owner, &job.file);
        let bytes = bytes.map_err(|error| broken(&error))?.unwrap_or_default();
        let mut attempt = 1;
        loop {
            let worker = loop {
                match self.worker() {
                    Some(worker) => break worker,
                    None => thread::sleep(WORKER_LOOK_INTERVAL),
                }
            };
            let collection = self.collection(&job.store);
            let name = format!("{}/{}", job.file, file.filename);
            let sources = one(name, job.file.as_str(), bytes.len() as u64);
            let mut reader = bytes.as_slice();
            let done = ingest(
                &worker,
                &collection,
                sources,
                options(entry.chunking_strategy),
                &mut reader,
                &mut |_| {},
            );
            match done {
                Ok(report) => return Ok(read(&report)),
                Err(error) if attempt < ATTEMPTS_MAX && is_passing(&error) => {
                    thread::sleep(ATTEMPT_PAUSE);
                    attempt += 1;
                }
                Err(error) => {
                    broken(&error);
                    return Ok(Err(LastError {
                        code: "server_error".into(),
                        message: "The node could not embed or write it.".to_owned(),
                    }));
                }
            }
        }
    }

    /// Notes what came of it, unless it was cancelled or is to be cut otherwise by now: then another job comes.
    fn note(
        &self,
        job: &Job,
        tried: &StoreFile,
        done: Result<(), LastError>,
    ) -> Result<(), ApiError> {
        let _alone = self.changing();
        let Some(mut store) = self.kept_store(&job.owner, &job.store)? else {
            return Ok(());
        };
        let mut files = store.files.iter_mut();
        let Some(file) = files.find(|file| file.id == tried.id) else {
            return Ok(());
        };
        let is_same = file.chunking_strategy == tried.chunking_strategy;
        if file.status != FileStatus::InProgress || !is_same {
            return Ok(());
        }
        file.status = match done {
            Ok(()) => FileStatus::Completed,
            Err(_) => FileStatus::Failed,
        };
        file.last_error = done.err();
        self.put_store(&job.owner, &store)
    }
}

/// How a file is cut.
fn options(chunking: Chunking) -> Options {
    match chunking {
        Chunking::Other => Options::default(),
        Chunking::Static { sizes } => {
            let mut options = up_to(sizes.max_chunk_size_tokens);
            let overlap = usize::try_from(sizes.chunk_overlap_tokens);
            options.limits.tokens_overlap = overlap.unwrap_or_default();
            options
        }
    }
}

/// Chunks of at most so many tokens, three quarters of that where a section is longer: as the default has it.
pub(super) fn up_to(tokens: u32) -> Options {
    let mut options = Options::default();
    options.limits.tokens_max = usize::try_from(tokens).unwrap_or(usize::MAX);
    options.limits.tokens_target = options.limits.tokens_max / 4 * 3;
    options
}

/// One document, read from the bytes at hand.
pub(super) fn one(name: String, origin: &str, bytes: u64) -> Sources {
    Sources {
        documents: vec![Source {
            name,
            path: None,
            bytes,
        }],
        origin: origin.to_owned(),
        is_named: true,
        ..Sources::default()
    }
}

/// Whether the file could be read.
pub(super) fn read(report: &Report) -> Result<(), LastError> {
    match report.skipped.first() {
        None => Ok(()),
        Some(skipped) => Err(LastError {
            code: "unsupported_file".into(),
            message: skipped.reason.to_string(),
        }),
    }
}

/// Whether the same may go well a little later.
fn is_passing(error: &IngestError) -> bool {
    matches!(error, IngestError::Worker(_) | IngestError::Store(_))
}
