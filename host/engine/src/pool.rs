//! The sequences of a context and the cells they take: who has which, what is kept of the finished,
//! and what goes when room is needed.
//!
//! Invariant: the books (`Cells`) and llama.cpp's memory change together, only here. So "does it
//! fit" is answered before a batch is computed, and llama.cpp never finds its cache full.

use llama_cpp_2::token::LlamaToken;

use crate::cells::Cells;
use crate::context::{Context, SequenceId};
use crate::prefix::{KEPT_MAX, Prefixes, SHARED_MIN};

/// The sequences of one context.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Vec<SequenceId>,
    cells: Cells,
    cells_max: usize,
    /// What only kept sequences may take. Attention looks at the mask of every cell for every token,
    /// so cells that nobody uses cost each step a little: with eight streams of a small model about 6 %
    /// for a thousand. Tails therefore may take this divided by the number of streams.
    kept_cells_max: usize,
    prefixes: Prefixes,
    /// Whether the model's memory can be shared and cut at any place; a recurrent state cannot.
    shares: bool,
}

impl Pool {
    /// A pool of `sequences` sequences over `cells_max` cells.
    pub fn new(sequences: u32, cells_max: usize, shares: bool) -> Self {
        Self {
            // Popped from the end: the lowest number first.
            free: (0..sequences.cast_signed()).rev().collect(),
            cells: Cells::default(),
            cells_max,
            kept_cells_max: cells_max / 4,
            prefixes: Prefixes::default(),
            shares,
        }
    }

    /// Whether `need` more cells fit beside those that `running` hold: everything else can go.
    pub fn fits(&self, running: impl Iterator<Item = SequenceId>, need: usize) -> bool {
        self.cells.held_by(running).saturating_add(need) <= self.cells_max
    }

    /// A sequence without cells; if none is free, a kept one is given up.
    pub fn take(&mut self, context: &mut Context) -> Option<SequenceId> {
        if self.free.is_empty() {
            self.drop_oldest(context);
        }
        self.free.pop()
    }

    /// The kept sequence with the longest useful beginning in common with `prompt`.
    pub fn longest(&self, prompt: &[LlamaToken]) -> Option<(SequenceId, usize)> {
        self.prefixes
            .longest(prompt)
            .filter(|(_, len)| *len >= SHARED_MIN)
    }

    /// Whether sequences can share at all.
    pub fn shares(&self) -> bool {
        self.shares
    }

    /// `to`, which is empty, comes to share the first `len` cells of `from`.
    pub fn share(&mut self, context: &mut Context, from: SequenceId, to: SequenceId, len: usize) {
        context.share(from, to, len);
        self.cells.share(from, to, len);
        self.prefixes.touch(from, len);
    }

    /// Notes that the next batch puts `count` tokens after those of `id`.
    pub fn extend(&mut self, id: SequenceId, count: usize) {
        self.cells.extend(id, count);
    }

    /// Gives up kept sequences until the cells that have been noted are there.
    pub fn make_room(&mut self, context: &mut Context) {
        while self.cells.used() > self.cells_max && self.drop_oldest(context) {}
    }

    /// Goes back to the first `len` tokens of `id`. False if that cannot be done.
    pub fn truncate(&mut self, context: &mut Context, id: SequenceId, len: usize) -> bool {
        self.cells.truncate(id, len);
        context.forget_from(id, len)
    }

    /// Ends `id`; its cells and number are free.
    pub fn forget(&mut self, context: &mut Context, id: SequenceId) {
        self.truncate(context, id, 0);
        self.free.push(id);
    }

    /// Ends `id` and keeps its cells, which hold `tokens`, for prompts that begin like it. The first
    /// `head` came from others.
    pub fn keep(
        &mut self,
        context: &mut Context,
        id: SequenceId,
        tokens: Vec<LlamaToken>,
        head: usize,
    ) {
        if !self.shares || tokens.len() < SHARED_MIN {
            return self.forget(context, id);
        }
        for superfluous in self.prefixes.keep(id, tokens, head) {
            self.forget(context, superfluous);
        }
        while self.prefixes.len() > KEPT_MAX as usize && self.drop_oldest(context) {}
    }

    /// Gives up what is kept beyond its limits while `running` run.
    pub fn trim(&mut self, context: &mut Context, running: &[SequenceId]) {
        let held = self.cells.held_by(running.iter().copied());
        let tails_max = held + self.kept_cells_max / running.len().max(1);
        while self.cells.used() > tails_max {
            match self.prefixes.cut_oldest() {
                Some((id, 0)) => self.forget(context, id),
                Some((id, len)) => {
                    self.truncate(context, id, len);
                }
                None => break,
            }
        }
        while self.cells.used() > held + self.kept_cells_max && self.drop_oldest(context) {}
    }

    fn drop_oldest(&mut self, context: &mut Context) -> bool {
        let oldest = self.prefixes.pop_oldest();
        if let Some(id) = oldest {
            self.forget(context, id);
        }
        oldest.is_some()
    }
}
