//! Whether a node may be asked: closed while it answers, open after it failed, on trial when a probe succeeded.
//!
//! Hysteresis: a node goes out fast and comes back slowly. Each ejection doubles the time until it is probed, and
//! what a node that returns may have at a time grows from one.

use std::time::Duration;

use crate::{Config, Moment};

/// Good answers in a row that end a trial.
const TRIAL: u32 = 2;

/// Answers of the last seconds below which a rate of errors says nothing.
const RATED_MIN: f64 = 8.0;

/// How fast the rate forgets.
const RATE_SECONDS: f64 = 10.0;

/// What a node that begins may have at a time, as a part of its sequences.
const START: f64 = 0.25;

/// Whether a node gets requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Closed,
    /// One at a time, until they were answered.
    Trial,
    /// Not before a probe succeeded.
    Open,
}

#[derive(Debug)]
enum State {
    Closed { since: Moment },
    Trial { good: u32 },
    Open { until: Moment },
}

#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    failures: u32,
    ejections: u32,
    good: f64,
    bad: f64,
    rated: Moment,
}

impl Breaker {
    /// Of a node that joins.
    pub fn new(now: Moment) -> Self {
        Self {
            state: State::Closed { since: now },
            failures: 0,
            ejections: 0,
            good: 0.0,
            bad: 0.0,
            rated: now,
        }
    }

    pub fn health(&self) -> Health {
        match self.state {
            State::Closed { .. } => Health::Closed,
            State::Trial { .. } => Health::Trial,
            State::Open { .. } => Health::Open,
        }
    }

    /// How many requests the node may have at a time, of as many as it has sequences.
    pub fn places(&self, now: Moment, sequences: u32, config: &Config) -> u32 {
        match self.state {
            State::Open { .. } => 0,
            State::Trial { .. } => 1,
            State::Closed { since } => {
                let done = match now.since(since) {
                    past if past < config.slow_start => past.div_duration_f64(config.slow_start),
                    _ => 1.0,
                };
                let part = START + (1.0 - START) * done;
                (f64::from(sequences) * part).floor().max(1.0) as u32
            }
        }
    }

    /// Whether what [`Self::places`] says still grows.
    pub fn is_starting(&self, now: Moment, config: &Config) -> bool {
        matches!(self.state, State::Closed { since } if now.since(since) < config.slow_start)
    }

    /// When an open breaker wants its node probed.
    pub fn probe_at(&self) -> Option<Moment> {
        match self.state {
            State::Open { until } => Some(until),
            _ => None,
        }
    }

    /// The node answered.
    pub fn succeeded(&mut self, now: Moment) {
        self.fade(now);
        self.failures = 0;
        self.good += 1.0;
        if let State::Trial { good } = &mut self.state {
            *good += 1;
            if *good >= TRIAL {
                self.state = State::Closed { since: now };
            }
        }
    }

    /// The node did not. Whether that is one time too many.
    pub fn failed(&mut self, now: Moment, config: &Config) -> bool {
        self.fade(now);
        self.failures += 1;
        self.bad += 1.0;
        let rated = self.good + self.bad;
        let too_many = rated >= RATED_MIN && self.bad / rated > config.error_rate_max;
        match self.state {
            State::Closed { .. } => self.failures >= config.failures_max || too_many,
            State::Trial { .. } => true,
            State::Open { .. } => false,
        }
    }

    /// A probe while the breaker was open: on trial, or out for longer.
    pub fn probed(&mut self, now: Moment, ok: bool, config: &Config) {
        match ok {
            true => self.state = State::Trial { good: 0 },
            false => self.eject(now, config),
        }
    }

    /// No requests any more.
    pub fn eject(&mut self, now: Moment, config: &Config) {
        if matches!(self.state, State::Closed { since } if now.since(since) >= config.forgive_after)
        {
            self.ejections = 0;
        }
        let doubled = 1_u32.checked_shl(self.ejections).unwrap_or(u32::MAX);
        let span = config
            .eject_min
            .saturating_mul(doubled)
            .min(config.eject_max);
        self.ejections += 1;
        self.state = State::Open { until: now + span };
        self.failures = 0;
        self.good = 0.0;
        self.bad = 0.0;
    }

    fn fade(&mut self, now: Moment) {
        let kept = faded(now.since(self.rated), RATE_SECONDS);
        self.rated = now;
        self.good *= kept;
        self.bad *= kept;
    }
}

/// What is left of a thing that fades with this time constant.
pub(crate) fn faded(span: Duration, seconds: f64) -> f64 {
    (-span.as_secs_f64() / seconds).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1_000)
    }

    fn open_for(breaker: &Breaker, now: Moment) -> u128 {
        breaker.probe_at().unwrap().since(now).as_millis()
    }

    #[test]
    fn failures_in_a_row_eject() {
        let config = Config::default();
        let mut breaker = Breaker::new(at(0));
        assert!(!breaker.failed(at(1), &config));
        assert!(!breaker.failed(at(2), &config));
        breaker.succeeded(at(3));
        assert!(!breaker.failed(at(4), &config));
        assert!(!breaker.failed(at(5), &config));
        assert!(breaker.failed(at(6), &config));
    }

    #[test]
    fn a_rate_of_failures_ejects_and_fades() {
        let config = Config {
            failures_max: u32::MAX,
            ..Config::default()
        };
        let mut breaker = Breaker::new(at(0));
        let mut ejected = (0..16).map(|index| match index % 4 {
            0 => {
                breaker.succeeded(at(1));
                false
            }
            _ => breaker.failed(at(1), &config),
        });
        assert_eq!(ejected.position(|too_many| too_many), Some(7));
        assert!(!breaker.failed(at(60_000), &config));
    }

    #[test]
    fn a_return_takes_a_probe_a_trial_and_a_slow_start() {
        let config = Config::default();
        let mut breaker = Breaker::new(at(0));
        breaker.eject(at(0), &config);
        assert_eq!(
            (breaker.health(), breaker.places(at(99_999), 8, &config)),
            (Health::Open, 0)
        );
        breaker.probed(at(500), true, &config);
        assert_eq!(
            (breaker.health(), breaker.places(at(500), 8, &config)),
            (Health::Trial, 1)
        );
        breaker.succeeded(at(600));
        assert_eq!(breaker.health(), Health::Trial);
        breaker.succeeded(at(700));
        let places = |millis| breaker.places(at(millis), 8, &config);
        assert_eq!([700, 1_700, 3_200, 5_700].map(places), [2, 3, 5, 8]);
        assert!(
            breaker.is_starting(at(5_600), &config) && !breaker.is_starting(at(5_700), &config)
        );
    }

    #[test]
    fn a_node_that_flaps_is_out_for_longer_each_time_and_forgiven_at_last() {
        let config = Config::default();
        let mut breaker = Breaker::new(at(0));
        let mut spans = Vec::new();
        for _ in 0..9 {
            breaker.eject(at(0), &config);
            spans.push(open_for(&breaker, at(0)));
            breaker.probed(at(0), true, &config);
            assert!(breaker.failed(at(0), &config), "a failure on trial");
        }
        assert_eq!(
            spans,
            [
                500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000
            ]
        );
        breaker.probed(at(0), false, &config);
        assert_eq!(open_for(&breaker, at(0)), 60_000);
        breaker.probed(at(0), true, &config);
        (0..TRIAL).for_each(|_| breaker.succeeded(at(0)));
        breaker.eject(at(60_000), &config);
        assert_eq!(open_for(&breaker, at(60_000)), 500);
    }
}
