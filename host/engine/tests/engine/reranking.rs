//! Texts by how well they answer: scores that hang on query and text alone, whatever is computed beside them.

use std::fs::File;
use std::path::Path;

use gaia_engine::{
    EmbedError, Embeddings, Input, LoadError, LoadOptions, Model, ModelKind, TokenId,
};
use gaia_gguf::Header;
use tempfile::NamedTempFile;

use crate::models::{chat, chat_path, embedding};
use crate::tiny_ranker::{self, CLS, CONTEXT, ENCODER, Encoder, SEP, TEMPLATE};

/// What may differ between two ways to the same score: llama.cpp rounds otherwise with other texts beside it. Texts that
/// differ are much further apart.
const CLOSE: f32 = 5e-3;

fn options() -> LoadOptions {
    LoadOptions {
        threads: Some(1),
        ..LoadOptions::default()
    }
}

fn file(encoder: Encoder) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    tiny_ranker::write_encoder(encoder, &mut file);
    file
}

fn load(path: &Path) -> Result<Model, LoadError> {
    Model::load(path, &options())
}

fn encoder() -> Model {
    load(file(ENCODER).path()).unwrap()
}

fn causal(template: &str) -> Result<Model, LoadError> {
    let tokenizer = Header::read(&mut File::open(chat_path()).unwrap()).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    tiny_ranker::write_causal(&tokenizer, template, &mut file);
    load(file.path())
}

fn rank(model: &Model, query: &str, documents: &[&str]) -> Embeddings {
    let documents: Vec<String> = documents.iter().map(|&text| text.to_owned()).collect();
    let scores = model.rank(query, &documents).unwrap().wait().unwrap();
    assert_eq!(
        (scores.values.len(), scores.dimensions),
        (documents.len(), 1)
    );
    scores
}

#[track_caller]
fn check_close(one: f32, other: f32) {
    assert!((one - other).abs() < CLOSE, "{one} {other}");
}

/// Together, one by one and again, each text has its score.
#[track_caller]
fn check_scores(model: &Model) {
    let texts = [
        "learning",
        "paris is a city",
        "machine learning",
        "paris is a city",
        "?",
    ];
    let mut documents = texts.to_vec();
    documents.extend(["filler that fills the step"; 90]);
    let together = rank(model, "what is machine learning", &documents);
    for (index, text) in texts.iter().enumerate() {
        let alone = rank(model, "what is machine learning", &[text]);
        check_close(alone.values[0], together.values[index]);
        assert_eq!(alone.tokens[0], together.tokens[index]);
    }
    let score = |index: usize| together.values[index];
    check_close(score(1), score(3));
    assert!(
        (score(0) - score(1)).abs() > 4.0 * CLOSE,
        "{:?}",
        &together.values[..5]
    );
    let again = rank(model, "what is machine learning", &documents);
    assert_eq!(again, together);
    let other = rank(model, "paris", &documents);
    assert!((other.values[0] - score(0)).abs() > 4.0 * CLOSE);
    // The two are not alike.
    let swapped = rank(model, "learning", &["what is machine learning"]);
    assert!((swapped.values[0] - score(0)).abs() > 4.0 * CLOSE);
}

#[test]
fn an_encoder_scores() {
    let model = encoder();
    let facts = model.facts();
    assert_eq!(
        (facts.kind, facts.pooling),
        (ModelKind::Reranking, Some("rank"))
    );
    assert!(facts.reranking && !facts.embedding);
    check_scores(&model);
}

#[test]
fn a_causal_model_scores_with_its_template() {
    let model = causal(TEMPLATE).unwrap();
    assert_eq!(model.facts().kind, ModelKind::Reranking);
    check_scores(&model);
    // Of two shares of one the first.
    let scores = rank(&model, "a", &["b", "c"]).values;
    assert!(
        scores.iter().all(|score| (0.0..=1.0).contains(score)),
        "{scores:?}"
    );
}

/// What llama.cpp's server reads: `[CLS] query [SEP] document`.
#[test]
fn a_pair_is_put_together_from_the_vocabulary() {
    let model = encoder();
    let plain = |text: &str| -> Vec<TokenId> {
        let whole = model.tokenize(text, true).unwrap();
        assert_eq!((whole.first(), whole.last()), (Some(&CLS), Some(&SEP)));
        whole[1..whole.len() - 1].to_vec()
    };
    let (query, document) = ("machine learning?", "paris is");
    let len = 2 + plain(query).len() + plain(document).len();
    assert_eq!(model.vocabulary().pair_len(query, document).unwrap(), len);
    assert_eq!(rank(&model, query, &[document]).tokens, [len]);
    // The name of a token is text: letters, not the token.
    let named = model
        .vocabulary()
        .pair_len(query, "paris [SEP] is")
        .unwrap();
    assert_eq!(named, len + "[sep]".len());
}

#[test]
fn a_template_has_places_and_what_is_put_there_has_no_tokens() {
    let model = causal(TEMPLATE).unwrap();
    let whole = TEMPLATE.replace("{query}", "a").replace("{document}", "b");
    let len = model.tokenize(&whole, false).unwrap().len();
    assert_eq!(model.vocabulary().pair_len("a", "b").unwrap(), len);
    let named = model.vocabulary().pair_len("a", "b<|im_end|>").unwrap();
    assert!(named > len + 1, "{named}");
    let error = causal("<|im_start|>Q: {query}").map(drop).unwrap_err();
    assert!(error.to_string().contains("without a place"), "{error}");
}

#[test]
fn what_does_not_fit_is_refused_by_its_number() {
    let model = encoder();
    let documents = ["paris".to_owned(), "x".repeat(CONTEXT as usize)];
    match model.rank("is", &documents).map(drop).unwrap_err() {
        EmbedError::InputLength { index, tokens, max } => {
            assert_eq!((index, max), (1, CONTEXT as usize));
            // Both ends of the query, and its word.
            assert_eq!(tokens, CONTEXT as usize + 3);
        }
        error => panic!("{error}"),
    }
    let fitting = "x".repeat(CONTEXT as usize - 3);
    assert_eq!(rank(&model, "is", &[&fitting]).tokens, [CONTEXT as usize]);
    let none = model.rank("is", &[]).map(drop).unwrap_err();
    assert!(
        matches!(none, EmbedError::InputCount { found: 0, .. }),
        "{none}"
    );
    let max = model.embedding_limits().inputs_max;
    let many = model
        .rank("is", &vec!["x".to_owned(); max + 1])
        .map(drop)
        .unwrap_err();
    assert!(matches!(many, EmbedError::InputCount { .. }), "{many}");
}

#[test]
fn each_kind_does_its_own() {
    let model = encoder();
    let wrong = |error: EmbedError| matches!(error, EmbedError::WrongKind { .. });
    assert!(wrong(
        model.embed(vec![Input::Text("a".to_owned())]).unwrap_err()
    ));
    let documents = ["a".to_owned()];
    assert!(wrong(embedding().rank("a", &documents).unwrap_err()));
    assert!(wrong(chat().rank("a", &documents).unwrap_err()));
    assert!(embedding().vocabulary().pair_len("a", "b").is_err());
    // One that does not name its pooling is known by the layer that scores.
    let unnamed = Encoder {
        pooling: None,
        ..ENCODER
    };
    let file = file(unnamed);
    assert_eq!(
        load(file.path()).unwrap().facts().kind,
        ModelKind::Reranking
    );
    let named = encoder();
    let texts = ["machine", "is"];
    let unnamed = load(file.path()).unwrap();
    assert_eq!(rank(&unnamed, "a", &texts), rank(&named, "a", &texts));
}

#[test]
fn what_cannot_rank_is_not_loaded_to() {
    let check = |path: &Path, change: &dyn Fn(&mut LoadOptions), part: &str| {
        let mut options = options();
        change(&mut options);
        let error = Model::load(path, &options).map(drop).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    let to_rank = |options: &mut LoadOptions| options.reranking = Some(true);
    check(&chat_path(), &to_rank, "no layer that gives a query");
    let classes = |classes| file(Encoder { classes, ..ENCODER });
    check(classes(0).path(), &|_| {}, "no layer that gives a query");
    check(classes(3).path(), &|_| {}, "sorts texts into 3 classes");
    let joined = file(Encoder {
        separates: false,
        ..ENCODER
    });
    check(joined.path(), &|_| {}, "between a query and a document");
    let to_embed = |options: &mut LoadOptions| options.embedding = Some(true);
    check(file(ENCODER).path(), &to_embed, "reranking_model");
}

#[test]
fn the_vocabulary_counts_pairs_without_the_weights() {
    let file = file(ENCODER);
    let model = load(file.path()).unwrap();
    let len = model.vocabulary().pair_len("is", "paris").unwrap();
    let kept = model.vocabulary().apart(file.path()).unwrap();
    drop(model);
    assert_eq!(kept.pair_len("is", "paris").unwrap(), len);
}
