//! How long answers take, in the words of llama.cpp's server.

use serde::{Deserialize, Serialize};

/// How long an answer took. Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Timings {
    /// Tokens of the prompt that were in the cache.
    pub cache_n: u32,
    /// Tokens of the prompt that were read.
    pub prompt_n: u32,
    /// How long that took.
    pub prompt_ms: f64,
    /// The same for each token.
    pub prompt_per_token_ms: f64,
    /// Tokens of the prompt in a second.
    pub prompt_per_second: f64,
    /// Tokens generated.
    pub predicted_n: u32,
    /// How long that took.
    pub predicted_ms: f64,
    /// The same for each token.
    pub predicted_per_token_ms: f64,
    /// Tokens generated in a second.
    pub predicted_per_second: f64,
}

impl Timings {
    /// From counts and milliseconds.
    pub fn new(cache_n: u32, (prompt_n, prompt_ms): (u32, f64), predicted: (u32, f64)) -> Self {
        let (predicted_n, predicted_ms) = predicted;
        let (prompt_per_token_ms, prompt_per_second) = rates(prompt_n, prompt_ms);
        let (predicted_per_token_ms, predicted_per_second) = rates(predicted_n, predicted_ms);
        Self {
            cache_n,
            prompt_n,
            prompt_ms,
            prompt_per_token_ms,
            prompt_per_second,
            predicted_n,
            predicted_ms,
            predicted_per_token_ms,
            predicted_per_second,
        }
    }
}

// Zero where there is nothing to divide by: JSON knows no infinity.
fn rates(count: u32, ms: f64) -> (f64, f64) {
    let count = f64::from(count);
    let each = if count > 0.0 { ms / count } else { 0.0 };
    let second = if ms > 0.0 { count * 1000.0 / ms } else { 0.0 };
    (each, second)
}
