//! Talks to a running node over its own API, for `gaia ask` and `gaia chat`.

mod events;

use std::io::{BufReader, Read};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

pub use events::{Called, Citation, Event};

use crate::config::Config;
use crate::supervisor::state::State;
use events::{ReadEventsError, read_events};

/// How long a connection to this machine may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The most of an error's body that is read.
const ERROR_BYTES_MAX: u64 = 64 * 1024;
/// The most of a whole answer that is read.
const REPLY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why the node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It cannot be reached.
    #[error("failed to reach the node at {url}")]
    Reach {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It refused, and said why.
    #[error("the node answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its message.
        message: String,
    },
    /// It broke off in the middle.
    #[error("the answer broke off")]
    BrokeOff(#[from] ReadEventsError),
    /// What it sent is not JSON.
    #[error("the node's answer is not JSON")]
    NotJson(#[source] serde_json::Error),
}

/// A way to a running node.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    url: String,
    key: String,
}

impl Client {
    /// To the node with `state`. A node with a certificate, or with named keys (of which nobody has the text), is
    /// asked past them, at its worker: this machine's owner needs no proof of who it is.
    pub fn new(state: &State, config: &Config, has_named_keys: bool) -> Self {
        let own_key = config.api_keys.first().map(|key| key.reveal().to_owned());
        let (url, key) = match &state.worker {
            Some(worker)
                if state.url.starts_with("https:") || (own_key.is_none() && has_named_keys) =>
            {
                (worker.service.url.clone(), worker.service.key.clone())
            }
            _ => (state.url.clone(), own_key.unwrap_or_default()),
        };
        let agent = Agent::config_builder()
            // A proxy is for the way out; this talks to this machine only.
            .proxy(None)
            .timeout_connect(Some(CONNECT_LIMIT))
            .http_status_as_error(false)
            .build()
            .into();
        Self { agent, url, key }
    }

    /// Asks for the answer to a whole chat request; gives it whole.
    pub fn reply(&self, request: Value) -> Result<Value, AskError> {
        let mut body = String::new();
        self.post(request, false)?
            .take(REPLY_BYTES_MAX)
            .read_to_string(&mut body)
            .map_err(|source| AskError::BrokeOff(ReadEventsError::Read(source)))?;
        serde_json::from_str(&body).map_err(AskError::NotJson)
    }

    /// Asks for the answer to a whole chat request; `on_event` gets it piece by piece.
    pub fn stream(&self, request: Value, on_event: &mut dyn FnMut(Event)) -> Result<(), AskError> {
        let body = self.post(request, true)?;
        Ok(read_events(BufReader::new(body), on_event)?)
    }

    fn post(&self, mut chat: Value, stream: bool) -> Result<impl Read + use<>, AskError> {
        chat["stream"] = json!(stream);
        let mut request = self.agent.post(format!("{}/v1/chat/completions", self.url));
        if !self.key.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.key));
        }
        let reply = request.send_json(chat).map_err(|source| AskError::Reach {
            url: self.url.clone(),
            source: source.into(),
        })?;
        let status = reply.status();
        let body = reply.into_body().into_reader();
        if status.is_success() {
            return Ok(body);
        }
        let mut text = String::new();
        let _what_came_is_shown = body.take(ERROR_BYTES_MAX).read_to_string(&mut text);
        Err(AskError::Refused {
            status: status.as_u16(),
            message: error_message(&text),
        })
    }
}

/// The message inside an OpenAI error body, or the body.
fn error_message(body: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    let message = parsed
        .as_ref()
        .and_then(|json| json["error"]["message"].as_str());
    message.unwrap_or(body.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_bodies() {
        let check = |body, expected| assert_eq!(error_message(body), expected);
        check(
            r#"{"error":{"message":"no","type":"t","param":null,"code":null}}"#,
            "no",
        );
        check("plain \n", "plain");
        check("", "");
    }
}
