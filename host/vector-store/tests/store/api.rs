//! Qdrant's API as clients use it, asked through the router.

use crate::support::{Local, point, vector};
use gaia_vector_store::{ApiKey, Limits, Options, VectorStore};
use serde_json::{Value, json};

fn ids(points: &Value) -> Vec<u64> {
    points
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["id"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_come_and_go() {
    let store = Local::new();
    let body = json!({"vectors": {"size": 4, "distance": "Cosine"}, "hnsw_config": {"m": 8}});
    assert_eq!(
        store.ok("PUT", "/collections/a", body.clone()).await,
        json!(true)
    );
    assert!(
        store
            .refused("PUT", "/collections/a", body, 409)
            .await
            .contains("already exists")
    );
    assert_eq!(
        store.ok("GET", "/collections/a/exists", Value::Null).await["exists"],
        true
    );
    assert_eq!(
        store.ok("GET", "/collections", Value::Null).await["collections"],
        json!([{"name": "a"}])
    );
    let info = store.ok("GET", "/collections/a", Value::Null).await;
    assert_eq!(info["status"], "green");
    assert_eq!(
        info["config"]["params"]["vectors"],
        json!({"size": 4, "distance": "Cosine"})
    );
    assert_eq!(info["config"]["hnsw_config"]["m"], 8);

    let store = store.reopen();
    assert_eq!(
        store.ok("GET", "/collections/a/exists", Value::Null).await["exists"],
        true
    );
    assert_eq!(
        store.ok("DELETE", "/collections/a", Value::Null).await,
        json!(true)
    );
    assert_eq!(
        store.ok("DELETE", "/collections/a", Value::Null).await,
        json!(false)
    );
    assert!(
        store
            .refused("GET", "/collections/a", Value::Null, 404)
            .await
            .contains("doesn't exist")
    );
    let store = store.reopen();
    assert_eq!(
        store.ok("GET", "/collections", Value::Null).await["collections"],
        json!([])
    );
    let left = std::fs::read_dir(store.dir.path().join("collections"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "the folder is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_never_become_paths() {
    let store = Local::new();
    let body = json!({"vectors": {"size": 4, "distance": "Dot"}});
    for name in ["..%2F..%2Fevil", "a%2Fb", "a%5Cb", "a%00b", "a%3Ab"] {
        store
            .refused("PUT", &format!("/collections/{name}"), body.clone(), 422)
            .await;
    }
    store.ok("PUT", "/collections/%2E%2E", body).await;
    assert_eq!(
        store.ok("GET", "/collections", Value::Null).await["collections"],
        json!([{"name": ".."}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn points_are_written_and_read() {
    let store = Local::new();
    store.filled("a", 10).await;
    assert_eq!(
        store
            .ok("POST", "/collections/a/points/count", json!({}))
            .await["count"],
        10
    );
    let found = store
        .ok(
            "POST",
            "/collections/a/points",
            json!({"ids": [3, 99, 1], "with_vector": true}),
        )
        .await;
    assert_eq!(ids(&found), [3, 1]);
    assert_eq!(found[0]["payload"]["word"], "red");
    assert_eq!(found[0]["vector"].as_array().unwrap().len(), 4);
    let one = store
        .ok("GET", "/collections/a/points/7", Value::Null)
        .await;
    assert_eq!(one["payload"]["n"], 7);
    store
        .refused("GET", "/collections/a/points/77", Value::Null, 404)
        .await;
    store
        .refused("GET", "/collections/a/points/seven", Value::Null, 400)
        .await;

    let first = store
        .ok(
            "POST",
            "/collections/a/points/scroll",
            json!({"limit": 6, "with_payload": false}),
        )
        .await;
    assert_eq!(ids(&first["points"]), [1, 2, 3, 4, 5, 6]);
    assert_eq!(first["next_page_offset"], 7);
    let rest = store
        .ok(
            "POST",
            "/collections/a/points/scroll",
            json!({"limit": 6, "offset": 7}),
        )
        .await;
    assert_eq!(ids(&rest["points"]), [7, 8, 9, 10]);
    assert!(rest["next_page_offset"].is_null());

    store
        .ok(
            "POST",
            "/collections/a/points/delete?wait=true",
            json!({"points": [1, 2]}),
        )
        .await;
    store
        .ok(
            "POST",
            "/collections/a/points/delete?wait=true",
            json!({"filter": {"must": [{"key": "even", "match": {"value": true}}]}}),
        )
        .await;
    let left = store
        .ok("POST", "/collections/a/points/scroll", json!({}))
        .await;
    assert_eq!(ids(&left["points"]), [3, 5, 7, 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_find_the_nearest() {
    let store = Local::new();
    store.filled("a", 20).await;
    let query = |body| store.ok("POST", "/collections/a/points/query", body);
    let nearest = query(json!({"query": vector(5), "limit": 3, "with_payload": true})).await;
    assert_eq!(nearest["points"][0]["id"], 5);
    assert!((nearest["points"][0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    assert_eq!(nearest["points"][0]["payload"]["n"], 5);
    let cut = query(json!({"query": vector(5), "score_threshold": 0.9999})).await;
    assert_eq!(ids(&cut["points"]), [5]);
    let filtered =
        query(json!({"query": vector(5), "filter": {"must_not": [{"has_id": [5]}]}})).await;
    assert!(!ids(&filtered["points"]).contains(&5));
    let by_id = query(json!({"query": 5, "limit": 20})).await;
    assert!(
        !ids(&by_id["points"]).contains(&5),
        "a point is not its own answer"
    );
    let recommended = query(json!({"query": {"recommend": {"positive": [5], "negative": [6], "strategy": "best_score"}}, "limit": 20})).await;
    assert_eq!(recommended["points"].as_array().unwrap().len(), 18);
    let fused = query(json!({
        "prefetch": [{"query": vector(1), "limit": 3}, {"query": vector(2), "limit": 3}],
        "query": {"fusion": "rrf"}, "limit": 5,
    }))
    .await;
    assert!(ids(&fused["points"]).contains(&1) && ids(&fused["points"]).contains(&2));
    let boosted = query(json!({
        "prefetch": {"query": vector(1), "limit": 20},
        "query": {"formula": {"sum": ["$score", {"mult": [100.0, {"key": "n", "match": {"value": 9}}]}]}}, "limit": 1,
    })).await;
    assert_eq!(ids(&boosted["points"]), [9]);
    let diverse = query(json!({"query": {"nearest": vector(1), "mmr": {"diversity": 0.9, "candidates_limit": 10}}, "limit": 3})).await;
    assert_eq!(diverse["points"].as_array().unwrap().len(), 3);
    assert_eq!(
        query(json!({"query": {"sample": "random"}, "limit": 4})).await["points"]
            .as_array()
            .unwrap()
            .len(),
        4
    );

    let batch = store.ok("POST", "/collections/a/points/query/batch", json!({"searches": [{"query": vector(1), "limit": 1}, {"query": vector(2), "limit": 1}]})).await;
    assert_eq!(
        (&batch[0]["points"][0]["id"], &batch[1]["points"][0]["id"]),
        (&json!(1), &json!(2))
    );
    let old = store
        .ok(
            "POST",
            "/collections/a/points/search",
            json!({"vector": vector(5), "limit": 1}),
        )
        .await;
    assert_eq!(ids(&old), [5]);
    let groups = store
        .ok(
            "POST",
            "/collections/a/points/query/groups",
            json!({"query": vector(5), "group_by": "word", "limit": 3, "group_size": 2}),
        )
        .await;
    assert_eq!(groups["groups"].as_array().unwrap().len(), 3);
    assert_eq!(groups["groups"][0]["hits"].as_array().unwrap().len(), 2);
    let pairs = store
        .ok(
            "POST",
            "/collections/a/points/search/matrix/pairs",
            json!({"sample": 5, "limit": 2}),
        )
        .await;
    assert_eq!(pairs["pairs"].as_array().unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_and_change_nothing() {
    let store = Local::new();
    store.filled("a", 3).await;
    let put = "/collections/a/points?wait=true";
    let mixed = json!({"points": [point(4), {"id": 5, "vector": [1.0]}]});
    assert!(
        store
            .refused("PUT", put, mixed, 400)
            .await
            .contains("expected dim: 4, got 1")
    );
    assert!(
        store
            .refused(
                "PUT",
                put,
                json!({"points": [{"id": -1, "vector": []}]}),
                400
            )
            .await
            .contains("JSON")
    );
    assert!(
        store
            .refused("PUT", "/collections/b/points", json!({"points": []}), 404)
            .await
            .contains("`b`")
    );
    assert_eq!(
        store
            .ok("POST", "/collections/a/points/count", Value::Null)
            .await["count"],
        3
    );
    for (body, status) in [
        (json!({"query": [1.0]}), 400),
        (json!({"query": vector(1), "limit": 0}), 422),
        (json!({"query": vector(1), "limit": 70_000}), 422),
        (json!({"query": vector(1), "using": "nope"}), 400),
        (json!({"query": 999}), 404),
        (json!({"query": {"fusion": "rrf"}}), 400),
        (json!({"query": {"text": "hello", "model": "x"}}), 400),
        (json!({"querry": 1}), 400),
        (
            json!({"query": vector(1), "filter": {"must": [{"kee": "n"}]}}),
            400,
        ),
        (json!([1]), 400),
    ] {
        store
            .refused("POST", "/collections/a/points/query", body, status)
            .await;
    }
    let (status, _) = store.call("GET", "/nowhere", Value::Null).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_change_in_place() {
    let store = Local::new();
    store.filled("a", 3).await;
    let payload = |id: u64| {
        let store = &store;
        async move {
            store
                .ok("GET", &format!("/collections/a/points/{id}"), Value::Null)
                .await["payload"]
                .clone()
        }
    };
    store
        .ok(
            "POST",
            "/collections/a/points/payload?wait=true",
            json!({"payload": {"new": 1}, "points": [1]}),
        )
        .await;
    assert_eq!(
        (
            payload(1).await["new"].clone(),
            payload(1).await["n"].clone()
        ),
        (json!(1), json!(1))
    );
    store
        .ok(
            "PUT",
            "/collections/a/points/payload?wait=true",
            json!({"payload": {"only": 2}, "points": [1]}),
        )
        .await;
    assert_eq!(payload(1).await, json!({"only": 2}));
    store
        .ok(
            "POST",
            "/collections/a/points/payload/delete?wait=true",
            json!({"keys": ["word"], "points": [2]}),
        )
        .await;
    assert!(payload(2).await.get("word").is_none());
    store
        .ok(
            "POST",
            "/collections/a/points/payload/clear?wait=true",
            json!({"points": [3]}),
        )
        .await;
    assert_eq!(payload(3).await, json!({}));
    store
        .refused(
            "POST",
            "/collections/a/points/payload",
            json!({"payload": {}}),
            422,
        )
        .await;

    let operations = json!({"operations": [
        {"upsert": {"points": [point(4)]}},
        {"set_payload": {"payload": {"late": true}, "points": [4]}},
        {"delete": {"points": [1]}},
    ]});
    let replies = store
        .ok("POST", "/collections/a/points/batch?wait=true", operations)
        .await;
    assert_eq!(replies.as_array().unwrap().len(), 3);
    assert_eq!(replies[2]["status"], "completed");
    assert_eq!(payload(4).await["late"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_facets_and_order() {
    let store = Local::new();
    store.filled("a", 9).await;
    assert!(
        store
            .refused("POST", "/collections/a/facet", json!({"key": "word"}), 400)
            .await
            .contains("index")
    );
    store
        .ok(
            "PUT",
            "/collections/a/index?wait=true",
            json!({"field_name": "word", "field_schema": "keyword"}),
        )
        .await;
    store.ok("PUT", "/collections/a/index?wait=true", json!({"field_name": "n", "field_schema": {"type": "integer", "lookup": true, "range": true}})).await;
    let facet = store
        .ok("POST", "/collections/a/facet", json!({"key": "word"}))
        .await;
    assert_eq!(
        facet["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| hit["count"].as_u64().unwrap())
            .sum::<u64>(),
        9
    );
    let last = store
        .ok(
            "POST",
            "/collections/a/points/scroll",
            json!({"order_by": {"key": "n", "direction": "desc"}, "limit": 2}),
        )
        .await;
    assert_eq!(ids(&last["points"]), [9, 8]);
    let schema = store.ok("GET", "/collections/a", Value::Null).await["payload_schema"].clone();
    assert_eq!(schema["word"]["data_type"], "keyword");
    assert_eq!(schema["n"]["points"], 9);
    store
        .ok("DELETE", "/collections/a/index/word?wait=true", Value::Null)
        .await;
    let store = store.reopen();
    let schema = store.ok("GET", "/collections/a", Value::Null).await["payload_schema"].clone();
    assert!(schema.get("word").is_none() && schema.get("n").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn named_sparse_and_multi_vectors() {
    let store = Local::new();
    store.ok("PUT", "/collections/a", json!({
        "vectors": {"text": {"size": 2, "distance": "Dot"}, "tokens": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}},
        "sparse_vectors": {"words": {"modifier": "idf"}},
    })).await;
    store.ok("PUT", "/collections/a/points?wait=true", json!({"points": [
        {"id": 1, "vector": {"text": [1.0, 0.0], "tokens": [[1.0, 0.0], [0.0, 1.0]], "words": {"indices": [7, 3], "values": [1.0, 2.0]}}},
        {"id": 2, "vector": {"text": [0.0, 1.0]}},
    ]})).await;
    let query = |body| store.ok("POST", "/collections/a/points/query", body);
    assert_eq!(
        ids(&query(json!({"query": [1.0, 0.0], "using": "text", "limit": 1})).await["points"]),
        [1]
    );
    assert_eq!(
        ids(
            &query(json!({"query": {"indices": [3], "values": [1.0]}, "using": "words"})).await["points"]
        ),
        [1]
    );
    assert_eq!(
        ids(&query(json!({"query": [[0.5, 0.5]], "using": "tokens"})).await["points"]),
        [1]
    );
    let shown = store
        .ok(
            "POST",
            "/collections/a/points",
            json!({"ids": [1], "with_vector": ["words"]}),
        )
        .await;
    assert_eq!(shown[0]["vector"]["words"]["indices"], json!([3, 7]));
    store
        .ok(
            "PUT",
            "/collections/a/points/vectors?wait=true",
            json!({"points": [{"id": 2, "vector": {"words": {"indices": [3], "values": [9.0]}}}]}),
        )
        .await;
    assert_eq!(
        ids(&query(
            json!({"query": {"indices": [3], "values": [1.0]}, "using": "words", "limit": 1})
        )
        .await["points"]),
        [2]
    );
    store
        .ok(
            "POST",
            "/collections/a/points/vectors/delete?wait=true",
            json!({"points": [2], "vector": ["words"]}),
        )
        .await;
    assert_eq!(
        ids(
            &query(json!({"query": {"indices": [3], "values": [1.0]}, "using": "words"})).await["points"]
        ),
        [1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_are_other_names() {
    let store = Local::new();
    store.filled("a", 2).await;
    let change = |actions| {
        store.call(
            "POST",
            "/collections/aliases",
            json!({ "actions": actions }),
        )
    };
    assert_eq!(
        change(json!([{"create_alias": {"collection_name": "a", "alias_name": "current"}}]))
            .await
            .0,
        200
    );
    assert_eq!(
        store
            .ok("POST", "/collections/current/points/count", Value::Null)
            .await["count"],
        2
    );
    assert_eq!(
        change(json!([{"create_alias": {"collection_name": "zzz", "alias_name": "x"}}]))
            .await
            .0,
        404
    );
    assert_eq!(change(json!([{"delete_alias": {"alias_name": "current"}}, {"delete_alias": {"alias_name": "nope"}}])).await.0, 404);
    assert_eq!(
        change(json!([{"rename_alias": {"old_alias_name": "current", "new_alias_name": "now"}}]))
            .await
            .0,
        200,
        "nothing of the failed change stayed"
    );
    let store = store.reopen();
    assert_eq!(
        store.ok("GET", "/aliases", Value::Null).await["aliases"],
        json!([{"alias_name": "now", "collection_name": "a"}])
    );
    store.ok("DELETE", "/collections/a", Value::Null).await;
    assert_eq!(
        store.ok("GET", "/aliases", Value::Null).await["aliases"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_optimiser_indexes_what_is_large() {
    let store = Local::new();
    store.ok("PUT", "/collections/a", json!({"vectors": {"size": 4, "distance": "Cosine"}, "optimizers_config": {"indexing_threshold": 1}, "hnsw_config": {"full_scan_threshold": 1}})).await;
    let points: Vec<Value> = (1..=500).map(point).collect();
    store
        .ok(
            "PUT",
            "/collections/a/points?wait=true",
            json!({ "points": points }),
        )
        .await;
    assert_eq!(
        store
            .ok("POST", "/collections/a/optimize", Value::Null)
            .await,
        json!(true)
    );
    let info = store.ok("GET", "/collections/a", Value::Null).await;
    assert_eq!(
        (&info["points_count"], &info["indexed_vectors_count"]),
        (&json!(500), &json!(500))
    );
    assert_eq!(info["optimizer_status"], "ok");
    let store = store.reopen();
    assert_eq!(
        store
            .ok("POST", "/collections/a/points/count", Value::Null)
            .await["count"],
        500
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_reached() {
    let limits = Limits {
        collections_max: 1,
        body_bytes_max: 2_000,
        queries_max: 2,
        aliases_max: 1,
        ..Limits::default()
    };
    let store = Local::with(limits);
    store.filled("a", 2).await;
    let body = json!({"vectors": {"size": 4, "distance": "Dot"}});
    assert!(
        store
            .refused("PUT", "/collections/b", body, 400)
            .await
            .contains("1 collections")
    );
    let (status, _) = store
        .send("PUT", "/collections/a/points", &[], vec![b' '; 3_000])
        .await;
    assert_eq!(status.as_u16(), 413);
    let three = json!({"searches": [{"query": 1}, {"query": 1}, {"query": 1}]});
    store
        .refused("POST", "/collections/a/points/query/batch", three, 422)
        .await;
    let prefetches =
        json!({"prefetch": [{"query": 1}, {"query": 1}, {"query": 1}], "query": {"fusion": "rrf"}});
    store
        .refused("POST", "/collections/a/points/query", prefetches, 422)
        .await;
    let nested = (0..9).fold(
        json!({"query": vector(1)}),
        |inner, _| json!({"prefetch": inner, "query": vector(1)}),
    );
    let deep = Local::new();
    deep.filled("a", 2).await;
    deep.refused("POST", "/collections/a/points/query", nested, 422)
        .await;
    let aliases = json!({"actions": [{"create_alias": {"collection_name": "a", "alias_name": "x"}}, {"create_alias": {"collection_name": "a", "alias_name": "y"}}]});
    assert!(
        store
            .refused("POST", "/collections/aliases", aliases, 400)
            .await
            .contains("1 aliases")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_guards_everything_but_the_probes() {
    let dir = tempfile::tempdir().unwrap();
    let router = VectorStore::open(dir.path(), Options::default())
        .unwrap()
        .router(Some(ApiKey::new("k")));
    let status = |path: &'static str, header: Option<(&'static str, &'static str)>| {
        use tower::ServiceExt;
        let mut request = axum::http::Request::builder()
            .uri(path)
            .header("host", "elsewhere.example");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let response = router
            .clone()
            .oneshot(request.body(axum::body::Body::empty()).unwrap());
        async move { response.await.unwrap().status().as_u16() }
    };
    assert_eq!(status("/collections", None).await, 401);
    assert_eq!(status("/", None).await, 401);
    assert_eq!(status("/nowhere", None).await, 401);
    assert_eq!(status("/metrics", Some(("api-key", "wrong"))).await, 401);
    assert_eq!(status("/collections", Some(("api-key", "k"))).await, 200);
    assert_eq!(
        status("/collections", Some(("authorization", "Bearer k"))).await,
        200
    );
    assert_eq!(
        status("/collections", Some(("authorization", "bearer k"))).await,
        200
    );
    assert_eq!(
        status("/collections", Some(("authorization", "k"))).await,
        401
    );
    for probe in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(status(probe, None).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_only_this_machine_is_answered() {
    let store = Local::new();
    let (status, _) = store
        .send("GET", "/collections", &[("host", "localhost:6333")], vec![])
        .await;
    assert_eq!(status.as_u16(), 200);
    let (status, _) = store
        .send(
            "GET",
            "/collections",
            &[("host", "rebound.example:6333")],
            vec![],
        )
        .await;
    assert_eq!(status.as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_it_is() {
    let store = Local::new();
    store.filled("a", 2).await;
    let (_, version) = store.call("GET", "/", Value::Null).await;
    assert!(version["version"].as_str().unwrap().starts_with("1."));
    let (_, metrics) = store.send("GET", "/metrics", &[], vec![]).await;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(
        metrics.contains("collections_total 1")
            && metrics.contains("collection_points{collection=\"a\"} 2"),
        "{metrics}"
    );
    assert_eq!(
        store.ok("GET", "/telemetry", Value::Null).await["collections"]["number_of_collections"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_be_larger_than_a_file_of_the_log() {
    let store = Local::new();
    let body =
        json!({"vectors": {"size": 1024, "distance": "Dot"}, "wal_config": {"wal_capacity_mb": 1}});
    store.ok("PUT", "/collections/a", body).await;
    let points: Vec<Value> = (0..600)
        .map(|id| json!({"id": id, "vector": vec![id as f32; 1024]}))
        .collect();
    for _ in 0..3 {
        store
            .ok(
                "PUT",
                "/collections/a/points?wait=true",
                json!({ "points": points }),
            )
            .await;
    }
    let store = store.reopen();
    let count = store
        .ok("POST", "/collections/a/points/count", Value::Null)
        .await;
    assert_eq!(count["count"], 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_collection_leaves_the_others_alone() {
    let store = Local::new();
    store.filled("good", 5).await;
    store.filled("bad", 5).await;
    let collections = store.dir.path().join("collections");
    for entry in std::fs::read_dir(collections).unwrap() {
        let dir = entry.unwrap().path();
        let manifest = std::fs::read_to_string(dir.join("collection.json")).unwrap();
        if !manifest.contains("\"bad\"") {
            continue;
        }
        for file in files_below(&dir)
            .iter()
            .filter(|file| !file.ends_with("collection.json"))
        {
            std::fs::write(file, b"garbage").unwrap();
        }
    }
    let store = store.reopen();
    let count = store
        .ok("POST", "/collections/good/points/count", Value::Null)
        .await;
    assert_eq!(count["count"], 5);
    store
        .refused("POST", "/collections/bad/points/count", Value::Null, 500)
        .await;
    store.ok("DELETE", "/collections/bad", Value::Null).await;
    store.filled("bad", 3).await;
}

fn files_below(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
