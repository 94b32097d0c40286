//! Portions on their way through the worker into the store, several at a time.
//!
//! While one portion is written the next is embedded and another is being cut, so that the model never
//! waits. A portion is done when the store has it on disk, and a document when all its portions are.

use std::sync::mpsc::{Receiver, RecvError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};

use gaia_rag::{Chunk, Payload, point_id};

use super::{Changed, IngestError};
use crate::store::{Point, Store};
use crate::worker::{EmbeddingModel, Worker};

/// Portions in the worker or the store at a time. With two the model has work while a third is written.
const LANES: usize = 3;
/// Portions that have been cut and wait for a lane. More are not cut before one is done.
pub(super) const AHEAD: usize = 2 * LANES;

/// What all lanes use.
#[derive(Clone, Copy)]
pub(super) struct Services<'a> {
    pub(super) worker: &'a Worker,
    pub(super) store: &'a Store,
    pub(super) model: &'a EmbeddingModel,
    pub(super) origin: &'a str,
}

/// A document that is being written.
pub(super) struct Entry {
    pub(super) changed: Changed,
    pub(super) chunks: u32,
}

impl Entry {
    /// A chunk's share of the document's bytes, for the progress.
    pub(super) fn share(&self) -> u64 {
        self.changed.bytes / u64::from(self.chunks.max(1))
    }
}

/// A chunk with the text that is embedded for it.
pub(super) struct Piece {
    pub(super) entry: Arc<Entry>,
    pub(super) chunk: Chunk,
    pub(super) text: String,
}

/// Chunks that travel together, of any documents.
pub(super) type Portion = Vec<Piece>;

type Done = Result<Portion, IngestError>;

/// The way in and out. When it is dropped the lanes end.
pub(super) struct Lanes {
    portions: Sender<Portion>,
    done: Receiver<Done>,
    under_way: usize,
}

impl Lanes {
    /// Starts the lanes in `scope`.
    pub(super) fn open<'scope>(
        scope: &'scope Scope<'scope, '_>,
        services: Services<'scope>,
    ) -> Self {
        let (portions, waiting) = channel();
        let (finished, done) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let checked = Arc::new(Mutex::new(false));
        for _ in 0..LANES {
            let lane = Lane {
                services,
                waiting: Arc::clone(&waiting),
                checked: Arc::clone(&checked),
                done: finished.clone(),
            };
            thread::Builder::new()
                .name("gaia-ingest".to_owned())
                .spawn_scoped(scope, move || lane.run())
                .ok();
        }
        Self {
            portions,
            done,
            under_way: 0,
        }
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    pub(super) fn send(&mut self, portion: Portion) {
        // Without a lane `next` says so.
        if self.portions.send(portion).is_ok() {
            self.under_way += 1;
        }
    }

    /// Waits for the next portion that is done.
    pub(super) fn next(&mut self) -> Result<Portion, IngestError> {
        self.under_way = self.under_way.saturating_sub(1);
        self.done.recv().unwrap_or(Err(IngestError::Threads))
    }
}

struct Lane<'a> {
    services: Services<'a>,
    waiting: Arc<Mutex<Receiver<Portion>>>,
    /// Whether the collection is known to take this model's vectors.
    checked: Arc<Mutex<bool>>,
    done: Sender<Done>,
}

impl Lane<'_> {
    fn run(self) {
        while let Ok(portion) = self.receive() {
            let done = self.write(&portion).map(|()| portion);
            if self.done.send(done).is_err() {
                return;
            }
        }
    }

    fn receive(&self) -> Result<Portion, RecvError> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv()
    }

    fn write(&self, portion: &Portion) -> Result<(), IngestError> {
        let Services {
            worker,
            store,
            model,
            origin,
        } = self.services;
        let texts: Vec<&str> = portion.iter().map(|piece| piece.text.as_str()).collect();
        let vectors = worker.embed(model, &texts)?;
        if let Some(vector) = vectors.first() {
            self.ready(vector.len())?;
        }
        let points = portion.iter().zip(vectors);
        let points = points.map(|(piece, vector)| piece.point(vector, origin));
        Ok(store.upsert(&points.collect::<Vec<_>>())?)
    }

    /// Makes the collection before the first write, or makes sure that the vectors fit the one that is there.
    fn ready(&self, made: usize) -> Result<(), IngestError> {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if *checked {
            return Ok(());
        }
        let Services { store, model, .. } = self.services;
        match store.dimensions()? {
            None => store.create(made)?,
            Some(held) if held == made => {}
            Some(held) => {
                let (collection, model) = (store.collection().to_owned(), model.id.clone());
                return Err(IngestError::Dimensions {
                    collection,
                    held,
                    model,
                    made,
                });
            }
        }
        *checked = true;
        Ok(())
    }
}

impl Piece {
    fn point(&self, vector: Vec<f32>, origin: &str) -> Point {
        let Entry { changed, chunks } = &*self.entry;
        let payload = Payload {
            source: self.chunk.text.clone(),
            document: changed.name.clone(),
            document_hash: changed.hash.clone(),
            chunk: self.chunk.index,
            chunks: *chunks,
            heading: self.chunk.heading.clone(),
            start: self.chunk.start,
            end: self.chunk.end,
            origin: origin.to_owned(),
        };
        Point {
            id: point_id(&changed.name, self.chunk.index),
            vector,
            payload,
        }
    }
}
