//! Texts to scores: how well each answers a query.

use gaia_openai::RerankRequest;
use gaia_wasi_rt::yield_now;
use serde_json::json;

use super::embed::{BATCH_MAX, not_embedded, read_floats, unreadable};
use super::model::read_numbers;
use super::nn::{Computed, OUTPUT_COUNTS, OUTPUT_EMBEDDING_TOKENS, OUTPUT_EMBEDDINGS};
use super::{Engine, InferenceError, Model};

/// The scores of a request, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Scored {
    pub(crate) scores: Vec<f32>,
    pub(crate) tokens: u32,
}

impl Model {
    /// Scores all texts of `request`. Dropped, it stops.
    pub(crate) async fn rank(&self, request: &RerankRequest) -> Result<Scored, InferenceError> {
        if self.engine == Engine::Stock {
            let param = request.form.key();
            return Err(InferenceError::Unsupported { param });
        }
        let mut all = Scored::default();
        for batch in request.documents.chunks(BATCH_MAX) {
            let mut context = self.contexts.lease()?;
            context.set_metadata(&json!({"non-blocking": true}))?;
            context.set_many(&pairs(&request.query, batch))?;
            let mut watcher = context.watcher();
            loop {
                match context.step()? {
                    Computed::Some => break,
                    Computed::Busy => watcher.wait().await,
                    other => return Err(not_embedded(other)),
                }
            }
            let scores = read_floats(&context.output(OUTPUT_EMBEDDINGS)?);
            if scores.len() != batch.len() || !scores.iter().all(|score| score.is_finite()) {
                return Err(unreadable("not one number for each text"));
            }
            let counts = read_numbers(&context.output(OUTPUT_EMBEDDING_TOKENS)?);
            all.scores.extend(scores);
            all.tokens = counts
                .iter()
                .fold(all.tokens, |sum, count| sum.saturating_add(*count));
        }
        Ok(all)
    }

    /// The first text of `request` that is too long for the model together with the query, and the tokens of both.
    pub(crate) async fn too_long(
        &self,
        request: &RerankRequest,
    ) -> Result<Option<(usize, u32)>, InferenceError> {
        for (index, document) in request.documents.iter().enumerate() {
            let mut context = self.contexts.lease()?;
            context.set_many(&pairs(&request.query, std::slice::from_ref(document)))?;
            let counts: Vec<u32> = serde_json::from_slice(&context.output(OUTPUT_COUNTS)?)
                .map_err(|_| unreadable("not a list of numbers"))?;
            let len = counts.first().copied().unwrap_or(0);
            if len > self.facts.n_ctx {
                return Ok(Some((index, len)));
            }
            yield_now().await;
        }
        Ok(None)
    }
}

fn pairs(query: &str, documents: &[String]) -> String {
    json!({"query": query, "documents": documents}).to_string()
}
