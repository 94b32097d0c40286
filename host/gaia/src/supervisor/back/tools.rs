//! `GET /tools`: what the model may call. `POST /call`: calls it. `POST /prompt`: has a plugin make a prompt.
//!
//! A tool that fails is an answer like any other, for the model to read; only a request that is none is
//! refused.

use gaia_prompt::making::Subject;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, Reply, refused, reply};
use crate::toolbox::{LiveTools, Outcome};

/// The longest request for a call: arguments of the longest kind, escaped.
pub const CALL_BYTES_MAX: usize = 512 << 10;
/// The longest request for a prompt: a conversation, which the worker has cut to what a program is told.
pub const PROMPT_BYTES_MAX: usize = 2 << 20;
/// The longest name of a turn.
const TURN_BYTES_MAX: usize = 128;

/// The tools, over HTTP.
#[derive(Debug)]
pub struct Tools {
    live: LiveTools,
}

/// What is to be called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    /// Which answer it is for: the calls of each are counted.
    turn: String,
    name: String,
    /// The text of a JSON object, as the model wrote it.
    arguments: String,
}

/// Which prompt is to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prompt {
    turn: String,
    /// The plugin that makes it.
    maker: String,
    subject: Subject,
}

impl Tools {
    /// These tools.
    pub fn new(live: LiveTools) -> Self {
        Self { live }
    }

    /// Answers.
    pub async fn answer(&self, asked: &Asked) -> Reply {
        match (&asked.method, asked.path.as_str()) {
            (&Method::GET, "/tools") => reply(&self.table().await),
            (&Method::POST, "/call") => match serde_json::from_slice(&asked.body) {
                Ok(call) => self.call(&call).await,
                Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            (&Method::POST, "/prompt") => match serde_json::from_slice(&asked.body) {
                Ok(prompt) => self.prompt(prompt).await,
                Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            (_, "/tools" | "/call" | "/prompt") => {
                refused(StatusCode::METHOD_NOT_ALLOWED, "not so")
            }
            _ => refused(StatusCode::NOT_FOUND, "there is nothing here"),
        }
    }

    /// The tools as the model is told of them.
    async fn table(&self) -> Value {
        let offered = self.live.offered().await;
        let tools = offered.iter().map(|tool| {
            json!({
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            })
        });
        json!({"tools": tools.collect::<Vec<_>>()})
    }

    async fn call(&self, call: &Call) -> Reply {
        if !is_turn(&call.turn) {
            return no_turn();
        }
        let called = self.live.call(&call.turn, &call.name, &call.arguments);
        let Outcome { result, ms, bytes } = called.await;
        reply(&match result {
            Ok(answer) => json!({"answer": answer, "ms": ms, "bytes": bytes}),
            Err(failure) => json!({"failure": failure, "ms": ms, "bytes": bytes}),
        })
    }

    async fn prompt(&self, prompt: Prompt) -> Reply {
        if !is_turn(&prompt.turn) {
            return no_turn();
        }
        let made = self
            .live
            .make_prompt(&prompt.turn, &prompt.maker, prompt.subject);
        reply(&json!(made.await))
    }
}

fn is_turn(name: &str) -> bool {
    !name.is_empty() && name.len() <= TURN_BYTES_MAX
}

fn no_turn() -> Reply {
    refused(
        StatusCode::BAD_REQUEST,
        "a turn has a name, and a short one",
    )
}
