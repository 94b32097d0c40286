//! One request while it runs: how far its prompt has been read and what comes next.

use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use crate::TokenId;
use crate::context::{Batch, Context, SequenceId};
use crate::images::Placed;
use crate::outbox::{FinishReason, Outbox, Piece, TokenEvent, TopToken};
use crate::sampler::{SampleError, Sampler, Scratch, log_probabilities};
use crate::speculation::Lookup;
use crate::step_costs::StepCosts;
use crate::text::Assembler;

/// A request that is ready to run.
pub(crate) struct Job {
    /// Never empty, all in the vocabulary.
    pub prompt: Vec<LlamaToken>,
    /// The images in it, in order.
    pub images: Vec<Placed>,
    pub sampler: Sampler,
    pub text: Assembler,
    /// Tokens that come after the prompt whatever the model would say, the first of them last. They are read one by
    /// one, for their log-probabilities, and are no part of the answer.
    pub scored: Vec<LlamaToken>,
    /// Of those and of the answer together.
    pub tokens_max: usize,
    pub logprobs: Option<u8>,
    pub cache_prompt: bool,
    /// The control tokens that are text.
    pub shown: Vec<LlamaToken>,
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
    pub job: Job,
    /// The most cells it can come to use.
    cells_max: usize,
    /// The prompt and what has been generated.
    tokens: Vec<LlamaToken>,
    /// How many of the tokens are in the context, or on their way there in the current batch.
    position: usize,
    /// `position` before the current batch.
    before: usize,
    /// How much of its prompt came from others, once that is settled.
    shared: Option<usize>,
    /// Where the current batch computes its logits.
    row: Option<i32>,
    /// Where guesses come from, if any are wanted.
    lookup: Option<Lookup>,
    /// The guesses that the current batch checks. Their cells are not counted in `position`.
    draft: Vec<LlamaToken>,
    /// Where it computes the logits after the first of them.
    draft_row: i32,
    /// Whether the guesses are a second model's.
    draft_is_models: bool,
    /// How many guesses of a second model the last batch checked, and how many of them were right.
    checked: Option<(usize, usize)>,
}

impl Sequence {
    pub fn new(id: SequenceId, cells_max: usize, mut job: Job, lookup: Option<Lookup>) -> Self {
        let Job {
            sampler, prompt, ..
        } = &mut job;
        let said: Vec<_> = prompt
            .iter()
            .copied()
            .filter(|token| token.0 >= 0)
            .collect();
        sampler.read_prompt(&said);
        Self {
            id,
            cells_max,
            tokens: job.prompt.clone(),
            job,
            position: 0,
            before: 0,
            shared: None,
            row: None,
            lookup,
            draft: Vec::new(),
            draft_row: 0,
            draft_is_models: false,
            checked: None,
        }
    }

    /// What it has been asked to continue.
    pub fn prompt(&self) -> &[LlamaToken] {
        &self.job.prompt
    }

    /// What of its prompt may come from others: its last token must be computed in any case.
    pub fn shareable(&self) -> &[LlamaToken] {
        &self.prompt()[..self.prompt().len() - 1]
    }

    /// The tokens whose cells it has.
    pub fn computed(&self) -> &[LlamaToken] {
        &self.tokens[..self.position]
    }

    /// How many more cells it can come to use.
    pub fn cells_ahead(&self) -> usize {
        self.cells_max.saturating_sub(self.position)
    }

    /// How much of its prompt has not been read.
    pub fn unread(&self) -> usize {
        self.prompt().len().saturating_sub(self.position)
    }

    /// Whether its prompt is still being read, or waits to be.
    pub fn is_reading(&self) -> bool {
        self.unread() > 0
    }

    /// Whether it has begun to read.
    pub fn has_begun(&self) -> bool {
        self.shared.is_some()
    }

    /// How much of its prompt came from others.
    pub fn shared(&self) -> usize {
        self.shared.unwrap_or(0)
    }

    /// The image that it is to read next, if it stands before or in one.
    pub fn next_image(&self) -> Option<&Placed> {
        let mut images = self.job.images.iter();
        images.find(|image| (image.start..image.end()).contains(&self.position))
    }

    /// Whether there are images in it.
    pub fn has_images(&self) -> bool {
        !self.job.images.is_empty()
    }

    /// So many of the first `len` tokens end in no image.
    pub fn before_image(&self, len: usize) -> usize {
        let mut images = self.job.images.iter();
        let cut = images.find(|image| image.start < len && len < image.end());
        cut.map_or(len, |image| image.start)
    }

    /// It has read `len` more rows of an image, which were a batch of their own.
    pub fn has_read_rows(&mut self, len: usize) {
        self.position += len;
        self.before = self.position;
        let row = i32::try_from(len).unwrap_or(0) - 1;
        self.row = (self.position == self.tokens.len()).then_some(row);
    }

    /// It begins, with `shared` tokens of its prompt in the context already.
    pub fn begin(&mut self, shared: usize) {
        self.shared = Some(shared);
        self.position = shared;
        self.before = shared;
        self.job.outbox.set_cached(shared);
    }

    /// Whether the current batch computes its next token.
    pub fn has_row(&self) -> bool {
        self.row.is_some()
    }

    /// Puts its sampled token into `batch`, if it has one. Gives whether it has.
    pub fn push_next(&mut self, batch: &mut Batch) -> bool {
        self.before = self.position;
        !self.is_reading() && self.push(batch, 1) == 1
    }

    /// Puts what followed its last tokens where they stand earlier into `batch`, as much as is worth
    /// it, as a guess of what follows its next token. Gives how many tokens.
    pub fn push_lookup(&mut self, batch: &mut Batch, costs: &mut StepCosts) -> usize {
        let max = self.draft_max().min(batch.room());
        let Some(lookup) = self.lookup.as_mut().filter(|_| max > 0) else {
            return 0;
        };
        let draft = lookup.draft(&self.tokens);
        let said = draft.iter().take_while(|token| token.0 >= 0).count();
        let draft = &draft[..said];
        let len = costs.draft_len(batch.len(), draft.len().min(max), lookup.acceptance());
        let draft = draft[..len].to_vec();
        self.draft_is_models = false;
        self.push_draft(batch, draft)
    }

    /// Puts a second model's guesses into `batch`. Gives how many.
    pub fn push_guesses(&mut self, batch: &mut Batch, mut guesses: Vec<LlamaToken>) -> usize {
        guesses.truncate(self.draft_max().min(batch.room()));
        self.draft_is_models = true;
        self.push_draft(batch, guesses)
    }

    fn push_draft(&mut self, batch: &mut Batch, draft: Vec<LlamaToken>) -> usize {
        for (index, token) in draft.iter().enumerate() {
            let row = batch.push(*token, self.position + index, self.id, true);
            self.draft_row = row - i32::try_from(index).unwrap_or(0);
        }
        self.draft = draft;
        self.draft.len()
    }

    /// The most guesses that it can use beside what is in the current batch.
    pub fn draft_max(&self) -> usize {
        if self.lookup.is_none() || self.row.is_none() || self.has_draft() {
            return 0;
        }
        // The step computes the token after the guesses as well.
        let wanted = self.job.tokens_max.saturating_sub(self.generated() + 1);
        wanted.min(self.cells_ahead())
    }

    /// The prompt and what has been generated.
    pub fn tokens(&self) -> &[LlamaToken] {
        &self.tokens
    }

    /// How many guesses of a second model the last batch checked, and how many of them were right;
    /// once.
    pub fn take_checked(&mut self) -> Option<(usize, usize)> {
        self.checked.take()
    }

    /// Whether the current batch checks guesses of it.
    pub fn has_draft(&self) -> bool {
        !self.draft.is_empty()
    }

    /// How many of its tokens are in the context.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Puts at most `len_max` more tokens of its prompt into `batch`, none beyond the next image; gives how many.
    pub fn push_prompt(&mut self, batch: &mut Batch, len_max: usize) -> usize {
        let mut images = self.job.images.iter();
        let image = images.find(|image| image.end() > self.position);
        let before = image.map_or(usize::MAX, |image| {
            image.start.saturating_sub(self.position)
        });
        self.push(batch, self.unread().min(len_max).min(before))
    }

    fn push(&mut self, batch: &mut Batch, len: usize) -> usize {
        let len = len.min(batch.room());
        for _ in 0..len {
            let last = self.position + 1 == self.tokens.len();
            let row = batch.push(self.tokens[self.position], self.position, self.id, last);
            self.row = last.then_some(row);
            self.position += 1;
        }
        len
    }

    /// Goes back to before the current batch, which was not computed; gives the position.
    pub fn roll_back(&mut self) -> usize {
        self.position = self.before;
        self.row = None;
        self.draft.clear();
        self.position
    }

    /// What its cells hold, once it has ended.
    pub fn into_computed(mut self) -> Vec<LlamaToken> {
        self.tokens.truncate(self.position);
        std::mem::take(&mut self.tokens)
    }

    /// Samples from what the last batch computed for it. Gives the reason if that was the last token.
    /// Cells beyond `position` hold guesses that were wrong.
    pub fn advance(
        &mut self,
        context: &Context,
        model: &LlamaModel,
        scratch: &mut Scratch,
        context_len: usize,
    ) -> Option<FinishReason> {
        let mut row = self.row.take()?;
        let draft = std::mem::take(&mut self.draft);
        let mut accepted = 0;
        let finish = loop {
            let finish = self.sample(row, context, model, scratch, context_len);
            let guessed = draft.get(accepted).filter(|_| finish.is_none());
            if guessed.is_none() || guessed != self.tokens.last() {
                break finish;
            }
            row = self.draft_row + i32::try_from(accepted).unwrap_or(0);
            accepted += 1;
            self.position += 1;
        };
        match (self.draft_is_models, self.lookup.as_mut()) {
            (true, _) if !draft.is_empty() => self.checked = Some((draft.len(), accepted)),
            (true, _) => {}
            (false, Some(lookup)) => lookup.note(draft.len(), accepted),
            (false, None) => {}
        }
        self.job.outbox.add_drafted(draft.len(), accepted);
        finish
    }

    fn sample(
        &mut self,
        row: i32,
        context: &Context,
        model: &LlamaModel,
        scratch: &mut Scratch,
        context_len: usize,
    ) -> Option<FinishReason> {
        let Some(logits) = context.logits(row) else {
            return Some(FinishReason::Failed(
                "llama.cpp computed no logits".to_owned(),
            ));
        };
        if let Some(token) = self.job.scored.pop() {
            self.score(token, logits, model);
            return None;
        }
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
            .or_else(|| self.limit(context_len))
    }

    /// Takes a token that is given.
    fn score(&mut self, token: LlamaToken, logits: &[f32], model: &LlamaModel) {
        self.job.sampler.read_prompt(&[token]);
        let bytes = self.token_bytes(model, token);
        let event = self.event(token, &bytes, logits, model);
        self.tokens.push(token);
        self.job.outbox.push_scored(event);
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
        let bytes = self.token_bytes(model, token);
        let event = self.event(token, &bytes, logits, model);
        let assembled = self.job.text.push(&bytes, Some(event));
        self.tokens.push(token);
        self.job.outbox.push(assembled.piece);
        assembled.stopped_by.map(FinishReason::StopString)
    }

    fn generated(&self) -> usize {
        self.tokens.len() - self.job.prompt.len()
    }

    fn limit(&self, context_len: usize) -> Option<FinishReason> {
        if self.generated() >= self.job.tokens_max {
            return Some(FinishReason::Length);
        }
        if self.position >= context_len {
            return Some(FinishReason::ContextFull);
        }
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
            event.top = top
                .into_iter()
                .map(|pair| self.top_token(model, pair))
                .collect();
        }
        event
    }

    fn top_token(&self, model: &LlamaModel, (id, logprob): (TokenId, f32)) -> TopToken {
        TopToken {
            id,
            bytes: self.token_bytes(model, LlamaToken::new(id)),
            logprob,
        }
    }

    /// What a token adds to the text. Control tokens add nothing, but for those the request wants.
    fn token_bytes(&self, model: &LlamaModel, token: LlamaToken) -> Vec<u8> {
        let shown = self.job.shown.contains(&token);
        model.vocab().token_to_piece(token, shown, None)
    }
}

fn failed(error: &SampleError) -> FinishReason {
    let text = match error {
        SampleError::NoLogits => "the model computed no number; its file may be damaged",
        SampleError::GrammarStuck => "the grammar permits no token",
        SampleError::Grammar => "the grammar refused the token it had permitted",
    };
    FinishReason::Failed(text.to_owned())
}
