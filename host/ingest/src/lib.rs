//! Brings documents into a node's knowledge base and measures how well they are found.
//!
//! Talks to two servers on loopback and to nothing else: the worker, which tokenises and embeds, and the vector
//! store. Both are given as an address and a key; nothing here starts or finds them.
//! Invariant: stopping at any moment, also by kill -9, loses and doubles nothing once the same documents are added
//! again. Points carry ids made from the document's name, its hash, and the number of its chunks, so the store itself
//! says what is complete.

mod cut;
mod evaluate;
mod http;
mod ingest;
mod read;
mod store;
mod walk;
mod worker;

pub use cut::{CutError, cut, text};
pub use evaluate::{
    Answer, EvaluateError, Evaluation, evaluate, read_questions, search, search_among,
};
pub use http::{Endpoint, HttpError};
pub use ingest::{Event, IngestError, Options, Report, ingest};
pub use read::{ReadError, Skipped};
pub use store::{Held, Holding, Point, Store, Version};
pub use walk::{Source, Sources, WalkError, find};
pub use worker::{EmbeddingModel, Worker, WorkerError};
