//! llama.cpp's own simple loop: one context, one sequence, one token at a time, the largest logit.
//!
//! Written on `llama-cpp-2` directly; it shares nothing with the engine but the library.

use std::num::NonZeroU32;
use std::sync::{Mutex, OnceLock, PoisonError};

use gaia_engine::TokenId;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use crate::models::chat_path;

/// What the loop says about another's tokens.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Places where the loop itself would have taken the same token.
    pub same: usize,
    /// Places where it would have taken another, but the two were tied.
    pub ties: usize,
    /// The largest lead among the ties.
    pub lead_max: f32,
    /// What a lead was held against.
    pub noise: f32,
}

fn model() -> &'static LlamaModel {
    static MODEL: OnceLock<LlamaModel> = OnceLock::new();
    MODEL.get_or_init(|| {
        let parameters = LlamaModelParams::default();
        let backend = gaia_engine::llama_backend();
        LlamaModel::load_from_file(backend, chat_path(), &parameters).unwrap()
    })
}

fn with_context<T>(action: impl FnOnce(&mut LlamaContext<'_>) -> T) -> T {
    // Contexts of one model must not be made at the same time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let parameters = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(1024))
        .with_n_batch(1024)
        .with_n_threads(1)
        .with_n_threads_batch(1);
    let backend = gaia_engine::llama_backend();
    action(&mut model().new_context(backend, parameters).unwrap())
}

fn decode(context: &mut LlamaContext<'_>, tokens: &[TokenId], start: i32) {
    let mut batch = LlamaBatch::new(tokens.len(), 1);
    for (position, token) in (start..).zip(tokens) {
        let last = position == start + tokens.len() as i32 - 1;
        batch
            .add(LlamaToken::new(*token), position, &[0], last)
            .unwrap();
    }
    context.decode(&mut batch).unwrap();
}

fn likeliest(logits: &[f32]) -> TokenId {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best as TokenId
}

/// What the loop generates after `prompt`, without the token that ends the text.
pub fn generate(prompt: &[TokenId], tokens_max: usize) -> Vec<TokenId> {
    with_context(|context| {
        decode(context, prompt, 0);
        let mut tokens = Vec::new();
        let mut position = prompt.len() as i32;
        loop {
            let token = likeliest(context.get_logits_ith(-1));
            if model().vocab().is_eog(LlamaToken::new(token)) {
                return tokens;
            }
            tokens.push(token);
            if tokens.len() == tokens_max {
                return tokens;
            }
            decode(context, &[token], position);
            position += 1;
        }
    })
}

/// What [`noise`] is measured on.
const PASSAGE: &str = "The harbour wakes before the town does. Boats come in with the tide, nets are \
    counted, and the first coffee is poured in a kitchen whose window looks over the water. By eight \
    the market has taken the best of the catch; what is left goes to the cats, who know the hour \
    better than any clock. In winter the same street is empty until noon, and the only sound is the \
    rope that beats against a mast.";

/// How much llama.cpp's own logits move when the same text is read in one batch and token by token:
/// the order of additions differs, quantised activations round differently, and by this much two
/// tokens can change places without either order being wrong. The largest shift among the leading
/// logits of a passage.
fn noise() -> f32 {
    static NOISE: OnceLock<f32> = OnceLock::new();
    *NOISE.get_or_init(|| {
        let passage = crate::models::chat().tokenize_prompt(PASSAGE).unwrap();
        let (at_once, one_by_one) = (logits_at_once(&passage), logits_one_by_one(&passage));
        let shifts = at_once.iter().zip(&one_by_one).map(|(a, b)| shift(a, b));
        shifts.fold(0.0, f32::max)
    })
}

/// The logits after every token of `text`.
fn logits_at_once(text: &[TokenId]) -> Vec<Vec<f32>> {
    with_context(|context| {
        let mut batch = LlamaBatch::new(text.len(), 1);
        for (position, token) in (0..).zip(text) {
            batch
                .add(LlamaToken::new(*token), position, &[0], true)
                .unwrap();
        }
        context.decode(&mut batch).unwrap();
        let places = 0..text.len() as i32;
        places
            .map(|place| context.get_logits_ith(place).to_vec())
            .collect()
    })
}

fn logits_one_by_one(text: &[TokenId]) -> Vec<Vec<f32>> {
    with_context(|context| {
        let mut read = |(position, token): (i32, &TokenId)| {
            decode(context, &[*token], position);
            context.get_logits_ith(-1).to_vec()
        };
        (0..).zip(text).map(&mut read).collect()
    })
}

/// The largest difference among the ten leading logits.
fn shift(a: &[f32], b: &[f32]) -> f32 {
    let mut order: Vec<usize> = (0..a.len()).collect();
    order.sort_by(|x, y| a[*y].total_cmp(&a[*x]));
    order[..10]
        .iter()
        .map(|id| (a[*id] - b[*id]).abs())
        .fold(0.0, f32::max)
}

/// Follows `tokens` and holds each against the loop's own choice at that place. `ended` says that the
/// text ended after them of itself.
///
/// # Panics
/// When a token is neither the loop's own nor tied with it: when the loop's own leads by more than
/// both logits together can have moved.
pub fn judge(prompt: &[TokenId], tokens: &[TokenId], ended: bool) -> Verdict {
    let noise = noise();
    with_context(|context| {
        decode(context, prompt, 0);
        let mut verdict = Verdict {
            noise,
            ..Verdict::default()
        };
        for (index, token) in tokens.iter().enumerate() {
            let logits = context.get_logits_ith(-1);
            let own = likeliest(logits);
            let lead = logits[own as usize] - logits[*token as usize];
            assert!(
                lead <= 2.0 * noise,
                "token {index} is {token}, llama.cpp takes {own}, ahead by {lead}; noise is {noise}"
            );
            verdict.same += usize::from(own == *token);
            verdict.ties += usize::from(own != *token);
            verdict.lead_max = verdict.lead_max.max(lead);
            decode(context, &[*token], (prompt.len() + index) as i32);
        }
        if ended {
            let own = likeliest(context.get_logits_ith(-1));
            assert!(
                model().vocab().is_eog(LlamaToken::new(own)),
                "llama.cpp goes on with {own}"
            );
        }
        verdict
    })
}
