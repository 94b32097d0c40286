//! Snapshots, from one store to another and back in time.

use crate::support::{Local, point};
use gaia_vector_store::{Limits, SnapshotLimits};
use serde_json::{Value, json};

async fn count(store: &Local, name: &str) -> Value {
    store
        .ok(
            "POST",
            &format!("/collections/{name}/points/count"),
            Value::Null,
        )
        .await["count"]
        .clone()
}

/// A store with the collection `a` of 300 points, an index and part of it optimised, and a
/// snapshot of it.
async fn with_snapshot() -> (Local, String) {
    let store = Local::new();
    store.filled("a", 200).await;
    store
        .ok(
            "PUT",
            "/collections/a/index?wait=true",
            json!({"field_name": "word", "field_schema": "keyword"}),
        )
        .await;
    store
        .ok(
            "PATCH",
            "/collections/a",
            json!({"optimizers_config": {"indexing_threshold": 1}}),
        )
        .await;
    store
        .ok("POST", "/collections/a/optimize", Value::Null)
        .await;
    let more: Vec<Value> = (201..=300).map(point).collect();
    store
        .ok("PUT", "/collections/a/points", json!({ "points": more }))
        .await;
    let description = store
        .ok("POST", "/collections/a/snapshots", Value::Null)
        .await;
    let name = description["name"].as_str().unwrap().to_owned();
    assert!(
        description["checksum"].as_str().unwrap().len() == 64,
        "{description}"
    );
    (store, name)
}

async fn download(store: &Local, name: &str) -> Vec<u8> {
    let (status, bytes) = store
        .send(
            "GET",
            &format!("/collections/a/snapshots/{name}"),
            &[],
            vec![],
        )
        .await;
    assert_eq!(status.as_u16(), 200);
    bytes
}

fn form(archive: &[u8]) -> Vec<u8> {
    let mut body = b"--x\r\ncontent-disposition: form-data; name=\"snapshot\"; filename=\"../../evil\"\r\n\r\n".to_vec();
    body.extend_from_slice(archive);
    body.extend_from_slice(b"\r\n--x--\r\n");
    body
}

const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=x");

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_moves_to_another_store() {
    let (store, name) = with_snapshot().await;
    let archive = download(&store, &name).await;
    let other = Local::new();
    let (status, reply) = other
        .send(
            "POST",
            "/collections/b/snapshots/upload?wait=true",
            &[FORM],
            form(&archive),
        )
        .await;
    assert_eq!(status.as_u16(), 200, "{}", String::from_utf8_lossy(&reply));
    assert_eq!(count(&other, "b").await, 300);
    let other = other.reopen();
    assert_eq!(count(&other, "b").await, 300);
    let nearest = other.ok("POST", "/collections/b/points/query", json!({"query": 250, "limit": 3, "filter": {"must": [{"key": "word", "match": {"value": "red"}}]}})).await;
    assert_eq!(nearest["points"].as_array().unwrap().len(), 3);
    let info = other.ok("GET", "/collections/b", Value::Null).await;
    assert_eq!(info["payload_schema"]["word"]["data_type"], "keyword");
    let raw = Local::new();
    let (status, _) = raw
        .send("POST", "/collections/c/snapshots/upload", &[], archive)
        .await;
    assert_eq!(status.as_u16(), 200);
    assert_eq!(count(&raw, "c").await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_goes_back_in_time() {
    let (store, name) = with_snapshot().await;
    store
        .ok(
            "POST",
            "/collections/a/points/delete?wait=true",
            json!({"filter": {}}),
        )
        .await;
    assert_eq!(count(&store, "a").await, 0);
    let location = format!("file:///qdrant/snapshots/a/{name}");
    store
        .ok(
            "PUT",
            "/collections/a/snapshots/recover",
            json!({ "location": location }),
        )
        .await;
    assert_eq!(count(&store, "a").await, 300);
    let store = store.reopen();
    assert_eq!(count(&store, "a").await, 300);
    store
        .ok(
            "PUT",
            "/collections/a/points?wait=true",
            json!({"points": [point(301)]}),
        )
        .await;
    assert_eq!(count(&store.reopen(), "a").await, 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_listed_and_deleted() {
    let (store, name) = with_snapshot().await;
    let list = store
        .ok("GET", "/collections/a/snapshots", Value::Null)
        .await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["name"], json!(name));
    store
        .ok(
            "DELETE",
            &format!("/collections/a/snapshots/{name}"),
            Value::Null,
        )
        .await;
    assert_eq!(
        store
            .ok("GET", "/collections/a/snapshots", Value::Null)
            .await,
        json!([])
    );
    for name in [name.as_str(), "..%2Fcollection.json", "collection.json"] {
        store
            .refused(
                "GET",
                &format!("/collections/a/snapshots/{name}"),
                Value::Null,
                404,
            )
            .await;
        store
            .refused(
                "DELETE",
                &format!("/collections/a/snapshots/{name}"),
                Value::Null,
                404,
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_archive_changes_nothing() {
    let (store, name) = with_snapshot().await;
    let mut archive = download(&store, &name).await;
    let upload = "/collections/a/snapshots/upload";
    for (path, headers, body) in [
        (upload, vec![FORM], form(b"no archive at all")),
        (upload, vec![FORM], form(&archive[..archive.len() / 2])),
        (
            upload,
            vec![FORM],
            b"--x\r\ncontent-disposition: form-data; name=\"other\"\r\n\r\nx\r\n--x--\r\n".to_vec(),
        ),
        (upload, vec![FORM], b"broken".to_vec()),
        (
            "/collections/a/snapshots/upload?checksum=00",
            vec![FORM],
            form(&archive),
        ),
    ] {
        let (status, reply) = store.send("POST", path, &headers, body).await;
        assert_eq!(status.as_u16(), 400, "{}", String::from_utf8_lossy(&reply));
        assert_eq!(count(&store, "a").await, 300);
    }
    // Bytes turned over somewhere inside: an error or a collection that answers, never an abort.
    for position in (0..archive.len()).step_by(archive.len() / 12) {
        archive[position] ^= 0xff;
        let (status, _) = store
            .send(
                "POST",
                "/collections/z/snapshots/upload",
                &[],
                archive.clone(),
            )
            .await;
        if status.as_u16() == 200 {
            store
                .call("POST", "/collections/z/points/query", json!({"query": 7}))
                .await;
            store.ok("DELETE", "/collections/z", Value::Null).await;
        }
        archive[position] ^= 0xff;
    }
    for location in [
        "http://169.254.169.254/a.snapshot",
        "https://example.com/a.snapshot",
    ] {
        store
            .refused(
                "PUT",
                "/collections/a/snapshots/recover",
                json!({ "location": location }),
                400,
            )
            .await;
    }
    for location in ["/etc/passwd", "file:///etc/passwd", "../collection.json"] {
        store
            .refused(
                "PUT",
                "/collections/a/snapshots/recover",
                json!({ "location": location }),
                404,
            )
            .await;
    }
    assert_eq!(count(&store, "a").await, 300);
    let inside = std::fs::read_dir(store.dir.path()).unwrap();
    let parts = inside
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains("part")
        })
        .count();
    assert_eq!(parts, 0, "no half archive stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_snapshots_are_reached() {
    let (store, name) = with_snapshot().await;
    let archive = download(&store, &name).await;
    let limits = |snapshot| Limits {
        snapshot,
        ..Limits::default()
    };
    for snapshot in [
        SnapshotLimits {
            archive_bytes_max: 100,
            ..SnapshotLimits::default()
        },
        SnapshotLimits {
            entries_max: 5,
            ..SnapshotLimits::default()
        },
        SnapshotLimits {
            unpacked_bytes_max: 1_000,
            ..SnapshotLimits::default()
        },
        SnapshotLimits {
            ratio_max: 0,
            ratio_free_bytes: 1_000,
            ..SnapshotLimits::default()
        },
        SnapshotLimits {
            depth_max: 2,
            ..SnapshotLimits::default()
        },
    ] {
        let shown = format!("{snapshot:?}");
        let other = Local::with(limits(snapshot));
        let (status, _) = other
            .send(
                "POST",
                "/collections/b/snapshots/upload",
                &[FORM],
                form(&archive),
            )
            .await;
        assert_eq!(status.as_u16(), 413, "{shown}");
        assert_eq!(
            other.ok("GET", "/collections", Value::Null).await["collections"],
            json!([])
        );
    }
    let few = Local::with(limits(SnapshotLimits {
        kept_max: 1,
        ..SnapshotLimits::default()
    }));
    few.filled("a", 1).await;
    few.ok("POST", "/collections/a/snapshots", Value::Null)
        .await;
    assert!(
        few.refused("POST", "/collections/a/snapshots", Value::Null, 400)
            .await
            .contains("which is the most")
    );
}
