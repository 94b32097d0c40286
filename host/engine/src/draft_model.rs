//! A second, smaller model with the same tokens, whose likeliest tokens are guesses of what the first
//! one will say.
//!
//! It follows the texts that are being written in a context of its own: it reads what has come since its
//! last guess, forgets what it guessed wrong, and guesses for all of them in one batch a token. It looks
//! back on a bounded part of a text, and begins anew with the end of one that has outgrown it; so its
//! cache never fills, and a long prompt costs it no more than a short one. What it guesses decides only
//! how long an answer takes (see `speculation`).

use std::time::Instant;

use llama_cpp_2::token::LlamaToken;

use crate::context::{Batch, Context, DecodeError, SequenceId};
use crate::prefix::common_len;
use crate::sampler::likeliest;
use crate::speculation::{Acceptance, DRAFT_MAX};
use crate::step_costs::{StepCosts, rows_left};

/// The most tokens of a text that are read before the first guess.
const READ_MAX: usize = 256;

/// The most tokens that are read between two steps, for all texts together.
pub(crate) const PIECE_MAX: u32 = 64;

/// When its time is measured again, it guesses so many tokens
const TRIAL_LEN: usize = 4;
/// in the last of at most so many steps; the first go into reading, of several texts perhaps.
const TRIAL_STEPS: u32 = 16;

/// After so many steps in a row that it seemed to pay, that is believed.
const PROVEN: u32 = 64;

/// Weight of the last guess against all before it: texts differ, and one is not all.
const NEWEST: f64 = 1.0 / 16.0;

/// How probable it is taken to be that a guess is right, before any was checked: high, because a model
/// that could pay shows only by guessing whether it does, and one that is wrong shows it soon.
const HOPE: f64 = 0.95;

/// A model that does not seem to pay is tried again after so many steps, and then
const TRIED_AGAIN: u32 = 256;
/// after twice as many each time, up to this.
const TRIED_AGAIN_MAX: u32 = 8192;

/// A text that is being written.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub id: SequenceId,
    pub tokens: &'a [LlamaToken],
    /// The most guesses that it can use.
    pub wanted: usize,
}

/// The model that guesses.
pub(crate) struct Drafter {
    context: Context,
    batch: Batch,
    readers: Vec<Reader>,
    /// Tokens of a text that it looks back on.
    window: usize,
    /// Tokens that both models have.
    vocabulary: usize,
    trust: Trust,
}

impl Drafter {
    /// The model of `context`, to guess for one with which it has the first `vocabulary` tokens in
    /// common. It looks back on `window` tokens of each of `sequences` texts.
    pub fn new(context: Context, sequences: u32, window: usize, vocabulary: usize) -> Self {
        Self {
            batch: context.batch(),
            context,
            readers: (0..sequences).map(|_| Reader::default()).collect(),
            window,
            vocabulary,
            trust: Trust::default(),
        }
    }

    /// How many tokens it is worth to guess for each of `texts` texts in a step of `rows` rows.
    pub fn len(&mut self, rows: usize, texts: usize, costs: &StepCosts) -> usize {
        // Where not all have room for one, nothing can be learned about what guesses take.
        let room = rows_left(rows) / texts.max(1);
        if room == 0 {
            return 0;
        }
        let len = self
            .trust
            .len(|acceptance| costs.guesses_len(rows, texts, DRAFT_MAX, acceptance));
        len.min(room)
    }

    /// Of `drafted` guesses the first `accepted` were right.
    pub fn note_checked(&mut self, drafted: usize, accepted: usize) {
        self.trust.note_checked(drafted, accepted);
    }

    /// Text `id` has ended.
    pub fn forget(&mut self, id: SequenceId) {
        if let Some(reader) = reader(&mut self.readers, id) {
            *reader = Reader::default();
            self.context.forget_from(id, 0);
        }
    }

    /// Guesses how each of `texts` goes on. One that it has not read to its end gets no guess yet.
    pub fn guess(
        &mut self,
        texts: &[Text<'_>],
        costs: &mut StepCosts,
    ) -> Result<Vec<Vec<LlamaToken>>, DecodeError> {
        let mut guesses = vec![Vec::new(); texts.len()];
        let mut rows = self.read(texts);
        while !self.batch.is_empty() {
            self.compute(costs)?;
            let computed: Vec<_> = rows
                .iter()
                .map(|row| row.and_then(|row| self.likeliest(row)))
                .collect();
            self.batch.clear();
            for (index, token) in computed.into_iter().enumerate() {
                let (text, guesses) = (&texts[index], &mut guesses[index]);
                guesses.extend(token);
                let goes_on = token.filter(|_| guesses.len() < text.wanted);
                rows[index] = goes_on.map(|token| self.push(text.id, token, true));
            }
        }
        Ok(guesses)
    }

    /// Fills the batch with what is unread of `texts`, the shortest first. Gives where it computes what
    /// follows each of them.
    fn read(&mut self, texts: &[Text<'_>]) -> Vec<Option<i32>> {
        self.batch.clear();
        let mut rows = vec![None; texts.len()];
        let mut unread: Vec<_> = texts.iter().map(|text| self.follow(text)).collect();
        let mut order: Vec<_> = (0..texts.len()).collect();
        order.sort_by_key(|index| unread[*index].len());
        for index in order {
            let tokens = std::mem::take(&mut unread[index]);
            let len = tokens.len().min(self.batch.room());
            for (place, token) in tokens[..len].iter().enumerate() {
                let is_last = place + 1 == tokens.len();
                let row = self.push(texts[index].id, *token, is_last);
                rows[index] = is_last.then_some(row);
            }
        }
        rows
    }

    /// Forgets what it has in its cache and is not in `text`; gives what is left to read.
    fn follow<'a>(&mut self, text: &Text<'a>) -> &'a [LlamaToken] {
        let Some(reader) = reader(&mut self.readers, text.id) else {
            return &[];
        };
        let before = reader.cached.len();
        let unread = reader.follow(text.tokens, self.window);
        if reader.cached.len() < before {
            self.context.forget_from(text.id, reader.cached.len());
        }
        unread
    }

    /// Puts the next token of text `id` into the batch; gives its row.
    fn push(&mut self, id: SequenceId, token: LlamaToken, wanted: bool) -> i32 {
        let mut position = 0;
        if let Some(reader) = reader(&mut self.readers, id) {
            position = reader.cached.len();
            reader.cached.push(token);
        }
        self.batch.push(token, position, id, wanted)
    }

    fn compute(&mut self, costs: &mut StepCosts) -> Result<(), DecodeError> {
        let started = Instant::now();
        self.context.decode(&mut self.batch)?;
        costs.note_guesses(self.batch.len(), started.elapsed());
        Ok(())
    }

    fn likeliest(&self, row: i32) -> Option<LlamaToken> {
        let logits = self.context.logits(row)?;
        likeliest(&logits[..self.vocabulary.min(logits.len())], &[])
    }
}

fn reader(readers: &mut [Reader], id: SequenceId) -> Option<&mut Reader> {
    usize::try_from(id).ok().and_then(|id| readers.get_mut(id))
}

/// What the cache holds of one text.
#[derive(Debug, Default)]
struct Reader {
    /// The place in the text where it begins.
    start: usize,
    /// What was read from there on, wrong guesses included.
    cached: Vec<LlamaToken>,
}

impl Reader {
    /// Keeps only what is in `tokens`, and at least one less; gives the tokens after it. Begins anew with
    /// the end of a text of which too much is unread, or that does not fit the window.
    fn follow<'a>(&mut self, tokens: &'a [LlamaToken], window: usize) -> &'a [LlamaToken] {
        let own = tokens.get(self.start..).unwrap_or_default();
        let known = common_len(&self.cached, own).min(own.len().saturating_sub(1));
        let fits = own.len() + DRAFT_MAX <= window && own.len() - known <= READ_MAX;
        if fits && !own.is_empty() {
            self.cached.truncate(known);
            return &own[known..];
        }
        self.cached.clear();
        self.start = tokens.len().saturating_sub(READ_MAX.min(window / 2));
        &tokens[self.start..]
    }
}

/// Whether its guesses are worth their time, learned from all texts.
#[derive(Debug)]
struct Trust {
    acceptance: Acceptance,
    /// Steps in which it did not seem to pay, since it was tried last.
    refused: u32,
    /// After so many it is tried again,
    tried_again: u32,
    /// for so many steps from now, whatever it seems to cost.
    trying: u32,
    /// Steps in a row in which it seemed to pay.
    paid: u32,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            acceptance: Acceptance::new(HOPE, NEWEST),
            refused: 0,
            tried_again: TRIED_AGAIN,
            trying: 0,
            paid: 0,
        }
    }
}

impl Trust {
    /// How many tokens to guess, where `worth` says how many pay at an acceptance.
    fn len(&mut self, worth: impl Fn(f64) -> usize) -> usize {
        let len = worth(self.acceptance.probability());
        if len > 0 {
            self.paid += 1;
            if self.paid == PROVEN {
                self.tried_again = TRIED_AGAIN;
            }
            return len;
        }
        self.paid = 0;
        if self.trying > 0 {
            self.trying -= 1;
            return TRIAL_LEN;
        }
        self.refused += 1;
        if self.refused < self.tried_again {
            return 0;
        }
        self.refused = 0;
        self.tried_again = (self.tried_again * 2).min(TRIED_AGAIN_MAX);
        // Other texts may be easier to guess.
        self.acceptance = Acceptance::new(HOPE, NEWEST);
        let len = worth(self.acceptance.probability());
        if len == 0 {
            // So it is its time that does not pay, and that may have changed.
            self.trying = TRIAL_STEPS;
        }
        len
    }

    fn note_checked(&mut self, drafted: usize, accepted: usize) {
        self.acceptance.note(drafted, accepted);
        self.trying = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(len: i32) -> Vec<LlamaToken> {
        (0..len).map(LlamaToken::new).collect()
    }

    /// Reads `text`, a piece or all of it; gives how much was left to read.
    fn read(reader: &mut Reader, text: &[LlamaToken], window: usize) -> usize {
        let unread = reader.follow(text, window).to_vec();
        let piece = unread.len().min(PIECE_MAX as usize);
        reader.cached.extend_from_slice(&unread[..piece]);
        unread.len()
    }

    #[test]
    fn a_reader_catches_up_and_forgets_wrong_guesses() {
        let text = tokens(100);
        let mut reader = Reader::default();
        assert_eq!(read(&mut reader, &text[..90], 1024), 90);
        assert_eq!(read(&mut reader, &text[..91], 1024), 27);
        assert_eq!(reader.cached, text[..91]);
        // Two guesses, of which one was right.
        reader.cached.extend([text[91], LlamaToken::new(7)]);
        assert_eq!(read(&mut reader, &text[..93], 1024), 1);
        assert_eq!(reader.cached, text[..93]);
        // What is known already is read once more, for what follows it.
        assert_eq!(read(&mut reader, &text[..93], 1024), 1);
        // Another text in its place.
        assert_eq!(read(&mut reader, &text[50..60], 1024), 10);
    }

    #[test]
    fn a_long_text_is_read_from_near_its_end() {
        let text = tokens(5000);
        let mut reader = Reader::default();
        assert_eq!(read(&mut reader, &text[..3000], 1024), READ_MAX);
        assert_eq!(reader.start, 3000 - READ_MAX);
        let mut anew = 0;
        for len in 3001..5000 {
            let before = reader.start;
            read(&mut reader, &text[..len], 1024);
            anew += usize::from(reader.start != before);
            assert!(reader.cached.len() + DRAFT_MAX <= 1024);
            assert_eq!(reader.cached, text[reader.start..][..reader.cached.len()]);
        }
        assert_eq!(anew, 2);
        // The smallest window there is.
        for len in 1..100 {
            let unread = Reader::default().follow(&text[..len], 16).len();
            assert!((1..=8).contains(&unread));
        }
    }

    #[test]
    fn a_model_that_guesses_badly_is_left_alone_for_longer_and_longer() {
        let mut trust = Trust::default();
        let worth = |acceptance: f64| usize::from(acceptance > 0.4);
        let mut drafts = Vec::new();
        for step in 0..40_000 {
            if trust.len(worth) > 0 {
                drafts.push(step);
                trust.note_checked(1, 0);
            }
        }
        assert!(drafts.len() < 150, "{}", drafts.len());
        assert!(drafts.last().is_some_and(|last| *last > 20_000));
        // It pays again, which is believed after a while.
        let mut waited = 0;
        while trust.len(worth) == 0 {
            waited += 1;
        }
        assert!(waited < TRIED_AGAIN_MAX);
        for _ in 0..PROVEN {
            trust.note_checked(1, 1);
            assert_eq!(trust.len(worth), 1);
        }
        assert_eq!(trust.tried_again, TRIED_AGAIN);
    }

    #[test]
    fn what_takes_too_long_is_measured_again_now_and_then() {
        let mut trust = Trust::default();
        let tried = (0..1000).filter(|_| trust.len(|_| 0) > 0).count();
        assert_eq!(tried, 2 * TRIAL_STEPS as usize);
        // One step with guesses is enough.
        let mut trust = Trust::default();
        let mut tried = 0;
        for _ in 0..20_000 {
            if trust.len(|_| 0) > 0 {
                tried += 1;
                trust.note_checked(4, 4);
            }
        }
        // After 256, 512, 1024 and so on.
        assert_eq!(tried, 6);
    }
}
