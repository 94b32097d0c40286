//! The answers of a turn while they come: each is taken apart into text, reasoning and calls.
//!
//! Invariant: calls of one turn have ids that differ.

use gaia_openai::chat::TokenLogProb;
use gaia_openai::{FinishReason, Usage};
use gaia_tools::Parser;

use super::event::{Effect, Part};

/// Hexadecimal digits of a turn's nonce in the ids of its calls. Four more count the calls.
const NONCE_DIGITS: u32 = 20;

/// Answers on their way.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) prompt_tokens: u32,
    running: Vec<Answer>,
    /// What those that have ended took.
    usage: Option<Usage>,
}

/// One answer on its way.
#[derive(Debug)]
struct Answer {
    choice: u32,
    /// `None`: everything is text.
    parser: Option<Parser>,
    nonce: u128,
    called: bool,
    /// Tokens of text that the parser keeps back.
    logprobs: Vec<TokenLogProb>,
}

impl Answers {
    /// So many answers, all of them text.
    pub(super) fn new(prompt_tokens: u32, count: u32, nonce: u128) -> Self {
        let answer = |choice| Answer {
            choice,
            parser: None,
            nonce,
            called: false,
            logprobs: Vec::new(),
        };
        Self {
            prompt_tokens,
            running: (0..count).map(answer).collect(),
            usage: None,
        }
    }

    /// Each is read by a parser of its own.
    pub(super) fn read_by(&mut self, parser: impl Fn() -> Parser) {
        for answer in &mut self.running {
            answer.parser = Some(parser());
        }
    }

    pub(super) fn is_running(&self, choice: u32) -> bool {
        self.running.iter().any(|answer| answer.choice == choice)
    }

    /// New text of an answer.
    pub(super) fn push(
        &mut self,
        choice: u32,
        text: String,
        logprobs: Vec<TokenLogProb>,
    ) -> Vec<Effect> {
        let mut running = self.running.iter_mut();
        match running.find(|answer| answer.choice == choice) {
            Some(answer) => answer.push(text, logprobs),
            None => Vec::new(),
        }
    }

    /// An answer has ended; with the last, all have.
    pub(super) fn end(&mut self, choice: u32, reason: FinishReason, usage: Usage) -> Vec<Effect> {
        let Some(at) = self.running.iter().position(|it| it.choice == choice) else {
            return Vec::new();
        };
        let sum = self.usage.map_or(usage, |sum| sum.and_choice(usage));
        self.usage = Some(sum);
        let mut effects = self.running.remove(at).end(reason);
        if self.running.is_empty() {
            effects.push(Effect::Finish { usage: sum });
        }
        effects
    }

    pub(super) fn is_over(&self) -> bool {
        self.running.is_empty()
    }
}

impl Answer {
    fn push(&mut self, text: String, logprobs: Vec<TokenLogProb>) -> Vec<Effect> {
        self.logprobs.extend(logprobs);
        let parts = match &mut self.parser {
            Some(parser) => parser.push(&text),
            None if text.is_empty() && self.logprobs.is_empty() => Vec::new(),
            None => vec![gaia_tools::Part::Text(text)],
        };
        self.send(parts)
    }

    fn end(mut self, reason: FinishReason) -> Vec<Effect> {
        let rest = self.parser.as_mut().map(Parser::finish);
        let mut effects = self.send(rest.unwrap_or_default());
        // Some tokens have no text: they still count as chosen.
        if !self.logprobs.is_empty() && !self.called {
            effects.extend(self.send(vec![gaia_tools::Part::Text(String::new())]));
        }
        effects.push(Effect::End {
            choice: self.choice,
            reason: match reason {
                FinishReason::Stop if self.called => FinishReason::ToolCalls,
                reason => reason,
            },
        });
        effects
    }

    /// Log-probabilities are those of text: what comes together with text goes with it, and the tokens
    /// of calls and reasoning are dropped.
    fn send(&mut self, parts: Vec<gaia_tools::Part>) -> Vec<Effect> {
        let mut effects = Vec::with_capacity(parts.len());
        let is_text = |part: &gaia_tools::Part| matches!(part, gaia_tools::Part::Text(_));
        if !parts.is_empty() && !parts.iter().any(is_text) {
            self.logprobs.clear();
        }
        for part in parts {
            let logprobs = match is_text(&part) {
                true => std::mem::take(&mut self.logprobs),
                false => Vec::new(),
            };
            effects.push(Effect::Part {
                choice: self.choice,
                part: self.part(part),
                logprobs,
            });
        }
        effects
    }

    fn part(&mut self, part: gaia_tools::Part) -> Part {
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        match part {
            gaia_tools::Part::Text(text) => Part::Text(text),
            gaia_tools::Part::Reasoning(text) => Part::Reasoning(text),
            gaia_tools::Part::CallBegins { index, name } => {
                self.called = true;
                let index = number(index);
                let id = call_id(self.nonce, self.choice, index);
                Part::CallBegins { index, id, name }
            }
            gaia_tools::Part::Arguments { index, piece } => Part::Arguments {
                index: number(index),
                piece,
            },
            gaia_tools::Part::CallEnds { index } => Part::CallEnds {
                index: number(index),
            },
        }
    }
}

/// `call_` and 24 characters.
fn call_id(nonce: u128, choice: u32, index: u32) -> String {
    let nonce = nonce & ((1 << (4 * NONCE_DIGITS)) - 1);
    format!("call_{nonce:020x}{:02x}{:02x}", choice & 0xff, index & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_24_characters_and_differ() {
        let id = call_id(u128::MAX, 7, 31);
        assert_eq!(id, "call_ffffffffffffffffffff071f");
        assert_eq!(id.len(), "call_".len() + 24);
        assert_ne!(call_id(1, 0, 0), call_id(1, 0, 1));
        assert_ne!(call_id(1, 0, 0), call_id(1, 1, 0));
    }
}
