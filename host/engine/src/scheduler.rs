//! Decodes all running requests of one model, on a thread of its own.
//!
//! A step is one batch: first the next token of every request that is writing, then, in what room is
//! left, pieces of the prompts that are being read, oldest first. While somebody is writing, the
//! pieces are kept short, so that a long prompt delays the others by a fraction of a second a step
//! and not by its whole length.
//!
//! A request is admitted when a sequence is free and the cells it may come to use can be set aside;
//! so the KV cache cannot run full under running requests, and none is ever evicted. Admission is in
//! order of arrival.
//!
//! Cancelled requests leave before each step: their sequence and cells are free for the next one. A
//! step that only reads prompts may take long; a cancellation interrupts it, and what it was reading
//! for others is read again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

use llama_cpp_2::model::LlamaModel;

use crate::bell::Bell;
use crate::context::{Batch, Context, DecodeError, SequenceId};
use crate::outbox::FinishReason;
use crate::sampler::Scratch;
use crate::sequence::{Job, Sequence};

/// How much one model may do at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SchedulerLimits {
    /// The context of one request in tokens.
    pub context_len: usize,
    /// Cells for all requests together.
    pub cells: usize,
    pub sequences: u32,
    /// The longest piece of prompts in a step while a request is writing, in tokens.
    pub prompt_chunk: usize,
}

/// Counts the requests that have been sent and not yet admitted.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    len: AtomicUsize,
}

impl Queue {
    /// Takes a place if fewer than `max` are taken.
    pub fn enter(&self, max: usize) -> bool {
        self.len
            .try_update(Ordering::AcqRel, Ordering::Acquire, |len| {
                (len < max).then_some(len + 1)
            })
            .is_ok()
    }

    pub fn leave(&self) {
        self.len.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The state of a model's thread.
pub(crate) struct Scheduler {
    context: Context,
    model: Arc<LlamaModel>,
    limits: SchedulerLimits,
    jobs: Receiver<Job>,
    queue: Arc<Queue>,
    bell: Arc<Bell>,
    /// Whether some reader got something since the last ring.
    news: bool,
    waiting: VecDeque<Job>,
    running: Vec<Sequence>,
    free: Vec<SequenceId>,
    cells_free: usize,
    batch: Batch,
    scratch: Scratch,
}

impl Scheduler {
    pub fn new(
        context: Context,
        model: Arc<LlamaModel>,
        limits: SchedulerLimits,
        jobs: Receiver<Job>,
        queue: Arc<Queue>,
        bell: Arc<Bell>,
    ) -> Self {
        let batch = context.batch();
        let vocabulary = usize::try_from(model.n_vocab()).unwrap_or(0);
        Self {
            context,
            model,
            limits,
            jobs,
            queue,
            bell,
            news: false,
            waiting: VecDeque::new(),
            running: Vec::new(),
            // Popped from the end: the lowest number first.
            free: (0..limits.sequences.cast_signed()).rev().collect(),
            cells_free: limits.cells,
            batch,
            scratch: Scratch::new(vocabulary),
        }
    }

    /// Runs until the model is dropped; requests that are running then end as aborted.
    pub fn run(mut self) {
        while self.receive() {
            // Before looking: a cancellation that comes after the look must interrupt the step.
            self.context.interrupt().reset();
            self.remove_cancelled();
            self.admit();
            self.step();
            if std::mem::take(&mut self.news) {
                self.bell.ring();
            }
        }
        // Jobs that are dropped tell their readers.
    }

    /// Takes what has arrived; waits only when there is nothing to do. False when no more can come.
    fn receive(&mut self) -> bool {
        if self.running.is_empty() && self.waiting.is_empty() {
            match self.jobs.recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(_) => return false,
            }
        }
        loop {
            match self.jobs.try_recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn remove_cancelled(&mut self) {
        let queue = &self.queue;
        self.waiting.retain(|job| {
            let cancelled = job.outbox.is_cancelled();
            if cancelled {
                queue.leave();
            }
            !cancelled
        });
        for index in (0..self.running.len()).rev() {
            if self.running[index].job.outbox.is_cancelled() {
                self.finish(index, FinishReason::Aborted);
            }
        }
    }

    fn admit(&mut self) {
        while let Some(job) = self.waiting.front() {
            let cells = job.cells_max(self.limits.context_len);
            if cells > self.cells_free || self.free.is_empty() {
                return;
            }
            let (Some(job), Some(id)) = (self.waiting.pop_front(), self.free.pop()) else {
                return;
            };
            self.queue.leave();
            self.cells_free -= cells;
            self.running.push(Sequence::new(id, cells, job));
        }
    }

    fn step(&mut self) {
        self.fill_batch();
        if self.batch.is_empty() {
            return;
        }
        match self.context.decode(&mut self.batch) {
            Ok(()) => self.advance(),
            Err(DecodeError::Interrupted) => self.roll_back(),
            Err(error) => self.fail(&error),
        }
    }

    fn fill_batch(&mut self) {
        self.batch.clear();
        for sequence in &mut self.running {
            sequence.push_next(&mut self.batch);
        }
        let only_prompts = self.batch.is_empty();
        self.context.interrupt().permit(only_prompts);
        let mut room = match only_prompts {
            true => self.batch.room(),
            false => self.limits.prompt_chunk.min(self.batch.room()),
        };
        for sequence in self.running.iter_mut().filter(|one| one.is_reading()) {
            room -= sequence.push_prompt(&mut self.batch, room);
        }
    }

    fn advance(&mut self) {
        for index in (0..self.running.len()).rev() {
            self.news |= self.running[index].has_row();
            let finish = self.running[index].advance(
                &self.context,
                &self.model,
                &mut self.scratch,
                self.limits.context_len,
            );
            if let Some(reason) = finish {
                self.finish(index, reason);
            }
        }
    }

    fn roll_back(&mut self) {
        for index in (0..self.running.len()).rev() {
            if !self.running[index].roll_back(&mut self.context) {
                let text = "another request's cancellation could not be undone";
                self.finish(index, FinishReason::Failed(text.to_owned()));
            }
        }
    }

    /// What a failed batch leaves in the context is unknown, so everybody in it ends.
    fn fail(&mut self, error: &DecodeError) {
        tracing::error!(%error, requests = self.running.len(), "a step failed");
        let reason = FinishReason::Failed(error.to_string());
        for index in (0..self.running.len()).rev() {
            self.finish(index, reason.clone());
        }
    }

    fn finish(&mut self, index: usize, reason: FinishReason) {
        self.news = true;
        let mut sequence = self.running.remove(index);
        self.context.forget_from(sequence.id, 0);
        self.free.push(sequence.id);
        self.cells_free += sequence.cells;
        let piece = sequence.last_piece(&reason);
        sequence.job.outbox.finish(piece, reason);
    }
}
