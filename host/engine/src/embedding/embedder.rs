//! The thread of an embedding model.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};

use super::waiting::{Pending, Waiting};
use super::{EmbeddingJob, UNLOADED};
use crate::bell::Bell;
use crate::context::{Batch, Context, SequenceId};
use crate::scheduler::Queue;
use crate::turn::TURNS_PAY;

/// Tokens in a step: what a question waits for. A CPU computes steps of 96 to 512 tokens at one rate, since
/// what longer ones save they lose to inputs that look at each other in vain. A GPU takes what fits.
const STEP_TOKENS: usize = if TURNS_PAY { 128 } else { usize::MAX };

/// The state of an embedding model's thread.
pub(crate) struct Embedder {
    context: Context,
    sequences: usize,
    batch: Batch,
    jobs: Receiver<EmbeddingJob>,
    queue: Arc<Queue>,
    bell: Arc<Bell>,
    waiting: Waiting,
    /// What is in the batch, one sequence each.
    packed: Vec<Pending>,
}

impl Drop for Embedder {
    fn drop(&mut self) {
        for pending in self.waiting.drain().chain(self.packed.drain(..)) {
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
            sequences: sequences as usize,
            batch,
            jobs,
            queue,
            bell,
            waiting: Waiting::default(),
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
        if self.waiting.is_empty() {
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
        let pending = inputs
            .into_iter()
            .enumerate()
            .map(|(index, tokens)| Pending {
                tokens,
                index,
                call: Arc::clone(&job.call),
            });
        self.waiting.add(pending.collect());
    }

    /// Chooses what is computed next. Every input fits an empty batch; that was checked when the call
    /// came.
    fn pack(&mut self) {
        self.batch.clear();
        let room = self.batch.room();
        let step = STEP_TOKENS.min(room);
        let mut taken = self.waiting.forget_cancelled();
        self.packed = self.waiting.step(step, self.sequences);
        for (sequence, input) in self.packed.iter().enumerate() {
            for (position, token) in input.tokens.iter().enumerate() {
                self.batch
                    .push(*token, position, sequence_id(sequence), true);
            }
        }
        taken.extend(self.packed.iter().map(|input| Arc::clone(&input.call)));
        for call in taken {
            if call.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.queue.leave();
            }
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
