//! Decodes all running requests of one model, on a thread of its own.
//!
//! A step is one batch: first the next token of every request that is writing, then, in what room is
//! left, pieces of the prompts that are being read, divided evenly, so that a short question passes a
//! long document. The pieces are as long as this machine reads in a fifth of a second while somebody
//! is writing, and in a quarter of one else, but mostly no shorter than attention reads at once (see
//! `pace`): about so long a token or a new request waits.
//!
//! A prompt that begins like what a running or a finished request has read shares its cells, or has
//! them put back from host memory, and reads on from there (see `prefix`, `host_cache`, `pool`). One that begins like a prompt which is just being read waits
//! for it: of a hundred users who come at once, the first reads the common part for all.
//!
//! A request is admitted when a place is free and the cells it may come to use can be set aside; so
//! the KV cache cannot run full under running requests, and none of them is ever evicted. Admission
//! is in order of arrival.
//!
//! Cancelled requests leave before each step: their cells are free for the next one. A step that
//! reads prompts is interrupted by a cancellation, and computed again without the cancelled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use llama_cpp_2::model::LlamaModel;

use crate::Speculation;
use crate::bell::Bell;
use crate::context::{Batch, Context, DecodeError, SequenceId};
use crate::drafting::Drafting;
use crate::images::Eye;
use crate::outbox::FinishReason;
use crate::pace::Pace;
use crate::pool::Pool;
use crate::prefix::{SHARED_MIN, common_len};
use crate::sampler::Scratch;
use crate::sequence::{Job, Sequence};
use crate::speculation::Lookup;

/// How long a step may read prompts while nobody writes.
const READING_TIME: Duration = Duration::from_millis(250);

/// How long a step may read prompts while somebody writes.
const READING_TIME_BETWEEN: Duration = Duration::from_millis(200);

/// A step that reads less is not worth interrupting.
const INTERRUPTED_MIN: usize = 32;

/// How much more a prompt must come to share for it to wait.
const WAIT_MIN: usize = 32;

/// How much one model may do at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SchedulerLimits {
    /// The context of one request in tokens.
    pub context_len: usize,
    /// Cells for all requests together.
    pub cells: usize,
    /// Requests that run at a time.
    pub requests: u32,
    /// Sequences of the context: the running requests', those that are kept of finished ones, and one
    /// for copies.
    pub sequences: u32,
    /// Host memory for what was read before, in bytes.
    pub host_bytes: usize,
    /// When tokens are guessed.
    pub speculation: Speculation,
    /// The longest piece of prompts in a step while a request is writing, in tokens.
    pub prompt_chunk: usize,
    /// How long a step may read; what the constants say.
    pub reading_time: Option<Duration>,
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
    pool: Pool,
    pace: Pace,
    drafting: Drafting,
    eye: Option<Eye>,
    batch: Batch,
    scratch: Scratch,
}

impl Scheduler {
    pub fn new(
        context: Context,
        (drafting, eye): (Drafting, Option<Eye>),
        model: Arc<LlamaModel>,
        limits: SchedulerLimits,
        jobs: Receiver<Job>,
        queue: Arc<Queue>,
        bell: Arc<Bell>,
    ) -> Self {
        let batch = context.batch();
        let pool = Pool::new(
            limits.sequences,
            limits.cells,
            context.can_share(),
            limits.host_bytes,
        );
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
            pool,
            pace: Pace::default(),
            drafting,
            eye,
            batch,
            scratch: Scratch::new(vocabulary),
        }
    }

    /// Runs until the model is dropped; requests that are running then end as aborted. After each step
    /// `cells_used` says how many cells are taken.
    pub fn run(mut self, cells_used: &AtomicUsize) {
        while self.receive() {
            // Before looking: a cancellation that comes after the look must interrupt the step.
            self.context.interrupt().reset();
            self.remove_cancelled();
            self.admit();
            self.step();
            cells_used.store(self.pool.cells_used(), Ordering::Relaxed);
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
            let ahead: usize = self.running.iter().map(Sequence::cells_ahead).sum();
            let ids = self.running.iter().map(|one| one.id);
            if self.running.len() == self.limits.requests as usize
                || !self.pool.fits(ids, ahead.saturating_add(cells))
            {
                return;
            }
            let Some(id) = self.pool.take(&mut self.context) else {
                return;
            };
            let Some(job) = self.waiting.pop_front() else {
                return;
            };
            self.queue.leave();
            let guesses = self.limits.speculation != Speculation::Off && self.pool.shares();
            let lookup = guesses.then(Lookup::default);
            self.running.push(Sequence::new(id, cells, job, lookup));
        }
    }

    /// Lets those begin to read that need not wait for somebody who reads the same.
    fn begin(&mut self) {
        for index in 0..self.running.len() {
            if self.running[index].has_begun() {
                continue;
            }
            let beginning = self.beginning(index);
            let sequence = &mut self.running[index];
            let len = match beginning {
                Beginning::Wait => continue,
                Beginning::Own => 0,
                Beginning::Shared(from) => {
                    let (context, pool) = (&mut self.context, &mut self.pool);
                    let len = from.map_or(0, |(from, len)| {
                        pool.share(context, from, sequence.id, len);
                        len
                    });
                    pool.restore(context, sequence.id, sequence.shareable(), len)
                }
            };
            let whole = sequence.before_image(len);
            if whole < len {
                self.pool.truncate(&mut self.context, sequence.id, whole);
            }
            sequence.begin(whole);
        }
    }

    /// Where the beginning of a prompt comes from.
    fn beginning(&self, index: usize) -> Beginning {
        let own = &self.running[index];
        let prompt = own.shareable();
        if !own.job.cache_prompt || !self.pool.shares() {
            return Beginning::Own;
        }
        let begun = self.running.iter().filter(|other| other.has_begun());
        let computed = begun.map(|other| (other.id, common_len(other.computed(), prompt)));
        let there = computed
            .chain(self.pool.longest(prompt))
            .max_by_key(|(_, len)| *len)
            .filter(|(_, len)| *len >= SHARED_MIN);
        let there_len = there
            .map_or(0, |(_, len)| len)
            .max(self.pool.in_host(prompt));
        // Only those before it: nobody waits for one that waits for him.
        let ahead = self.running[..index].iter();
        let coming = ahead
            .filter(|other| other.is_reading() && other.job.cache_prompt)
            .map(|other| common_len(other.prompt(), prompt))
            .max();
        match coming.is_some_and(|coming| coming >= there_len + WAIT_MIN) {
            true => Beginning::Wait,
            false => Beginning::Shared(there),
        }
    }

    fn step(&mut self) {
        self.begin();
        let read = self.fill_batch();
        if !self.batch.is_empty() {
            self.compute(read);
        }
        self.look();
    }

    /// Does one thing for one request that has come to an image: computes rows of it, or reads them. Both are steps of
    /// their own, because a batch holds either tokens or rows.
    fn look(&mut self) {
        let mut running = self.running.iter();
        let at_image = |one: &Sequence| one.has_begun() && one.next_image().is_some();
        let Some(index) = running.position(at_image) else {
            return;
        };
        if let Err(reason) = self.look_for(index) {
            tracing::error!(reason, "an image was not read");
            self.finish(index, FinishReason::Failed(reason));
        }
    }

    fn look_for(&mut self, index: usize) -> Result<(), String> {
        let Self {
            eye: Some(eye),
            running,
            ..
        } = self
        else {
            return Err("the model sees no images".to_owned());
        };
        let sequence = &mut running[index];
        let Some(image) = sequence.next_image().cloned() else {
            return Ok(());
        };
        let Some(rows) = image.part.rows() else {
            return eye.compute(&image.part);
        };
        let (id, position) = (sequence.id, sequence.position());
        let left = image.end() - position;
        let (whole, width) = (eye.reads_whole(), eye.width());
        let len = match whole {
            true => left,
            false => left.min(self.pace.tokens_in(
                self.reading_time(READING_TIME_BETWEEN),
                0,
                self.batch.capacity(),
            )),
        };
        let first = (position - image.start) * width;
        let ids: Vec<_> = self.running.iter().map(|one| one.id).collect();
        self.pool.extend(id, len);
        self.pool.trim(&mut self.context, &ids);
        self.pool.make_room(&mut self.context);
        self.context
            .decode_rows(
                &rows[first..first + len * width],
                len,
                (id, position),
                whole,
            )
            .map_err(|error| error.to_string())?;
        self.running[index].has_read_rows(len);
        self.advance();
        Ok(())
    }

    fn compute(&mut self, read: usize) {
        let running: Vec<_> = self.running.iter().map(|one| one.id).collect();
        self.pool.trim(&mut self.context, &running);
        self.pool.make_room(&mut self.context);
        let started = Instant::now();
        match self.context.decode(&mut self.batch) {
            Ok(()) => {
                self.note(read, started.elapsed());
                self.advance();
            }
            Err(DecodeError::Interrupted) => self.roll_back(),
            Err(error) => self.fail(&error),
        }
    }

    fn note(&mut self, read: usize, elapsed: Duration) {
        if read > 0 {
            self.pace.note(self.batch.len(), elapsed);
        }
        if self.running.iter().all(Sequence::has_row) {
            self.drafting.note_step(self.batch.len(), elapsed);
        }
    }

    fn reading_time(&self, usual: Duration) -> Duration {
        self.limits.reading_time.unwrap_or(usual)
    }

    /// Gives how many tokens of prompts are in it.
    fn fill_batch(&mut self) -> usize {
        self.batch.clear();
        for sequence in &mut self.running {
            if sequence.push_next(&mut self.batch) {
                self.pool.extend(sequence.id, 1);
            }
        }
        let (writers, room) = (self.batch.len(), self.batch.room());
        let (time, max) = match writers {
            0 => (self.reading_time(READING_TIME), room),
            _ => (
                self.reading_time(READING_TIME_BETWEEN),
                self.limits.prompt_chunk.min(room),
            ),
        };
        let read = self.push_prompts(self.pace.tokens_in(time, writers, max));
        if read == 0 {
            let Self {
                drafting,
                running,
                batch,
                pool,
                ..
            } = self;
            drafting.push(running, batch, |id, len| pool.extend(id, len));
        }
        self.context.interrupt().permit(read >= INTERRUPTED_MIN);
        read
    }

    /// Divides `room` evenly among those who read; what the short ones leave goes to the long ones.
    /// Gives how much of it was used.
    fn push_prompts(&mut self, room: usize) -> usize {
        let begun = |sequence: &&mut Sequence| {
            sequence.has_begun() && sequence.is_reading() && sequence.next_image().is_none()
        };
        let mut reading: Vec<_> = self.running.iter_mut().filter(begun).collect();
        reading.sort_by_key(|sequence| sequence.unread());
        let (mut left, mut count) = (room, reading.len());
        for sequence in reading {
            let share = left.div_ceil(count);
            let len = sequence.push_prompt(&mut self.batch, share.min(left));
            self.pool.extend(sequence.id, len);
            left -= len;
            count -= 1;
        }
        room - left
    }

    fn advance(&mut self) {
        for index in (0..self.running.len()).rev() {
            let sequence = &mut self.running[index];
            self.news |= sequence.has_row();
            let drafted = sequence.has_draft();
            let finish = sequence.advance(
                &self.context,
                &self.model,
                &mut self.scratch,
                self.limits.context_len,
            );
            if drafted {
                let (id, position) = (sequence.id, sequence.position());
                self.pool.truncate(&mut self.context, id, position);
            }
            if let Some((drafted, accepted)) = sequence.take_checked() {
                self.drafting.note_checked(drafted, accepted);
            }
            if let Some(reason) = finish {
                self.finish(index, reason);
            }
        }
    }

    fn roll_back(&mut self) {
        for index in (0..self.running.len()).rev() {
            let sequence = &mut self.running[index];
            let position = sequence.roll_back();
            if !self.pool.truncate(&mut self.context, sequence.id, position) {
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
        let piece = sequence.last_piece(&reason);
        let id = sequence.id;
        self.drafting.forget(id);
        let is_sound = !matches!(reason, FinishReason::Failed(_));
        sequence.job.outbox.finish(piece, reason);
        if is_sound {
            let head = sequence.shared();
            let tokens = sequence.into_computed();
            self.pool.keep(&mut self.context, id, tokens, head);
        } else {
            self.pool.forget(&mut self.context, id);
        }
    }
}

/// Where the beginning of a prompt comes from.
enum Beginning {
    /// From a request that is reading it now.
    Wait,
    /// From so many tokens of this sequence, if one has it, and what host memory has beyond that.
    Shared(Option<(SequenceId, usize)>),
    /// From itself.
    Own,
}
