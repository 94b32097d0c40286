//! Batches, attributes and contents of the files of vector stores, without a worker.

use gaia_openai::vector_store::{STORE_FILES_MAX, SearchRequest, StoreFile, VectorStore};

use super::*;

impl Opened {
    /// What is kept of a store of Anna's.
    fn kept(&self, path: &str) -> VectorStore {
        let id = path.rsplit('/').next().unwrap();
        self.library.named_store(&anna(), id).unwrap().1
    }
}

fn anna() -> Owner {
    Owner::parse("anna").unwrap()
}

#[test]
fn a_batch_waits_for_a_worker_also_over_a_restart() {
    let opened = Opened::new();
    let files = ["a.md", "b.md", "c.md"].map(|name| opened.upload("anna", name, "# A"));
    let store = opened.store_of("anna", &[&files[2]]);
    let body = json!({"files": [
        {"file_id": files[0], "attributes": {"year": 1874}},
        {"file_id": files[1]},
    ]});
    let batch = opened.post("anna", &format!("{store}/file_batches"), &body);
    let batch = batch.unwrap();
    assert_eq!(batch["object"], "vector_store.files_batch");
    assert_eq!(batch["status"], "in_progress");
    assert_eq!(batch["file_counts"]["total"], 2);
    let path = format!("{store}/file_batches/{}", batch["id"].as_str().unwrap());
    let opened = Opened::at(opened.folder);
    assert_eq!(opened.get("anna", &path), batch);
    let list = |query: &str| {
        let list = opened.get("anna", &format!("{path}/files{query}"));
        let data = list["data"].as_array().unwrap().clone();
        let names = data
            .iter()
            .map(|file| file["id"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(list(""), [files[1].clone(), files[0].clone()]);
    assert_eq!(list("?order=asc&limit=1"), [files[0].clone()]);
    assert_eq!(list(&format!("?before={}", files[0])), [files[1].clone()]);
    assert_eq!(list("?filter=in_progress").len(), 2);
    assert_eq!(list("?filter=completed").len(), 0);
    assert_eq!(
        opened.status("anna", &format!("GET {path}/files?filter=x")),
        400
    );
    let noted = opened.get("anna", &format!("{store}/files/{}", files[0]));
    assert_eq!(noted["attributes"], json!({"year": 1874}));
    assert_eq!(noted["chunking_strategy"]["type"], "static");
}

#[test]
fn what_of_a_batch_is_not_brought_in_is_cancelled() {
    let opened = Opened::new();
    let [one, other] = ["a.md", "b.md"].map(|name| opened.upload("anna", name, "# A"));
    let store = opened.store_of("anna", &[&other]);
    let batches = format!("{store}/file_batches");
    let batch = opened.post("anna", &batches, &json!({"file_ids": [one]}));
    let path = format!("{batches}/{}", batch.unwrap()["id"].as_str().unwrap());
    let cancelled = opened.post("anna", &format!("{path}/cancel"), &json!({}));
    let cancelled = cancelled.unwrap();
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["file_counts"]["cancelled"], 1);
    // Again, and after a restart, it is the same.
    let opened = Opened::at(opened.folder);
    let again = opened.given("anna", &format!("POST {path}/cancel"), b"");
    let again: Value = serde_json::from_slice(&again.unwrap().body).unwrap();
    assert_eq!(again, cancelled);
    let counts = opened.get("anna", &store)["file_counts"].clone();
    assert_eq!(
        (&counts["cancelled"], &counts["in_progress"]),
        (&json!(1), &json!(1))
    );
    // A file that is added again is on its way again.
    let added = opened.post("anna", &format!("{store}/files"), &json!({"file_id": one}));
    assert_eq!(added.unwrap()["status"], "in_progress");
    assert_eq!(opened.get("anna", &path)["status"], "in_progress");
}

#[test]
fn a_batch_with_a_file_that_is_not_there_adds_none() {
    let opened = Opened::new();
    let file = opened.upload("anna", "a.md", "# A");
    let store = opened.store_of("anna", &[]);
    let batches = format!("{store}/file_batches");
    for body in [
        json!({"file_ids": [file, "file_1"]}),
        json!({"file_ids": [file, "../../etc/passwd"]}),
    ] {
        let refused = opened.post("anna", &batches, &body).unwrap_err();
        assert_eq!(refused.status, 404, "{body}");
    }
    let refused = opened.post("anna", &batches, &json!({"file_ids": []}));
    assert_eq!(refused.unwrap_err().param.as_deref(), Some("file_ids"));
    assert_eq!(opened.get("anna", &store)["file_counts"]["total"], 0);
    assert_eq!(opened.library.batches.list(&anna(), "").len(), 0);
}

#[test]
fn a_batch_belongs_to_its_store() {
    let opened = Opened::new();
    let file = opened.upload("anna", "a.md", "# A");
    let (store, other) = (opened.store_of("anna", &[]), opened.store_of("anna", &[]));
    let batch = opened.post(
        "anna",
        &format!("{store}/file_batches"),
        &json!({"file_ids": [file]}),
    );
    let id = batch.unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        opened.status("anna", &format!("GET {store}/file_batches/{id}")),
        200
    );
    assert_eq!(
        opened.status("anna", &format!("GET {other}/file_batches/{id}")),
        404
    );
    assert_eq!(
        opened.status("anna", &format!("GET {store}/file_batches/vsfb_1")),
        404
    );
}

#[test]
fn the_oldest_batches_go() {
    let opened = Opened::new();
    let file = opened.upload("anna", "a.md", "# A");
    let store = opened.store_of("anna", &[]);
    let batches = format!("{store}/file_batches");
    let body = json!({"file_ids": [file]});
    let ids: Vec<String> = (0..=BATCHES_MAX)
        .map(|_| {
            opened.post("anna", &batches, &body).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        opened.status("anna", &format!("GET {batches}/{}", ids[0])),
        404
    );
    assert_eq!(
        opened.status("anna", &format!("GET {batches}/{}", ids[1])),
        200
    );
}

#[test]
fn attributes_are_changed_and_judged() {
    let opened = Opened::new();
    let file = opened.upload("anna", "a.md", "# A");
    let store = opened.store_of("anna", &[&file]);
    let path = format!("{store}/files/{file}");
    let changed = opened.post(
        "anna",
        &path,
        &json!({"attributes": {"town": "Brellin", "year": 1874}}),
    );
    assert_eq!(changed.unwrap()["attributes"]["year"], 1874);
    let opened = Opened::at(opened.folder);
    assert_eq!(opened.get("anna", &path)["attributes"]["town"], "Brellin");
    let refused = |body: Value| opened.post("anna", &path, &body).unwrap_err().param;
    assert_eq!(refused(json!({})).as_deref(), Some("attributes"));
    let kept = opened.kept(&store);
    let check = |key: &str, value: Value, expected: usize| {
        let filter = json!({"query": "q", "filters": {"type": "eq", "key": key, "value": value}});
        let search = SearchRequest::parse(filter.to_string().as_bytes(), &Limits::default());
        let taken = searching::taken(&kept, &search.unwrap().filters.unwrap());
        assert_eq!(taken.len(), expected, "{key} {value}");
    };
    check("town", json!("Brellin"), 1);
    check("town", json!("Rome"), 0);
    check("year", json!(1874), 1);
    // With nothing to look among, neither worker nor store is asked.
    let search = json!({"query": "q", "filters": {"type": "eq", "key": "town", "value": "Rome"}});
    let found = opened.post("anna", &format!("{store}/search"), &search);
    assert_eq!(found.unwrap()["data"], json!([]));
    assert_eq!(
        opened
            .post("anna", &path, &json!({"attributes": null}))
            .unwrap()["attributes"],
        json!({})
    );
}

#[test]
fn a_files_text_is_shown() {
    let opened = Opened::new();
    let page = opened.upload(
        "anna",
        "a.html",
        "<title>x</title><p>Tuesdays &amp; Fridays</p>",
    );
    let picture = opened.upload("anna", "a.png", "\0");
    let store = opened.store_of("anna", &[&page, &picture]);
    let content = opened.get("anna", &format!("{store}/files/{page}/content"));
    let text = content["data"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("Tuesdays & Fridays") && !text.contains('<'),
        "{text}"
    );
    assert_eq!(
        opened.status("anna", &format!("GET {store}/files/{picture}/content")),
        400
    );
    let other = opened.upload("anna", "b.md", "# B");
    assert_eq!(
        opened.status("anna", &format!("GET {store}/files/{other}/content")),
        404
    );
}

#[test]
fn sizes_of_chunks_wait_for_a_worker_that_knows_the_model() {
    let opened = Opened::new();
    let file = opened.upload("anna", "a.md", "# A");
    let store = opened.store_of("anna", &[]);
    let sizes = json!({"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20});
    let body = json!({"file_id": file, "chunking_strategy": {"type": "static", "static": sizes}});
    let refused = opened
        .post("anna", &format!("{store}/files"), &body)
        .unwrap_err();
    assert_eq!(refused.status, 503);
    let auto = json!({"file_id": file, "chunking_strategy": {"type": "auto"}});
    let added = opened
        .post("anna", &format!("{store}/files"), &auto)
        .unwrap();
    assert_eq!(
        added["chunking_strategy"]["static"]["max_chunk_size_tokens"],
        128
    );
}

#[test]
fn a_store_takes_so_many_files() {
    let opened = Opened::new();
    let file = opened.upload("anna", "a.md", "# A");
    let store = opened.store_of("anna", &[]);
    let mut kept = opened.kept(&store);
    kept.files = (0..STORE_FILES_MAX)
        .map(|at| StoreFile::new(at.to_string(), kept.id.clone(), 1, 1))
        .collect();
    opened.library.put_store(&anna(), &kept).unwrap();
    let refused = opened.post("anna", &format!("{store}/files"), &json!({"file_id": file}));
    assert_eq!(refused.unwrap_err().param.as_deref(), Some("file_id"));
    kept.files.pop();
    opened.library.put_store(&anna(), &kept).unwrap();
    let added = opened.post("anna", &format!("{store}/files"), &json!({"file_id": file}));
    assert!(added.is_ok());
    let again = opened.post("anna", &format!("{store}/files"), &json!({"file_id": file}));
    assert!(again.is_ok(), "a file that is there takes no place");
}
