//! One answer being generated.

use gaia_openai::{FinishReason, Usage};
use gaia_wasi_rt::yield_now;
use serde::Deserialize;

use super::bell::Watcher;
use super::nn::{Computed, Lease, OUTPUT_EVENTS, OUTPUT_METADATA, OUTPUT_TEXT};
use super::stock::{TextGuard, read_usage};
use super::{InferenceError, Piece};

/// What comes next in an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// New text, never empty and no events at the same time.
    Piece(Piece),
    /// It is over.
    End {
        reason: FinishReason,
        usage: Usage,
        /// The stop sequence that ended it, where the engine tells.
        stop: Option<String>,
    },
}

/// An answer on its way. Dropping it ends it.
pub(crate) struct Session {
    context: Lease,
    mode: Mode,
    ended: Option<FinishReason>,
}

enum Mode {
    Gaia {
        logprobs: bool,
        watcher: Watcher,
        first: Option<Computed>,
    },
    Stock {
        guard: TextGuard,
        prompt_tokens: u32,
        tokens: u32,
        tokens_max: u32,
    },
}

impl Session {
    // The first look starts the engine, so that what it refuses is known before anything was answered.
    pub(super) fn gaia(mut context: Lease, logprobs: bool) -> Result<Self, InferenceError> {
        let watcher = context.watcher();
        let first = Some(context.step()?);
        Ok(Self {
            context,
            mode: Mode::Gaia {
                logprobs,
                watcher,
                first,
            },
            ended: None,
        })
    }

    pub(super) fn stock(
        mut context: Lease,
        stop: &[String],
        tokens_max: u32,
    ) -> Result<Self, InferenceError> {
        let (prompt_tokens, ..) = read_usage(&context.output(OUTPUT_METADATA)?);
        Ok(Self {
            context,
            mode: Mode::Stock {
                guard: TextGuard::new(stop),
                prompt_tokens,
                tokens: 0,
                tokens_max,
            },
            ended: None,
        })
    }

    /// What it took so far, where the engine tells before the end.
    pub(crate) fn usage(&mut self) -> Option<Usage> {
        match self.mode {
            Mode::Gaia { .. } => {
                let metadata = self.context.output(OUTPUT_METADATA).ok()?;
                let (prompt, generated, cached) = read_usage(&metadata);
                Some(Usage::new(prompt, generated, cached))
            }
            Mode::Stock { .. } => None,
        }
    }

    /// Waits for what comes next. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// The engine failed; the answer ends here.
    pub(crate) async fn next(&mut self) -> Result<Step, InferenceError> {
        loop {
            if let Some(reason) = self.ended {
                return self.end(reason);
            }
            let piece = match self.mode {
                Mode::Gaia { .. } => self.look().await?,
                Mode::Stock { .. } => self.compute().await?,
            };
            if !piece.text.is_empty() || !piece.events.is_empty() {
                return Ok(Step::Piece(piece));
            }
        }
    }

    async fn look(&mut self) -> Result<Piece, InferenceError> {
        let Mode::Gaia {
            logprobs,
            watcher,
            first,
        } = &mut self.mode
        else {
            return Ok(Piece::default());
        };
        let computed = match first.take() {
            Some(computed) => computed,
            None => {
                watcher.wait().await;
                self.context.step()?
            }
        };
        match computed {
            Computed::Busy => return Ok(Piece::default()),
            Computed::Some => watcher.found(),
            computed => self.ended = Some(finish_reason(computed)?),
        }
        let text = self.context.output_single(OUTPUT_TEXT)?;
        let events = match logprobs {
            true => {
                serde_json::from_slice(&self.context.output(OUTPUT_EVENTS)?).unwrap_or_default()
            }
            false => Vec::new(),
        };
        Ok(Piece {
            text: String::from_utf8_lossy(&text).into_owned(),
            events,
        })
    }

    // The stock plugin waits inside the call; the others get their turn between two tokens.
    async fn compute(&mut self) -> Result<Piece, InferenceError> {
        yield_now().await;
        let computed = self.context.step()?;
        let Mode::Stock {
            guard,
            tokens,
            tokens_max,
            ..
        } = &mut self.mode
        else {
            return Ok(Piece::default());
        };
        if computed != Computed::Some {
            self.ended = Some(finish_reason(computed)?);
            return Ok(text_only(guard.finish()));
        }
        *tokens = tokens.saturating_add(1);
        let bytes = self.context.output_single(OUTPUT_TEXT)?;
        let mut text = guard.push(&bytes);
        if guard.stopped() {
            self.ended = Some(FinishReason::Stop);
        } else if tokens >= tokens_max {
            self.ended = Some(FinishReason::Length);
            text.push_str(&guard.finish());
        }
        Ok(text_only(text))
    }

    fn end(&mut self, reason: FinishReason) -> Result<Step, InferenceError> {
        let (usage, reason, stop) = match self.mode {
            Mode::Gaia { .. } => {
                let metadata = self.context.output(OUTPUT_METADATA)?;
                let (prompt, generated, cached) = read_usage(&metadata);
                let usage = Usage::new(prompt, generated, cached);
                let end = Ended::read(&metadata);
                (usage, end.reason().unwrap_or(reason), end.stop_sequence)
            }
            Mode::Stock {
                prompt_tokens,
                tokens,
                ..
            } => (Usage::new(prompt_tokens, tokens, 0), reason, None),
        };
        Ok(Step::End {
            reason,
            usage,
            stop,
        })
    }
}

fn text_only(text: String) -> Piece {
    Piece {
        text,
        events: Vec::new(),
    }
}

fn finish_reason(computed: Computed) -> Result<FinishReason, InferenceError> {
    match computed {
        Computed::Full => Ok(FinishReason::Length),
        Computed::PromptTooLong => Err(InferenceError::PromptTooLong),
        Computed::End | Computed::Some | Computed::Busy => Ok(FinishReason::Stop),
    }
}

/// What the engine says of an end.
#[derive(Debug, Default, Deserialize)]
struct Ended {
    finish_reason: Option<String>,
    stop_sequence: Option<String>,
}

impl Ended {
    fn read(metadata: &[u8]) -> Self {
        serde_json::from_slice(metadata).unwrap_or_default()
    }

    fn reason(&self) -> Option<FinishReason> {
        match self.finish_reason.as_deref()? {
            "stop" => Some(FinishReason::Stop),
            "length" => Some(FinishReason::Length),
            _ => None,
        }
    }
}
