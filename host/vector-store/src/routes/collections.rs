//! Collections and their aliases.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::{Reply, Sent, parse};
use crate::VectorStore;
use crate::registry::AliasAction;

type Name = Path<String>;

pub(super) async fn list(State(store): State<VectorStore>) -> Response {
    let names: Vec<_> = store
        .registry()
        .names()
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    Reply::started().ok(json!({ "collections": names }))
}

pub(super) async fn create(
    State(store): State<VectorStore>,
    Path(name): Name,
    Sent(body): Sent,
) -> Response {
    let work = move || store.registry().create(&name, parse(&body)?).map(|()| true);
    Reply::started().run(work).await
}

pub(super) async fn update(
    State(store): State<VectorStore>,
    Path(name): Name,
    Sent(body): Sent,
) -> Response {
    let work = move || {
        store.registry().get(&name)?.reconfigure(parse(&body)?)?;
        Ok(true)
    };
    Reply::started().run(work).await
}

pub(super) async fn delete(State(store): State<VectorStore>, Path(name): Name) -> Response {
    Reply::started()
        .run(move || store.registry().delete(&name))
        .await
}

pub(super) async fn info(State(store): State<VectorStore>, Path(name): Name) -> Response {
    Reply::started()
        .run(move || store.registry().get(&name)?.info())
        .await
}

pub(super) async fn exists(State(store): State<VectorStore>, Path(name): Name) -> Response {
    Reply::started().ok(json!({ "exists": store.registry().get(&name).is_ok() }))
}

/// Runs the optimiser now and answers when it is done.
pub(super) async fn optimize(State(store): State<VectorStore>, Path(name): Name) -> Response {
    Reply::started()
        .run(move || store.registry().get(&name)?.optimize())
        .await
}

pub(super) async fn aliases(State(store): State<VectorStore>) -> Response {
    Reply::started().ok(json!({ "aliases": store.registry().aliases(None) }))
}

pub(super) async fn aliases_of(State(store): State<VectorStore>, Path(name): Name) -> Response {
    let work = move || {
        let name = store.registry().get(&name)?.manifest().name;
        Ok(json!({ "aliases": store.registry().aliases(Some(&name)) }))
    };
    Reply::started().run(work).await
}

pub(super) async fn change_aliases(State(store): State<VectorStore>, Sent(body): Sent) -> Response {
    #[derive(Deserialize)]
    struct Body {
        actions: Vec<AliasAction>,
    }
    let work = move || {
        store
            .registry()
            .change_aliases(parse::<Body>(&body)?.actions)?;
        Ok(true)
    };
    Reply::started().run(work).await
}
