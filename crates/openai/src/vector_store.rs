//! `/v1/vector_stores`: files that are searched by what they mean.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chat::metadata;
use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// Files of a vector store.
pub const STORE_FILES_MAX: usize = 1000;
/// Results of a search.
pub const RESULTS_MAX: u32 = 50;
/// Results of a search that names no number.
const RESULTS_DEFAULT: u32 = 10;

/// What is to be made, or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRequest {
    /// What its owner calls it.
    pub name: Option<String>,
    /// The owner's notes.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Files that go into it at once.
    pub file_ids: Vec<String>,
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
        cut_as_always(&root)?;
        let notes = metadata(&root, limits)?;
        let ids = root.list("file_ids", STORE_FILES_MAX)?.unwrap_or_default();
        let ids = ids.iter().map(|id| id.as_str().map(str::to_owned));
        let ids: Option<Vec<String>> = ids.collect();
        Ok(Self {
            name: root.name("name", limits)?,
            metadata: root.get("metadata").map(|_| notes),
            file_ids: ids.ok_or_else(|| ApiError::invalid_type("file_ids", "a list of strings"))?,
        })
    }
}

/// The file that is to go into a store.
///
/// # Errors
/// 400 naming the field that is wrong or not honoured.
pub fn parse_file_id(bytes: &[u8], limits: &Limits) -> Result<String, ApiError> {
    let map = fields::body(bytes)?;
    let root = Fields::root(&map);
    cut_as_always(&root)?;
    root.refuse("attributes", &[json!({})])?;
    root.require("file_id")?;
    Ok(root.name("file_id", limits)?.unwrap_or_default())
}

/// How documents are cut is the node's affair.
fn cut_as_always(root: &Fields<'_>) -> Result<(), ApiError> {
    root.refuse("chunking_strategy", &[json!({"type": "auto"})])
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// In words; several are one question.
    pub query: String,
    /// Most results.
    pub results_max: u32,
    /// Least similarity of a result.
    pub score_threshold: f32,
}

impl SearchRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong or not honoured.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        root.refuse("filters", &[])?;
        root.boolean("rewrite_query")?;
        root.refuse("rewrite_query", &[json!(false)])?;
        let mut score_threshold = None;
        if let Some(ranking) = root.object("ranking_options")? {
            ranking.refuse("ranker", &[json!("auto"), json!("none")])?;
            score_threshold = ranking.number("score_threshold", 0.0..=1.0)?;
        }
        let results_max = root.count("max_num_results", 1..=RESULTS_MAX)?;
        Ok(Self {
            query: query(&root, limits)?,
            results_max: results_max.unwrap_or(RESULTS_DEFAULT),
            score_threshold: score_threshold.unwrap_or(0.0),
        })
    }
}

fn query(root: &Fields<'_>, limits: &Limits) -> Result<String, ApiError> {
    const PARAM: &str = "query";
    let text = match root.require(PARAM)? {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            fields::too_long(PARAM, list.len(), limits.parts_max)?;
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            let expected = || ApiError::invalid_type(PARAM, "a string or a list of strings");
            texts.ok_or_else(expected)?.join("\n")
        }
        _ => {
            return Err(ApiError::invalid_type(
                PARAM,
                "a string or a list of strings",
            ));
        }
    };
    fields::too_large(PARAM, text.len(), limits.text_bytes_max)?;
    match text.trim() {
        "" => Err(ApiError::invalid_value(PARAM, "`query` must not be empty.")),
        _ => Ok(text),
    }
}

/// How far a file's way into a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// It is being read.
    InProgress,
    /// It is found.
    Completed,
    /// It cannot be read.
    Failed,
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
    /// Always empty.
    pub attributes: BTreeMap<String, String>,
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
            attributes: BTreeMap::new(),
        }
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
    /// As the API shows it.
    pub fn shown(&self) -> Value {
        let count = |status| {
            self.files
                .iter()
                .filter(|file| file.status == status)
                .count()
        };
        let (in_progress, failed) = (count(FileStatus::InProgress), count(FileStatus::Failed));
        let bytes: u64 = self.files.iter().map(|file| file.usage_bytes).sum();
        json!({
            "id": self.id,
            "object": "vector_store",
            "created_at": self.created_at,
            "name": self.name,
            "metadata": self.metadata,
            "usage_bytes": bytes,
            "status": if in_progress > 0 { "in_progress" } else { "completed" },
            "file_counts": {
                "in_progress": in_progress,
                "completed": count(FileStatus::Completed),
                "failed": failed,
                "cancelled": 0,
                "total": self.files.len(),
            },
            "expires_after": null,
            "expires_at": null,
            "last_active_at": self.created_at,
        })
    }
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The file it is from.
    pub file_id: String,
    /// What its sender called that.
    pub filename: String,
    /// How near it is to the question.
    pub score: f32,
    /// What it says.
    pub text: String,
}

/// The answer to a search.
pub fn search_reply(query: &str, found: &[Found]) -> Value {
    let results = found.iter().map(|found| {
        json!({
            "file_id": found.file_id,
            "filename": found.filename,
            "score": found.score,
            "attributes": {},
            "content": [{"type": "text", "text": found.text}],
        })
    });
    json!({
        "object": "vector_store.search_results.page",
        "search_query": [query],
        "data": results.collect::<Vec<_>>(),
        "has_more": false,
        "next_page": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            text_bytes_max: 20,
            parts_max: 2,
            ..Limits::default()
        }
    }

    #[track_caller]
    fn check_search(body: Value, expected: Result<SearchRequest, &str>) {
        let got = SearchRequest::parse(body.to_string().as_bytes(), &limits());
        let got = got.map_err(|error| error.param.unwrap_or_default());
        assert_eq!(got, expected.map_err(str::to_owned), "{body}");
    }

    #[test]
    fn searches_are_read() {
        let search = |query: &str, results_max, score_threshold| SearchRequest {
            query: query.to_owned(),
            results_max,
            score_threshold,
        };
        check_search(json!({"query": "a"}), Ok(search("a", 10, 0.0)));
        check_search(
            json!({"query": ["a", "b"], "max_num_results": 50, "ranking_options": {"ranker": "auto", "score_threshold": 0.5}}),
            Ok(search("a\nb", 50, 0.5)),
        );
        check_search(json!({}), Err("query"));
        check_search(json!({"query": " "}), Err("query"));
        check_search(json!({"query": 7}), Err("query"));
        check_search(json!({"query": ["a", "b", "c"]}), Err("query"));
        check_search(json!({"query": "x".repeat(21)}), Err("query"));
        check_search(
            json!({"query": "a", "max_num_results": 51}),
            Err("max_num_results"),
        );
        check_search(json!({"query": "a", "filters": {}}), Err("filters"));
        check_search(
            json!({"query": "a", "rewrite_query": true}),
            Err("rewrite_query"),
        );
    }

    #[test]
    fn stores_are_read() {
        let parse = |body: &str| StoreRequest::parse(body.as_bytes(), &limits());
        let empty = parse("").unwrap();
        assert_eq!(
            (empty.name, empty.metadata, empty.file_ids.len()),
            (None, None, 0)
        );
        let store =
            parse(r#"{"name": "n", "file_ids": ["file_1"], "metadata": {"a": "b"}}"#).unwrap();
        assert_eq!(store.name.as_deref(), Some("n"));
        assert_eq!(store.file_ids, ["file_1"]);
        assert_eq!(store.metadata.unwrap()["a"], "b");
        let param = |body: &str| parse(body).unwrap_err().param;
        assert_eq!(param(r#"{"file_ids": [1]}"#).as_deref(), Some("file_ids"));
        assert_eq!(
            param(r#"{"expires_after": {}}"#).as_deref(),
            Some("expires_after")
        );
        let many = json!({"file_ids": vec!["x"; STORE_FILES_MAX + 1]});
        assert_eq!(param(&many.to_string()).as_deref(), Some("file_ids"));
        assert!(parse_file_id(b"{\"file_id\": \"file_1\"}", &limits()).is_ok());
        assert!(parse_file_id(b"{}", &limits()).is_err());
    }

    #[test]
    fn a_store_counts_its_files() {
        let mut file = StoreFile::new("file_1".to_owned(), "vs_1".to_owned(), 5, 7);
        let mut store = VectorStore {
            id: "vs_1".to_owned(),
            created_at: 7,
            name: String::new(),
            metadata: BTreeMap::new(),
            files: vec![file.clone()],
        };
        assert_eq!(store.shown()["status"], "in_progress");
        file.status = FileStatus::Failed;
        store.files = vec![file];
        let shown = store.shown();
        assert_eq!(
            (&shown["status"], &shown["usage_bytes"]),
            (&json!("completed"), &json!(5))
        );
        assert_eq!(shown["file_counts"]["failed"], 1);
    }
}
