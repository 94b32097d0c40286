//! `/mcp`: the node as an MCP server.
//!
//! What the messages mean is `gaia_mcp_server`'s affair. A tool's call becomes one request to the worker,
//! which takes the same place and the same tokens of a key as if the client had sent it itself.

use std::time::Duration;

use gaia_mcp_server::{Call, Heard, Labels, Reply, hear};
use gaia_openai::ApiError;
use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use super::{Asked, Shared};
use crate::body::{ReplyBody, full};
use crate::places::Place;
use crate::routes;

/// Where the messages come in.
pub(crate) const MCP: &str = "/mcp";

/// The longest answer of the worker that is made one of the protocol, in bytes.
const ANSWER_BYTES_MAX: usize = 8 << 20;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Shared {
    /// Answers one message.
    pub(super) async fn mcp(
        &self,
        asked: Asked<'_>,
        place: Option<Place>,
        wait_max: Duration,
    ) -> Response<ReplyBody> {
        if asked.parts.method != Method::POST {
            return only_post();
        }
        let call = match hear(&labels(&asked.parts.headers), &asked.body) {
            Heard::Reply(reply) => return response(reply),
            Heard::Call(call) => call,
        };
        let called = self.called(&call, asked, place, wait_max).await;
        response(called.unwrap_or_else(|error| {
            self.refused.count(&error);
            call.reply(error.status, error.to_json().as_bytes())
        }))
    }

    /// Has the worker do what a tool says.
    async fn called(
        &self,
        call: &Call,
        asked: Asked<'_>,
        place: Option<Place>,
        wait_max: Duration,
    ) -> Result<Reply, ApiError> {
        let parts = request_of(call);
        let asked = Asked {
            parts: &parts,
            body: Bytes::copy_from_slice(call.body().as_bytes()),
            ..asked
        };
        let cost = routes::rule_of(&Method::POST, call.path()).cost;
        let answer = self.work(asked, cost, place, wait_max).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| {
            tracing::warn!(%error, "the worker's answer cannot be made one of MCP");
            ApiError::bad_gateway("The worker gave no whole answer.")
        })?;
        Ok(call.reply(status, &body.to_bytes()))
    }
}

/// The head of the request to the worker: nothing of the client's.
fn request_of(call: &Call) -> Parts {
    let request = Request::builder()
        .method(Method::POST)
        .uri(call.path())
        .header(CONTENT_TYPE, JSON);
    let request = request.body(()).expect("a fixed path is a fine one");
    request.into_parts().0
}

fn labels(headers: &HeaderMap) -> Labels<'_> {
    let label = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Labels {
        revision: label("mcp-protocol-version"),
        method: label("mcp-method"),
        name: label("mcp-name"),
    }
}

fn response(reply: Reply) -> Response<ReplyBody> {
    let mut response = Response::new(full(reply.body.unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    if reply.status != StatusCode::ACCEPTED {
        response.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    response
}

/// Nothing is said here but answers, and no session is kept that could be ended.
fn only_post() -> Response<ReplyBody> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("POST"));
    response
}
