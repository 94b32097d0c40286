//! Who of those that wait for a service goes next: a bounded line, fair between keys.
//!
//! The key with the fewest requests running, for its weight, goes first; of one key, who came first. Of those near their turn one
//! may be called before it, some times. When the line is
//! full, who comes takes the place of the last of the key that has most there, if that is more than its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{KeyId, RequestId};

/// The parts into which running requests are divided to weigh them.
const WEIGHED: u64 = 65_536;

/// Who waits may be passed so often by those whose beginning is known where there is room.
pub(crate) const PASSED_MAX: u32 = 16;

/// Of so many the next one is chosen.
pub(crate) const CALLED_FROM_MAX: usize = 16;

/// Of them, those of one key.
const CALLED_OF_KEY_MAX: usize = 8;

/// What became of one who came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Waits,
    /// It waits instead of this one.
    Displaces(RequestId),
    Full,
}

#[derive(Debug, Default)]
struct Key {
    weight: u64,
    running: u64,
    /// With the order in which it came.
    waiting: VecDeque<(u64, RequestId)>,
}

impl Key {
    fn turn(&self, key: KeyId) -> Option<(u64, u64, KeyId)> {
        let (came, _) = self.waiting.front()?;
        Some((self.running * WEIGHED / self.weight.max(1), *came, key))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting_max: usize,
    keys: BTreeMap<KeyId, Key>,
    /// Keys with somebody waiting, in the order of their turns.
    turns: BTreeSet<(u64, u64, KeyId)>,
    /// The same, by how many wait.
    lengths: BTreeSet<(usize, KeyId)>,
    waiting: usize,
    running: usize,
    came: u64,
    /// Calls in a row that passed him whose turn it was.
    passed: u32,
}

impl Line {
    pub fn new(waiting_max: usize) -> Self {
        Self {
            waiting_max,
            ..Self::default()
        }
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    pub fn running(&self) -> usize {
        self.running
    }

    /// Nobody waits, and nobody runs.
    pub fn is_unused(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many would go before one of this key, about.
    pub fn before(&self, key: KeyId) -> usize {
        let own = self.keys.get(&key).map_or(0, |key| key.waiting.len());
        self.waiting.min((own + 1) * self.turns.len())
    }

    pub fn arrive(&mut self, key: KeyId, weight: u16, request: RequestId) -> Arrival {
        let mut arrival = Arrival::Waits;
        if self.waiting >= self.waiting_max {
            let own = self.keys.get(&key).map_or(0, |key| key.waiting.len());
            match self.displace(own + 1) {
                Some(displaced) => arrival = Arrival::Displaces(displaced),
                None => return Arrival::Full,
            }
        }
        self.came += 1;
        let came = self.came;
        self.change(key, |key| {
            key.weight = u64::from(weight);
            key.waiting.push_back((came, request));
        });
        arrival
    }

    /// One that ran comes back, and goes first of its key. It has a place, whoever came meanwhile.
    pub fn come_back(&mut self, key: KeyId, request: RequestId) {
        self.change(key, |key| key.waiting.push_front((0, request)));
    }

    /// The last of the key that has most waiting, if these are more than so many.
    fn displace(&mut self, more_than: usize) -> Option<RequestId> {
        let (most, longest) = *self.lengths.last()?;
        if most <= more_than {
            return None;
        }
        let mut displaced = None;
        self.change(longest, |key| displaced = key.waiting.pop_back());
        displaced.map(|(_, request)| request)
    }

    /// Those of whom one may go next, whose turn it is first: he alone if he was passed often enough.
    pub fn next(&self) -> Vec<(KeyId, RequestId)> {
        let seen = match self.passed < PASSED_MAX {
            true => CALLED_FROM_MAX,
            false => 1,
        };
        let keys = self
            .turns
            .iter()
            .filter_map(|(.., id)| Some((*id, self.keys.get(id)?)));
        let next = keys.flat_map(|(id, key)| {
            let first = key.waiting.iter().take(CALLED_OF_KEY_MAX);
            first.map(move |(_, request)| (id, *request))
        });
        next.take(seen).collect()
    }

    /// This one of [`Self::next`] goes; it waits no more.
    pub fn call(&mut self, key: KeyId, request: RequestId) {
        self.passed = match self.next().first() {
            Some((_, first)) if *first != request => self.passed + 1,
            _ => 0,
        };
        self.leave(key, request);
    }

    pub fn leave(&mut self, key: KeyId, request: RequestId) {
        self.change(key, |key| {
            key.waiting.retain(|(_, waiting)| *waiting != request)
        });
    }

    /// One of this key has a place.
    pub fn starts(&mut self, key: KeyId, weight: u16) {
        self.running += 1;
        self.change(key, |key| {
            key.weight = u64::from(weight);
            key.running += 1;
        });
    }

    /// One of this key gave it back.
    pub fn ends(&mut self, key: KeyId) {
        self.running = self.running.saturating_sub(1);
        self.change(key, |key| key.running = key.running.saturating_sub(1));
    }

    fn change(&mut self, id: KeyId, change: impl FnOnce(&mut Key)) {
        let key = self.keys.entry(id).or_default();
        let before = key.waiting.len();
        if let Some(turn) = key.turn(id) {
            self.turns.remove(&turn);
            self.lengths.remove(&(before, id));
        }
        change(key);
        self.waiting = self.waiting + key.waiting.len() - before;
        if let Some(turn) = key.turn(id) {
            self.turns.insert(turn);
            self.lengths.insert((key.waiting.len(), id));
        } else if key.running == 0 {
            self.keys.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: KeyId = KeyId(1);
    const CALM: KeyId = KeyId(2);

    fn arrive(line: &mut Line, key: KeyId, request: u64) -> Arrival {
        line.arrive(key, 1, RequestId(request))
    }

    fn called(line: &mut Line) -> Vec<u64> {
        let calls = std::iter::from_fn(|| {
            let (key, request) = *line.next().first()?;
            line.call(key, request);
            Some(request.0)
        });
        calls.collect()
    }

    #[test]
    fn the_key_with_fewest_running_goes_first_and_of_a_key_who_came_first() {
        let mut line = Line::new(10);
        line.starts(BUSY, 1);
        arrive(&mut line, BUSY, 1);
        arrive(&mut line, BUSY, 2);
        arrive(&mut line, CALM, 3);
        line.come_back(BUSY, RequestId(0));
        assert_eq!((line.waiting(), line.running()), (4, 1));
        assert_eq!(called(&mut line), [3, 0, 1, 2]);
        line.ends(BUSY);
        assert_eq!(
            line.keys.len(),
            0,
            "nothing is kept of keys that are not there"
        );
    }

    #[test]
    fn a_weight_is_a_share() {
        let mut line = Line::new(100);
        for request in 0..40 {
            line.arrive(BUSY, 3, RequestId(request));
            line.arrive(CALM, 1, RequestId(100 + request));
        }
        let calls = (0..40).map(|_| {
            let (key, request) = line.next()[0];
            line.call(key, request);
            line.starts(key, if key == BUSY { 3 } else { 1 });
            key
        });
        assert_eq!(calls.filter(|key| *key == BUSY).count(), 30);
    }

    #[test]
    fn a_full_line_takes_who_has_less_there_for_the_last_of_who_has_most() {
        let mut line = Line::new(3);
        for request in 1..=3 {
            assert_eq!(arrive(&mut line, BUSY, request), Arrival::Waits);
        }
        assert_eq!(arrive(&mut line, BUSY, 4), Arrival::Full);
        assert_eq!(arrive(&mut line, CALM, 5), Arrival::Displaces(RequestId(3)));
        assert_eq!(arrive(&mut line, CALM, 6), Arrival::Full);
        assert_eq!(line.before(CALM), 3);
        line.leave(BUSY, RequestId(1));
        line.leave(BUSY, RequestId(99));
        assert_eq!(called(&mut line), [2, 5]);
        assert_eq!(line.waiting(), 0);
    }

    #[test]
    fn who_waits_is_passed_so_often_and_no_more() {
        let mut line = Line::new(100);
        for request in 0..50 {
            arrive(&mut line, BUSY, request);
            arrive(&mut line, CALM, 100 + request);
        }
        assert_eq!(line.next().len(), CALLED_FROM_MAX);
        for _ in 0..PASSED_MAX {
            let (key, request) = line.next()[1];
            line.call(key, request);
        }
        assert_eq!(line.next(), [(BUSY, RequestId(0))]);
        line.call(BUSY, RequestId(0));
        assert_eq!(line.next().len(), CALLED_FROM_MAX);
    }

    #[test]
    fn of_one_key_so_many_may_go_next() {
        let mut line = Line::new(100);
        for request in 0..50 {
            arrive(&mut line, BUSY, request);
        }
        assert_eq!(line.next().len(), CALLED_OF_KEY_MAX);
        for request in 100..150 {
            arrive(&mut line, CALM, request);
        }
        let next = line.next();
        let calm = next.iter().filter(|(key, _)| *key == CALM);
        assert_eq!(calm.count(), CALLED_FROM_MAX - CALLED_OF_KEY_MAX);
        assert_eq!(next.len(), CALLED_FROM_MAX);
    }
}
