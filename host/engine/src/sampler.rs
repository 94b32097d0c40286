//! Chooses the next token of one request from the logits of its row.
//!
//! Built on llama.cpp's samplers, in llama.cpp's order: biases, penalties, then the cuts, then the
//! temperature and the draw. A grammar is asked about the drawn token first and applied to the whole
//! row only when it says no, which is hundreds of times cheaper.

use std::collections::BTreeMap;
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
    choice: Choice,
    grammar: Option<LlamaSampler>,
}

enum Choice {
    /// The likeliest token, once these are added to logits; sorted by token, each token once.
    Likeliest(Vec<(usize, f32)>),
    Chain(LlamaSampler),
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
            choice: choice(model, sampling, banned, context_len),
            grammar,
        }
    }

    /// Tells the penalties what is in the prompt.
    pub fn read_prompt(&mut self, prompt: &[LlamaToken]) {
        if let Choice::Chain(chain) = &mut self.choice {
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
        match &mut self.choice {
            Choice::Chain(chain) => {
                chain.apply(&mut scratch.0);
                scratch.0.selected_token().ok_or(SampleError::GrammarStuck)
            }
            Choice::Likeliest(biases) => {
                for (token, bias) in biases {
                    if let Some(candidate) = scratch.0.data.get_mut(*token) {
                        candidate.set_logit(candidate.logit() + *bias);
                    }
                }
                match scratch.has_candidate() {
                    true => Ok(scratch.0.sample_token_greedy()),
                    false => Err(SampleError::GrammarStuck),
                }
            }
        }
    }

    /// Takes note of a chosen token that does not end the text.
    pub fn accept(&mut self, token: LlamaToken) -> Result<(), SampleError> {
        if let Choice::Chain(chain) = &mut self.choice {
            chain.accept(token);
        }
        match &mut self.grammar {
            Some(grammar) => grammar.try_accept(token).map_err(|_| SampleError::Grammar),
            None => Ok(()),
        }
    }

    fn draw(&mut self, logits: &[f32], scratch: &mut Scratch) -> Result<LlamaToken, SampleError> {
        let chain = match &mut self.choice {
            Choice::Chain(chain) => chain,
            Choice::Likeliest(biases) => {
                return likeliest(logits, biases).ok_or(SampleError::NoLogits);
            }
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

fn choice(
    model: &LlamaModel,
    sampling: &Sampling,
    banned: &[LlamaToken],
    context_len: u32,
) -> Choice {
    let vocabulary = model.n_vocab();
    let greedy = sampling.temperature <= 0.0;
    let biases = biases(sampling, banned);
    if greedy && !has_penalties(sampling) {
        return Choice::Likeliest(sums(&biases));
    }
    let mut samplers = Vec::new();
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
    if greedy {
        samplers.push(LlamaSampler::greedy());
    } else {
        samplers.extend(draw_from(sampling));
    }
    Choice::Chain(LlamaSampler::chain(samplers, true))
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

/// What is added to each token's logit, sorted by token.
fn sums(biases: &[LlamaLogitBias]) -> Vec<(usize, f32)> {
    let mut sums = BTreeMap::new();
    for bias in biases {
        if let Ok(token) = usize::try_from(bias.token().0) {
            *sums.entry(token).or_insert(0.0) += bias.bias();
        }
    }
    sums.into_iter().collect()
}

/// The first of the largest logits once `biases` are added, as llama.cpp's greedy sampler chooses.
pub(crate) fn likeliest(logits: &[f32], biases: &[(usize, f32)]) -> Option<LlamaToken> {
    let mut best = (0, f32::NEG_INFINITY);
    let mut start = 0;
    for (token, bias) in biases {
        let Some(logit) = logits.get(*token) else {
            break;
        };
        best = larger(best, start, &logits[start..*token]);
        best = larger(best, *token, &[logit + bias]);
        start = token + 1;
    }
    let (token, logit) = larger(best, start, &logits[start..]);
    let token = TokenId::try_from(token).ok()?;
    (logit > f32::NEG_INFINITY).then_some(LlamaToken::new(token))
}

/// The first of the largest: `best`, or one of `logits`, which begin with that of token `start`.
fn larger(mut best: (usize, f32), start: usize, logits: &[f32]) -> (usize, f32) {
    /// The maximum of so many is found by vector instructions; where it stands, only if it is better.
    const TOGETHER: usize = 512;
    for (index, part) in logits.chunks(TOGETHER).enumerate() {
        // `f32::max` passes over NaN.
        let max = part.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if max > best.1
            && let Some(place) = part.iter().position(|logit| *logit == max)
        {
            best = (start + index * TOGETHER + place, max);
        }
    }
    best
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
            assert_eq!(likeliest(logits, &[]).map(|token| token.0), token);
        };
        check(&[0.0, 2.0, 2.0], Some(1));
        check(&[f32::NAN, -1.0], Some(1));
        check(&[f32::NAN, f32::NEG_INFINITY], None);
        check(&[], None);
    }

    #[test]
    fn biases_are_added_before_the_likeliest_is_chosen() {
        let logits: Vec<f32> = (0..2000).map(|id| (id % 700) as f32).collect();
        let check = |biases: &[(usize, f32)], token: TokenId| {
            assert_eq!(likeliest(&logits, biases).map(|token| token.0), Some(token));
        };
        check(&[], 699);
        check(&[(699, f32::NEG_INFINITY)], 1399);
        check(&[(699, -0.5), (1399, -1.0)], 699);
        check(&[(699, -1.0), (1399, -1.0)], 698);
        check(&[(0, 699.0)], 0);
        check(&[(3, 697.0), (1999, 1e3), (5000, 1e9)], 1999);
    }

    #[test]
    fn several_biases_of_a_token_add_up() {
        let bias = |token, bias| LlamaLogitBias::new(LlamaToken::new(token), bias);
        let sums = sums(&[bias(7, 1.0), bias(2, -1.0), bias(7, 2.0)]);
        assert_eq!(sums, [(2, -1.0), (7, 3.0)]);
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
