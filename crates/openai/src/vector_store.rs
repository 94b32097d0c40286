//! `/v1/vector_stores`: files that are searched by what they mean.

mod attributes;
mod batch;
mod chunking;
mod file;
mod filter;
mod search;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use attributes::{
    ATTRIBUTE_KEY_CHARS_MAX, ATTRIBUTE_TEXT_CHARS_MAX, ATTRIBUTES_BYTES_MAX, ATTRIBUTES_MAX,
    Attribute, Attributes,
};
pub use batch::{BATCH_FILES_MAX, BatchRequest, FileBatch};
pub use chunking::{ChunkSizes, Chunking, ChunkingRequest, STATIC_TOKENS_MAX, STATIC_TOKENS_MIN};
pub use file::{FileRequest, FileStatus, LastError, StoreFile, content_reply, parse_attributes};
pub use filter::{FILTER_DEPTH_MAX, FILTER_VALUES_MAX, FILTERS_MAX, Filter, Test};
pub use search::{Found, RESULTS_MAX, SearchRequest, search_reply};

use crate::chat::metadata;
use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// Files of a vector store.
pub const STORE_FILES_MAX: usize = 1000;

/// What is to be made, or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRequest {
    /// What its owner calls it.
    pub name: Option<String>,
    /// The owner's notes.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Files that go into it at once.
    pub file_ids: Vec<String>,
    /// How they are to be cut.
    pub chunking: Option<ChunkingRequest>,
}

impl StoreRequest {
    /// Reads a request to make one, or to change one.
    ///
    /// # Errors
    /// 400 naming the field that is wrong or not honoured.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        // A store needs nothing to be said of it.
        let map = match bytes.trim_ascii() {
            b"" => serde_json::Map::new(),
            bytes => fields::body(bytes)?,
        };
        let root = Fields::root(&map);
        root.refuse("expires_after", &[])?;
        let notes = metadata(&root, limits)?;
        let ids = root.list("file_ids", STORE_FILES_MAX)?.unwrap_or_default();
        let ids = ids.iter().map(|id| id.as_str().map(str::to_owned));
        let ids: Option<Vec<String>> = ids.collect();
        Ok(Self {
            name: root.name("name", limits)?,
            metadata: root.get("metadata").map(|_| notes),
            file_ids: ids.ok_or_else(|| ApiError::invalid_type("file_ids", "a list of strings"))?,
            chunking: ChunkingRequest::read(&root)?,
        })
    }

    /// The files that go into it at once, as they would be added later.
    pub fn files(&self) -> impl Iterator<Item = FileRequest> {
        self.file_ids.iter().map(|id| FileRequest {
            file_id: id.clone(),
            attributes: None,
            chunking: self.chunking,
        })
    }
}

/// A vector store, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorStore {
    /// Its identifier: `vs_…`.
    pub id: String,
    /// Unix seconds.
    pub created_at: u64,
    /// What its owner calls it.
    pub name: String,
    /// The owner's notes.
    pub metadata: BTreeMap<String, String>,
    /// Its files.
    pub files: Vec<StoreFile>,
}

impl VectorStore {
    /// An empty one.
    pub fn new(id: String, now_unix_seconds: u64) -> Self {
        Self {
            id,
            created_at: now_unix_seconds,
            name: String::new(),
            metadata: BTreeMap::new(),
            files: Vec::new(),
        }
    }

    /// A file of it.
    pub fn file(&self, id: &str) -> Option<&StoreFile> {
        self.files.iter().find(|file| file.id == id)
    }

    /// Refuses more attributes than a store has room for.
    ///
    /// # Errors
    /// 400 naming them.
    pub fn check_attributes(&self) -> Result<(), ApiError> {
        let bytes =
            |file: &StoreFile| serde_json::to_vec(&file.attributes).map_or(0, |json| json.len());
        let total: usize = self.files.iter().map(bytes).sum();
        if total > ATTRIBUTES_BYTES_MAX {
            let message = format!(
                "The attributes of all files of a vector store have at most {ATTRIBUTES_BYTES_MAX} bytes: shorten some."
            );
            return Err(ApiError::invalid_value("attributes", message));
        }
        Ok(())
    }

    /// As the API shows it.
    pub fn shown(&self) -> Value {
        let is_coming = |file: &StoreFile| file.status == FileStatus::InProgress;
        let in_progress = self.files.iter().any(is_coming);
        let bytes: u64 = self.files.iter().map(|file| file.usage_bytes).sum();
        json!({
            "id": self.id,
            "object": "vector_store",
            "created_at": self.created_at,
            "name": self.name,
            "metadata": self.metadata,
            "usage_bytes": bytes,
            "status": if in_progress { "in_progress" } else { "completed" },
            "file_counts": file::counts(self.files.iter()),
            "expires_after": null,
            "expires_at": null,
            "last_active_at": self.created_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_read() {
        let parse = |body: &str| StoreRequest::parse(body.as_bytes(), &Limits::default());
        let empty = parse("").unwrap();
        assert_eq!(
            (empty.name, empty.metadata, empty.file_ids.len()),
            (None, None, 0)
        );
        let store =
            parse(r#"{"name": "n", "file_ids": ["file_1"], "metadata": {"a": "b"}, "chunking_strategy": {"type": "auto"}}"#).unwrap();
        assert_eq!(store.name.as_deref(), Some("n"));
        assert_eq!(store.file_ids, ["file_1"]);
        let file = store.files().next().unwrap();
        assert_eq!(file.chunking, Some(ChunkingRequest::Auto));
        assert_eq!(store.metadata.unwrap()["a"], "b");
        let param = |body: &str| parse(body).unwrap_err().param;
        assert_eq!(param(r#"{"file_ids": [1]}"#).as_deref(), Some("file_ids"));
        assert_eq!(
            param(r#"{"expires_after": {}}"#).as_deref(),
            Some("expires_after")
        );
        let many = json!({"file_ids": vec!["x"; STORE_FILES_MAX + 1]});
        assert_eq!(param(&many.to_string()).as_deref(), Some("file_ids"));
    }

    fn file() -> StoreFile {
        StoreFile::new("file_1".to_owned(), "vs_1".to_owned(), 5, 7)
    }

    #[test]
    fn a_store_counts_its_files() {
        let mut store = VectorStore::new("vs_1".to_owned(), 7);
        store.files = vec![file()];
        assert_eq!(store.shown()["status"], "in_progress");
        store.files[0].status = FileStatus::Failed;
        let shown = store.shown();
        assert_eq!(
            (&shown["status"], &shown["usage_bytes"]),
            (&json!("completed"), &json!(5))
        );
        assert_eq!(shown["file_counts"]["failed"], 1);
    }

    #[test]
    fn a_store_has_room_for_so_many_attributes() {
        let mut store = VectorStore::new("vs_1".to_owned(), 7);
        let text = |bytes: usize| Attribute::Text("x".repeat(bytes));
        // {"a":"…"}
        let around = 8;
        let mut noted = |bytes: usize| {
            let attributes = Attributes::from([("a".to_owned(), text(bytes - around))]);
            store.files = vec![StoreFile {
                attributes,
                ..file()
            }];
            store.check_attributes()
        };
        assert_eq!(noted(ATTRIBUTES_BYTES_MAX), Ok(()));
        let refused = noted(ATTRIBUTES_BYTES_MAX + 1).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("attributes"));
    }
}
