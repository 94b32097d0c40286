//! `GET /config_pub.json`: what a GaiaNet node tells of its configuration, under the names it has there, every value
//! a string.
//!
//! Refuses to grow by itself: each key stands here by name. Keys, addresses of the store and prompts are not among
//! them.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;

use super::{Shared, json};
use crate::app::App;

pub(super) async fn get(State(app): Shared) -> Response {
    json(&told(&app))
}

fn told(app: &App) -> BTreeMap<&'static str, String> {
    let options = &app.options;
    let models = app.models().ok();
    let chat = models.and_then(|models| models.chat.as_ref());
    let chat = chat.map(|chat| &chat.model);
    let embedding = models.and_then(|models| models.embedding.as_ref());
    let name = |text: Option<&String>| text.cloned().unwrap_or_default();
    let context = |tokens: Option<u32>| tokens.map(|tokens| tokens.to_string()).unwrap_or_default();
    BTreeMap::from([
        ("address", name(options.node_id.as_ref())),
        ("description", name(options.node_name.as_ref())),
        ("chat_name", name(chat.map(|model| &model.id))),
        (
            "chat_ctx_size",
            context(chat.map(|model| model.facts.n_ctx)),
        ),
        ("embedding_name", name(embedding.map(|model| &model.id))),
        (
            "embedding_ctx_size",
            context(embedding.map(|model| model.facts.n_ctx)),
        ),
        ("embedding_collection_name", options.collection.clone()),
        ("context_window", options.context_window.to_string()),
        ("qdrant_limit", options.limit.to_string()),
        (
            "qdrant_score_threshold",
            options.score_threshold.to_string(),
        ),
        ("rag_policy", options.rag_policy.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{LoopbackAddress, Options, Secret};

    #[test]
    fn nothing_secret_is_told() {
        let secret = "geheim";
        let options = Options {
            worker_key: Some(Secret::new(secret)),
            store_key: Some(Secret::new(secret)),
            store_url: Some(LoopbackAddress {
                socket: ([127, 0, 0, 1], 6399).into(),
            }),
            system_prompt: Some(secret.to_owned()),
            rag_prompt: Some(secret.to_owned()),
            chat_template: Some(secret.into()),
            node_id: Some("0xabc".to_owned()),
            ..Options::default()
        };
        let told = told(&App::new(options));
        let text = serde_json::to_string(&told).unwrap();
        assert!(!text.contains(secret) && !text.contains("6399"), "{text}");
        assert_eq!(told["address"], "0xabc");
        assert_eq!(told["rag_policy"], "system-message");
        for key in told.keys() {
            let private = ["key", "secret", "password", "url", "prompt"];
            assert!(!private.iter().any(|part| key.contains(part)), "{key}");
        }
    }
}
