//! Where a request's output waits for its reader.
//!
//! The scheduler writes, a [`Generation`] reads, neither waits for the other. What can pile up is
//! bounded by the context: a request generates at most that many tokens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::TokenId;
use crate::context::Interrupt;

/// Text that became ready since the last look, with its tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Piece {
    /// Whole UTF-8.
    pub text: String,
    /// The tokens whose last byte is in the text.
    pub events: Vec<TokenEvent>,
}

impl Piece {
    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.events.is_empty()
    }

    fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
        self.events.extend(other.events);
    }
}

/// One token, sampled or scored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenEvent {
    /// Its number.
    pub id: TokenId,
    /// Its bytes, which may be a part of a character.
    pub bytes: Vec<u8>,
    /// The natural logarithm of the model's own probability for it, before any sampling setting;
    /// `None` when not asked for.
    pub logprob: Option<f32>,
    /// The likeliest tokens at this place, best first.
    pub top: Vec<TopToken>,
}

/// A candidate for a place.
#[derive(Debug, Clone, PartialEq)]
pub struct TopToken {
    /// Its number.
    pub id: TokenId,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// As in [`TokenEvent::logprob`].
    pub logprob: f32,
}

/// Token counts of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens in the prompt.
    pub prompt: usize,
    /// Tokens generated, with those of a stop string and without the end-of-text token.
    pub generated: usize,
    /// Tokens of the prompt that were not read again because they were known.
    pub cached: usize,
    /// Tokens that were guessed, and
    pub drafted: usize,
    /// how many of them were right: see [`LoadOptions::speculation`](crate::LoadOptions).
    pub accepted: usize,
}

/// Why a generation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended its text, or the grammar was fulfilled.
    Stop,
    /// This stop string came.
    StopString(String),
    /// The request's own maximum was reached.
    Length,
    /// The context is full.
    ContextFull,
    /// The handle was dropped or the model unloaded.
    Aborted,
    /// llama.cpp failed; the text says how.
    Failed(String),
}

/// How a generation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// Why.
    pub reason: FinishReason,
    /// The final counts.
    pub usage: Usage,
}

/// What a look at a generation gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Nothing new.
    Busy,
    /// Something new.
    Piece(Piece),
    /// All pieces have been read and no more will come.
    Finished(Finish),
}

/// A running request. Dropping it cancels the request and frees its sequence before the next step.
#[derive(Debug)]
pub struct Generation {
    outbox: Arc<Outbox>,
}

impl Generation {
    pub(crate) fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox }
    }

    /// What is new; never waits.
    pub fn poll(&mut self) -> Progress {
        self.outbox.lock().take()
    }

    /// Waits until something is new; never gives [`Progress::Busy`].
    pub fn wait(&mut self) -> Progress {
        let mut state = self.outbox.lock();
        loop {
            match state.take() {
                Progress::Busy => state = self.outbox.wait(state),
                progress => return progress,
            }
        }
    }

    /// As [`Self::wait`], and [`Progress::Busy`] when `timeout` has passed.
    pub fn wait_within(&mut self, timeout: Duration) -> Progress {
        let end = Instant::now() + timeout;
        let mut state = self.outbox.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match state.take() {
                Progress::Busy if !left.is_zero() => {
                    state = self.outbox.wait_within(state, left);
                }
                progress => return progress,
            }
        }
    }

    /// The counts so far.
    pub fn usage(&self) -> Usage {
        self.outbox.lock().usage
    }

    /// Reads to the end: the whole text and how it ended.
    pub fn collect(mut self) -> (Piece, Finish) {
        let mut all = Piece::default();
        loop {
            match self.wait() {
                Progress::Piece(piece) => all.append(piece),
                Progress::Finished(finish) => return (all, finish),
                Progress::Busy => {}
            }
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.outbox.cancelled.store(true, Ordering::Release);
        if self.outbox.lock().finish.is_none() {
            self.outbox.interrupt.request();
        }
    }
}

/// The shared side of a [`Generation`].
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
    cancelled: AtomicBool,
    interrupt: Arc<Interrupt>,
}

#[derive(Debug, Default)]
struct State {
    piece: Piece,
    usage: Usage,
    finish: Option<FinishReason>,
}

impl State {
    fn take(&mut self) -> Progress {
        if !self.piece.is_empty() {
            return Progress::Piece(std::mem::take(&mut self.piece));
        }
        match &self.finish {
            Some(reason) => Progress::Finished(Finish {
                reason: reason.clone(),
                usage: self.usage,
            }),
            None => Progress::Busy,
        }
    }
}

impl Outbox {
    /// An empty one for a prompt of so many tokens, whose cancellation uses `interrupt`.
    pub fn new(prompt: usize, interrupt: Arc<Interrupt>) -> Self {
        let usage = Usage {
            prompt,
            ..Usage::default()
        };
        Self {
            state: Mutex::new(State {
                usage,
                ..State::default()
            }),
            changed: Condvar::new(),
            cancelled: AtomicBool::new(false),
            interrupt,
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Notes that of so many guessed tokens so many were right.
    pub fn add_drafted(&self, drafted: usize, accepted: usize) {
        if drafted > 0 {
            let usage = &mut self.lock().usage;
            usage.drafted += drafted;
            usage.accepted += accepted;
        }
    }

    /// Notes how many tokens of the prompt need not be read.
    pub fn set_cached(&self, tokens: usize) {
        self.lock().usage.cached = tokens;
    }

    /// Adds a token's piece.
    pub fn push(&self, piece: Piece) {
        let mut state = self.lock();
        state.usage.generated += 1;
        if !piece.is_empty() {
            state.piece.append(piece);
            self.changed.notify_all();
        }
    }

    /// Adds a token that was given and not generated.
    pub fn push_scored(&self, event: TokenEvent) {
        self.lock().piece.events.push(event);
        self.changed.notify_all();
    }

    /// Adds the last piece and says why it is the last.
    pub fn finish(&self, piece: Piece, reason: FinishReason) {
        let mut state = self.lock();
        state.piece.append(piece);
        state.finish.get_or_insert(reason);
        self.changed.notify_all();
    }

    // A panic while the lock is held leaves nothing half-written: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_within<'a>(
        &self,
        state: MutexGuard<'a, State>,
        timeout: Duration,
    ) -> MutexGuard<'a, State> {
        self.changed
            .wait_timeout(state, timeout)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}
