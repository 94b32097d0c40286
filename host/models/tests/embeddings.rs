//! The converted embedding model, run by llama.cpp, against vectors that an independent program
//! made of the original weights (`scripts/reference-embeddings.py`).

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::env;
use std::path::PathBuf;

use gaia_engine::{Embeddings, Input, LoadOptions, Model};
use gaia_models::{Catalogue, Library, Settings};
use serde::Deserialize;

/// What is lost by 16-bit weights and llama.cpp's approximations may be no more than this.
const COSINE_MIN: f64 = 0.999;

#[derive(Deserialize)]
struct Reference {
    text: String,
    tokens: Vec<i32>,
    vector: Vec<f32>,
}

fn references() -> Vec<Reference> {
    serde_json::from_str(include_str!("reference-embeddings.json")).unwrap()
}

/// The model of the cache that set-up fills; fetched and converted if it is not there.
fn model() -> Model {
    let cache = env::var_os("GAIA_CACHE").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap()).join(".cache/gaia");
    let library = Library::new(Settings::new(cache.unwrap_or_else(home).join("models")));
    let catalogue = Catalogue::built_in();
    let manifest = catalogue.find("all-minilm-l6-v2").unwrap();
    let path = library.pull(manifest, &mut |_| {}).unwrap().path;
    Model::load(path, &LoadOptions::default()).unwrap()
}

fn embed(model: &Model, texts: &[Reference]) -> Embeddings {
    let inputs = texts
        .iter()
        .map(|it| Input::Text(it.text.clone()))
        .collect();
    model.embed(inputs).unwrap().wait().unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn vectors_and_tokens_equal_those_of_the_original() {
    let (model, references) = (model(), references());
    assert_eq!(references.len(), 20);
    let found = embed(&model, &references);
    assert_eq!(found.dimensions, 384);
    let mut lowest = 1.0f64;
    for (reference, vector) in references.iter().zip(found.values.chunks(found.dimensions)) {
        let tokens = model.tokenize_input(&reference.text).unwrap();
        assert_eq!(tokens, reference.tokens, "{:?}", reference.text);
        let cosine = cosine(vector, &reference.vector);
        assert!(cosine >= COSINE_MIN, "{cosine} for {:?}", reference.text);
        lowest = lowest.min(cosine);
    }
    println!("the lowest cosine is {lowest}");
}

#[test]
fn texts_that_mean_the_same_are_near_each_other() {
    let (model, references) = (model(), references());
    let found = embed(&model, &references);
    let vector = |index: usize| &found.values[index * 384..(index + 1) * 384];
    let near = cosine(vector(1), vector(2));
    let far = cosine(vector(1), vector(13));
    assert!(near > 0.7 && far < 0.2, "{near} {far}");
}
