//! Turns texts into vectors, or pairs of texts into scores, many at a time.
//!
//! A thread of its own packs inputs, of whichever calls, into steps as full as they get; each
//! input is a sequence that llama.cpp pools into one vector, or in which it judges a document by a query. Vectors
//! leave with length 1, so that their dot product is the cosine; scores as they are. A question passes ahead of a long call, which is why a call is
//! computed in no particular order.

mod embedder;
mod waiting;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use llama_cpp_2::token::LlamaToken;

use crate::TokenId;

pub(crate) use embedder::Embedder;

/// One text to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Tokenised as the model wants it, with its own starting and ending tokens.
    Text(String),
    /// Used as they are.
    Tokens(Vec<TokenId>),
}

/// What one call may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Inputs in a call.
    pub inputs_max: usize,
    /// Tokens in an input.
    pub tokens_max: usize,
}

/// Inputs in a call.
pub(crate) const INPUTS_MAX: usize = 1024;

/// The vectors or the scores of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// One after the other, in the order of the inputs: vectors of length 1, or a score each.
    pub values: Vec<f32>,
    /// Numbers of one input.
    pub dimensions: usize,
    /// Tokens of each input.
    pub tokens: Vec<usize>,
}

/// Why there are no vectors.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model does something else.
    #[error("`{model}` is not a model for {wanted}")]
    WrongKind {
        /// The model.
        model: String,
        /// What it was asked to do.
        wanted: &'static str,
    },
    /// Too many calls wait already.
    #[error("{max} calls are waiting already")]
    QueueFull {
        /// The maximum.
        max: usize,
    },
    /// No inputs, or too many.
    #[error("{found} inputs, a call takes 1 to {max}")]
    InputCount {
        /// How many there are.
        found: usize,
        /// The maximum.
        max: usize,
    },
    /// An input does not fit the model.
    #[error("input {index} has {tokens} tokens, the model takes 1 to {max}")]
    InputLength {
        /// Which input, from 0.
        index: usize,
        /// Its length in tokens.
        tokens: usize,
        /// The longest the model takes.
        max: usize,
    },
    /// A token number is not in the vocabulary.
    #[error("input {index} holds token {token}, which is not in the vocabulary")]
    Token {
        /// Which input, from 0.
        index: usize,
        /// The number.
        token: TokenId,
    },
    /// A text cannot be tokenised.
    #[error("failed to tokenise input {index}")]
    Tokenize {
        /// Which input, from 0.
        index: usize,
        /// Why.
        #[source]
        source: crate::TokenizeError,
    },
    /// The model's thread has ended.
    #[error("the model has been unloaded")]
    Unloaded,
}

/// How a call ended: vectors, or how llama.cpp failed.
pub type EmbeddingOutcome = Result<Embeddings, String>;

/// A running call. Dropping it cancels what has not been computed.
#[derive(Debug)]
pub struct Embedding {
    call: Arc<Call>,
}

impl Embedding {
    /// The outcome if it is there; gives it once.
    pub fn poll(&mut self) -> Option<EmbeddingOutcome> {
        self.call.lock().outcome.take()
    }

    /// Waits for the outcome; gives it once.
    pub fn wait(&mut self) -> EmbeddingOutcome {
        let mut state = self.call.lock();
        loop {
            match state.outcome.take() {
                Some(outcome) => return outcome,
                None if state.left == 0 => return Err("the outcome has been taken".to_owned()),
                None => {
                    let changed = self.call.changed.wait(state);
                    state = changed.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Drop for Embedding {
    fn drop(&mut self) {
        self.call.cancelled.store(true, Ordering::Release);
    }
}

/// The shared side of an [`Embedding`].
#[derive(Debug)]
struct Call {
    state: Mutex<CallState>,
    changed: Condvar,
    cancelled: AtomicBool,
    /// Inputs that no step has taken yet. With the last of them the call leaves the queue.
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct CallState {
    form: Form,
    vectors: Vec<f32>,
    left: usize,
    tokens: Vec<usize>,
    outcome: Option<EmbeddingOutcome>,
}

impl Call {
    fn lock(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    fn fail(&self, reason: &str) {
        let mut state = self.lock();
        if state.left > 0 {
            state.left = 0;
            state.outcome = Some(Err(reason.to_owned()));
            self.changed.notify_all();
        }
    }

    fn put(&self, index: usize, vector: &[f32]) {
        let mut state = self.lock();
        if state.left == 0 {
            return;
        }
        let dimensions = state.form.numbers();
        let start = index * dimensions;
        let form = state.form;
        let place = &mut state.vectors[start..start + dimensions];
        match form {
            // Of several classes the first is the one that counts, as for llama.cpp's server.
            Form::Score => place.copy_from_slice(&vector[..1]),
            Form::Vector(_) => normalise_into(vector, place),
        }
        state.left -= 1;
        if state.left == 0 {
            let embeddings = Embeddings {
                values: std::mem::take(&mut state.vectors),
                dimensions,
                tokens: std::mem::take(&mut state.tokens),
            };
            state.outcome = Some(Ok(embeddings));
            self.changed.notify_all();
        }
    }
}

/// What becomes of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A vector of so many numbers.
    Vector(usize),
    /// A score.
    Score,
}

impl Form {
    fn numbers(self) -> usize {
        match self {
            Self::Vector(dimensions) => dimensions,
            Self::Score => 1,
        }
    }
}

/// Tokenised inputs on their way to the thread. However they end, their reader learns that they have.
pub(crate) struct EmbeddingJob {
    inputs: Vec<Vec<LlamaToken>>,
    call: Arc<Call>,
}

impl EmbeddingJob {
    /// A job and the handle for its caller.
    pub fn new(inputs: Vec<Vec<LlamaToken>>, form: Form) -> (Self, Embedding) {
        let call = Arc::new(Call {
            state: Mutex::new(CallState {
                form,
                vectors: vec![0.0; inputs.len() * form.numbers()],
                left: inputs.len(),
                tokens: inputs.iter().map(Vec::len).collect(),
                outcome: None,
            }),
            changed: Condvar::new(),
            cancelled: AtomicBool::new(false),
            waiting: AtomicUsize::new(inputs.len()),
        });
        let handle = Embedding {
            call: Arc::clone(&call),
        };
        (Self { inputs, call }, handle)
    }
}

impl Drop for EmbeddingJob {
    fn drop(&mut self) {
        // What has been taken over by the thread has no inputs left here.
        if !self.inputs.is_empty() {
            self.call.fail(UNLOADED);
        }
    }
}

const UNLOADED: &str = "the model has been unloaded";

fn normalise_into(vector: &[f32], into: &mut [f32]) {
    let square: f64 = vector.iter().map(|value| f64::from(*value).powi(2)).sum();
    let scale = if square > 0.0 {
        1.0 / square.sqrt()
    } else {
        0.0
    };
    for (to, value) in into.iter_mut().zip(vector) {
        *to = (f64::from(*value) * scale) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_first_number_as_it_is() {
        let inputs = vec![vec![LlamaToken::new(1)]; 2];
        let (mut job, mut handle) = EmbeddingJob::new(inputs, Form::Score);
        job.inputs.clear();
        job.call.put(1, &[0.25, 0.75]);
        assert!(handle.poll().is_none());
        job.call.put(0, &[-3.0]);
        let scores = handle.wait().unwrap();
        assert_eq!((scores.values, scores.dimensions), (vec![-3.0, 0.25], 1));
    }

    #[test]
    fn vectors_get_length_one() {
        let mut out = [0.0; 2];
        normalise_into(&[3.0, 4.0], &mut out);
        assert_eq!(out, [0.6, 0.8]);
        normalise_into(&[0.0, 0.0], &mut out);
        assert_eq!(out, [0.0, 0.0]);
    }

    #[test]
    fn a_dropped_job_tells_its_reader() {
        let (job, mut handle) = EmbeddingJob::new(vec![vec![LlamaToken::new(1)]], Form::Score);
        drop(job);
        assert!(handle.wait().is_err());
    }
}
