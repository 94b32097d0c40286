//! What one round says, and the middle of several.

use std::time::Instant;

/// One stream of a round.
#[derive(Debug)]
pub struct Stream {
    /// When it was asked for.
    pub asked: Instant,
    /// When its first text came.
    pub first: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Tokens it gave.
    pub tokens: u32,
}

/// One round.
#[derive(Debug)]
pub struct Sample {
    /// The median of its streams, from asking to the first text.
    pub first_token_ms: f64,
    /// All tokens of the round over the time from the first question to the last token.
    pub tokens_per_second: f64,
}

impl Sample {
    /// Sums up a round.
    pub fn of(streams: &[Stream]) -> Self {
        let begun = streams.iter().map(|stream| stream.asked).min();
        let ended = streams.iter().map(|stream| stream.ended).max();
        let seconds = begun
            .zip(ended)
            .map_or(f64::NAN, |(begun, ended)| (ended - begun).as_secs_f64());
        let tokens: u32 = streams.iter().map(|stream| stream.tokens).sum();
        let waits = streams
            .iter()
            .map(|stream| (stream.first - stream.asked).as_secs_f64() * 1e3);
        Self {
            first_token_ms: median(waits.collect()),
            tokens_per_second: f64::from(tokens) / seconds,
        }
    }
}

/// The middle value; of an even number the upper middle. NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
