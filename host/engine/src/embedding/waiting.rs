//! Inputs that wait for a step, and which of them are in the next.
//!
//! Short calls are questions that somebody waits for; long ones are documents being added. Questions go
//! first. A step that questions filled is followed by one that begins with a document, so that both
//! always move. Documents fill what is left of a step, the longest that fits first.

use std::collections::VecDeque;
use std::sync::Arc;

use llama_cpp_2::token::LlamaToken;

use super::Call;

/// A call of no more tokens is a question.
const QUESTION_TOKENS_MAX: usize = 256;
/// So many inputs are looked at for one that fills a step.
const LOOK_AHEAD: usize = 64;

/// One input that waits or is being computed.
pub(super) struct Pending {
    pub tokens: Vec<LlamaToken>,
    pub index: usize,
    pub call: Arc<Call>,
}

#[derive(Default)]
pub(super) struct Waiting {
    questions: VecDeque<Pending>,
    documents: VecDeque<Pending>,
    /// The last step had no room for the first document.
    owes_documents: bool,
}

impl Waiting {
    /// Adds the inputs of one call.
    pub fn add(&mut self, call: Vec<Pending>) {
        let tokens: usize = call.iter().map(|input| input.tokens.len()).sum();
        match tokens <= QUESTION_TOKENS_MAX {
            true => self.questions.extend(call),
            false => self.documents.extend(call),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.questions.is_empty() && self.documents.is_empty()
    }

    /// Takes out what nobody waits for any more; gives the call of each input.
    pub fn forget_cancelled(&mut self) -> Vec<Arc<Call>> {
        let mut calls = Vec::new();
        for inputs in [&mut self.questions, &mut self.documents] {
            inputs.retain(|input| {
                let cancelled = input.call.is_cancelled();
                if cancelled {
                    calls.push(Arc::clone(&input.call));
                }
                !cancelled
            });
        }
        calls
    }

    /// Takes the inputs of the next step: no more than `count`, together no longer than `tokens` unless
    /// it is one alone.
    pub fn step(&mut self, tokens: usize, count: usize) -> Vec<Pending> {
        let mut step = Step {
            room: tokens,
            count,
            inputs: Vec::new(),
        };
        if self.owes_documents {
            step.take_first(&mut self.documents);
        }
        while step.take_first(&mut self.questions) {}
        let first_moved = self.owes_documents || step.take_first(&mut self.documents);
        while step.take_longest(&mut self.documents) {}
        self.owes_documents = !first_moved && !self.documents.is_empty();
        step.inputs
    }

    /// Takes everything.
    pub fn drain(&mut self) -> impl Iterator<Item = Pending> {
        let questions = std::mem::take(&mut self.questions);
        let documents = std::mem::take(&mut self.documents);
        questions.into_iter().chain(documents)
    }
}

struct Step {
    room: usize,
    count: usize,
    inputs: Vec<Pending>,
}

impl Step {
    fn fits(&self, input: &Pending) -> bool {
        self.inputs.is_empty()
            || (input.tokens.len() <= self.room && self.inputs.len() < self.count)
    }

    fn take_first(&mut self, from: &mut VecDeque<Pending>) -> bool {
        let fits = from.front().is_some_and(|input| self.fits(input));
        fits && self.take(from, 0)
    }

    fn take_longest(&mut self, from: &mut VecDeque<Pending>) -> bool {
        let near = from.iter().take(LOOK_AHEAD).enumerate();
        let fitting = near.filter(|(_, input)| self.fits(input));
        let longest = fitting.max_by_key(|(at, input)| (input.tokens.len(), usize::MAX - at));
        longest
            .map(|(at, _)| at)
            .is_some_and(|at| self.take(from, at))
    }

    fn take(&mut self, from: &mut VecDeque<Pending>, at: usize) -> bool {
        let Some(input) = from.remove(at) else {
            return false;
        };
        self.room = self.room.saturating_sub(input.tokens.len());
        self.inputs.push(input);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EmbeddingJob, Form};
    use super::*;

    fn call(lengths: &[usize]) -> (Vec<Pending>, super::super::Embedding) {
        let inputs: Vec<_> = lengths
            .iter()
            .map(|len| vec![LlamaToken::new(1); *len])
            .collect();
        let (mut job, handle) = EmbeddingJob::new(inputs, Form::Score);
        let inputs = std::mem::take(&mut job.inputs);
        let call = Arc::clone(&job.call);
        let pending = inputs
            .into_iter()
            .enumerate()
            .map(|(index, tokens)| Pending {
                tokens,
                index,
                call: Arc::clone(&call),
            });
        (pending.collect(), handle)
    }

    fn lengths(step: &[Pending]) -> Vec<usize> {
        step.iter().map(|input| input.tokens.len()).collect()
    }

    #[test]
    fn a_step_is_as_full_as_it_gets() {
        let mut waiting = Waiting::default();
        let (documents, _handle) = call(&[100, 200, 150, 6, 300]);
        waiting.add(documents);
        assert_eq!(lengths(&waiting.step(256, 64)), [100, 150, 6]);
        assert_eq!(lengths(&waiting.step(256, 64)), [200]);
        // Longer than a step: alone.
        assert_eq!(lengths(&waiting.step(256, 64)), [300]);
        assert!(waiting.step(256, 64).is_empty() && waiting.is_empty());
    }

    #[test]
    fn a_step_has_no_more_inputs_than_sequences() {
        let mut waiting = Waiting::default();
        let (question, _handle) = call(&[1; 5]);
        waiting.add(question);
        assert_eq!(lengths(&waiting.step(256, 3)), [1, 1, 1]);
        assert_eq!(lengths(&waiting.step(256, 3)), [1, 1]);
    }

    #[test]
    fn a_question_passes_and_documents_still_move() {
        let mut waiting = Waiting::default();
        let (documents, _documents) = call(&[200, 200, 200]);
        waiting.add(documents);
        let mut handles = Vec::new();
        for _ in 0..9 {
            let (question, handle) = call(&[QUESTION_TOKENS_MAX / 2]);
            waiting.add(question);
            handles.push(handle);
        }
        assert_eq!(lengths(&waiting.step(256, 64)), [128, 128]);
        assert_eq!(lengths(&waiting.step(256, 64)), [200]);
        assert_eq!(lengths(&waiting.step(256, 64)), [128, 128]);
        assert_eq!(lengths(&waiting.step(256, 64)), [200]);
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten() {
        let mut waiting = Waiting::default();
        let (gone, handle) = call(&[200, 200]);
        let (kept, _handle) = call(&[10]);
        waiting.add(gone);
        waiting.add(kept);
        drop(handle);
        assert_eq!(waiting.forget_cancelled().len(), 2);
        assert_eq!(lengths(&waiting.step(256, 64)), [10]);
        assert!(waiting.is_empty());
    }
}
