//! Files and stores, without a worker: what is asked of the disk alone.

use serde_json::{Value, json};

use super::*;

const FORM: &str = "multipart/form-data; boundary=X";

struct Opened {
    library: Arc<Library>,
    folder: tempfile::TempDir,
    _worker: watch::Sender<Option<Worker>>,
}

impl Opened {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(folder: tempfile::TempDir) -> Self {
        let (worker, watched) = watch::channel(None);
        let store = Service {
            url: "http://127.0.0.1:9".to_owned(),
            key: String::new(),
        };
        let library = Library::open(folder.path(), store, "default", watched).unwrap();
        Self {
            library,
            folder,
            _worker: worker,
        }
    }

    fn ask(&self, owner: &str, line: &str, body: &[u8]) -> Result<Value, ApiError> {
        let given = self.given(owner, line, body)?;
        Ok(serde_json::from_slice(&given.body).unwrap())
    }

    fn given(&self, owner: &str, line: &str, body: &[u8]) -> Result<Given, ApiError> {
        let (method, path) = line.split_once(' ').unwrap();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let is_form = body.starts_with(b"--X");
        self.library.answer(&Question {
            owner: &Owner::parse(owner).unwrap(),
            method: &method.parse().unwrap(),
            path,
            query,
            content_type: if is_form { FORM } else { "application/json" },
            body,
        })
    }

    fn status(&self, owner: &str, line: &str) -> u16 {
        self.given(owner, line, b"")
            .map_or_else(|error| error.status, |_| 200)
    }

    /// A vector store with these files; its route.
    fn store_of(&self, owner: &str, files: &[&str]) -> String {
        let body = json!({"name": "s", "file_ids": files}).to_string();
        let store = self.ask(owner, "POST /v1/vector_stores", body.as_bytes());
        let store = store.unwrap();
        format!("/v1/vector_stores/{}", store["id"].as_str().unwrap())
    }

    fn post(&self, owner: &str, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.ask(owner, &format!("POST {path}"), body.to_string().as_bytes())
    }

    fn get(&self, owner: &str, path: &str) -> Value {
        self.ask(owner, &format!("GET {path}"), b"").unwrap()
    }

    fn upload(&self, owner: &str, name: &str, text: &str) -> String {
        let form = format!(
            "--X\r\ncontent-disposition: form-data; name=purpose\r\n\r\nassistants\r\n--X\r\n\
             content-disposition: form-data; name=file; filename=\"{name}\"\r\n\r\n{text}\r\n--X--\r\n"
        );
        let file = self.ask(owner, "POST /v1/files", form.as_bytes()).unwrap();
        file["id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn files_are_taken_shown_and_removed() {
    let opened = Opened::new();
    let id = opened.upload("anna", "../a.md", "# A\0");
    let file = opened
        .ask("anna", &format!("GET /v1/files/{id}"), b"")
        .unwrap();
    assert_eq!(
        (&file["filename"], &file["bytes"]),
        (&json!("a.md"), &json!(4))
    );
    let content = opened
        .given("anna", &format!("GET /v1/files/{id}/content"), b"")
        .unwrap();
    assert_eq!(content.body, b"# A\0");
    let second = opened.upload("anna", "b.md", "# B");
    let list = |query: &str| {
        opened
            .ask("anna", &format!("GET /v1/files{query}"), b"")
            .unwrap()
    };
    assert_eq!(list("")["data"][0]["id"], second);
    assert_eq!(list("?limit=1&order=asc")["data"][0]["id"], id);
    assert_eq!(list("?purpose=batch")["data"], json!([]));
    let deleted = opened
        .ask("anna", &format!("DELETE /v1/files/{id}"), b"")
        .unwrap();
    assert_eq!(
        deleted,
        json!({"id": id, "object": "file", "deleted": true})
    );
    assert_eq!(opened.status("anna", &format!("GET /v1/files/{id}")), 404);
    assert_eq!(
        opened.status("anna", &format!("GET /v1/files/{id}/content")),
        404
    );
}

#[test]
fn another_keys_files_and_stores_are_not_there() {
    let opened = Opened::new();
    let file = opened.upload("anna", "a.md", "# A");
    let store = opened
        .ask("anna", "POST /v1/vector_stores", b"{\"name\": \"s\"}")
        .unwrap();
    let store = store["id"].as_str().unwrap();
    let path = format!("/v1/vector_stores/{store}");
    let files = json!({"file_ids": [file]});
    let batch = opened.post("anna", &format!("{path}/file_batches"), &files);
    let batch = batch.unwrap()["id"].as_str().unwrap().to_owned();
    for line in [
        format!("GET /v1/files/{file}"),
        format!("GET /v1/files/{file}/content"),
        format!("DELETE /v1/files/{file}"),
        format!("GET /v1/vector_stores/{store}"),
        format!("DELETE /v1/vector_stores/{store}"),
        format!("GET /v1/vector_stores/{store}/files"),
        format!("GET /v1/vector_stores/{store}/files/{file}"),
        format!("GET /v1/vector_stores/{store}/files/{file}/content"),
        format!("GET /v1/vector_stores/{store}/file_batches/{batch}"),
        format!("GET /v1/vector_stores/{store}/file_batches/{batch}/files"),
        format!("POST /v1/vector_stores/{store}/file_batches/{batch}/cancel"),
    ] {
        assert_eq!(opened.status("ben", &line), 404, "{line}");
    }
    let noted = json!({"attributes": {}});
    let changed = opened.post("ben", &format!("{path}/files/{file}"), &noted);
    assert_eq!(changed.unwrap_err().status, 404);
    let of_annas = opened.post("ben", &format!("{path}/file_batches"), &files);
    assert_eq!(of_annas.unwrap_err().status, 404);
    let own = opened.store_of("ben", &[]);
    let of_annas = opened.post("ben", &format!("{own}/file_batches"), &files);
    assert_eq!(of_annas.unwrap_err().status, 404);
    let body = json!({"file_id": file}).to_string();
    let bens = opened.ask("ben", "POST /v1/vector_stores", b"").unwrap();
    let bens = format!(
        "POST /v1/vector_stores/{}/files",
        bens["id"].as_str().unwrap()
    );
    assert_eq!(
        opened
            .ask("ben", &bens, body.as_bytes())
            .unwrap_err()
            .status,
        404
    );
    let search = opened.ask(
        "ben",
        &format!("POST /v1/vector_stores/{store}/search"),
        b"{\"query\": \"a\"}",
    );
    assert_eq!(search.unwrap_err().status, 404);
}

#[test]
fn a_file_waits_for_a_worker_also_over_a_restart() {
    let opened = Opened::new();
    let file = opened.upload("anna", "a.md", "# A");
    let body = json!({"name": "s", "file_ids": [file]}).to_string();
    let store = opened
        .ask("anna", "POST /v1/vector_stores", body.as_bytes())
        .unwrap();
    assert_eq!(store["file_counts"]["in_progress"], 1);
    let path = format!("/v1/vector_stores/{}", store["id"].as_str().unwrap());
    let found = opened
        .ask(
            "anna",
            &format!("POST {path}/search"),
            b"{\"query\": \"a\"}",
        )
        .unwrap();
    assert_eq!(found["data"], json!([]), "nothing is there to be found yet");
    let again = Opened::at(opened.folder);
    let shown = again
        .ask("anna", &format!("GET {path}/files/{file}"), b"")
        .unwrap();
    assert_eq!(
        (&shown["status"], &shown["id"]),
        (&json!("in_progress"), &json!(file))
    );
    let changed = again
        .ask("anna", &format!("POST {path}"), b"{\"name\": \"t\"}")
        .unwrap();
    assert_eq!(changed["name"], "t");
}

#[test]
fn what_is_none_of_it_is_refused() {
    let opened = Opened::new();
    for line in [
        "GET /v1/files/..",
        "GET /v1/files/file_1/x",
        "PUT /v1/files",
        "GET /v1/models",
        "GET /",
    ] {
        assert_eq!(opened.status("anna", line), 404, "{line}");
    }
    assert_eq!(opened.status("anna", "POST /v1/files"), 400);
    assert_eq!(opened.status("anna", "GET /v1/files?limit=0"), 400);
    let body = b"{\"file_ids\": [\"file_1\"]}";
    assert_eq!(
        opened
            .ask("anna", "POST /v1/vector_stores", body)
            .unwrap_err()
            .status,
        404
    );
}

#[test]
fn there_is_room_for_so_many_stores() {
    let opened = Opened::new();
    for _ in 0..STORES_MAX {
        opened.ask("anna", "POST /v1/vector_stores", b"").unwrap();
    }
    assert_eq!(
        opened
            .ask("anna", "POST /v1/vector_stores", b"")
            .unwrap_err()
            .status,
        400
    );
}

mod vector_stores;
