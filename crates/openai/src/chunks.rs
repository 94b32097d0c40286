//! `POST /v1/chunks` and `POST /v1/create/rag`, as GaiaNet's nodes have them.

use serde::{Deserialize, Serialize};

use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// The fewest tokens a chunk may be limited to.
pub const CHUNK_TOKENS_MIN: u32 = 8;
/// The most tokens a chunk may be limited to, before the embedding model limits it further.
pub const CHUNK_TOKENS_MAX: u32 = 8192;

/// Which file to cut, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunksRequest {
    /// A file that was handed in.
    pub id: String,
    /// The most tokens of a chunk; the node's own choice when absent.
    pub chunk_capacity: Option<u32>,
}

impl ChunksRequest {
    /// Reads a request. The file's name, which GaiaNet's clients send beside its id, is checked and of no consequence.
    ///
    /// # Errors
    /// 400 naming the field that is wrong.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        root.name("filename", limits)?;
        let range = CHUNK_TOKENS_MIN..=CHUNK_TOKENS_MAX;
        Ok(Self {
            id: root
                .name("id", limits)?
                .ok_or_else(|| ApiError::missing("id"))?,
            chunk_capacity: root.count("chunk_capacity", range)?,
        })
    }
}

/// A file, cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunksReply {
    /// The file.
    pub id: String,
    /// What its sender called it.
    pub filename: String,
    /// Its passages, in order.
    pub chunks: Vec<String>,
}

/// What became of a document that was handed to the node's own knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// The document's name.
    pub filename: String,
    /// The collection it is in.
    pub collection: String,
    /// How many passages were embedded and written; 0 where exactly this document was there already.
    pub passages: usize,
    /// Whether another document of this name had to go.
    pub replaced: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_fields_are_named() {
        let parse = |body: &str| ChunksRequest::parse(body.as_bytes(), &Limits::default());
        let request = parse(r#"{"id":"file_1","filename":"a.md","chunk_capacity":8}"#).unwrap();
        assert_eq!((&*request.id, request.chunk_capacity), ("file_1", Some(8)));
        let check = |body: &str, param: &str| {
            let error = parse(body).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{body}");
        };
        check("{}", "id");
        check(r#"{"id":1}"#, "id");
        check(r#"{"id":"a","filename":1}"#, "filename");
        check(r#"{"id":"a","chunk_capacity":7}"#, "chunk_capacity");
        check(r#"{"id":"a","chunk_capacity":8193}"#, "chunk_capacity");
    }
}
