//! One request while it runs: how far its prompt has been read and what comes next.

use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use crate::TokenId;
use crate::context::{Batch, Context, SequenceId};
use crate::outbox::{FinishReason, Outbox, Piece, TokenEvent, TopToken};
use crate::sampler::{SampleError, Sampler, Scratch, log_probabilities};
use crate::text::Assembler;

/// A request that is ready to run.
pub(crate) struct Job {
    /// Never empty, all in the vocabulary.
    pub prompt: Vec<LlamaToken>,
    pub sampler: Sampler,
    pub text: Assembler,
    pub tokens_max: usize,
    pub logprobs: Option<u8>,
    pub outbox: Arc<Outbox>,
}

impl Job {
    /// The most cells it can come to use of a context of `context_len`.
    pub fn cells_max(&self, context_len: usize) -> usize {
        self.prompt
            .len()
            .saturating_add(self.tokens_max)
            .min(context_len)
    }
}

/// However a job ends, and be it by a panic of its thread, its reader learns that it has.
impl Drop for Job {
    fn drop(&mut self) {
        self.outbox.finish(Piece::default(), FinishReason::Aborted);
    }
}

/// A running request.
pub(crate) struct Sequence {
    pub id: SequenceId,
    /// Cells set aside for it.
    pub cells: usize,
    pub job: Job,
    /// Tokens in the context.
    position: usize,
    /// Sampled and not yet in the context.
    next: Option<LlamaToken>,
    /// `position` and `next` before the current batch.
    before: (usize, Option<LlamaToken>),
    /// Where the current batch computes its logits.
    row: Option<i32>,
    generated: usize,
}

impl Sequence {
    pub fn new(id: SequenceId, cells: usize, mut job: Job) -> Self {
        let Job {
            sampler, prompt, ..
        } = &mut job;
        sampler.read_prompt(prompt);
        Self {
            id,
            cells,
            job,
            position: 0,
            next: None,
            before: (0, None),
            row: None,
            generated: 0,
        }
    }

    /// Whether its prompt is still being read.
    pub fn is_reading(&self) -> bool {
        self.position < self.job.prompt.len()
    }

    /// Whether the current batch computes its next token.
    pub fn has_row(&self) -> bool {
        self.row.is_some()
    }

    /// Puts its sampled token into `batch`, if it has one.
    pub fn push_next(&mut self, batch: &mut Batch) {
        self.before = (self.position, self.next);
        if let Some(token) = self.next.take() {
            self.row = Some(batch.push(token, self.position, self.id, true));
            self.position += 1;
        }
    }

    /// Puts at most `len_max` more tokens of its prompt into `batch`; gives how many.
    pub fn push_prompt(&mut self, batch: &mut Batch, len_max: usize) -> usize {
        let left = self.job.prompt.len() - self.position;
        let len = left.min(len_max).min(batch.room());
        for _ in 0..len {
            let last = self.position + 1 == self.job.prompt.len();
            let token = self.job.prompt[self.position];
            let row = batch.push(token, self.position, self.id, last);
            self.row = last.then_some(row);
            self.position += 1;
        }
        len
    }

    /// Goes back to before the current batch, which was not computed. False if that cannot be done.
    pub fn roll_back(&mut self, context: &mut Context) -> bool {
        (self.position, self.next) = self.before;
        self.row = None;
        context.forget_from(self.id, self.position)
    }

    /// Samples from what the last batch computed for it. Gives the reason if that was the last token.
    pub fn advance(
        &mut self,
        context: &Context,
        model: &LlamaModel,
        scratch: &mut Scratch,
        context_len: usize,
    ) -> Option<FinishReason> {
        let row = self.row.take()?;
        let Some(logits) = context.logits(row) else {
            return Some(FinishReason::Failed(
                "llama.cpp computed no logits".to_owned(),
            ));
        };
        let token = match self.job.sampler.sample(logits, scratch) {
            Ok(token) => token,
            Err(SampleError::GrammarStuck) => return Some(FinishReason::Stop),
            Err(error) => return Some(failed(&error)),
        };
        let vocab = model.vocab();
        if vocab.is_eog(token) {
            return Some(FinishReason::Stop);
        }
        if let Err(error) = self.job.sampler.accept(token) {
            return Some(failed(&error));
        }
        self.emit(token, logits, model)
            .or_else(|| self.limit(token, context_len))
    }

    /// The last piece, once no more tokens come.
    pub fn last_piece(&mut self, reason: &FinishReason) -> Piece {
        match reason {
            // What is held back then is the stop string itself, and it is gone already.
            FinishReason::StopString(_) => Piece::default(),
            _ => self.job.text.flush(),
        }
    }

    fn emit(
        &mut self,
        token: LlamaToken,
        logits: &[f32],
        model: &LlamaModel,
    ) -> Option<FinishReason> {
        let bytes = token_bytes(model, token);
        let event = self.event(token, &bytes, logits, model);
        let assembled = self.job.text.push(&bytes, Some(event));
        self.generated += 1;
        self.job.outbox.push(assembled.piece);
        assembled.stopped_by.map(FinishReason::StopString)
    }

    fn limit(&mut self, token: LlamaToken, context_len: usize) -> Option<FinishReason> {
        if self.generated >= self.job.tokens_max {
            return Some(FinishReason::Length);
        }
        if self.position >= context_len {
            return Some(FinishReason::ContextFull);
        }
        self.next = Some(token);
        None
    }

    fn event(
        &self,
        token: LlamaToken,
        bytes: &[u8],
        logits: &[f32],
        model: &LlamaModel,
    ) -> TokenEvent {
        let mut event = TokenEvent {
            id: token.0,
            bytes: bytes.to_vec(),
            ..TokenEvent::default()
        };
        if let Some(count) = self.job.logprobs {
            let (logprob, top) = log_probabilities(logits, token.0, usize::from(count));
            event.logprob = Some(logprob);
            event.top = top.into_iter().map(|pair| top_token(model, pair)).collect();
        }
        event
    }
}

fn top_token(model: &LlamaModel, (id, logprob): (TokenId, f32)) -> TopToken {
    TopToken {
        id,
        bytes: token_bytes(model, LlamaToken::new(id)),
        logprob,
    }
}

/// What a token adds to the text. Control tokens add nothing.
fn token_bytes(model: &LlamaModel, token: LlamaToken) -> Vec<u8> {
    model.vocab().token_to_piece(token, false, None)
}

fn failed(error: &SampleError) -> FinishReason {
    let text = match error {
        SampleError::NoLogits => "the model computed no number; its file may be damaged",
        SampleError::GrammarStuck => "the grammar permits no token",
        SampleError::Grammar => "the grammar refused the token it had permitted",
    };
    FinishReason::Failed(text.to_owned())
}
