//! A node that computes nothing: answers chats in the form of real nodes, at the pace that the request names.
//!
//! The same node stands behind every contender: over HTTP/1.1 for those that know no other, over a tunnel's HTTP/2 for
//! the gateway. Each piece of a stream is a number, so that one that is lost shows; `seed` says how many milliseconds lie
//! between two of them, because everybody passes it on.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use alloy_signer::SignerSync as _;
use anyhow::Context as _;
use clap::Args;
use gaia_statements::Signature;
use gaia_tunnel::messages::{RECEIPT_PATH, ReceiptAsked, ReceiptSigned};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::domain;

/// The model that it serves.
pub const MODEL: &str = "smollm2-135m-instruct";

/// Bytes of a prompt that are about a token, to tell how long it is to read.
const TOKEN_BYTES: usize = 4;

/// How the node behaves.
#[derive(Debug, Clone, Args)]
pub struct NodeOptions {
    /// Which node it is: says its key
    #[arg(long, default_value_t = 1)]
    pub number: u8,
    /// Tokens of a prompt that it reads in a second, one request after the other; 0: it reads nothing
    #[arg(long, default_value_t = 0)]
    pub reading: u64,
    /// Beginnings of prompts that it keeps
    #[arg(long, default_value_t = 2)]
    pub kept: usize,
}

struct Node {
    options: NodeOptions,
    key: gaia_keystore::NodeKey,
    /// What was read last stands last. Locked while something is read: one at a time.
    read: Mutex<VecDeque<String>>,
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves until the process is ended.
///
/// # Errors
/// Nothing can be listened on.
pub async fn serve(options: NodeOptions) -> anyhow::Result<()> {
    let plain = TcpListener::bind("127.0.0.1:0").await?;
    let tunnel = TcpListener::bind("127.0.0.1:0").await?;
    domain::say_ready(&json!({
        "http": plain.local_addr()?,
        "tunnel": tunnel.local_addr()?,
    }));
    let node = Rc::new(Node {
        key: domain::node_key(options.number).context("the node's key")?,
        options,
        read: Mutex::default(),
    });
    loop {
        tokio::select! {
            taken = plain.accept() => {
                let stream = ready(taken)?;
                let node = Rc::clone(&node);
                tokio::task::spawn_local(async move {
                    let service = service_fn(move |request| Rc::clone(&node).answer(request));
                    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(stream, service);
                    // Whoever goes away in the middle is no matter of the node's.
                    let _ = connection.await;
                });
            }
            taken = tunnel.accept() => {
                let stream = ready(taken)?;
                let node = Rc::clone(&node);
                tokio::task::spawn_local(async move {
                    let service = service_fn(move |request| Rc::clone(&node).answer(request));
                    let connection = http2::Builder::new(Local)
                        .max_concurrent_streams(gaia_tunnel::limits::STREAMS_MAX)
                        .serve_connection(stream, service);
                    let _ = connection.await;
                });
            }
        }
    }
}

fn ready(taken: io::Result<(TcpStream, SocketAddr)>) -> io::Result<TokioIo<TcpStream>> {
    let (stream, _) = taken?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// Runs a connection's tasks on this thread.
#[derive(Debug, Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}

impl Node {
    async fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        if path == RECEIPT_PATH {
            return Ok(self
                .signed(&body)
                .unwrap_or_else(|| whole(409, "{}".to_owned())));
        }
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let words = asked["max_tokens"].as_u64().unwrap_or(16);
        let (prompt, cached) = self.read(&asked).await;
        let usage = json!({
            "prompt_tokens": prompt,
            "completion_tokens": words,
            "total_tokens": prompt + words,
            "prompt_tokens_details": {"cached_tokens": cached},
        });
        Ok(match asked["stream"].as_bool() {
            Some(true) => {
                let with_usage = asked["stream_options"]["include_usage"] == true;
                let pace = Duration::from_millis(asked["seed"].as_u64().unwrap_or(0));
                streamed(words, pace, with_usage.then_some(usage))
            }
            _ => whole(200, said(words, &usage)),
        })
    }

    /// Reads the prompt, as far as its beginning is not known: how long it is, and how much of it was known.
    async fn read(&self, asked: &Value) -> (u64, u64) {
        let messages = asked["messages"].as_array();
        let texts = messages
            .into_iter()
            .flatten()
            .filter_map(|message| message["content"].as_str());
        let tokens = |text: &str| (text.len() / TOKEN_BYTES) as u64;
        let all: u64 = texts.clone().map(tokens).sum();
        let reading = self.options.reading;
        let Some(beginning) = texts.clone().next().filter(|_| reading > 0) else {
            return (all, 0);
        };
        let mut kept = self.read.lock().await;
        let place = kept.iter().position(|known| known == beginning);
        let cached = place.map_or(0, |_| tokens(beginning));
        let seconds = (all - cached) as f64 / reading as f64;
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        let newest = place
            .and_then(|place| kept.remove(place))
            .unwrap_or_else(|| beginning.to_owned());
        kept.push_back(newest);
        while kept.len() > self.options.kept {
            kept.pop_front();
        }
        (all, cached)
    }

    fn signed(&self, body: &[u8]) -> Option<Response<Body>> {
        let asked: ReceiptAsked = serde_json::from_slice(body).ok()?;
        let digest = asked.receipt.digest(&asked.domain);
        let signed = self.key.signer().sign_hash_sync(&digest).ok()?;
        let signed = ReceiptSigned {
            node_signature: Signature::from_bytes(&signed.as_bytes()).ok()?,
        };
        Some(whole(200, serde_json::to_string(&signed).ok()?))
    }
}

fn streamed(words: u64, pace: Duration, usage: Option<Value>) -> Response<Body> {
    let pieces = futures::stream::unfold((0, usage), move |(at, usage)| async move {
        if at > words {
            return None;
        }
        if at > 0 && !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        let text = match at == words {
            false => piece(at),
            true => last(usage.as_ref()),
        };
        Some((Ok(Frame::data(Bytes::from(text))), (at + 1, usage)))
    });
    let body = UnsyncBoxBody::new(StreamBody::new(pieces));
    typed(200, "text/event-stream", body)
}

/// A piece of a stream: the number `at`.
fn piece(at: u64) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" {at}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

fn last(usage: Option<&Value>) -> String {
    let head = format!(
        "\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{MODEL}\""
    );
    let end = format!(
        "data: {{{head},\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
    );
    let usage = usage.map_or(String::new(), |usage| {
        format!("data: {{{head},\"choices\":[],\"usage\":{usage}}}\n\n")
    });
    format!("{end}{usage}data: [DONE]\n\n")
}

fn said(words: u64, usage: &Value) -> String {
    let text: String = (0..words).map(|at| format!(" {at}")).collect();
    let choice = json!({
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    });
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [choice],
        "usage": usage,
    })
    .to_string()
}

fn whole(status: u16, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    typed(status, "application/json", UnsyncBoxBody::new(body))
}

fn typed(status: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let value = hyper::header::HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, value);
    response
}
