//! Which requests get guesses into a step: what stands earlier in their text, else a second model's.
//!
//! Invariant: a second model that fails ends only its guesses, never a request.

use std::time::Duration;

use llama_cpp_2::token::LlamaToken;

use crate::Speculation;
use crate::context::{Batch, SequenceId};
use crate::draft_model::{Drafter, Text};
use crate::sequence::Sequence;
use crate::step_costs::StepCosts;

/// What is known about guessing with one model.
pub(crate) struct Drafting {
    costs: StepCosts,
    drafter: Option<Drafter>,
}

impl Drafting {
    /// As `speculation` wants it, with the second model if there is one.
    pub fn new(speculation: Speculation, drafter: Option<Drafter>) -> Self {
        Self {
            costs: StepCosts::new(speculation == Speculation::Always),
            drafter,
        }
    }

    /// A step that only writes took `elapsed` for `rows` rows.
    pub fn note_step(&mut self, rows: usize, elapsed: Duration) {
        self.costs.note(rows, elapsed);
    }

    /// Puts as many guesses into `batch` as are worth it, beside the next tokens of those `running` who
    /// write; tells `extend` how many each has.
    pub fn push(
        &mut self,
        running: &mut [Sequence],
        batch: &mut Batch,
        mut extend: impl FnMut(SequenceId, usize),
    ) {
        for sequence in running.iter_mut() {
            let len = sequence.push_lookup(batch, &mut self.costs);
            extend(sequence.id, len);
        }
        // It does not see what they are about.
        let can_use = |one: &&mut Sequence| one.draft_max() > 0 && !one.has_images();
        let mut wanting: Vec<_> = running.iter_mut().filter(can_use).collect();
        let guesses = self.guess(batch, &wanting);
        for (sequence, guesses) in wanting.iter_mut().zip(guesses) {
            let len = sequence.push_guesses(batch, guesses);
            extend(sequence.id, len);
        }
    }

    /// What the second model guesses for each of `wanting`.
    fn guess(&mut self, batch: &Batch, wanting: &[&mut Sequence]) -> Vec<Vec<LlamaToken>> {
        let Some(drafter) = self.drafter.as_mut().filter(|_| !wanting.is_empty()) else {
            return Vec::new();
        };
        let len = drafter.len(batch.len(), wanting.len(), &self.costs);
        if len == 0 {
            return Vec::new();
        }
        let texts: Vec<_> = wanting
            .iter()
            .map(|sequence| Text {
                id: sequence.id,
                tokens: sequence.tokens(),
                wanted: sequence.draft_max().min(len),
            })
            .collect();
        drafter
            .guess(&texts, &mut self.costs)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "the draft model failed; nothing more is guessed with it");
                self.drafter = None;
                Vec::new()
            })
    }

    /// Of `drafted` guesses of the second model the first `accepted` were right.
    pub fn note_checked(&mut self, drafted: usize, accepted: usize) {
        if let Some(drafter) = &mut self.drafter {
            drafter.note_checked(drafted, accepted);
        }
    }

    /// Request `id` has ended.
    pub fn forget(&mut self, id: SequenceId) {
        if let Some(drafter) = &mut self.drafter {
            drafter.forget(id);
        }
    }
}
