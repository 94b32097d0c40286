//! `GET /tools`: what the model may call. `POST /call`: calls it.
//!
//! A tool that fails is an answer like any other, for the model to read; only a request that is none is
//! refused.

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, Reply, refused, reply};
use crate::toolbox::{LiveTools, Outcome};

/// The longest request for a call: arguments of the longest kind, escaped.
pub const CALL_BYTES_MAX: usize = 512 << 10;
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
            (_, "/tools" | "/call") => refused(StatusCode::METHOD_NOT_ALLOWED, "not so"),
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
        if call.turn.is_empty() || call.turn.len() > TURN_BYTES_MAX {
            return refused(
                StatusCode::BAD_REQUEST,
                "a turn has a name, and a short one",
            );
        }
        let called = self.live.call(&call.turn, &call.name, &call.arguments);
        let Outcome { result, ms, bytes } = called.await;
        reply(&match result {
            Ok(answer) => json!({"answer": answer, "ms": ms, "bytes": bytes}),
            Err(failure) => json!({"failure": failure, "ms": ms, "bytes": bytes}),
        })
    }
}
