//! A query and texts in, a score for each out: those that the engine gives without us.

use std::fs::File;
use std::path::PathBuf;

use gaia_engine::{LoadOptions, Model};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wasmedge::{Guest, Start, embedding_model, with_each};

#[path = "../../../engine/tests/engine/tiny_ranker.rs"]
#[allow(dead_code, reason = "the engine's tests use more of it")]
mod tiny_ranker;

const INVALID_ARGUMENT: i64 = 1;
const UNSUPPORTED: i64 = 6;
const PROMPT_TOO_LONG: i64 = 102;
/// What may differ between two ways to the same score: llama.cpp rounds otherwise with other texts beside it. Texts that
/// differ are much further apart.
const CLOSE: f64 = 5e-3;

fn ranker(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("ranker.gguf");
    let mut file = File::create(&path).unwrap();
    tiny_ranker::write_encoder(tiny_ranker::ENCODER, &mut file);
    path
}

fn wait(guest: &mut Guest, context: u64) {
    loop {
        match guest.on("step", context) {
            Ok(_) => break,
            Err(errno) => assert_eq!(errno, 4),
        }
    }
}

fn floats(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn scores_are_those_of_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = ranker(&folder);
    let query = "what is learning";
    let texts = ["paris", "machine learning", "it is [SEP] not", "paris"];
    let options = LoadOptions {
        threads: Some(1),
        ..LoadOptions::default()
    };
    let model = Model::load(&path, &options).unwrap();
    let owned = texts.map(str::to_owned);
    let direct = model.rank(query, &owned).unwrap().wait().unwrap();
    drop(model);
    with_each(|wasmedge| {
        let start = Start::default().preload("reranking", &path);
        let start = start.orders("GAIA_NN_RERANKING", json!({}));
        let mut guest = start.run(wasmedge);
        guest.load("reranking").unwrap();
        let context = guest.context();
        let facts = guest.get(context, 2, "json").unwrap();
        let told = (&facts["reranking"], &facts["embedding"], &facts["pooling"]);
        assert_eq!(told, (&json!(true), &json!(false), &json!("rank")));

        let metadata = json!({"non-blocking": true, "reranking": true});
        guest.set(context, 1, metadata).unwrap();
        let pairs = json!({"query": query, "documents": texts});
        guest.set(context, 3, pairs).unwrap();
        let counted = guest.get(context, 7, "json").unwrap();
        wait(&mut guest, context);
        let scores = floats(&guest.get(context, 4, "f32").unwrap());
        assert_eq!(scores.len(), texts.len());
        for (score, own) in scores.iter().zip(&direct.values) {
            assert!((score - f64::from(*own)).abs() < CLOSE, "{scores:?}");
        }
        assert_eq!(guest.get(context, 6, "i32").unwrap(), counted);
        assert_eq!(counted, json!(direct.tokens));
        let total: usize = direct.tokens.iter().sum();
        let metadata = guest.get(context, 1, "json").unwrap();
        assert_eq!(metadata["input_tokens"], json!(total));
        guest.end();
    });
}

#[test]
fn what_is_no_query_with_texts_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = ranker(&folder);
    with_each(|wasmedge| {
        let start = Start::default().preload("reranking", &path);
        let start = start.orders("GAIA_NN_RERANKING", json!({}));
        let mut guest = start.run(wasmedge);
        guest.load("reranking").unwrap();
        let context = guest.context();
        let pairs = json!({"query": "q", "documents": ["a"]});
        // One text, or several, are for embedding.
        guest.set(context, 0, json!("a")).unwrap();
        assert_eq!(guest.on("compute", context), Err(UNSUPPORTED));
        guest.set(context, 3, json!(["a"])).unwrap();
        assert_eq!(guest.on("compute", context), Err(UNSUPPORTED));
        let long = json!({"query": "q", "documents": ["a", "x".repeat(600)]});
        guest.set(context, 3, long).unwrap();
        assert_eq!(guest.on("compute", context), Err(PROMPT_TOO_LONG));
        assert_eq!(
            guest.set(context, 3, json!({"query": "q"})),
            Err(INVALID_ARGUMENT)
        );
        guest.set(context, 3, pairs.clone()).unwrap();
        guest.on("compute", context).unwrap();
        guest.end();

        let mut guest = Start::embedding().run(wasmedge);
        guest.load("embedding").unwrap();
        let context = guest.context();
        guest.set(context, 3, pairs).unwrap();
        assert_eq!(guest.on("compute", context), Err(UNSUPPORTED));
        assert_eq!(guest.get(context, 7, "json"), Err(UNSUPPORTED));
        guest.end();
        // A model that makes vectors is none that ranks.
        let start = Start::default().preload("reranking", &embedding_model());
        let start = start.orders("GAIA_NN_RERANKING", json!({"reranking": true}));
        let mut guest = start.run(wasmedge);
        assert_eq!(guest.load("reranking"), Err(INVALID_ARGUMENT));
        guest.end();
    });
}
