//! How fast this machine reads prompts, measured as it goes, and how much of them fits in a time.
//!
//! ggml's attention on a processor works in tiles of 64 rows, and computes the whole of one that is
//! begun; with fewer rows in a batch it goes row by row, which behind a long text costs several times
//! as much a row. So a step that reads has whole tiles of rows, those of the writers among them, and
//! fewer only where a tile would take too long and short steps were measured not to cost much more.

use std::time::Duration;

/// The least a step reads, so that a prompt ends on a slow machine too.
const TOKENS_MIN: usize = 16;

/// Rows that ggml's attention computes together.
const TILE: usize = 64;

/// Where so many rows fit in the time, a tile is read.
const TILE_NEAR: usize = TILE / 2;

/// The longest that a tile may take where short steps are dear.
const TILE_TIME_MAX: Duration = Duration::from_secs(2);

/// A row of a short step is dear if it costs so many times a row of a tile.
const DEAR: f64 = 1.25;

/// A step with fewer rows says little about reading.
const MEASURED_MIN: usize = 16;

/// Weight of the newest step against all before it.
const NEWEST: f64 = 0.25;

/// How much of what short steps cost more is forgotten with each tile: behind another text they may
/// cost less, so they are tried again.
const FORGOTTEN: f64 = 0.1;

/// The measured pace of one model, in seconds a row.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// In steps of a tile and more.
    tiles: Option<f64>,
    /// In shorter ones.
    short: Option<f64>,
}

impl Pace {
    /// A step of `rows`, some of them of prompts, took `elapsed`.
    pub fn note(&mut self, rows: usize, elapsed: Duration) {
        if rows < MEASURED_MIN {
            return;
        }
        let now = elapsed.as_secs_f64() / rows as f64;
        if rows < TILE {
            self.short = Some(moved(self.short, now, NEWEST));
            return;
        }
        self.tiles = Some(moved(self.tiles, now, NEWEST));
        self.short = self.short.map(|short| moved(Some(short), now, FORGOTTEN));
    }

    /// How many tokens of prompts a step reads beside `writers` rows if it is to take `time`; at
    /// most `max`.
    pub fn tokens_in(&self, time: Duration, writers: usize, max: usize) -> usize {
        let Some(tiles) = self.tiles.or(self.short) else {
            return beside(1, writers).min(max);
        };
        let tokens = match fitting(time, tiles) {
            rows @ TILE.. => beside(rows / TILE, writers),
            TILE_NEAR.. => beside(1, writers),
            _ => self.less_than_a_tile(time, tiles, writers),
        };
        tokens.min(max)
    }

    fn less_than_a_tile(&self, time: Duration, tiles: f64, writers: usize) -> usize {
        let short = self.short.unwrap_or(tiles);
        let is_dear = short >= DEAR * tiles;
        match is_dear && fitting(TILE_TIME_MAX, tiles) >= TILE {
            true => beside(1, writers),
            false => fitting(time, short).clamp(TOKENS_MIN, beside(1, writers)),
        }
    }
}

/// `before`, moved towards `now` by this part of the way.
fn moved(before: Option<f64>, now: f64, part: f64) -> f64 {
    before.map_or(now, |before| before + part * (now - before))
}

/// Rows that fit in `time`. A float that is too large becomes the largest number.
fn fitting(time: Duration, seconds_per_row: f64) -> usize {
    (time.as_secs_f64() / seconds_per_row.max(1e-9)) as usize
}

/// What the writers leave of so many tiles, or of the first further one that has room.
fn beside(tiles: usize, writers: usize) -> usize {
    let tiles = tiles.max((writers + TOKENS_MIN).div_ceil(TILE));
    tiles.saturating_mul(TILE) - writers
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(100);

    fn after(steps: &[(usize, u64)]) -> Pace {
        let mut pace = Pace::default();
        for (rows, millis) in steps {
            pace.note(*rows, Duration::from_millis(*millis));
        }
        pace
    }

    #[test]
    fn a_slow_machine_reads_less_at_a_time() {
        let check = |rows: usize, millis: u64, expected: usize| {
            assert_eq!(after(&[(rows, millis)]).tokens_in(TIME, 0, 512), expected);
        };
        check(64, 20, 320);
        check(80, 100, 64);
        check(50, 100, 64);
        check(50, 200, 25);
        check(50, 10_000, 16);
        check(512, 1, 512);
        check(100, 0, 512);
        // Too short to tell.
        check(8, 10_000, 64);
    }

    #[test]
    fn writers_and_readers_fill_whole_tiles() {
        let check = |writers: usize, expected: usize| {
            let pace = after(&[(64, 50)]);
            assert_eq!(pace.tokens_in(TIME, writers, 512), expected);
            assert_eq!(pace.tokens_in(TIME, writers, 40), expected.min(40));
        };
        check(0, 128);
        check(1, 127);
        check(8, 120);
        check(112, 16);
        check(113, 79);
        check(300, 20);
        assert_eq!(Pace::default().tokens_in(TIME, 1, 512), 63);
    }

    #[test]
    fn short_steps_that_cost_as_much_as_a_tile_are_not_made() {
        // A tile takes longer than asked; whether short steps pay is tried.
        let tile = (64, 640);
        assert_eq!(after(&[tile]).tokens_in(TIME, 1, 512), 16);
        // They do not: 16 rows take half as long as 64.
        let dear = (16, 320);
        assert_eq!(after(&[tile, dear]).tokens_in(TIME, 1, 512), 63);
        // They do.
        assert_eq!(after(&[tile, (16, 170)]).tokens_in(TIME, 1, 512), 16);
        // A tile would take longer than anybody waits.
        assert_eq!(
            after(&[(64, 3_000), (16, 3_000)]).tokens_in(TIME, 1, 512),
            16
        );
    }

    #[test]
    fn short_steps_are_tried_again() {
        let mut steps = vec![(64, 640), (16, 400)];
        assert_eq!(after(&steps).tokens_in(TIME, 1, 512), 63);
        steps.extend([(64, 640); 20]);
        assert_eq!(after(&steps).tokens_in(TIME, 1, 512), 16);
    }

    #[test]
    fn the_newest_step_counts_most_and_not_alone() {
        let pace = after(&[(100, 100), (100, 300)]);
        assert_eq!(pace.tokens_in(Duration::from_millis(150), 0, 512), 64);
        assert_eq!(pace.tokens_in(Duration::from_millis(192), 0, 512), 128);
    }
}
