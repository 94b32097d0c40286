//! What a node has to do, how fast it is, and when it would say its first token.
//!
//! A node reads the prompts it has side by side: one that is short ends before one that is long, whoever came first.
//! What was predicted is held against what came; a node that is slower than it should be, for whatever reason, is
//! predicted to be so from then on, until that has faded.

use crate::breaker::faded;
use crate::{Beginning, Config, Moment, Offer, Report, RequestId};

/// Seconds that any request takes, however short.
const LEAST: f64 = 0.02;

/// Seconds of prediction that a node is trusted with at first: so much has to be missed to count as much.
const TRUSTED: f64 = 1.0;

/// How much of the earlier measurements each new one leaves.
const KEPT: f64 = 0.9;

/// A node that was slow is tried again after some of these.
const FORGET_SECONDS: f64 = 30.0;

/// How long what was given to a node counts.
const GIVEN_SECONDS: f64 = 60.0;

/// Seconds that a sequence is taken, before the first was measured.
const TAKEN: f64 = 5.0;

/// How many times longer than predicted things take.
#[derive(Debug, Default)]
pub(crate) struct Slowness {
    took: f64,
    expected: f64,
    at: Moment,
}

impl Slowness {
    fn note(&mut self, now: Moment, took: f64, expected: f64) {
        self.took = self.took * KEPT + took;
        self.expected = self.expected * KEPT + expected;
        self.at = now;
    }

    fn factor(&self, now: Moment) -> f64 {
        let kept = faded(now.since(self.at), FORGET_SECONDS);
        let factor = (TRUSTED + kept * self.took) / (TRUSTED + kept * self.expected);
        // Who is early is not preferred for it: it shows what it was asked more than what it can.
        factor.max(1.0)
    }
}

/// A request that was sent and has no first byte.
#[derive(Debug)]
struct Pending {
    request: RequestId,
    sent: Moment,
    beginning: Beginning,
    /// Tokens that it has to have read.
    work: f64,
    /// Seconds that this would take a node as it says it is.
    expected: f64,
}

#[derive(Debug)]
pub(crate) struct Load {
    pub sequences: u32,
    reading: f64,
    pending: Vec<Pending>,
    /// Those that have their first byte, with the time at which they were sent.
    writing: Vec<(RequestId, Moment)>,
    /// What the node has from others than this gateway.
    foreign: u32,
    /// Tokens that are yet to be read, at that time; of this gateway's and of others'.
    unread: f64,
    foreign_unread: f64,
    at: Moment,
    slowness: Slowness,
    /// Seconds that a request takes a sequence.
    taken: f64,
    /// Tokens that it was lately given to read, at the time of `unread`.
    given: f64,
}

/// What a request would meet at a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Prediction {
    /// Seconds to the first token.
    pub seconds: f64,
    /// The same for a node as it says it is.
    pub expected: f64,
}

impl Load {
    pub fn new(now: Moment, offer: &Offer, config: &Config) -> Self {
        Self {
            sequences: offer.sequences.max(1),
            reading: speed(offer.reading).unwrap_or(config.reading_default),
            pending: Vec::new(),
            writing: Vec::new(),
            foreign: 0,
            unread: 0.0,
            foreign_unread: 0.0,
            at: now,
            slowness: Slowness::default(),
            taken: TAKEN,
            given: 0.0,
        }
    }

    /// The node offers something else from now on.
    pub fn offer(&mut self, offer: &Offer) {
        self.sequences = offer.sequences.max(1);
        self.reading = speed(offer.reading).unwrap_or(self.reading);
    }

    /// Requests that the node has, of all gateways.
    pub fn requests(&self) -> u32 {
        self.own() + self.foreign
    }

    /// Those of this gateway.
    pub fn own(&self) -> u32 {
        (self.pending.len() + self.writing.len()) as u32
    }

    pub fn reading(&self) -> f64 {
        self.reading
    }

    pub fn slowness(&self, now: Moment) -> f64 {
        self.slowness.factor(now)
    }

    /// How much of what was predicted has been measured, in seconds.
    pub fn measured(&self) -> f64 {
        self.slowness.expected
    }

    /// What would be, with `work` tokens to read after the first `known` blocks, which the node has or will have read.
    pub fn predict(
        &self,
        now: Moment,
        work: f64,
        beginning: &Beginning,
        known: usize,
    ) -> Prediction {
        let ahead = self.pending.iter().map(|other| {
            // Who begins as somebody who is just being read has to wait for him; else the shorter ends first.
            let waits = known > 0 && other.beginning.shares(beginning, known);
            if waits {
                other.work
            } else {
                other.work.min(work)
            }
        });
        let (unread, foreign) = self.unread_at(now);
        let ahead = ahead.sum::<f64>().min(unread) + foreign;
        let expected = LEAST + (ahead + work) / self.reading + self.wait(now);
        let slowness = self.slowness(now).max(self.overdue(now));
        Prediction {
            seconds: expected * slowness,
            expected,
        }
    }

    /// Seconds until a sequence is free: those who came first have had most of their time.
    fn wait(&self, now: Moment) -> f64 {
        let before = (self.requests() + 1).saturating_sub(self.sequences);
        let steady = f64::from(before) * self.taken / f64::from(self.sequences);
        if before == 0 {
            return 0.0;
        }
        let pending = self.pending.iter().map(|pending| pending.sent);
        let mut sent: Vec<Moment> = self
            .writing
            .iter()
            .map(|(_, sent)| *sent)
            .chain(pending)
            .collect();
        sent.sort_unstable();
        let last = sent.get(before as usize - 1);
        last.map_or(steady, |sent| {
            steady.max(self.taken - now.since(*sent).as_secs_f64())
        })
    }

    /// How slow the node is at least, from what should have come and has not.
    fn overdue(&self, now: Moment) -> f64 {
        let factors = self.pending.iter().map(|pending| {
            let waited = now.since(pending.sent).as_secs_f64();
            (TRUSTED + waited) / (TRUSTED + pending.expected)
        });
        factors.fold(0.0, f64::max)
    }

    pub fn unread_at(&self, now: Moment) -> (f64, f64) {
        let speed = self.reading / self.slowness(now);
        let read = now.since(self.at).as_secs_f64() * speed;
        let read_foreign = read.min(self.foreign_unread);
        let unread = (self.unread - (read - read_foreign)).max(0.0);
        (unread, self.foreign_unread - read_foreign)
    }

    /// Tokens that the node was given to read in the last minute or so.
    pub fn given(&self, now: Moment) -> f64 {
        self.given * faded(now.since(self.at), GIVEN_SECONDS)
    }

    fn advance(&mut self, now: Moment) {
        self.given = self.given(now);
        (self.unread, self.foreign_unread) = self.unread_at(now);
        self.at = now;
    }

    /// A request is sent there.
    pub fn sent(
        &mut self,
        now: Moment,
        request: RequestId,
        beginning: Beginning,
        work: f64,
        expected: f64,
    ) {
        self.advance(now);
        self.unread += work;
        self.given += work;
        self.pending.push(Pending {
            request,
            sent: now,
            beginning,
            work,
            expected,
        });
    }

    /// Its first token came. How much longer it took than was predicted, if that is known of it.
    pub fn first_byte(&mut self, now: Moment, request: RequestId) -> Option<f64> {
        let pending = self.remove(now, request)?;
        self.writing.push((request, pending.sent));
        let took = now.since(pending.sent).as_secs_f64();
        self.slowness.note(now, took, pending.expected);
        Some((TRUSTED + took) / (TRUSTED + pending.expected))
    }

    /// It is over, after this time if it was answered.
    pub fn ended(&mut self, now: Moment, request: RequestId, taken: Option<f64>) {
        if self.remove(now, request).is_none() {
            self.writing.retain(|(writing, _)| *writing != request);
        }
        if let Some(taken) = taken {
            self.taken = self.taken * KEPT + taken * (1.0 - KEPT);
        }
    }

    fn remove(&mut self, now: Moment, request: RequestId) -> Option<Pending> {
        let index = self
            .pending
            .iter()
            .position(|pending| pending.request == request)?;
        let removed = self.pending.swap_remove(index);
        self.advance(now);
        let left: f64 = self.pending.iter().map(|pending| pending.work).sum();
        self.unread = self.unread.min(left);
        Some(removed)
    }

    /// Nothing that was sent is there any more.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.writing.clear();
        self.unread = 0.0;
        self.foreign = 0;
        self.foreign_unread = 0.0;
    }

    pub fn report(&mut self, now: Moment, report: &Report) {
        self.advance(now);
        self.foreign = report.requests.saturating_sub(self.own());
        // What is unread of this gateway's own is not known to the token: a difference is others' only if they are there.
        let others = (report.unread as f64 - self.unread).max(0.0);
        self.foreign_unread = if self.foreign > 0 { others } else { 0.0 };
        if let Some(reading) = speed(report.reading) {
            self.reading = reading;
        }
    }

    /// The node says that it has no room: as many as that are there, until its next report.
    pub fn full(&mut self) {
        self.foreign = self
            .foreign
            .max((self.sequences * 2).saturating_sub(self.own()));
    }
}

/// A speed that is one.
fn speed(told: Option<f64>) -> Option<f64> {
    told.filter(|speed| speed.is_finite() && *speed >= 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1_000)
    }

    fn load() -> Load {
        let offer = Offer {
            services: Vec::new(),
            sequences: 2,
            reading: Some(100.0),
        };
        Load::new(at(0), &offer, &Config::default())
    }

    fn text(byte: u8) -> Beginning {
        Beginning::of(1, "m", &[byte; 1024])
    }

    fn seconds(load: &Load, millis: u64, work: f64) -> f64 {
        let seconds = load.predict(at(millis), work, &text(9), 0).seconds - LEAST;
        (seconds * 1e6).round() / 1e6
    }

    fn send(load: &mut Load, id: u64, work: f64) {
        let expected = load.predict(at(0), work, &text(id as u8), 0).expected;
        load.sent(at(0), RequestId(id), text(id as u8), work, expected);
    }

    #[test]
    fn prompts_are_read_side_by_side() {
        let mut load = load();
        assert_eq!(seconds(&load, 0, 100.0), 1.0);
        send(&mut load, 1, 400.0);
        assert_eq!(seconds(&load, 0, 100.0), 2.0);
        assert_eq!(seconds(&load, 0, 800.0), 12.0);
        // What was read meanwhile counts, and what has come.
        assert_eq!(seconds(&load, 3_000, 800.0), 9.0);
        load.first_byte(at(4_020), RequestId(1));
        assert_eq!(seconds(&load, 4_020, 100.0), 1.0);
    }

    #[test]
    fn who_begins_as_one_who_is_being_read_waits_for_him() {
        let mut load = load();
        send(&mut load, 1, 400.0);
        let same = load.predict(at(0), 10.0, &text(1), 4);
        assert!((same.seconds - LEAST - 4.1).abs() < 1e-6, "{same:?}");
        assert_eq!(seconds(&load, 0, 10.0), 0.2);
    }

    #[test]
    fn without_a_free_sequence_one_waits_for_one() {
        let mut load = load();
        send(&mut load, 1, 0.0);
        send(&mut load, 2, 0.0);
        assert_eq!(seconds(&load, 0, 0.0), TAKEN);
        for id in [1, 2] {
            load.first_byte(at(20), RequestId(id));
        }
        assert_eq!(seconds(&load, 1_000, 0.0), TAKEN - 1.0);
        assert_eq!(seconds(&load, 4_000, 0.0), TAKEN / 2.0);
        load.ended(at(4_000), RequestId(1), Some(TAKEN));
        assert_eq!(seconds(&load, 4_000, 0.0), 0.0);
    }

    #[test]
    fn a_slow_node_is_known_by_what_came_late_and_by_what_has_not_come() {
        let mut load = load();
        send(&mut load, 1, 100.0);
        let late = load.predict(at(9_100), 0.0, &text(9), 0);
        assert!(late.seconds > 4.0 * late.expected, "{late:?}");
        assert!(load.first_byte(at(9_100), RequestId(1)).unwrap() > 4.0);
        assert!(load.slowness(at(9_100)) > 4.0);
        assert!(load.slowness(at(300_000)) < 1.1, "it is tried again");
    }

    #[test]
    fn what_others_have_sent_counts_and_is_read_too() {
        let mut load = load();
        send(&mut load, 1, 100.0);
        let report = Report {
            requests: 3,
            unread: 500,
            reading: Some(200.0),
        };
        load.report(at(0), &report);
        assert_eq!(
            (load.requests(), load.unread_at(at(0))),
            (3, (100.0, 400.0))
        );
        assert_eq!(load.unread_at(at(1_000)), (100.0, 200.0));
        load.report(
            at(0),
            &Report {
                requests: 0,
                unread: 0,
                reading: Some(f64::NAN),
            },
        );
        assert_eq!((load.requests(), load.reading()), (1, 200.0));
        load.full();
        assert_eq!(load.requests(), 4);
    }
}
