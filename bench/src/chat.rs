//! One question to one contender, and what came when.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;

/// A question. Every contender gets the same one and has to give as many tokens.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// What comes first and may be shared with other questions.
    pub system: String,
    /// The question itself.
    pub user: String,
    /// Tokens in the answer, exactly; with a grammar at most.
    pub tokens: u32,
    /// A grammar the answer must follow (GBNF).
    pub grammar: Option<String>,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered to the end.
    Done,
    /// Turned away with this status.
    Refused(u16),
    /// The connection failed, or the stream ended early.
    Broken,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// When it was asked.
    pub asked: Instant,
    /// When each piece of text arrived.
    pub arrivals: Vec<Instant>,
    /// When the answer was over.
    pub ended: Instant,
    /// Tokens generated, as the contender counts them.
    pub tokens: u32,
    /// Tokens of the prompt, and how many of those were not computed again.
    pub prompt_tokens: u32,
    /// See `prompt_tokens`.
    pub cached_tokens: u32,
    /// The text.
    pub text: String,
}

impl Answer {
    /// An answer of which nothing has come yet.
    pub fn begun() -> Self {
        let now = Instant::now();
        Self {
            outcome: Outcome::Broken,
            asked: now,
            arrivals: Vec::new(),
            ended: now,
            tokens: 0,
            prompt_tokens: 0,
            cached_tokens: 0,
            text: String::new(),
        }
    }

    /// From the question to the first piece of text.
    pub fn first(&self) -> Duration {
        self.arrivals
            .first()
            .map_or_else(|| self.ended - self.asked, |first| *first - self.asked)
    }
}

/// Something that can be asked.
pub trait Chat: Sync {
    /// Its name in tables.
    fn name(&self) -> &str;
    /// Asks and waits for the whole answer.
    fn answer(&self, ask: &Ask) -> Answer;
}

/// A server with the OpenAI interface.
pub struct Served {
    name: String,
    client: Client,
}

impl Served {
    /// The server `name` behind `client`.
    pub fn new(name: &str, client: Client) -> Self {
        Self {
            name: name.to_owned(),
            client,
        }
    }

    /// For requests of another kind.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn stream(&self, body: &Value, answer: &mut Answer) -> std::io::Result<()> {
        let response = self
            .client
            .send("POST", "/v1/chat/completions", &body.to_string())?;
        if response.status != 200 {
            answer.outcome = Outcome::Refused(response.status);
            response.text()?;
            return Ok(());
        }
        response.events(|data| answer.take(data))
    }
}

impl Chat for Served {
    fn name(&self) -> &str {
        &self.name
    }

    fn answer(&self, ask: &Ask) -> Answer {
        let body = body(ask);
        let mut answer = Answer::begun();
        if self.stream(&body, &mut answer).is_err() {
            answer.outcome = Outcome::Broken;
        }
        answer.ended = Instant::now();
        answer
    }
}

fn body(ask: &Ask) -> Value {
    let mut body = json!({
        "messages": [{"role": "system", "content": ask.system}, {"role": "user", "content": ask.user}],
        "temperature": 0, "max_tokens": ask.tokens,
        "stream": true, "stream_options": {"include_usage": true}});
    match &ask.grammar {
        Some(grammar) => body["grammar"] = json!(grammar),
        None => body["ignore_eos"] = json!(true),
    }
    body
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: u32,
}

impl Answer {
    /// Takes one event of a stream.
    fn take(&mut self, data: &str) {
        if data == "[DONE]" {
            self.outcome = Outcome::Done;
            return;
        }
        let Ok(chunk) = serde_json::from_str::<Chunk>(data) else {
            return;
        };
        let text = chunk
            .choices
            .into_iter()
            .next()
            .and_then(|choice| choice.delta.content);
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.arrivals.push(Instant::now());
            self.text.push_str(&text);
        }
        if let Some(usage) = chunk.usage {
            self.tokens = usage.completion_tokens;
            self.prompt_tokens = usage.prompt_tokens;
            self.cached_tokens = usage
                .prompt_tokens_details
                .map_or(0, |details| details.cached_tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_tokens_by_usage_and_pieces_by_text() {
        let mut answer = Answer::begun();
        for data in [
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"delta":{"content":"ab"}}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":8}}}"#,
            "[DONE]",
        ] {
            answer.take(data);
        }
        assert_eq!(answer.arrivals.len(), 1);
        assert_eq!(
            (answer.tokens, answer.prompt_tokens, answer.cached_tokens),
            (5, 9, 8)
        );
        assert_eq!(
            (answer.outcome, answer.text.as_str()),
            (Outcome::Done, "ab")
        );
    }
}
