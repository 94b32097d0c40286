//! Where the tests' models are, and one loaded instance of each for all tests that only use them.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, fs};

use gaia_engine::{
    FinishReason, LoadOptions, Model, Progress, Prompt, Request, Sampling, TokenId, Usage,
};
use gaia_manifest::Manifest;

/// The chat model: `GAIA_TEST_CHAT_MODEL`, or the default one in the cache.
pub fn chat_path() -> PathBuf {
    find("GAIA_TEST_CHAT_MODEL", "smollm2-135m-instruct")
}

/// The embedding model: `GAIA_TEST_EMBEDDING_MODEL`, or the default one in the cache.
pub fn embedding_path() -> PathBuf {
    find("GAIA_TEST_EMBEDDING_MODEL", "all-minilm-l6-v2")
}

fn find(variable: &str, name: &str) -> PathBuf {
    let named = env::var_os(variable).map(PathBuf::from);
    let path = named.unwrap_or_else(|| cache().join("models").join(file_of(name)));
    assert!(
        path.is_file(),
        "{} is missing: run `gaia model pull {name}`, or set {variable}",
        path.display()
    );
    path
}

/// The name of a model's file, from its manifest.
fn file_of(name: &str) -> String {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
    let manifest = fs::read_to_string(format!("{models}/{name}.toml")).unwrap();
    Manifest::parse(&manifest).unwrap().file
}

fn cache() -> PathBuf {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from);
    folder("GAIA_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("gaia")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/gaia")))
        .unwrap()
}

/// The chat model, with room for nine requests at a time.
pub fn chat() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| load_chat(|options| options.sequences_max = Some(12)))
}

/// A chat model of the test's own.
pub fn load_chat(change: impl FnOnce(&mut LoadOptions)) -> Model {
    let mut options = LoadOptions {
        context_size: Some(1024),
        checked: true,
        // Threads that wait for each other suffer most from whatever else the machine does.
        threads: Some(1),
        ..LoadOptions::default()
    };
    change(&mut options);
    Model::load(chat_path(), &options).unwrap()
}

/// The embedding model.
pub fn embedding() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let options = LoadOptions {
        threads: Some(1),
        ..LoadOptions::default()
    };
    MODEL.get_or_init(|| Model::load(embedding_path(), &options).unwrap())
}

/// The prompt that the model's template makes of one question.
pub fn ask(question: &str) -> String {
    format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")
}

/// A request that always takes the likeliest token.
pub fn greedy(prompt: &str, tokens_max: u32) -> Request {
    let mut request = Request::new(Prompt::Text(prompt.to_owned()));
    request.sampling.temperature = 0.0;
    request.tokens_max = Some(tokens_max);
    request
}

/// A request that draws with `seed`.
pub fn drawn(prompt: &str, tokens_max: u32, seed: Option<u32>) -> Request {
    let mut request = Request::new(Prompt::Text(prompt.to_owned()));
    request.sampling = Sampling {
        temperature: 1.2,
        seed,
        ..Sampling::default()
    };
    request.tokens_max = Some(tokens_max);
    request
}

/// A request whose tokens its seed alone decides: the biases and the temperature drown what the
/// model thinks, so that the last bits of its numbers, which depend on what shares the batch, are
/// too small to matter. Each token's bias differs, because candidates are sorted before the draw.
pub fn drawn_by_seed(prompt: &str, tokens_max: u32, seed: u32) -> Request {
    const FIRST: TokenId = 1000;
    const TOKENS: TokenId = 16;
    let mut request = drawn(prompt, tokens_max, Some(seed));
    let bias = |token: TokenId| 1e6 + 1e3 * (token - FIRST) as f32;
    request.sampling.temperature = 1e5;
    // They look at the numbers before the temperature does.
    request.sampling.top_p = 1.0;
    request.sampling.min_p = 0.0;
    request.sampling.logit_bias = (FIRST..FIRST + TOKENS)
        .map(|token| (token, bias(token)))
        .collect();
    request
}

/// How a request went.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub text: String,
    pub tokens: Vec<TokenId>,
    pub reason: FinishReason,
    pub usage: Usage,
}

/// Runs `request` alone to its end.
pub fn run(model: &Model, request: Request) -> Answer {
    answer(model.generate(request).unwrap())
}

/// Runs `requests` at the same time, reading a little of each in turn.
pub fn run_together(model: &Model, requests: Vec<Request>) -> Vec<Answer> {
    let mut running: Vec<_> = requests
        .into_iter()
        .map(|request| {
            (
                model.generate(request).unwrap(),
                String::new(),
                Vec::new(),
                None,
            )
        })
        .collect();
    while running.iter().any(|(.., finish)| finish.is_none()) {
        for (generation, text, tokens, finish) in &mut running {
            match generation.poll() {
                Progress::Busy => std::thread::yield_now(),
                Progress::Piece(piece) => {
                    text.push_str(&piece.text);
                    tokens.extend(piece.events.iter().map(|event| event.id));
                }
                Progress::Finished(end) => *finish = Some(end),
            }
        }
    }
    let answers = running.into_iter().map(|(_, text, tokens, finish)| {
        let finish = finish.unwrap();
        Answer {
            text,
            tokens,
            reason: finish.reason,
            usage: finish.usage,
        }
    });
    answers.collect()
}

pub fn answer(generation: gaia_engine::Generation) -> Answer {
    let (piece, finish) = generation.collect();
    Answer {
        text: piece.text,
        tokens: piece.events.iter().map(|event| event.id).collect(),
        reason: finish.reason,
        usage: finish.usage,
    }
}
