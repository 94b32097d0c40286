//! Log-probabilities as chat replies carry them.

use serde::{Deserialize, Serialize};

/// Log-probabilities of a piece of text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LogProbs {
    /// One entry a token.
    pub content: Vec<TokenLogProb>,
    /// Always `null`: nothing here refuses in a channel of its own.
    #[serde(default)]
    pub refusal: Option<Vec<TokenLogProb>>,
}

/// A token that was chosen, and the likeliest ones at its position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogProb {
    /// The token's text; replacement characters where it is a part of a character.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The token's bytes.
    pub bytes: Option<Vec<u8>>,
    /// The likeliest tokens, as many as were asked for.
    #[serde(default)]
    pub top_logprobs: Vec<TopLogProb>,
}

/// One of the likeliest tokens at a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLogProb {
    /// The token's text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The token's bytes.
    pub bytes: Option<Vec<u8>>,
}
