//! The sequences of a context and the cells they take: who has which, what is kept of the finished,
//! and what goes to host memory and comes back.
//!
//! Invariant: the books (`Cells`) and llama.cpp's memory change together, only here. So "does it
//! fit" is answered before a batch is computed, and llama.cpp never finds its cache full.

use llama_cpp_2::token::LlamaToken;

use crate::cells::Cells;
use crate::context::{Context, SequenceId};
use crate::host_cache::HostCache;
use crate::prefix::{KEPT_MAX, Kept, Prefixes, SHARED_MIN};

/// The cells that kept sequences may take beside those that run. Attention looks at every cell for
/// every token, in blocks of 256: one answer of the last question in the cache costs a small model
/// 4 % of a step with one stream, more than copying it out and back.
const KEPT_CELLS_MAX: usize = 32;

/// Without host memory what leaves the cache must be read again. Then this part of it may be kept.
const KEPT_SHARE_WITHOUT_HOST: usize = 4;

/// Fewer tokens than this are read again sooner than they are copied.
const COPIED_MIN: usize = SHARED_MIN;

/// The sequences of one context.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Vec<SequenceId>,
    cells: Cells,
    cells_max: usize,
    kept_cells_max: usize,
    /// A sequence for copies on their way out or in; it has no cells otherwise.
    transfer: SequenceId,
    host: HostCache,
    prefixes: Prefixes,
    /// Whether the model's memory can be shared and cut at any place; a recurrent state cannot.
    shares: bool,
}

impl Pool {
    /// A pool of `sequences` sequences, one of them for copies, over `cells_max` cells and
    /// `host_bytes` of host memory.
    pub fn new(sequences: u32, cells_max: usize, shares: bool, host_bytes: usize) -> Self {
        let transfer = sequences.cast_signed() - 1;
        let host = HostCache::new(host_bytes);
        Self {
            // Popped from the end: the lowest number first.
            free: (0..transfer).rev().collect(),
            cells: Cells::default(),
            cells_max,
            kept_cells_max: match host.is_on() {
                true => KEPT_CELLS_MAX,
                false => cells_max / KEPT_SHARE_WITHOUT_HOST,
            },
            transfer,
            host,
            prefixes: Prefixes::default(),
            shares,
        }
    }

    /// How many cells are taken.
    pub fn cells_used(&self) -> usize {
        self.cells.used()
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
        context.share(from, to, 0..len);
        self.cells.share(from, to, len);
        self.prefixes.touch(from, len);
    }

    /// How much of `prompt` is in host memory.
    pub fn in_host(&self, prompt: &[LlamaToken]) -> usize {
        self.host.longest(prompt)
    }

    /// Puts back what host memory has of `prompt` after the first `len` tokens, whose cells `id` has.
    /// Gives how many tokens it has then.
    pub fn restore(
        &mut self,
        context: &mut Context,
        id: SequenceId,
        prompt: &[LlamaToken],
        mut len: usize,
    ) -> usize {
        let path = self.host.path(prompt);
        // What is in use stays while others go for the room that it needs.
        self.host.touch(&path);
        for piece in path {
            if piece.end <= len {
                continue;
            }
            let Some((_, count)) = self.host.cells(piece.copy) else {
                break;
            };
            while self.cells.used() + count > self.cells_max && self.drop_oldest(context) {}
            let Some((cells, _)) = self.host.cells(piece.copy) else {
                break;
            };
            let fits = self.cells.used() + count <= self.cells_max;
            if !fits || !context.copy_in(cells, self.transfer, id, len..piece.end) {
                break;
            }
            self.cells.extend(id, piece.end - len);
            len = piece.end;
        }
        len
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

    /// Moves what is kept beyond its limits to host memory while `running` run.
    pub fn trim(&mut self, context: &mut Context, running: &[SequenceId]) {
        let held = self.cells.held_by(running.iter().copied());
        let max = held + self.kept_cells_max;
        while self.cells.used() > max && self.drop_oldest(context) {}
    }

    /// Moves the kept sequence that was used least recently to host memory. False if there is none.
    fn drop_oldest(&mut self, context: &mut Context) -> bool {
        let Some(oldest) = self.prefixes.pop_oldest() else {
            return false;
        };
        if self.host.is_on() {
            self.copy_out(context, &oldest);
        }
        self.forget(context, oldest.id);
        true
    }

    /// Copies what host memory does not have yet, the head apart from the tail.
    fn copy_out(&mut self, context: &mut Context, kept: &Kept) {
        let path = self.host.path(&kept.tokens);
        self.host.touch(&path);
        let last = path.last();
        let (mut parent, mut start) = (
            last.map(|piece| piece.copy),
            last.map_or(0, |piece| piece.end),
        );
        for end in [kept.head, kept.tokens.len()] {
            if end < start + COPIED_MIN {
                continue;
            }
            let max = self.host.bytes_max();
            let Some(cells) = context.copy_out(kept.id, self.transfer, start..end, max) else {
                return;
            };
            parent = self
                .host
                .insert(parent, start, &kept.tokens[start..end], cells);
            if parent.is_none() {
                return;
            }
            start = end;
        }
    }
}
