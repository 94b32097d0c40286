//! Who runs next: a bounded number of places, and a bounded line before them.
//!
//! Pure: the caller says who arrives, gives up and ends. Invariants: no more places are taken than there are; no more
//! wait than may; within a tier those who came first go first; nobody who waits is passed by more than
//! [`PASSED_MAX`] who came later. A request that needs more places than are free holds up all behind it, else it
//! would wait for ever.

use crate::ServiceTier;

/// How many later ones may pass a waiting request; after them it goes before all others and is not sent away.
pub const PASSED_MAX: u32 = 16;

/// Names one request in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What an arriving request is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Its places are taken for it.
    Runs,
    /// It waits. If the line was full, the youngest of the least urgent ones has to go for it.
    Waits {
        /// Who it is in the line.
        ticket: Ticket,
        /// Who has to go.
        displaced: Option<Ticket>,
    },
    /// The line is full of requests that are as urgent.
    Full,
}

/// The places and the line before them.
#[derive(Debug, Clone)]
pub struct Line {
    places: usize,
    taken: usize,
    waiting_max: usize,
    next: u64,
    /// In the order of arrival.
    waiting: Vec<Waiting>,
}

#[derive(Debug, Clone)]
struct Waiting {
    ticket: Ticket,
    tier: ServiceTier,
    places: usize,
    passed: u32,
}

impl Waiting {
    fn aged(&self) -> bool {
        self.passed >= PASSED_MAX
    }

    /// Those who waited long enough are all equal: the oldest of them goes first, whatever its tier.
    fn urgency(&self) -> (bool, ServiceTier) {
        match self.aged() {
            true => (true, ServiceTier::Priority),
            false => (false, self.tier),
        }
    }
}

impl Line {
    /// So many places, and so many who may wait for one.
    pub fn new(places: usize, waiting_max: usize) -> Self {
        Self {
            places,
            taken: 0,
            waiting_max,
            next: 0,
            waiting: Vec::new(),
        }
    }

    /// Places that are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A request arrives that needs so many places, or all there are.
    pub fn arrive(&mut self, tier: ServiceTier, places: usize) -> Arrival {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.push(Waiting {
            ticket,
            tier,
            places: places.min(self.places),
            passed: 0,
        });
        let index = self.waiting.len() - 1;
        if self.first() == Some(index) && self.fits(index) {
            self.run(index);
            return Arrival::Runs;
        }
        if index < self.waiting_max {
            let displaced = None;
            return Arrival::Waits { ticket, displaced };
        }
        match self.least_urgent_below(tier) {
            Some(index) => {
                let displaced = Some(self.waiting.remove(index).ticket);
                Arrival::Waits { ticket, displaced }
            }
            None => {
                self.waiting.pop();
                Arrival::Full
            }
        }
    }

    /// The next one whose turn has come: its places are taken for it. To be asked again until there is none,
    /// whenever places came free or somebody left.
    pub fn call(&mut self) -> Option<(Ticket, usize)> {
        let index = self.first().filter(|index| self.fits(*index))?;
        Some(self.run(index))
    }

    /// One who waited gives up; nothing happens if he does not wait.
    pub fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
    }

    /// A request that ran gives back the places it had.
    pub fn free(&mut self, places: usize) {
        self.taken = self.taken.saturating_sub(places.min(self.places));
    }

    fn first(&self) -> Option<usize> {
        let waiting = self.waiting.iter().enumerate();
        // Of equal ones the last maximum counts: from the youngest to the oldest, that is the oldest.
        let first = waiting.rev().max_by_key(|(_, one)| one.urgency());
        first.map(|(index, _)| index)
    }

    fn fits(&self, index: usize) -> bool {
        self.waiting
            .get(index)
            .is_some_and(|one| one.places <= self.places - self.taken)
    }

    fn run(&mut self, index: usize) -> (Ticket, usize) {
        let one = self.waiting.remove(index);
        for earlier in self.waiting.iter_mut().take(index) {
            earlier.passed += 1;
        }
        self.taken += one.places;
        (one.ticket, one.places)
    }

    fn least_urgent_below(&self, tier: ServiceTier) -> Option<usize> {
        let waiting = self.waiting.iter().enumerate();
        let below = waiting.filter(|(_, one)| !one.aged() && one.tier < tier);
        // Of equal ones the first minimum counts: from the youngest to the oldest, that is the youngest.
        let least = below.rev().min_by_key(|(_, one)| one.tier);
        least.map(|(index, _)| index)
    }
}
