//! Taking a collection over from a running server.

use crate::support::{KEY, Local, Process, point};
use gaia_vector_store::{ApiKey, ImportError, Options, RemoteCollection, VectorStore};
use serde_json::{Value, json};

fn remote(server: &Process, collection: &str, key: &str) -> RemoteCollection {
    RemoteCollection {
        url: format!("http://{}/", server.address()),
        collection: collection.to_owned(),
        api_key: Some(ApiKey::new(key)),
    }
}

#[test]
fn a_collection_comes_over_whole() {
    let there = tempfile::tempdir().unwrap();
    let server = Process::start(there.path());
    let mut client = server.client();
    client.ok("PUT", "/collections/a", json!({
        "vectors": {"size": 4, "distance": "Cosine"}, "sparse_vectors": {"words": {"modifier": "idf"}}, "hnsw_config": {"m": 7},
    }));
    let mut points: Vec<Value> = (1..=600).map(point).collect();
    points.push(json!({"id": "0190e8f4-7b7c-7000-8000-000000000000", "vector": {"words": {"indices": [3], "values": [1.0]}}}));
    client.ok(
        "PUT",
        "/collections/a/points?wait=true",
        json!({ "points": points }),
    );
    client.ok(
        "PUT",
        "/collections/a/index?wait=true",
        json!({"field_name": "word", "field_schema": "keyword"}),
    );
    client.ok("PUT", "/collections/a/index?wait=true", json!({"field_name": "n", "field_schema": {"type": "integer", "range": true, "lookup": false}}));

    let here = tempfile::tempdir().unwrap();
    let store = VectorStore::open(here.path(), Options::default()).unwrap();
    let mut steps = Vec::new();
    let count = store
        .import(&remote(&server, "a", KEY), "b", |points| steps.push(points))
        .unwrap();
    assert_eq!(count, 601);
    assert_eq!(steps, [256, 512, 601]);
    assert!(matches!(
        store.import(&remote(&server, "a", KEY), "b", |_| {}),
        Err(ImportError::Keep(_))
    ));
    assert!(matches!(
        store.import(&remote(&server, "nope", KEY), "c", |_| {}),
        Err(ImportError::Ask { .. })
    ));
    assert!(matches!(
        store.import(&remote(&server, "a", "wrong"), "c", |_| {}),
        Err(ImportError::Ask { .. })
    ));
    drop(store);

    let mut original = client.ok("GET", "/collections/a", Value::Null);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Local::at(here);
        let copy = store.ok("GET", "/collections/b", Value::Null).await;
        assert_eq!(copy["config"], original["config"].take());
        assert_eq!(copy["payload_schema"], original["payload_schema"].take());
        let scroll = json!({"limit": 1_000, "with_vector": true});
        let points = store
            .ok("POST", "/collections/b/points/scroll", scroll.clone())
            .await;
        assert_eq!(
            points,
            client.ok("POST", "/collections/a/points/scroll", scroll)
        );
        assert_eq!(
            store.ok("GET", "/collections", Value::Null).await["collections"],
            json!([{"name": "b"}])
        );
    });
}

#[test]
fn a_server_that_goes_away_leaves_nothing() {
    let there = tempfile::tempdir().unwrap();
    let server = Process::start(there.path());
    let mut client = server.client();
    client.ok(
        "PUT",
        "/collections/a",
        json!({"vectors": {"size": 4, "distance": "Cosine"}}),
    );
    let points: Vec<Value> = (1..=600).map(point).collect();
    client.ok(
        "PUT",
        "/collections/a/points?wait=true",
        json!({ "points": points }),
    );

    let here = tempfile::tempdir().unwrap();
    let store = VectorStore::open(here.path(), Options::default()).unwrap();
    let from = remote(&server, "a", KEY);
    let mut server = Some(server);
    let result = store.import(&from, "a", |_| {
        if let Some(server) = server.take() {
            server.kill();
        }
    });
    assert!(matches!(result, Err(ImportError::Ask { .. })), "{result:?}");
    assert_eq!(
        std::fs::read_dir(here.path().join("collections"))
            .unwrap()
            .count(),
        0
    );
}
