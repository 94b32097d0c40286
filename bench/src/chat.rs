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
    /// Whether it has all the tokens that it might have.
    pub ended_by_length: bool,
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
            ended_by_length: false,
        }
    }

    /// Counts the tokens of an answer whose server does not.
    fn count_as_asked(&mut self, ask: &Ask) {
        match self.outcome {
            Outcome::Done if self.ended_by_length => self.tokens = ask.tokens,
            Outcome::Done => self.outcome = Outcome::Broken,
            _ => (),
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

/// How a server takes part in the OpenAI interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// It counts what it used, and takes `ignore_eos`.
    Usage,
    /// It counts nothing in a stream, and takes `min_tokens`: an answer has as many tokens as were asked for if it
    /// says that it was ended by their number.
    WithoutUsage,
}

/// A server with the OpenAI interface.
pub struct Served {
    name: String,
    client: Client,
    interface: Interface,
}

impl Served {
    /// The server `name` behind `client`.
    pub fn new(name: &str, client: Client) -> Self {
        Self::speaking(name, client, Interface::Usage)
    }

    /// The server `name` behind `client`, with an interface of its own.
    pub fn speaking(name: &str, client: Client, interface: Interface) -> Self {
        Self {
            name: name.to_owned(),
            client,
            interface,
        }
    }

    /// As this one, but it hangs up at `time`: what is not over by then ends as [`Outcome::Broken`].
    pub fn until(&self, time: Instant) -> Self {
        Self::speaking(&self.name, self.client.until(time), self.interface)
    }

    /// Whether it counts prompts and what was known of them.
    pub fn tells_usage(&self) -> bool {
        self.interface == Interface::Usage
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
        let body = body(ask, self.interface);
        let mut answer = Answer::begun();
        if self.stream(&body, &mut answer).is_err() {
            answer.outcome = Outcome::Broken;
        }
        answer.ended = Instant::now();
        if self.interface == Interface::WithoutUsage {
            answer.count_as_asked(ask);
        }
        answer
    }
}

fn body(ask: &Ask, interface: Interface) -> Value {
    let mut body = json!({
        "messages": [{"role": "system", "content": ask.system}, {"role": "user", "content": ask.user}],
        "temperature": 0, "max_tokens": ask.tokens,
        "stream": true, "stream_options": {"include_usage": true}});
    match (&ask.grammar, interface) {
        (Some(grammar), _) => body["grammar"] = json!(grammar),
        (None, Interface::Usage) => body["ignore_eos"] = json!(true),
        (None, Interface::WithoutUsage) => body["min_tokens"] = json!(ask.tokens),
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
    finish_reason: Option<String>,
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
        let choice = chunk.choices.into_iter().next();
        self.ended_by_length |= choice
            .as_ref()
            .is_some_and(|choice| choice.finish_reason.as_deref() == Some("length"));
        let text = choice.and_then(|choice| choice.delta.content);
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

    #[test]
    fn counts_as_asked_only_what_was_ended_by_length() {
        let check = |reason: &str, expected| {
            let mut answer = Answer::begun();
            let end = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":{reason}}}]}}"#);
            for data in [
                r#"{"choices":[{"delta":{"content":"ab"}}]}"#,
                &end,
                "[DONE]",
            ] {
                answer.take(data);
            }
            answer.count_as_asked(&Ask {
                tokens: 64,
                ..Ask::default()
            });
            assert_eq!((answer.outcome, answer.tokens), expected);
        };
        check("\"length\"", (Outcome::Done, 64));
        check("\"stop\"", (Outcome::Broken, 0));
        check("null", (Outcome::Broken, 0));
    }
}
