//! What a node knows: documents in, passages out.
//!
//! A [`Document`] is text with its structure. [`segment`] cuts it into the smallest pieces worth counting, the
//! caller counts their tokens with the embedding model itself, and [`assemble`] joins the pieces into [`Chunk`]s
//! that fit the model. On the way back, [`query`] says what to search for and [`select`] turns what the store
//! found into [`Citation`]s.
//!
//! Pure: no file, socket, clock or random number is touched here. Text from documents is data throughout; nothing
//! in it changes what the code does.
//! Invariant: `document.text[chunk.bytes] == chunk.text`, and every character that is not white space lies in a chunk.

pub mod chunk;
pub mod citation;
pub mod document;
pub mod evaluation;
pub mod identity;
pub mod memory;
pub mod query;

pub use chunk::{AssembleError, Chunk, ChunkLimits, Segment, assemble, segment};
pub use citation::{Citation, Hit, Order, Payload, SelectLimits, fit, select};
pub use document::{Block, BlockKind, Document, Format};
pub use identity::{document_hash, knowledge_digest, point_id};
pub use query::query;
