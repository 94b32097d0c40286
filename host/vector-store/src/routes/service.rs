//! What the store says about itself: version, probes, numbers.

use std::fmt::Write;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Reply, blocking};
use crate::VectorStore;

/// The version of Qdrant whose API and files these are. Clients compare it with their own.
const QDRANT_VERSION: &str = "1.19.0";

pub(super) fn routes() -> Router<VectorStore> {
    Router::new()
        .route("/", get(version))
        .route("/healthz", get(|| async { "healthz check passed" }))
        .route("/livez", get(|| async { "livez check passed" }))
        .route("/readyz", get(|| async { "all shards are ready" }))
        .route("/metrics", get(metrics))
        .route("/telemetry", get(telemetry))
        .route("/cluster", get(cluster))
}

async fn version() -> Response {
    axum::Json(json!({
        "title": "gaia - vector store with Qdrant's engine",
        "version": QDRANT_VERSION,
        "gaia": env!("CARGO_PKG_VERSION"),
    }))
    .into_response()
}

async fn cluster() -> Response {
    Reply::started().ok(json!({ "status": "disabled" }))
}

async fn telemetry(State(store): State<VectorStore>) -> Response {
    let work = move || {
        let collections: Vec<Value> = store
            .registry()
            .all()
            .into_iter()
            .map(|(id, collection)| json!({"id": id, "info": collection.info().ok()}))
            .collect();
        Ok(json!({
            "id": "gaia",
            "app": {"name": "gaia", "version": env!("CARGO_PKG_VERSION")},
            "collections": {"number_of_collections": collections.len(), "collections": collections},
        }))
    };
    Reply::started().run(work).await
}

async fn metrics(State(store): State<VectorStore>) -> Response {
    let work = move || {
        let collections = store.registry().all();
        let mut text = String::new();
        let mut gauge = |name: &str, help: &str, rows: &[(String, usize)]| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (labels, value) in rows {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        gauge(
            "collections_total",
            "number of collections",
            &[(String::new(), collections.len())],
        );
        let (mut points, mut segments) = (Vec::new(), Vec::new());
        for (name, collection) in &collections {
            let Some(info) = collection.shard().ok().and_then(|shard| shard.info().ok()) else {
                continue;
            };
            let labels = format!("{{collection=\"{}\"}}", escape(name));
            points.push((labels.clone(), info.points_count));
            segments.push((labels, info.segments_count));
        }
        gauge(
            "collection_points",
            "approximate number of points in a collection",
            &points,
        );
        gauge(
            "collection_segments",
            "number of segments of a collection",
            &segments,
        );
        Ok(text)
    };
    match blocking(work).await {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => Reply::started().error(error),
    }
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
