//! A question to a node that looks like any user's.

use std::time::{Duration, Instant};

use alloy_primitives::B256;
use gaia_tunnel::messages::REQUEST_HEADER;
use gaia_tunnel::{Body, Channel};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;

pub(crate) struct Question<'a> {
    /// `None`: the node's own choice.
    pub model: Option<String>,
    pub prompt: &'a str,
    pub tokens_max: u32,
}

/// What a node has said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub text: String,
    /// Whether it wrote at all: a token, and why it stopped.
    pub has_written: bool,
    pub took: Duration,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// No room: 429.
    Busy,
    /// Anything else.
    Failed,
}

/// Asks, for so long at most. An error is no answer.
pub(crate) async fn ask(
    channel: &Channel,
    question: &Question<'_>,
    time_max: Duration,
) -> Result<Answer, NoAnswer> {
    let began = Instant::now();
    let asking = tokio::time::timeout(time_max, send(channel, question));
    let body = asking.await.map_err(|_| NoAnswer::Failed)??;
    let choice = &body["choices"][0];
    let message = &choice["message"];
    let text = message["content"].as_str().unwrap_or_default().to_owned();
    let thought = message["reasoning_content"].as_str().unwrap_or_default();
    let tokens = body["usage"]["completion_tokens"]
        .as_u64()
        .unwrap_or_default();
    let wrote = !text.is_empty() || !thought.is_empty() || tokens > 0;
    Ok(Answer {
        has_written: wrote && choice["finish_reason"].is_string(),
        text,
        took: began.elapsed(),
    })
}

async fn send(channel: &Channel, question: &Question<'_>) -> Result<Value, NoAnswer> {
    let request = request(question).ok_or(NoAnswer::Failed)?;
    let response = channel.send(request).await.map_err(|_| NoAnswer::Failed)?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::TOO_MANY_REQUESTS => return Err(NoAnswer::Busy),
        _ => return Err(NoAnswer::Failed),
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let bytes = body.collect().await.map_err(|_| NoAnswer::Failed)?;
    serde_json::from_slice(&bytes.to_bytes()).map_err(|_| NoAnswer::Failed)
}

fn request(question: &Question<'_>) -> Option<Request<Body>> {
    let mut body = json!({
        "messages": [{"role": "user", "content": question.prompt}],
        "max_tokens": question.tokens_max,
        "temperature": 0,
    });
    if let Some(model) = &question.model {
        body["model"] = json!(model);
    }
    let body = Full::from(body.to_string()).map_err(|never| match never {});
    let request = Request::builder()
        .method(Method::POST)
        .uri("http://node/v1/chat/completions")
        .header(CONTENT_TYPE, "application/json")
        .header(REQUEST_HEADER, random_id()?.to_string());
    request.body(body.boxed()).ok()
}

/// 32 random bytes, where the system has some.
pub(crate) fn random_id() -> Option<B256> {
    let mut id = [0; 32];
    getrandom::fill(&mut id).ok()?;
    Some(B256::from(id))
}
