//! The worker: counts tokens and embeds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::{Client, Endpoint, HttpError, KeyHeader};

/// Texts in one call to `/tokenize`.
const TOKENIZE_TEXTS_MAX: usize = 256;
/// Texts in one call to `/v1/embeddings`: some seconds of work on a small machine.
pub(crate) const EMBED_TEXTS_MAX: usize = 32;
/// What a model reads where the worker does not say.
pub(crate) const CONTEXT_TOKENS_DEFAULT: usize = 256;
/// Tokens a model puts around a text.
pub(crate) const SPECIAL_TOKENS: usize = 2;

/// Why the worker did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The call failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It runs without an embedding model.
    #[error("the node runs without an embedding model, so it cannot hold knowledge")]
    NoEmbeddingModel,
}

/// The model that embeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingModel {
    /// Its id in the API.
    pub id: String,
    /// The most tokens it reads, as far as the worker knows.
    pub context: Option<usize>,
}

impl EmbeddingModel {
    /// The most tokens of a passage that it reads whole.
    pub fn passage_tokens_max(&self) -> usize {
        let context = self.context.unwrap_or(CONTEXT_TOKENS_DEFAULT);
        context.saturating_sub(SPECIAL_TOKENS)
    }
}

/// The worker.
pub struct Worker {
    client: Client,
}

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct Embeddings {
    data: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    index: usize,
    /// Base64 of 32-bit little-endian numbers: a fifth of what they take written out.
    embedding: String,
}

impl Worker {
    /// Calls nothing yet. The key goes as `Authorization: Bearer`.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            client: Client::new(endpoint, KeyHeader::Bearer),
        }
    }

    /// Which model embeds.
    ///
    /// # Errors
    /// When the worker does not answer or has no such model.
    pub fn embedding_model(&self) -> Result<EmbeddingModel, WorkerError> {
        let info = self.client.get("/v1/info")?;
        let model = info
            .pointer("/models/embedding")
            .filter(|model| !model.is_null());
        let id = model
            .and_then(|model| model.get("id"))
            .and_then(Value::as_str);
        let id = id.ok_or(WorkerError::NoEmbeddingModel)?.to_owned();
        let context = model
            .and_then(|model| model.get("context"))
            .and_then(Value::as_u64);
        Ok(EmbeddingModel {
            id,
            context: context.and_then(|tokens| usize::try_from(tokens).ok()),
        })
    }

    /// The number of tokens of each text in the embedding model, without special tokens.
    ///
    /// # Errors
    /// When the worker does not answer as it should.
    pub fn count_tokens(
        &self,
        model: &EmbeddingModel,
        texts: &[&str],
    ) -> Result<Vec<usize>, WorkerError> {
        let path = "/tokenize";
        let mut counts = Vec::with_capacity(texts.len());
        for batch in texts.chunks(TOKENIZE_TEXTS_MAX) {
            let body = json!({"content": batch, "model": model.id, "add_special": false});
            let reply: Tokens = self.typed(path, self.client.post(path, &body)?)?;
            self.same_number(path, batch.len(), reply.tokens.len())?;
            counts.extend(reply.tokens.iter().map(Vec::len));
        }
        Ok(counts)
    }

    /// The vector of each text.
    ///
    /// # Errors
    /// When the worker does not answer as it should.
    pub fn embed(
        &self,
        model: &EmbeddingModel,
        texts: &[&str],
    ) -> Result<Vec<Vec<f32>>, WorkerError> {
        let path = "/v1/embeddings";
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(EMBED_TEXTS_MAX) {
            let body = json!({"input": batch, "model": model.id, "encoding_format": "base64"});
            let mut reply: Embeddings = self.typed(path, self.client.post(path, &body)?)?;
            self.same_number(path, batch.len(), reply.data.len())?;
            reply.data.sort_by_key(|item| item.index);
            for item in &reply.data {
                vectors.push(self.vector(path, &item.embedding)?);
            }
        }
        Ok(vectors)
    }

    fn vector(&self, path: &str, base64: &str) -> Result<Vec<f32>, HttpError> {
        let bytes = STANDARD
            .decode(base64)
            .map_err(|error| self.client.reply_error(path, error.to_string()))?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(self.client.reply_error(path, "half a number in a vector"));
        }
        Ok(numbers
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect())
    }

    fn typed<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        value: Value,
    ) -> Result<T, HttpError> {
        serde_json::from_value(value)
            .map_err(|error| self.client.reply_error(path, error.to_string()))
    }

    fn same_number(&self, path: &str, asked: usize, given: usize) -> Result<(), HttpError> {
        if asked == given {
            Ok(())
        } else {
            Err(self
                .client
                .reply_error(path, format!("{given} results for {asked} texts")))
        }
    }
}
