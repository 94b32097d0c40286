//! Which cells of the KV cache hold what: exact counts when sequences share their beginnings.
//!
//! llama.cpp keeps one cell a token and lets any number of sequences hold the same cell, but does not
//! tell how many are taken. This keeps the same books: cells in runs, as the edges of a radix tree
//! are, each run held by a set of sequences. Invariant: the runs of a sequence, one after the other,
//! are its cells from position 0 on; a run without holders does not exist.

use std::collections::BTreeMap;

use crate::context::SequenceId;

/// A run of cells that the same sequences hold.
#[derive(Debug)]
struct Run {
    len: usize,
    holders: usize,
}

type RunId = u64;

/// The cells of one context.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    runs: BTreeMap<RunId, Run>,
    /// The runs of each sequence, in order of position.
    paths: BTreeMap<SequenceId, Vec<RunId>>,
    next: RunId,
}

impl Cells {
    /// How many cells are taken.
    pub fn used(&self) -> usize {
        self.runs.values().map(|run| run.len).sum()
    }

    /// How many cells `sequences` hold together, each counted once.
    pub fn held_by(&self, sequences: impl Iterator<Item = SequenceId>) -> usize {
        let mut runs: Vec<RunId> = sequences
            .filter_map(|sequence| self.paths.get(&sequence))
            .flatten()
            .copied()
            .collect();
        runs.sort_unstable();
        runs.dedup();
        runs.iter().map(|id| self.run_len(*id)).sum()
    }

    /// `sequence` takes `count` new cells after those it has.
    pub fn extend(&mut self, sequence: SequenceId, count: usize) {
        if count == 0 {
            return;
        }
        let path = self.paths.entry(sequence).or_default();
        let own = path.last().and_then(|id| self.runs.get_mut(id));
        match own {
            Some(run) if run.holders == 1 => run.len += count,
            _ => {
                path.push(self.next);
                let run = Run {
                    len: count,
                    holders: 1,
                };
                self.runs.insert(self.next, run);
                self.next += 1;
            }
        }
    }

    /// `to`, which has no cells, comes to share the first `len` of `from`.
    pub fn share(&mut self, from: SequenceId, to: SequenceId, len: usize) {
        let count = self.runs_up_to(from, len);
        let path: Vec<RunId> = match self.paths.get(&from) {
            Some(path) => path[..count].to_vec(),
            None => Vec::new(),
        };
        for id in &path {
            if let Some(run) = self.runs.get_mut(id) {
                run.holders += 1;
            }
        }
        self.paths.insert(to, path);
    }

    /// `sequence` keeps its first `len` cells only.
    pub fn truncate(&mut self, sequence: SequenceId, len: usize) {
        let count = self.runs_up_to(sequence, len);
        let Some(path) = self.paths.get_mut(&sequence) else {
            return;
        };
        for id in path.split_off(count) {
            if let Some(run) = self.runs.get_mut(&id) {
                run.holders -= 1;
                if run.holders == 0 {
                    self.runs.remove(&id);
                }
            }
        }
        if len == 0 {
            self.paths.remove(&sequence);
        }
    }

    fn run_len(&self, id: RunId) -> usize {
        self.runs.get(&id).map_or(0, |run| run.len)
    }

    /// How many runs of `sequence` cover its first `len` cells, once the run across the border has
    /// been split there.
    fn runs_up_to(&mut self, sequence: SequenceId, len: usize) -> usize {
        let path = self.paths.get(&sequence).map_or(&[][..], Vec::as_slice);
        let mut covered = 0;
        for (index, id) in path.iter().enumerate() {
            if covered == len {
                return index;
            }
            let end = covered + self.run_len(*id);
            if end > len {
                self.split(*id, len - covered);
                return index + 1;
            }
            covered = end;
        }
        path.len()
    }

    fn split(&mut self, id: RunId, len: usize) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let rest = Run {
            len: run.len - len,
            holders: run.holders,
        };
        run.len = len;
        self.runs.insert(self.next, rest);
        for path in self.paths.values_mut() {
            if let Some(index) = path.iter().position(|one| *one == id) {
                path.insert(index + 1, self.next);
            }
        }
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every cell with a name of its own.
    #[derive(Default)]
    struct Naive {
        cells: BTreeMap<SequenceId, Vec<u64>>,
        next: u64,
    }

    impl Naive {
        fn used_by(&self, sequences: &[SequenceId]) -> usize {
            let cells = sequences.iter().filter_map(|id| self.cells.get(id));
            cells.flatten().collect::<BTreeSet<_>>().len()
        }
    }

    #[test]
    fn shared_cells_count_once() {
        let mut cells = Cells::default();
        cells.extend(0, 100);
        cells.share(0, 1, 60);
        cells.extend(1, 5);
        assert_eq!(cells.used(), 105);
        assert_eq!(cells.held_by([1].into_iter()), 65);
        cells.truncate(0, 0);
        assert_eq!(cells.used(), 65);
        cells.truncate(1, 10);
        assert_eq!(cells.used(), 10);
        cells.truncate(1, 0);
        assert_eq!(cells.used(), 0);
        assert!(cells.runs.is_empty() && cells.paths.is_empty());
    }

    #[test]
    fn agrees_with_naming_every_cell() {
        let mut state = 7u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let (mut cells, mut naive) = (Cells::default(), Naive::default());
        for _ in 0..5000 {
            let id = random(6) as SequenceId;
            let len = naive.cells.get(&id).map_or(0, Vec::len);
            match random(3) {
                0 => {
                    let count = random(20);
                    cells.extend(id, count);
                    let fresh = naive.next..naive.next + count as u64;
                    naive.next += count as u64;
                    naive.cells.entry(id).or_default().extend(fresh);
                }
                1 => {
                    let keep = random(len + 1);
                    cells.truncate(id, keep);
                    naive.cells.entry(id).or_default().truncate(keep);
                }
                _ => {
                    let to = (0..6).find(|one| naive.cells.get(one).is_none_or(Vec::is_empty));
                    if let Some(to) = to.filter(|to| *to != id) {
                        let shared = random(len + 1);
                        cells.share(id, to, shared);
                        let copy = naive
                            .cells
                            .get(&id)
                            .map_or(vec![], |all| all[..shared].to_vec());
                        naive.cells.insert(to, copy);
                    }
                }
            }
            let all = [0, 1, 2, 3, 4, 5];
            assert_eq!(cells.used(), naive.used_by(&all));
            assert_eq!(cells.held_by([1, 4].into_iter()), naive.used_by(&[1, 4]));
        }
    }
}
