//! How much a key may take: requests a minute and tokens a day. Pure; the caller says what time it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::instant::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Requests of one key against its rate: so many at once, and then one whenever its share of a minute has passed.
///
/// One number says it all (the "theoretical arrival time" of the generic cell rate algorithm): when the requests so
/// far would have come, had they come evenly.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    /// Since 1970.
    even: Duration,
}

impl Bucket {
    /// Takes one of `per_minute` requests at `now`, the time since 1970; or says how long to wait for it.
    pub(crate) fn take(&mut self, per_minute: u32, now: Duration) -> Result<(), Duration> {
        let share = MINUTE / per_minute.max(1);
        // A clock that was put back would make the key wait for as long.
        let even = self.even.clamp(now, now + MINUTE);
        match (even + share).checked_sub(now + MINUTE) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.even = even + share;
                Ok(())
            }
        }
    }
}

/// What a key took on one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The day, counted from 1970.
    pub day: u64,
    /// Tokens of prompts and answers; those of running requests as far as they may come.
    pub tokens: u64,
    /// Requests that were let in.
    pub requests: u64,
    /// When the last one came, in seconds since 1970; 0: never. Older days count too.
    pub last_used: u64,
}

/// Tokens that are set aside for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) day: u64,
    pub(crate) tokens: u64,
}

impl Used {
    /// The numbers of the day on which `now` is.
    pub fn today(mut self, now: Instant) -> Self {
        self.turn_to(now);
        self
    }

    // A day that is over counts no more. A clock that was put back stays on the later day: that gives nobody a
    // second allowance.
    fn turn_to(&mut self, now: Instant) {
        if now.day() > self.day {
            (self.day, self.tokens, self.requests) = (now.day(), 0, 0);
        }
    }

    pub(crate) fn entered(&mut self, now: Instant) {
        self.turn_to(now);
        self.requests = self.requests.saturating_add(1);
        self.last_used = now.unix_seconds();
    }

    /// Sets `tokens` aside, if they fit into `per_day` with what was taken; or says how many are left.
    pub(crate) fn reserve(
        &mut self,
        tokens: u64,
        per_day: Option<u64>,
        now: Instant,
    ) -> Result<Reserved, u64> {
        self.turn_to(now);
        let left = per_day.map(|most| most.saturating_sub(self.tokens));
        if let Some(left) = left.filter(|left| *left < tokens) {
            return Err(left);
        }
        self.tokens = self.tokens.saturating_add(tokens);
        let day = self.day;
        Ok(Reserved { day, tokens })
    }

    /// Puts what was really taken in the place of what was set aside. What was set aside on a day that is over
    /// counted there.
    pub(crate) fn settle(&mut self, reserved: Reserved, taken: u64) {
        if reserved.day == self.day {
            let others = self.tokens.saturating_sub(reserved.tokens);
            self.tokens = others.saturating_add(taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_secs(1_795_280_709);

    fn at(seconds: f64) -> Duration {
        START + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn so_many_at_once_and_then_one_whenever_its_share_has_passed() {
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.take(3, at(0.0)), Ok(()));
        }
        assert_eq!(bucket.take(3, at(0.0)), Err(Duration::from_secs(20)));
        assert_eq!(bucket.take(3, at(19.5)), Err(Duration::from_millis(500)));
        assert_eq!(bucket.take(3, at(20.0)), Ok(()));
        assert_eq!(bucket.take(3, at(20.0)), Err(Duration::from_secs(20)));
        for _ in 0..3 {
            assert_eq!(bucket.take(3, at(500.0)), Ok(()));
        }
        assert!(bucket.take(3, at(500.0)).is_err());
    }

    #[test]
    fn a_clock_that_was_put_back_locks_nobody_out() {
        let mut bucket = Bucket::default();
        bucket.take(1, at(10_000.0)).unwrap();
        assert_eq!(bucket.take(1, at(0.0)), Err(MINUTE));
        assert_eq!(bucket.take(1, at(10_060.0)), Ok(()));
    }

    proptest! {
        /// In any time there are at most the burst and what has refilled since.
        #[test]
        fn nobody_gets_more_than_the_rate(rate in 1_u32..200, steps in prop::collection::vec(0_u32..3000, 1..300)) {
            let (mut bucket, mut now, mut taken) = (Bucket::default(), START, 0_u32);
            for step in steps {
                now += Duration::from_millis(step.into());
                taken += u32::from(bucket.take(rate, now).is_ok());
                let refilled = f64::from(rate) * (now - START).as_secs_f64() / 60.0;
                prop_assert!(f64::from(taken) <= f64::from(rate) + refilled + 1e-3);
            }
        }

        /// The day's number is the sum of what was taken and of what is still set aside, in whatever order it ends.
        #[test]
        fn tokens_taken_add_up(requests in prop::collection::vec((0_u64..1000, 0_u64..1000, any::<bool>()), 0..50), per_day in 0_u64..20_000) {
            let now = Instant::from_unix_seconds(START.as_secs());
            let mut used = Used::default().today(now);
            let (mut settled, mut open, mut reserved_most) = (0, Vec::new(), 0);
            for (asked, taken, ends) in requests {
                match used.reserve(asked, Some(per_day), now) {
                    Err(left) => prop_assert!(left < asked),
                    Ok(reserved) if ends => {
                        used.settle(reserved, taken);
                        settled += taken;
                    }
                    Ok(reserved) => open.push((reserved, taken)),
                }
                let set_aside: u64 = open.iter().map(|(reserved, _)| reserved.tokens).sum();
                reserved_most = reserved_most.max(set_aside);
                prop_assert_eq!(used.tokens, settled + set_aside);
            }
            prop_assert!(reserved_most <= per_day);
            for (reserved, taken) in open {
                used.settle(reserved, taken);
                settled += taken;
            }
            prop_assert_eq!(used.tokens, settled);
        }
    }

    #[test]
    fn a_new_day_has_a_new_allowance() {
        let evening: Instant = "2026-01-01T23:59:59Z".parse().unwrap();
        let morning = evening.plus_seconds(1);
        let mut used = Used::default();
        let reserved = used.reserve(60, Some(100), evening).unwrap();
        assert_eq!(used.reserve(60, Some(100), evening), Err(40));
        assert_eq!(
            used.reserve(60, Some(100), morning).map(|it| it.tokens),
            Ok(60)
        );
        used.settle(reserved, 5);
        assert_eq!(used.tokens, 60, "yesterday's answer is yesterday's");
        assert_eq!(
            used.reserve(60, Some(100), evening),
            Err(40),
            "no second allowance"
        );
    }
}
