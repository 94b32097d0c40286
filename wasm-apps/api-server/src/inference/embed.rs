//! Texts to vectors.

use gaia_openai::embedding::EmbeddingInput;
use gaia_openai::input::Input;
use gaia_wasi_rt::yield_now;
use serde_json::{Value, json};

use super::model::read_numbers;
use super::nn::{
    Computed, OUTPUT_EMBEDDING_TOKENS, OUTPUT_EMBEDDINGS, OUTPUT_METADATA, OUTPUT_TEXT,
};
use super::{Engine, InferenceError, Model, settings, stock};

// Texts in one call of the engine: others get between two calls.
pub(super) const BATCH_MAX: usize = 64;

/// The vectors of a request, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Embedded {
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) tokens: u32,
}

impl Model {
    /// Embeds everything in `input`. Dropped, it stops.
    pub(crate) async fn embed(&self, input: &EmbeddingInput) -> Result<Embedded, InferenceError> {
        match (self.engine, input) {
            (Engine::Gaia, EmbeddingInput::Texts(texts)) => {
                let batches = texts
                    .chunks(BATCH_MAX)
                    .map(|batch| json!(batch).to_string());
                self.embed_batches(batches.collect()).await
            }
            (Engine::Gaia, EmbeddingInput::Tokens(lists)) => {
                let batches = lists
                    .chunks(BATCH_MAX)
                    .map(|batch| json!(batch).to_string());
                self.embed_batches(batches.collect()).await
            }
            (Engine::Gaia, EmbeddingInput::Several(inputs)) => {
                let values = inputs.iter().map(|input| self.embeddable(input));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                let batches = values
                    .chunks(BATCH_MAX)
                    .map(|batch| json!(batch).to_string());
                self.embed_batches(batches.collect()).await
            }
            (Engine::Stock, EmbeddingInput::Texts(texts)) => self.embed_one_by_one(texts).await,
            (Engine::Stock, EmbeddingInput::Tokens(_) | EmbeddingInput::Several(_)) => {
                Err(InferenceError::Unsupported { param: "input" })
            }
        }
    }

    // As the engine takes it: a text, or token ids.
    fn embeddable(&self, input: &Input) -> Result<Value, InferenceError> {
        Ok(match input {
            Input::Text(text) => json!(text),
            Input::Tokens(tokens) => json!(tokens),
            Input::Mixed(_) => json!(self.tokens_of(input)?),
        })
    }

    async fn embed_batches(&self, batches: Vec<String>) -> Result<Embedded, InferenceError> {
        let mut all = Embedded::default();
        for batch in batches {
            let mut context = self.contexts.lease()?;
            context.set_metadata(&json!({"non-blocking": true}))?;
            context.set_many(&batch)?;
            let mut watcher = context.watcher();
            loop {
                match context.step()? {
                    Computed::Some => break,
                    Computed::Busy => watcher.wait().await,
                    other => return Err(not_embedded(other)),
                }
            }
            let counts = read_numbers(&context.output(OUTPUT_EMBEDDING_TOKENS)?);
            let matrix = read_floats(&context.output(OUTPUT_EMBEDDINGS)?);
            let width = matrix.len() / counts.len().max(1);
            all.vectors
                .extend(matrix.chunks_exact(width.max(1)).map(<[f32]>::to_vec));
            all.tokens = counts
                .iter()
                .fold(all.tokens, |sum, count| sum.saturating_add(*count));
        }
        Ok(all)
    }

    async fn embed_one_by_one(&self, texts: &[String]) -> Result<Embedded, InferenceError> {
        let mut all = Embedded::default();
        for text in texts {
            let mut context = self.contexts.lease()?;
            context.set_metadata(&settings::embedding_stock())?;
            context.set_text(text)?;
            match context.compute()? {
                Computed::Some | Computed::End => {}
                other => return Err(not_embedded(other)),
            }
            let vector = stock::read_embedding(&context.output(OUTPUT_TEXT)?);
            all.vectors
                .push(vector.ok_or_else(|| unreadable("not an embedding"))?);
            let (tokens, ..) = stock::read_usage(&context.output(OUTPUT_METADATA)?);
            all.tokens = all.tokens.saturating_add(tokens);
            yield_now().await;
        }
        Ok(all)
    }
}

pub(super) fn not_embedded(computed: Computed) -> InferenceError {
    match computed {
        Computed::PromptTooLong | Computed::Full => InferenceError::PromptTooLong,
        _ => unreadable("an unexpected end"),
    }
}

pub(super) fn unreadable(what: &str) -> InferenceError {
    InferenceError::Engine {
        doing: "read the inputs",
        reason: format!("the answer is {what}"),
    }
}

pub(super) fn read_floats(bytes: &[u8]) -> Vec<f32> {
    let (floats, _) = bytes.as_chunks::<4>();
    floats
        .iter()
        .map(|four| f32::from_le_bytes(*four))
        .collect()
}
