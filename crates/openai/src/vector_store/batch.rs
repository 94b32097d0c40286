//! `/v1/vector_stores/{id}/file_batches`: files that go into a store together.
//!
//! A batch is a list of names. How far it is, its files in the store say; one that has left the store counts no
//! more.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::attributes;
use super::chunking::ChunkingRequest;
use super::file::{FileRequest, FileStatus, StoreFile, counts};
use super::{STORE_FILES_MAX, VectorStore};
use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// Files of a batch: as many as a store has.
pub const BATCH_FILES_MAX: usize = STORE_FILES_MAX;

/// Files that are to go into a store, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRequest {
    /// The files.
    pub files: Vec<FileRequest>,
}

impl BatchRequest {
    /// Reads a request: `file_ids` with what is said of all of them, or `files` with what is said of each.
    ///
    /// # Errors
    /// 400 naming the field that is wrong or not honoured.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        let mut files = match (root.get("file_ids"), root.get("files")) {
            (Some(_), None) => named(&root, limits)?,
            (None, Some(_)) => described(&root, limits)?,
            (None, None) => return Err(ApiError::missing("file_ids")),
            (Some(_), Some(_)) => {
                let message = "Give `file_ids` or `files`, not both.";
                return Err(ApiError::invalid_value("files", message));
            }
        };
        // What is said last of a file holds.
        let mut seen = HashSet::new();
        files.reverse();
        files.retain(|file| seen.insert(file.file_id.clone()));
        files.reverse();
        Ok(Self { files })
    }
}

fn named(root: &Fields<'_>, limits: &Limits) -> Result<Vec<FileRequest>, ApiError> {
    let attributes = attributes::read(root)?;
    let chunking = ChunkingRequest::read(root)?;
    let names = some(root, "file_ids")?.iter().enumerate();
    let files = names.map(|(at, name)| {
        let file_id = name.as_str().unwrap_or_default();
        fields::too_large(
            &format!("file_ids[{at}]"),
            file_id.len(),
            limits.name_bytes_max,
        )?;
        match name.is_string() {
            true => Ok(FileRequest {
                file_id: file_id.to_owned(),
                attributes: attributes.clone(),
                chunking,
            }),
            false => Err(ApiError::invalid_type("file_ids", "a list of strings")),
        }
    });
    files.collect()
}

fn described(root: &Fields<'_>, limits: &Limits) -> Result<Vec<FileRequest>, ApiError> {
    for key in ["attributes", "chunking_strategy"] {
        if root.get(key).is_some() {
            let message = format!("With `files`, `{key}` stands in each of them.");
            return Err(ApiError::invalid_value(key, message));
        }
    }
    let files = some(root, "files")?.iter().enumerate();
    files
        .map(|(at, file)| FileRequest::read(&Fields::of(file, format!("files[{at}]"))?, limits))
        .collect()
}

fn some<'a>(root: &Fields<'a>, key: &str) -> Result<&'a [Value], ApiError> {
    let list = root.list(key, BATCH_FILES_MAX)?.unwrap_or_default();
    if list.is_empty() {
        let message = format!("`{key}` must have at least one entry.");
        return Err(ApiError::invalid_value(key, message));
    }
    Ok(list)
}

/// Files that went into a store together, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBatch {
    /// Its identifier: `vsfb_…`.
    pub id: String,
    /// Unix seconds.
    pub created_at: u64,
    /// The store.
    pub vector_store_id: String,
    /// Its files.
    pub file_ids: Vec<String>,
}

impl FileBatch {
    /// Its files that are in the store, in the store's order.
    pub fn files_in<'a>(&self, store: &'a VectorStore) -> Vec<&'a StoreFile> {
        let names: HashSet<&str> = self.file_ids.iter().map(String::as_str).collect();
        let files = store.files.iter();
        files
            .filter(|file| names.contains(file.id.as_str()))
            .collect()
    }

    /// As the API shows it.
    pub fn shown(&self, store: &VectorStore) -> Value {
        let files = self.files_in(store);
        json!({
            "id": self.id,
            "object": "vector_store.files_batch",
            "created_at": self.created_at,
            "vector_store_id": self.vector_store_id,
            "status": status(&files),
            "file_counts": counts(files.iter().copied()),
        })
    }
}

fn status(files: &[&StoreFile]) -> FileStatus {
    let is_any = |status| files.iter().any(|file| file.status == status);
    if is_any(FileStatus::InProgress) {
        FileStatus::InProgress
    } else if is_any(FileStatus::Cancelled) {
        FileStatus::Cancelled
    } else {
        FileStatus::Completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &Value) -> Result<Vec<FileRequest>, String> {
        let got = BatchRequest::parse(body.to_string().as_bytes(), &Limits::default());
        got.map(|batch| batch.files)
            .map_err(|error| error.param.unwrap_or_default())
    }

    #[track_caller]
    fn check_refused(body: Value, param: &str) {
        assert_eq!(parse(&body), Err(param.to_owned()), "{body}");
    }

    #[test]
    fn batches_are_read() {
        let named = json!({"file_ids": ["a", "b", "a"], "attributes": {"x": 1}, "chunking_strategy": {"type": "auto"}});
        let files = parse(&named).unwrap();
        let names: Vec<&str> = files.iter().map(|file| file.file_id.as_str()).collect();
        assert_eq!(names, ["b", "a"], "each once");
        assert!(
            files
                .iter()
                .all(|file| file.attributes.is_some() && file.chunking.is_some())
        );
        let described =
            json!({"files": [{"file_id": "a", "attributes": {"x": 1}}, {"file_id": "b"}]});
        let files = parse(&described).unwrap();
        let noted: Vec<bool> = files.iter().map(|file| file.attributes.is_some()).collect();
        assert_eq!(noted, [true, false]);
    }

    #[test]
    fn bad_batches_are_named() {
        check_refused(json!({}), "file_ids");
        check_refused(json!({"file_ids": []}), "file_ids");
        check_refused(json!({"file_ids": "a"}), "file_ids");
        check_refused(json!({"file_ids": ["a", 1]}), "file_ids");
        check_refused(json!({"file_ids": ["x".repeat(513)]}), "file_ids[0]");
        check_refused(json!({"files": []}), "files");
        check_refused(json!({"files": ["a"]}), "files[0]");
        check_refused(json!({"files": [{"file_id": "a"}, {}]}), "files[1].file_id");
        let bad = json!({"files": [{"file_id": "a", "attributes": {"x": []}}]});
        check_refused(bad, "files[0].attributes.x");
        check_refused(
            json!({"files": [{"file_id": "a"}], "file_ids": ["a"]}),
            "files",
        );
        check_refused(
            json!({"files": [{"file_id": "a"}], "attributes": {}}),
            "attributes",
        );
        let all = json!({"files": [{"file_id": "a"}], "chunking_strategy": {"type": "auto"}});
        check_refused(all, "chunking_strategy");
        let many = |count: usize| (0..count).map(|at| at.to_string()).collect::<Vec<_>>();
        let most = json!({"file_ids": many(BATCH_FILES_MAX)});
        assert_eq!(parse(&most).map(|files| files.len()), Ok(BATCH_FILES_MAX));
        check_refused(json!({"file_ids": many(BATCH_FILES_MAX + 1)}), "file_ids");
    }

    #[test]
    fn a_batch_is_as_far_as_its_files() {
        use FileStatus::{Cancelled, Completed, Failed, InProgress};
        let batch = FileBatch {
            id: "vsfb_1".to_owned(),
            created_at: 7,
            vector_store_id: "vs_1".to_owned(),
            file_ids: vec!["0".to_owned(), "1".to_owned(), "gone".to_owned()],
        };
        let check = |of: [FileStatus; 2], expected: &str| {
            let file = |at: usize, status| StoreFile {
                status,
                ..StoreFile::new(at.to_string(), "vs_1".to_owned(), 5, 7)
            };
            let mut store = VectorStore::new("vs_1".to_owned(), 7);
            store.files = vec![file(0, of[0]), file(1, of[1]), file(2, InProgress)];
            let shown = batch.shown(&store);
            assert_eq!(shown["status"], expected, "{of:?}");
            assert_eq!(
                shown["file_counts"]["total"], 2,
                "what is not of it counts not"
            );
        };
        check([Completed, InProgress], "in_progress");
        check([Cancelled, InProgress], "in_progress");
        check([Completed, Cancelled], "cancelled");
        check([Completed, Failed], "completed");
        let empty = batch.shown(&VectorStore::new("vs_1".to_owned(), 7));
        assert_eq!(
            (&empty["status"], &empty["file_counts"]["total"]),
            (&json!("completed"), &json!(0))
        );
    }
}
