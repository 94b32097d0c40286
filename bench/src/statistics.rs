//! Medians, percentiles and how sure one may be of them.

use serde::{Deserialize, Deserializer, Serialize};

/// How often the bootstrap draws.
const DRAWS: usize = 2000;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A median (or another percentile) with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The median.
    #[serde(deserialize_with = "number")]
    pub median: f64,
    /// The lower end.
    #[serde(deserialize_with = "number")]
    pub low: f64,
    /// The upper end.
    #[serde(deserialize_with = "number")]
    pub high: f64,
    /// How many values it was made of.
    pub values: usize,
}

/// JSON has no NaN and says null.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Option::deserialize(from).map(|value| value.unwrap_or(f64::NAN))
}

/// The value below which the share `part` of `values` lies; NaN of none.
pub fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = part * (sorted.len().saturating_sub(1)) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * at.fract(),
        _ => f64::NAN,
    }
}

/// The median; NaN of none.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// Median and bootstrapped interval. The draws are the same at every call, so that a table can be made again.
pub fn summary(values: &[f64]) -> Summary {
    summary_of(values, 0.5)
}

/// As [`summary`], of the percentile `part`.
pub fn summary_of(values: &[f64], part: f64) -> Summary {
    let mut random = Random::new(SEED);
    let mut draw = || values[random.draw() as usize % values.len()];
    let drawn: Vec<f64> = match values.len() {
        0 => Vec::new(),
        count => (0..DRAWS)
            .map(|_| percentile(&(0..count).map(|_| draw()).collect::<Vec<_>>(), part))
            .collect(),
    };
    Summary {
        median: percentile(values, part),
        low: percentile(&drawn, 0.025),
        high: percentile(&drawn, 0.975),
        values: values.len(),
    }
}

/// Random numbers that are the same in every run.
pub struct Random {
    state: u64,
}

impl Random {
    /// Those of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(SEED) ^ SEED,
        }
    }

    /// The next, of 31 bits.
    pub fn draw(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.state >> 33
    }

    /// The next, as a share from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        self.draw() as f64 / (1_u64 << 31) as f64
    }
}

/// The ratios of values measured in the same round.
pub fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect()
}

/// Of values measured in the same rounds by several, the best of each round.
pub fn best(tracks: &[&[f64]]) -> Vec<f64> {
    let rounds = tracks.iter().map(|track| track.len()).min().unwrap_or(0);
    (0..rounds)
        .map(|round| {
            tracks
                .iter()
                .map(|track| track[round])
                .fold(f64::NAN, f64::max)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        assert_eq!(percentile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(percentile(&[1.0, 2.0, 3.0], 1.0), 3.0);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_interval_holds_the_median_and_shrinks_with_agreement() {
        let wide = summary(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(wide.low < wide.median && wide.median < wide.high);
        let narrow = summary(&[3.0; 5]);
        assert_eq!((narrow.low, narrow.high), (3.0, 3.0));
    }

    #[test]
    fn the_best_of_each_round() {
        assert_eq!(best(&[&[1.0, 5.0], &[2.0, 3.0]]), [2.0, 5.0]);
        assert!(best(&[]).is_empty());
    }

    #[test]
    fn ratios_pair_rounds() {
        assert_eq!(ratios(&[2.0, 9.0], &[1.0, 3.0]), [2.0, 3.0]);
    }
}
