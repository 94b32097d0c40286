//! Texts in the order of how well they answer a query, all the way from a client to a model; the model is of random
//! numbers, so the order has no meaning, but it is one.

use std::fs::File;

use e2e::CHAT_MODEL;
use e2e::http::Answer;
use e2e::node::Node;
use serde_json::{Value, json};

#[path = "../../../../host/engine/tests/engine/tiny_ranker.rs"]
#[allow(dead_code, reason = "the engine's tests use more of it")]
mod tiny_ranker;

/// What may differ between two ways to the same score: llama.cpp rounds otherwise with other texts beside it. Texts that
/// differ are much further apart.
const CLOSE: f64 = 5e-3;

const QUERY: &str = "what is machine learning";
const TEXTS: [&str; 5] = [
    "paris is a city",
    "machine learning is a field of study",
    "learning is what some do",
    "paris is a city",
    "a machine has parts",
];

#[test]
fn a_node_with_a_ranking_model_ranks() {
    let node = Node::new();
    node.set("embedding_model", "");
    node.start();
    a_node_without_one_says_what_to_do(&node);
    let path = node.home().join("ranker.gguf");
    let mut file = File::create(&path).unwrap();
    tiny_ranker::write_encoder(tiny_ranker::ENCODER, &mut file);
    only_what_ranks_can_be_named(&node);
    node.set("reranking_model", &path.to_string_lossy());
    node.set("reranking_name", "judge");
    node.gaia_ok(&["restart"]);
    node.wait_until_ready();
    it_is_shown(&node);
    texts_are_ordered_by_their_scores(&node);
    scores_are_the_same_however_they_are_asked_for(&node);
    others_ask_in_their_own_words(&node);
    what_cannot_be_ranked_is_refused(&node);
    assert!(node.gauge("gaia_reranking_tokens_total").unwrap() > 100.0);
}

fn rank(node: &Node, fields: Value) -> Answer {
    let mut body = json!({"query": QUERY});
    let fields = fields.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    node.post("/v1/rerank", &body)
}

#[track_caller]
fn ranked(node: &Node, fields: Value) -> Value {
    let answer = rank(node, fields);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// Indexes and scores, in the order of the answer.
fn results(answer: &Value) -> Vec<(usize, f64)> {
    let results = answer["results"].as_array().unwrap().iter();
    results
        .map(|one| {
            let index = usize::try_from(one["index"].as_u64().unwrap()).unwrap();
            (index, one["relevance_score"].as_f64().unwrap())
        })
        .collect()
}

fn score_of(results: &[(usize, f64)], wanted: usize) -> f64 {
    let mut results = results.iter();
    results.find(|(index, _)| *index == wanted).unwrap().1
}

fn a_node_without_one_says_what_to_do(node: &Node) {
    let refused = rank(node, json!({"documents": TEXTS}));
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.text.contains("reranking_model"), "{}", refused.text);
    assert_eq!(refused.json()["error"]["param"], "model");
    assert_eq!(node.get("/ready").json()["reranking"], Value::Null);
}

fn only_what_ranks_can_be_named(node: &Node) {
    let refused = node.gaia(&["config", "set", "reranking_model", CHAT_MODEL]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("which is a model for chat"), "{said}");
    assert_eq!(refused.status.code(), Some(2), "{said}");
}

fn it_is_shown(node: &Node) {
    assert_eq!(node.get("/ready").json()["reranking"], "judge");
    let models = node.get("/v1/models").json();
    let judge = models["data"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&judge["id"], &judge["kind"], &judge["context_length"]),
        (
            &json!("judge"),
            &json!("reranking"),
            &json!(tiny_ranker::CONTEXT)
        )
    );
    let info = node.get("/v1/info").json();
    assert_eq!(info["models"]["reranking"]["architecture"], "bert");
    assert!(node.gaia_ok(&["status"]).contains("reranking  judge"));
    assert!(node.gaia_ok(&["doctor"]).contains("memory (rank)"));
}

fn texts_are_ordered_by_their_scores(node: &Node) {
    let all = ranked(node, json!({"documents": TEXTS, "model": "judge"}));
    assert_eq!(
        (&all["object"], &all["model"]),
        (&json!("list"), &json!("judge"))
    );
    let order = results(&all);
    assert_eq!(order.len(), TEXTS.len());
    assert!(order.is_sorted_by(|a, b| a.1 >= b.1), "{order:?}");
    let mut indexes: Vec<_> = order.iter().map(|(index, _)| *index).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1, 2, 3, 4]);
    // Equal texts have equal scores, and stand in the order in which they were sent.
    assert!((score_of(&order, 0) - score_of(&order, 3)).abs() < CLOSE);
    assert!((score_of(&order, 0) - score_of(&order, 1)).abs() > CLOSE);
    let again = ranked(node, json!({"documents": TEXTS}));
    assert_eq!(again, all);
    let best = ranked(node, json!({"documents": TEXTS, "top_n": 2}));
    assert_eq!(results(&best), order[..2]);
    assert_eq!(best["usage"], all["usage"]);
    let more = ranked(node, json!({"documents": TEXTS, "top_n": 99}));
    assert_eq!(results(&more), order);
    let shown = ranked(
        node,
        json!({"documents": TEXTS, "top_n": 1, "return_documents": true}),
    );
    assert_eq!(shown["results"][0]["document"]["text"], TEXTS[order[0].0]);
}

/// One by one, in one call, and among so many that the worker sends them in several pieces.
fn scores_are_the_same_however_they_are_asked_for(node: &Node) {
    let together = ranked(node, json!({"documents": TEXTS}));
    let order = results(&together);
    let tokens = |answer: &Value| answer["usage"]["total_tokens"].as_u64().unwrap();
    let mut sum = 0;
    for (index, text) in TEXTS.iter().enumerate() {
        let alone = ranked(node, json!({"documents": [text]}));
        let score = results(&alone)[0].1;
        assert!((score - score_of(&order, index)).abs() < CLOSE, "{text}");
        sum += tokens(&alone);
    }
    assert_eq!(tokens(&together), sum);
    assert_eq!(together["usage"]["prompt_tokens"], sum);
    let mut many = vec!["it is not that"; 100];
    many[90] = TEXTS[1];
    let many = results(&ranked(node, json!({"documents": many})));
    assert_eq!(many.len(), 100);
    assert!((score_of(&many, 90) - score_of(&order, 1)).abs() < CLOSE);
}

fn others_ask_in_their_own_words(node: &Node) {
    let order = results(&ranked(node, json!({"documents": TEXTS})));
    let short = ranked(node, json!({"texts": TEXTS, "return_text": true}));
    let short = short.as_array().unwrap();
    let found: Vec<_> = short
        .iter()
        .map(|one| one["index"].as_u64().unwrap())
        .collect();
    let expected: Vec<_> = order.iter().map(|(index, _)| *index as u64).collect();
    assert_eq!(found, expected);
    assert_eq!(short[0]["text"], TEXTS[order[0].0]);
    let body = json!({"query": QUERY, "documents": TEXTS, "model": "reranking"});
    let unversioned = node.post("/rerank", &body).json();
    assert_eq!(results(&unversioned), order);
}

fn what_cannot_be_ranked_is_refused(node: &Node) {
    let check = |fields: Value, status: u16, part: &str| {
        let refused = rank(node, fields);
        assert_eq!(refused.status, status, "{}", refused.text);
        assert!(refused.text.contains(part), "{}", refused.text);
    };
    let long = "x".repeat(tiny_ranker::CONTEXT as usize);
    check(
        json!({"documents": ["a", long]}),
        400,
        "`documents[1]` and the query have ",
    );
    check(json!({"texts": [long]}), 400, "`texts[0]` and the query");
    check(json!({"documents": []}), 400, "documents");
    check(json!({"documents": [1]}), 400, "documents[0]");
    check(
        json!({"documents": ["a"], "truncate": true}),
        400,
        "never cut",
    );
    check(
        json!({"documents": ["a"], "model": "gpt-4o"}),
        404,
        "does not exist",
    );
    check(
        json!({"documents": ["a"], "model": CHAT_MODEL}),
        404,
        "chat model",
    );
    let chat = json!({"model": "judge", "messages": [{"role": "user", "content": "Hi"}]});
    let refused = node.post("/v1/chat/completions", &chat);
    assert_eq!(refused.status, 404, "{}", refused.text);
    assert!(refused.text.contains("reranking model"), "{}", refused.text);
    // And it still answers.
    ranked(node, json!({"documents": TEXTS}));
}
