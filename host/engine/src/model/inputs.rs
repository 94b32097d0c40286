//! What a model that writes no text is asked: inputs to embed, or texts to rank.
//!
//! Invariant: what goes to the model's thread has been counted, and each input fits its context.

use llama_cpp_2::token::LlamaToken;

use super::{Model, Worker};
use crate::embedding::{EmbedError, Embedding, EmbeddingJob, Form, INPUTS_MAX, Input, Limits};
use crate::facts::ModelKind;

impl Model {
    /// The most that one call to embed or to rank may ask for.
    pub fn embedding_limits(&self) -> Limits {
        Limits {
            inputs_max: INPUTS_MAX,
            tokens_max: self.facts().n_ctx as usize,
        }
    }

    /// Starts to embed `inputs`. Never waits.
    pub fn embed(&self, inputs: Vec<Input>) -> Result<Embedding, EmbedError> {
        self.check_kind(ModelKind::Embedding, "embedding")?;
        self.check_count(inputs.len())?;
        let numbered = inputs.into_iter().enumerate();
        let inputs = numbered.map(|(index, input)| self.embedding_input(index, input));
        let inputs = inputs.collect::<Result<_, _>>()?;
        self.compute(inputs, Form::Vector(self.facts().n_embd as usize))
    }

    /// Starts to score how well each of `documents` answers `query`; more is better. Never waits. Names of control
    /// tokens are text here.
    pub fn rank(&self, query: &str, documents: &[String]) -> Result<Embedding, EmbedError> {
        self.check_kind(ModelKind::Reranking, "ranking")?;
        self.check_count(documents.len())?;
        let tokenize = |index| move |source| EmbedError::Tokenize { index, source };
        let pairs = self.vocabulary().pairs(query).map_err(tokenize(0))?;
        let numbered = documents.iter().enumerate();
        let inputs = numbered.map(|(index, document)| {
            let tokens = pairs.tokens(document).map_err(tokenize(index))?;
            self.fitting(index, tokens)
        });
        self.compute(inputs.collect::<Result<_, _>>()?, Form::Score)
    }

    fn compute(&self, inputs: Vec<Vec<LlamaToken>>, form: Form) -> Result<Embedding, EmbedError> {
        let Worker::Embedding { jobs: Some(jobs) } = &self.shared.worker else {
            return Err(EmbedError::Unloaded);
        };
        let max = self.shared.queue_len_max;
        if !self.shared.queue.enter(max) {
            return Err(EmbedError::QueueFull { max });
        }
        let (job, handle) = EmbeddingJob::new(inputs, form);
        jobs.send(job).map_err(|_| EmbedError::Unloaded)?;
        Ok(handle)
    }

    fn check_kind(&self, kind: ModelKind, wanted: &'static str) -> Result<(), EmbedError> {
        match self.facts().kind == kind {
            true => Ok(()),
            false => Err(EmbedError::WrongKind {
                model: self.display_name(),
                wanted,
            }),
        }
    }

    fn check_count(&self, found: usize) -> Result<(), EmbedError> {
        let max = self.embedding_limits().inputs_max;
        match (1..=max).contains(&found) {
            true => Ok(()),
            false => Err(EmbedError::InputCount { found, max }),
        }
    }

    fn embedding_input(&self, index: usize, input: Input) -> Result<Vec<LlamaToken>, EmbedError> {
        let tokens = match input {
            Input::Text(text) => self
                .vocabulary()
                .tokens(&text, true)
                .map_err(|source| EmbedError::Tokenize { index, source })?,
            Input::Tokens(ids) => {
                let is_unknown = |id: &&i32| self.vocabulary().check_token(**id).is_err();
                if let Some(token) = ids.iter().find(is_unknown) {
                    let token = *token;
                    return Err(EmbedError::Token { index, token });
                }
                ids.into_iter().map(LlamaToken::new).collect()
            }
        };
        self.fitting(index, tokens)
    }

    fn fitting(
        &self,
        index: usize,
        tokens: Vec<LlamaToken>,
    ) -> Result<Vec<LlamaToken>, EmbedError> {
        let max = self.embedding_limits().tokens_max;
        match (1..=max).contains(&tokens.len()) {
            true => Ok(tokens),
            false => Err(EmbedError::InputLength {
                index,
                tokens: tokens.len(),
                max,
            }),
        }
    }
}
