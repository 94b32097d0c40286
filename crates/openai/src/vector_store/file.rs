//! Files of a vector store: what is asked of one, and how it is kept and shown.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::attributes::{self, Attributes};
use super::chunking::{Chunking, ChunkingRequest};
use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// A file that is to go into a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    /// The file.
    pub file_id: String,
    /// What its owner says of it, if he does.
    pub attributes: Option<Attributes>,
    /// How it is to be cut, if he says so.
    pub chunking: Option<ChunkingRequest>,
}

impl FileRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        Self::read(&Fields::root(&map), limits)
    }

    pub(super) fn read(from: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        from.require("file_id")?;
        Ok(Self {
            file_id: from.name("file_id", limits)?.unwrap_or_default(),
            attributes: attributes::read(from)?,
            chunking: ChunkingRequest::read(from)?,
        })
    }
}

/// What is said of a file from now on.
///
/// # Errors
/// 400 naming the field that is wrong or missing.
pub fn parse_attributes(bytes: &[u8]) -> Result<Attributes, ApiError> {
    let map = fields::body(bytes)?;
    if !map.contains_key("attributes") {
        return Err(ApiError::missing("attributes"));
    }
    // `null` takes them all away.
    Ok(attributes::read(&Fields::root(&map))?.unwrap_or_default())
}

/// How far a file's way into a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// It is being read.
    InProgress,
    /// It is found.
    Completed,
    /// It was not to be read any more.
    Cancelled,
    /// It cannot be read.
    Failed,
}

impl FileStatus {
    /// What `filter` of a list of files says.
    ///
    /// # Errors
    /// 400 where it is no status.
    pub fn of_filter(word: &str) -> Result<Self, ApiError> {
        match word {
            "in_progress" => Ok(Self::InProgress),
            "completed" => Ok(Self::Completed),
            "cancelled" => Ok(Self::Cancelled),
            "failed" => Ok(Self::Failed),
            _ => {
                let message =
                    "`filter` must be one of `in_progress`, `completed`, `failed`, `cancelled`.";
                Err(ApiError::invalid_value("filter", message))
            }
        }
    }
}

/// A file of a store, as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFile {
    /// The file's identifier.
    pub id: String,
    /// Always `vector_store.file`.
    pub object: Cow<'static, str>,
    /// How large it is.
    pub usage_bytes: u64,
    /// Unix seconds.
    pub created_at: u64,
    /// The store.
    pub vector_store_id: String,
    /// How far it is.
    pub status: FileStatus,
    /// Why it cannot be read.
    pub last_error: Option<LastError>,
    /// What its owner says of it.
    pub attributes: Attributes,
    /// How it is cut.
    #[serde(default)]
    pub chunking_strategy: Chunking,
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// `server_error` or `unsupported_file`.
    pub code: Cow<'static, str>,
    /// For a person.
    pub message: String,
}

impl StoreFile {
    /// A file on its way into a store.
    pub fn new(id: String, store: String, bytes: u64, now_unix_seconds: u64) -> Self {
        Self {
            id,
            object: Cow::Borrowed("vector_store.file"),
            usage_bytes: bytes,
            created_at: now_unix_seconds,
            vector_store_id: store,
            status: FileStatus::InProgress,
            last_error: None,
            attributes: Attributes::new(),
            chunking_strategy: Chunking::Other,
        }
    }
}

/// How many files are how far.
pub(super) fn counts<'a>(files: impl Iterator<Item = &'a StoreFile> + Clone) -> Value {
    let count = |status| files.clone().filter(|file| file.status == status).count();
    json!({
        "in_progress": count(FileStatus::InProgress),
        "completed": count(FileStatus::Completed),
        "failed": count(FileStatus::Failed),
        "cancelled": count(FileStatus::Cancelled),
        "total": files.clone().count(),
    })
}

/// What a file says, as text.
pub fn content_reply(text: &str) -> Value {
    json!({
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": text}],
        "has_more": false,
        "next_page": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read() {
        let parse = |body: &str| FileRequest::parse(body.as_bytes(), &Limits::default());
        let plain = parse(r#"{"file_id": "file_1"}"#).unwrap();
        assert_eq!((plain.attributes, plain.chunking), (None, None));
        let noted =
            r#"{"file_id": "f", "attributes": {"a": 1}, "chunking_strategy": {"type": "auto"}}"#;
        let noted = parse(noted).unwrap();
        assert_eq!(noted.attributes.unwrap().len(), 1);
        assert_eq!(noted.chunking, Some(ChunkingRequest::Auto));
        let param = |body: &str| parse(body).unwrap_err().param;
        assert_eq!(param("{}").as_deref(), Some("file_id"));
        assert_eq!(param(r#"{"file_id": 1}"#).as_deref(), Some("file_id"));
    }

    #[test]
    fn attributes_are_changed_as_a_whole() {
        let parse = |body: &str| {
            let got = parse_attributes(body.as_bytes());
            got.map(|attributes| attributes.len())
                .map_err(|error| error.param.unwrap_or_default())
        };
        assert_eq!(parse(r#"{"attributes": {"a": 1}}"#), Ok(1));
        assert_eq!(parse(r#"{"attributes": null}"#), Ok(0));
        assert_eq!(parse("{}"), Err("attributes".to_owned()));
        assert_eq!(parse(r#"{"attributes": 1}"#), Err("attributes".to_owned()));
    }

    #[test]
    fn a_filter_is_a_status() {
        for (word, status) in [
            ("in_progress", FileStatus::InProgress),
            ("completed", FileStatus::Completed),
            ("cancelled", FileStatus::Cancelled),
            ("failed", FileStatus::Failed),
        ] {
            assert_eq!(FileStatus::of_filter(word), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), word);
        }
        let refused = FileStatus::of_filter("done").unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("filter"));
    }

    #[test]
    fn files_that_were_kept_before_are_read_still() {
        let kept = r#"{"id": "file_1", "object": "vector_store.file", "usage_bytes": 5, "created_at": 7,
            "vector_store_id": "vs_1", "status": "completed", "last_error": null, "attributes": {}}"#;
        let file: StoreFile = serde_json::from_str(kept).unwrap();
        assert_eq!(file.chunking_strategy, Chunking::Other);
    }
}
