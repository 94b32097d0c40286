//! Turns texts into vectors, many at a time.
//!
//! A thread of its own packs inputs, of whichever calls, into batches as full as they get; each
//! input is a sequence that llama.cpp pools into one vector. Vectors leave with length 1, so that
//! their dot product is the cosine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use llama_cpp_2::token::LlamaToken;

use crate::TokenId;
use crate::bell::Bell;
use crate::context::{Batch, Context, SequenceId};
use crate::scheduler::Queue;

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

/// The vectors of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// One after the other, in the order of the inputs, each of length 1.
    pub values: Vec<f32>,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// Tokens of each input.
    pub tokens: Vec<usize>,
}

/// Why there are no vectors.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model continues text.
    #[error("`{model}` is not an embedding model")]
    WrongKind {
        /// The model.
        model: String,
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
}

#[derive(Debug)]
struct CallState {
    vectors: Vec<f32>,
    left: usize,
    tokens: Vec<usize>,
    outcome: Option<EmbeddingOutcome>,
}

impl Call {
    fn lock(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let start = index * vector.len();
        normalise_into(vector, &mut state.vectors[start..start + vector.len()]);
        state.left -= 1;
        if state.left == 0 {
            let embeddings = Embeddings {
                values: std::mem::take(&mut state.vectors),
                dimensions: vector.len(),
                tokens: std::mem::take(&mut state.tokens),
            };
            state.outcome = Some(Ok(embeddings));
            self.changed.notify_all();
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
    pub fn new(inputs: Vec<Vec<LlamaToken>>, dimensions: usize) -> (Self, Embedding) {
        let call = Arc::new(Call {
            state: Mutex::new(CallState {
                vectors: vec![0.0; inputs.len() * dimensions],
                left: inputs.len(),
                tokens: inputs.iter().map(Vec::len).collect(),
                outcome: None,
            }),
            changed: Condvar::new(),
            cancelled: AtomicBool::new(false),
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

/// One input that waits or is being computed.
struct Pending {
    tokens: Vec<LlamaToken>,
    index: usize,
    call: Arc<Call>,
    /// The last of its call, with which the call leaves the queue.
    last: bool,
}

/// The state of an embedding model's thread.
pub(crate) struct Embedder {
    context: Context,
    sequences: u32,
    batch: Batch,
    jobs: Receiver<EmbeddingJob>,
    queue: Arc<Queue>,
    bell: Arc<Bell>,
    pending: VecDeque<Pending>,
    /// What is in the batch, one sequence each.
    packed: Vec<Pending>,
}

impl Drop for Embedder {
    fn drop(&mut self) {
        for pending in self.pending.iter().chain(&self.packed) {
            pending.call.fail(UNLOADED);
        }
    }
}

impl Embedder {
    pub fn new(
        context: Context,
        sequences: u32,
        jobs: Receiver<EmbeddingJob>,
        queue: Arc<Queue>,
        bell: Arc<Bell>,
    ) -> Self {
        let batch = context.batch();
        Self {
            context,
            sequences,
            batch,
            jobs,
            queue,
            bell,
            pending: VecDeque::new(),
            packed: Vec::new(),
        }
    }

    /// Runs until the model is dropped.
    pub fn run(mut self) {
        while self.receive() {
            self.pack();
            if !self.packed.is_empty() {
                self.compute();
                self.bell.ring();
            }
        }
    }

    fn receive(&mut self) -> bool {
        if self.pending.is_empty() {
            match self.jobs.recv() {
                Ok(job) => self.accept(job),
                Err(_) => return false,
            }
        }
        loop {
            match self.jobs.try_recv() {
                Ok(job) => self.accept(job),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn accept(&mut self, mut job: EmbeddingJob) {
        let inputs = std::mem::take(&mut job.inputs);
        let count = inputs.len();
        let pending = inputs
            .into_iter()
            .enumerate()
            .map(|(index, tokens)| Pending {
                tokens,
                index,
                call: Arc::clone(&job.call),
                last: index + 1 == count,
            });
        self.pending.extend(pending);
    }

    /// Fills the batch from the front of the queue. Every input fits an empty batch; that was checked
    /// when the call came.
    fn pack(&mut self) {
        self.batch.clear();
        self.packed.clear();
        while let Some(next) = self.pending.front() {
            let cancelled = next.call.cancelled.load(Ordering::Acquire);
            let full = self.packed.len() == self.sequences as usize
                || next.tokens.len() > self.batch.room();
            if full && !cancelled {
                break;
            }
            let Some(next) = self.pending.pop_front() else {
                break;
            };
            if next.last {
                self.queue.leave();
            }
            if !cancelled {
                self.push(&next);
                self.packed.push(next);
            }
        }
    }

    fn push(&mut self, input: &Pending) {
        let sequence = self.packed.len();
        for (position, token) in input.tokens.iter().enumerate() {
            self.batch
                .push(*token, position, sequence_id(sequence), true);
        }
    }

    fn compute(&mut self) {
        let computed = self.context.decode(&mut self.batch);
        for (sequence, input) in self.packed.iter().enumerate() {
            let vector = self.context.embedding(sequence_id(sequence));
            match (&computed, vector) {
                (Ok(()), Some(vector)) => input.call.put(input.index, vector),
                (Ok(()), None) => input.call.fail("llama.cpp computed no vector"),
                (Err(error), _) => input.call.fail(&error.to_string()),
            }
        }
        self.packed.clear();
        self.context.forget_all();
    }
}

fn sequence_id(index: usize) -> SequenceId {
    SequenceId::try_from(index).expect("there are fewer than 2^31 sequences")
}

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
    fn vectors_get_length_one() {
        let mut out = [0.0; 2];
        normalise_into(&[3.0, 4.0], &mut out);
        assert_eq!(out, [0.6, 0.8]);
        normalise_into(&[0.0, 0.0], &mut out);
        assert_eq!(out, [0.0, 0.0]);
    }

    #[test]
    fn a_dropped_job_tells_its_reader() {
        let (job, mut handle) = EmbeddingJob::new(vec![vec![LlamaToken::new(1)]], 2);
        drop(job);
        assert!(handle.wait().is_err());
    }
}
