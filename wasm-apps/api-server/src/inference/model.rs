//! A model: its graph, what it is, and who may use it now.

use std::sync::Arc;

use gaia_chat::Generation;
use gaia_openai::completion::Prompt;
use gaia_openai::input::{Input, Part};
use serde::Deserialize;
use serde_json::Value;

use super::bell::Bell;
use super::nn::{Contexts, OUTPUT_CELLS, OUTPUT_DETOKENIZED, OUTPUT_TOKENS};
use super::session::Session;
use super::settings::{self, Purpose};
use super::{Engine, Facts, InferenceError};
use crate::admission::Gate;

/// A model that is loaded.
pub(crate) struct Model {
    /// The name it has in the API.
    pub(crate) id: String,
    pub(crate) engine: Engine,
    pub(crate) facts: Facts,
    pub(crate) gate: Gate,
    pub(super) contexts: Arc<Contexts>,
}

/// How full the engine's cache of conversations is, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Cells {
    pub(crate) used: u64,
    /// How many there are.
    pub(crate) cells: u64,
}

/// What a model is loaded with.
#[derive(Debug, Clone)]
pub(crate) struct LoadSettings<'a> {
    pub(crate) graph: &'a str,
    pub(crate) id: Option<&'a str>,
    pub(crate) ctx_size: Option<u32>,
    pub(crate) running_max: usize,
    pub(crate) queue_len_max: usize,
    pub(crate) purpose: Purpose,
    pub(crate) as_stock: bool,
    pub(crate) bell_port: u16,
}

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to load the model preloaded as `{graph}`")]
pub(crate) struct OpenModelError {
    graph: String,
    #[source]
    source: InferenceError,
}

/// A model that is on its way.
pub(crate) struct Opening<'a> {
    wanted: LoadSettings<'a>,
    contexts: Arc<Contexts>,
}

impl<'a> Opening<'a> {
    /// Begins to load a preloaded model; `None` when nothing is preloaded by that name. The stock plugin waits here
    /// until it is loaded, ours does not.
    pub(crate) fn begin(wanted: LoadSettings<'a>) -> Result<Option<Self>, OpenModelError> {
        let bell = Bell::hang(wanted.bell_port);
        let settings = match wanted.as_stock {
            true => wanted.settings(),
            false => settings::behind_our_back(wanted.settings(), bell.address()),
        };
        match Contexts::open(wanted.graph, &settings, bell) {
            Ok(contexts) => Ok(contexts.map(|contexts| Self { wanted, contexts })),
            Err(source) => Err(wanted.failed(source)),
        }
    }

    /// Waits until the model is loaded.
    pub(crate) async fn loaded(self) -> Result<Model, OpenModelError> {
        let Self { wanted, contexts } = self;
        let opened = Model::opened(&wanted, contexts).await;
        opened.map_err(|source| wanted.failed(source))
    }
}

impl LoadSettings<'_> {
    fn settings(&self) -> Value {
        let sequences = u32::try_from(self.running_max).ok();
        let sequences = sequences.filter(|_| self.purpose == Purpose::Chat);
        settings::load(self.ctx_size, sequences, self.purpose)
    }

    fn failed(&self, source: InferenceError) -> OpenModelError {
        OpenModelError {
            graph: self.graph.to_owned(),
            source,
        }
    }
}

impl Model {
    async fn opened(
        wanted: &LoadSettings<'_>,
        contexts: Arc<Contexts>,
    ) -> Result<Self, InferenceError> {
        let mut context = contexts.lease()?;
        context.set_metadata(&wanted.settings())?;
        let output = context.facts().await?;
        let known = output.as_deref().filter(|_| !wanted.as_stock);
        let stock_context = match wanted.purpose {
            Purpose::Embedding => Some(settings::STOCK_EMBEDDING_CONTEXT),
            Purpose::Chat | Purpose::Reranking => wanted.ctx_size,
        };
        let (engine, facts) = Facts::read(known, stock_context);
        drop(context);
        let running_max = match engine {
            Engine::Gaia => wanted.running_max,
            Engine::Stock => 1,
        };
        Ok(Self {
            id: model_id(wanted, &facts),
            engine,
            facts,
            gate: Gate::new(running_max, wanted.queue_len_max),
            contexts,
        })
    }

    /// Tokens in the vocabulary, where the engine tells.
    pub(crate) fn vocabulary(&self) -> Option<u32> {
        (self.facts.n_vocab > 0).then_some(self.facts.n_vocab)
    }

    /// How full its cache is; `None` where the engine does not tell.
    pub(crate) fn cells(&self) -> Option<Cells> {
        if self.engine == Engine::Stock {
            return None;
        }
        let mut context = self.contexts.lease().ok()?;
        let told = context.output(OUTPUT_CELLS).ok()?;
        serde_json::from_slice(&told).ok()
    }

    /// The token ids of a prompt as the engine would read it, with what belongs at its start.
    pub(crate) fn tokenize(&self, text: &str) -> Result<Vec<u32>, InferenceError> {
        if self.engine == Engine::Stock {
            return Err(InferenceError::Unsupported { param: "content" });
        }
        let mut context = self.contexts.lease()?;
        context.set_text(text)?;
        let ids = context.output(OUTPUT_TOKENS)?;
        Ok(read_numbers(&ids))
    }

    /// The token ids of a text alone, without the tokens the model expects around it.
    pub(crate) fn tokenize_plain(&self, text: &str) -> Result<Vec<u32>, InferenceError> {
        let mut ids = self.tokenize(text)?;
        if self.facts.embedding && ids.len() >= 2 {
            // Sentence encoders put a token at each end.
            ids.pop();
            ids.remove(0);
        } else if self.facts.start().is_some() && ids.first().copied() == self.facts.start() {
            ids.remove(0);
        }
        Ok(ids)
    }

    /// The token ids of an input. What belongs at the start of a text goes before a mixed one that starts with text,
    /// and nowhere else in it.
    pub(crate) fn tokens_of(&self, input: &Input) -> Result<Vec<u32>, InferenceError> {
        let parts = match input {
            Input::Text(text) => return self.tokenize(text),
            Input::Tokens(tokens) => return Ok(tokens.clone()),
            Input::Mixed(parts) => parts,
        };
        let mut tokens = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            match part {
                Part::Tokens(ids) => tokens.extend(ids),
                Part::Text(text) if index == 0 && !self.facts.embedding => {
                    tokens.extend(self.tokenize(text)?);
                }
                Part::Text(text) => tokens.extend(self.tokenize_plain(text)?),
            }
        }
        Ok(tokens)
    }

    /// The tokens that ask for what is missing between an input and `suffix`; `None` where the model knows of no gaps.
    pub(crate) fn around(
        &self,
        input: &Input,
        suffix: &str,
    ) -> Result<Option<Vec<u32>>, InferenceError> {
        let Some(infill) = self.facts.infill() else {
            return Ok(None);
        };
        let before = match input {
            Input::Text(text) => self.tokenize_plain(text)?,
            input => self.tokens_of(input)?,
        };
        let after = self.tokenize_plain(suffix)?;
        Ok(Some(infill.prompt(self.facts.start(), &before, &after)))
    }

    /// The bytes of single tokens: not every one is text by itself.
    pub(crate) fn piece(&self, token: u32) -> Result<Vec<u8>, InferenceError> {
        let mut context = self.contexts.lease()?;
        context.set_tokens(&[token])?;
        context.output(OUTPUT_DETOKENIZED)
    }

    /// The text of token ids.
    pub(crate) fn detokenize(&self, tokens: &[u32]) -> Result<String, InferenceError> {
        let mut context = self.contexts.lease()?;
        context.set_tokens(tokens)?;
        let bytes = context.output(OUTPUT_DETOKENIZED)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How many tokens a text has; on the stock plugin, which does not tell, more likely too many than too few.
    pub(crate) fn count_tokens(&self, text: &str) -> Result<u32, InferenceError> {
        const STOCK_BYTES_PER_TOKEN: usize = 3;
        let count = match self.engine {
            Engine::Gaia => self.tokenize(text)?.len(),
            Engine::Stock => text.len().div_ceil(STOCK_BYTES_PER_TOKEN),
        };
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Starts to generate a text.
    ///
    /// # Errors
    /// What the engine refuses at once.
    pub(crate) fn start(&self, wanted: &Generation) -> Result<Session, InferenceError> {
        let mut context = self.contexts.lease()?;
        let seed = crate::random::number() as u32;
        let settings = settings::generation(wanted, self.engine, self.facts.n_ctx, seed);
        context.set_metadata(&settings)?;
        match (self.engine, &wanted.prompt) {
            (_, Prompt::Text(text)) => context.set_text(text)?,
            (Engine::Gaia, Prompt::Tokens(tokens)) => context.set_tokens(tokens)?,
            (Engine::Stock, Prompt::Tokens(_)) => {
                return Err(InferenceError::Unsupported { param: "prompt" });
            }
        }
        match self.engine {
            Engine::Gaia => Session::gaia(context, wanted.logprobs.is_some()),
            Engine::Stock => Session::stock(context, &wanted.sampling.stop, wanted.tokens_max),
        }
    }
}

fn model_id(wanted: &LoadSettings<'_>, facts: &Facts) -> String {
    let named = facts.name.as_deref().filter(|name| !name.trim().is_empty());
    let id = wanted.id.or(named).unwrap_or(wanted.purpose.name());
    id.trim().replace(char::is_whitespace, "-")
}

pub(super) fn read_numbers(bytes: &[u8]) -> Vec<u32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers
        .iter()
        .map(|four| u32::from_le_bytes(*four))
        .collect()
}
