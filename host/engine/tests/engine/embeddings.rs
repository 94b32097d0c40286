//! Vectors: the same however they are asked for, and about the meaning.

use gaia_engine::{Embeddings, Input};

use crate::models::embedding;

fn embed(texts: &[&str]) -> Embeddings {
    let inputs = texts
        .iter()
        .map(|text| Input::Text((*text).to_owned()))
        .collect();
    embedding().embed(inputs).unwrap().wait().unwrap()
}

fn vectors(embeddings: &Embeddings) -> Vec<&[f32]> {
    embeddings.values.chunks(embeddings.dimensions).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn together_or_one_by_one() {
    let long = "The node keeps its knowledge in a store. ".repeat(30);
    let mut texts = vec!["How do I start a node?", "Bananas are yellow.", "x", &long];
    texts.extend(["filler text that fills the batch"; 90]);
    let together = embed(&texts);
    assert_eq!(together.values.len(), texts.len() * together.dimensions);
    for (index, text) in texts.iter().enumerate().take(5) {
        let alone = embed(&[text]);
        let similarity = cosine(vectors(&together)[index], vectors(&alone)[0]);
        assert!(similarity > 0.9999, "{text:.20}: {similarity}");
        assert_eq!(together.tokens[index], alone.tokens[0]);
    }
}

#[test]
fn tokens_are_as_good_as_text() {
    let text = "How do I start a node?";
    let ids = embedding().tokenize_input(text).unwrap();
    let from_ids = embedding()
        .embed(vec![Input::Tokens(ids)])
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(from_ids, embed(&[text]));
}

#[test]
fn length_is_one_and_meaning_is_near() {
    let embeddings = embed(&[
        "How do I start my node?",
        "Run the start command to launch a node.",
        "A recipe for banana bread.",
    ]);
    let [question, answer, other] = vectors(&embeddings)[..] else {
        panic!("three vectors");
    };
    for vector in [question, answer, other] {
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-4);
    }
    assert!(cosine(question, answer) > cosine(question, other) + 0.3);
}

#[test]
fn calls_at_the_same_time_each_get_their_own() {
    let texts: Vec<String> = (0..16).map(|n| format!("Sentence number {n}.")).collect();
    let mut calls: Vec<_> = texts
        .iter()
        .map(|text| embedding().embed(vec![Input::Text(text.clone())]).unwrap())
        .collect();
    drop(calls.pop());
    for (text, call) in texts.iter().zip(&mut calls) {
        let outcome = call.wait().unwrap();
        let alone = embed(&[text]);
        assert!(cosine(&outcome.values, &alone.values) > 0.9999, "{text}");
    }
}
