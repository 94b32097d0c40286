//! How fast this machine reads prompts, measured as it goes, and how much of them fits in a time.

use std::time::Duration;

/// The least a step reads, so that a prompt ends on a slow machine too.
const TOKENS_MIN: usize = 16;

/// From so many rows on, ggml's attention on a processor works in tiles and is several times faster
/// a row; a piece just below costs more than one of this length.
const TILE: usize = 64;

/// A piece as long as this is made a tile.
const TILE_NEAR: usize = TILE / 2;

/// What is read before the first measurement.
const TOKENS_FIRST: usize = TILE;

/// A step with fewer tokens says little about reading.
const MEASURED_MIN: usize = 16;

/// Weight of the newest step against all before it.
const NEWEST: f64 = 0.25;

/// The measured pace of one model.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    seconds_per_token: Option<f64>,
}

impl Pace {
    /// A step of `tokens` took `elapsed`.
    pub fn note(&mut self, tokens: usize, elapsed: Duration) {
        if tokens < MEASURED_MIN {
            return;
        }
        let now = elapsed.as_secs_f64() / tokens as f64;
        self.seconds_per_token = Some(match self.seconds_per_token {
            Some(before) => before + NEWEST * (now - before),
            None => now,
        });
    }

    /// How many tokens are read in `time`, at most `max`.
    pub fn tokens_in(&self, time: Duration, max: usize) -> usize {
        let tokens = match self.seconds_per_token {
            // A float that is too large becomes the largest number.
            Some(seconds) => (time.as_secs_f64() / seconds.max(1e-9)) as usize,
            None => TOKENS_FIRST,
        };
        let tokens = match tokens {
            TILE_NEAR..TILE => TILE,
            tokens => tokens.max(TOKENS_MIN),
        };
        tokens.min(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_reads_less_at_a_time() {
        let check = |millis: u64, tokens: usize, expected: usize| {
            let mut pace = Pace::default();
            pace.note(tokens, Duration::from_millis(millis));
            assert_eq!(pace.tokens_in(Duration::from_millis(100), 512), expected);
        };
        check(100, 80, 80);
        check(100, 50, 64);
        check(200, 50, 25);
        check(10_000, 50, 16);
        check(1, 512, 512);
        // Too short to tell.
        check(10_000, 8, 64);
        check(0, 100, 512);
    }

    #[test]
    fn the_newest_step_counts_most_and_not_alone() {
        let mut pace = Pace::default();
        pace.note(100, Duration::from_millis(100));
        pace.note(100, Duration::from_millis(300));
        assert_eq!(pace.tokens_in(Duration::from_millis(150), 512), 100);
    }
}
