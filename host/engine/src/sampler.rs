//! Chooses the next token of one request from the logits of its row.
//!
//! Built on llama.cpp's samplers, in llama.cpp's order: biases, penalties, then the cuts, then the
//! temperature and the draw. A grammar is asked about the drawn token first and applied to the whole
//! row only when it says no, which is hundreds of times cheaper.

use std::hash::{BuildHasher, Hasher, RandomState};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;
use llama_cpp_2::token::logit_bias::LlamaLogitBias;

use crate::TokenId;
use crate::request::Sampling;

/// Working memory for one row, shared by all requests of a scheduler.
pub(crate) struct Scratch(LlamaTokenDataArray);

impl Scratch {
    pub fn new(vocabulary: usize) -> Self {
        Self(LlamaTokenDataArray::new(
            Vec::with_capacity(vocabulary),
            false,
        ))
    }

    /// A hostile file can make the model compute NaN; llama.cpp's samplers would loop on it.
    fn fill(&mut self, logits: &[f32]) {
        let array = &mut self.0;
        array.data.clear();
        array.data.extend((0..).zip(logits).map(|(id, logit)| {
            let logit = if logit.is_nan() {
                f32::NEG_INFINITY
            } else {
                *logit
            };
            LlamaTokenData::new(LlamaToken::new(id), logit, 0.0)
        }));
        array.sorted = false;
        array.selected = None;
    }

    fn has_candidate(&self) -> bool {
        self.0
            .data
            .iter()
            .any(|candidate| candidate.logit().is_finite())
    }
}

/// Why no token could be chosen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SampleError {
    /// The model computed no number.
    NoLogits,
    /// The grammar permits no token.
    GrammarStuck,
    /// llama.cpp's grammar refused the token it had permitted.
    Grammar,
}

/// The state of one request's choices.
pub(crate) struct Sampler {
    /// `None`: the likeliest token, with nothing changing the order.
    chain: Option<LlamaSampler>,
    grammar: Option<LlamaSampler>,
}

impl Sampler {
    /// `banned` never come, whatever the settings.
    pub fn new(
        model: &LlamaModel,
        sampling: &Sampling,
        banned: &[LlamaToken],
        grammar: Option<LlamaSampler>,
        context_len: u32,
    ) -> Self {
        Self {
            chain: chain(model, sampling, banned, context_len),
            grammar,
        }
    }

    /// Tells the penalties what is in the prompt.
    pub fn read_prompt(&mut self, prompt: &[LlamaToken]) {
        if let Some(chain) = &mut self.chain {
            chain.accept_many(prompt);
        }
    }

    /// Chooses from `logits`.
    pub fn sample(
        &mut self,
        logits: &[f32],
        scratch: &mut Scratch,
    ) -> Result<LlamaToken, SampleError> {
        let token = self.draw(logits, scratch)?;
        if self.grammar_permits(token) {
            return Ok(token);
        }
        scratch.fill(logits);
        if let Some(grammar) = &mut self.grammar {
            grammar.apply(&mut scratch.0);
        }
        if !scratch.has_candidate() {
            return Err(SampleError::GrammarStuck);
        }
        match &mut self.chain {
            Some(chain) => {
                chain.apply(&mut scratch.0);
                scratch.0.selected_token().ok_or(SampleError::GrammarStuck)
            }
            None => Ok(scratch.0.sample_token_greedy()),
        }
    }

    /// Takes note of a chosen token that does not end the text.
    pub fn accept(&mut self, token: LlamaToken) -> Result<(), SampleError> {
        if let Some(chain) = &mut self.chain {
            chain.accept(token);
        }
        match &mut self.grammar {
            Some(grammar) => grammar.try_accept(token).map_err(|_| SampleError::Grammar),
            None => Ok(()),
        }
    }

    fn draw(&mut self, logits: &[f32], scratch: &mut Scratch) -> Result<LlamaToken, SampleError> {
        let Some(chain) = &mut self.chain else {
            return likeliest(logits).ok_or(SampleError::NoLogits);
        };
        scratch.fill(logits);
        if !scratch.has_candidate() {
            return Err(SampleError::NoLogits);
        }
        chain.apply(&mut scratch.0);
        scratch.0.selected_token().ok_or(SampleError::NoLogits)
    }

    fn grammar_permits(&mut self, token: LlamaToken) -> bool {
        let Some(grammar) = &mut self.grammar else {
            return true;
        };
        let candidate = LlamaTokenData::new(token, 1.0, 0.0);
        let mut one = LlamaTokenDataArray::new(vec![candidate], false);
        grammar.apply(&mut one);
        one.data[0].logit() != f32::NEG_INFINITY
    }
}

fn chain(
    model: &LlamaModel,
    sampling: &Sampling,
    banned: &[LlamaToken],
    context_len: u32,
) -> Option<LlamaSampler> {
    let vocabulary = model.n_vocab();
    let greedy = sampling.temperature <= 0.0;
    let mut samplers = Vec::new();
    let biases = biases(sampling, banned);
    if !biases.is_empty() {
        samplers.push(LlamaSampler::logit_bias(vocabulary, &biases));
    }
    if has_penalties(sampling) {
        let last_n = match sampling.penalty_last_n {
            whole if whole < 0 => i32::try_from(context_len).unwrap_or(i32::MAX),
            last_n => last_n,
        };
        samplers.push(LlamaSampler::penalties(
            vocabulary,
            last_n,
            sampling.repeat_penalty,
            sampling.frequency_penalty,
            sampling.presence_penalty,
        ));
    }
    if greedy && samplers.is_empty() {
        return None;
    }
    if greedy {
        samplers.push(LlamaSampler::greedy());
    } else {
        samplers.extend(draw_from(sampling));
    }
    Some(LlamaSampler::chain(samplers, true))
}

fn draw_from(sampling: &Sampling) -> [LlamaSampler; 6] {
    const KEEP_MIN: usize = 1;
    [
        LlamaSampler::top_k(sampling.top_k),
        LlamaSampler::typical(sampling.typical_p, KEEP_MIN),
        LlamaSampler::top_p(sampling.top_p, KEEP_MIN),
        LlamaSampler::min_p(sampling.min_p, KEEP_MIN),
        LlamaSampler::temp(sampling.temperature),
        LlamaSampler::dist(sampling.seed.unwrap_or_else(random_seed)),
    ]
}

fn has_penalties(sampling: &Sampling) -> bool {
    sampling.penalty_last_n != 0
        && (sampling.repeat_penalty != 1.0
            || sampling.presence_penalty != 0.0
            || sampling.frequency_penalty != 0.0)
}

fn biases(sampling: &Sampling, banned: &[LlamaToken]) -> Vec<LlamaLogitBias> {
    let asked = sampling
        .logit_bias
        .iter()
        .map(|(token, bias)| LlamaLogitBias::new(LlamaToken::new(*token), *bias));
    let banned = banned
        .iter()
        .map(|token| LlamaLogitBias::new(*token, f32::NEG_INFINITY));
    asked.chain(banned).collect()
}

/// The first of the largest logits, as llama.cpp's greedy sampler chooses.
fn likeliest(logits: &[f32]) -> Option<LlamaToken> {
    let mut best: Option<(TokenId, f32)> = None;
    for (id, logit) in (0..).zip(logits) {
        let better = best.is_none_or(|(_, logit_max)| *logit > logit_max);
        if better && !logit.is_nan() && *logit != f32::NEG_INFINITY {
            best = Some((id, *logit));
        }
    }
    best.map(|(id, _)| LlamaToken::new(id))
}

/// The standard library keys its hash maps from the system's randomness; that is enough for this.
fn random_seed() -> u32 {
    (RandomState::new().build_hasher().finish() >> 32) as u32
}

/// The natural logarithm of the probability of `token`, and the `count` likeliest tokens with
/// theirs, best first.
pub(crate) fn log_probabilities(
    logits: &[f32],
    token: TokenId,
    count: usize,
) -> (f32, Vec<(TokenId, f32)>) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits
        .iter()
        .map(|logit| f64::from(logit - max).exp())
        .filter(|share| !share.is_nan())
        .sum();
    let total = f64::from(max) + sum.ln();
    let of = |logit: f32| (f64::from(logit) - total) as f32;
    let mut ranked: Vec<(TokenId, f32)> = (0..).zip(logits.iter().copied()).collect();
    let count = count.min(ranked.len());
    if count > 0 && count < ranked.len() {
        ranked.select_nth_unstable_by(count - 1, |a, b| b.1.total_cmp(&a.1));
    }
    ranked.truncate(count);
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top = ranked.iter().map(|(id, logit)| (*id, of(*logit))).collect();
    let chosen = usize::try_from(token)
        .ok()
        .and_then(|token| logits.get(token));
    (chosen.map_or(f32::NEG_INFINITY, |logit| of(*logit)), top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_likeliest() {
        let check = |logits: &[f32], token: Option<TokenId>| {
            assert_eq!(likeliest(logits).map(|token| token.0), token);
        };
        check(&[0.0, 2.0, 2.0], Some(1));
        check(&[f32::NAN, -1.0], Some(1));
        check(&[f32::NAN, f32::NEG_INFINITY], None);
        check(&[], None);
    }

    #[test]
    fn log_probabilities_are_of_the_whole_row() {
        let logits = [1.0f32, 3.0, 2.0, 0.0];
        let (chosen, top) = log_probabilities(&logits, 2, 2);
        assert_eq!(top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2]);
        assert!((chosen - top[1].1).abs() < 1e-6);
        let all = log_probabilities(&logits, 0, 4).1;
        let sum: f32 = all.iter().map(|(_, logprob)| logprob.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }
}
