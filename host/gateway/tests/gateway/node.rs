//! A node that answers by a script, through a real HTTP/2 connection in which the gateway is the client.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy_primitives::Address;
use alloy_signer::SignerSync as _;
use gaia_balancer::{Offer, Service};
use gaia_gateway::{NodeInfo, Nodes};
use gaia_keystore::NodeKey;
use gaia_statements::Signature;
use gaia_tunnel::Channel;
use gaia_tunnel::messages::{RECEIPT_PATH, ReceiptAsked, ReceiptSigned};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::sync::{Notify, mpsc};

pub const MODEL: &str = "words";
pub const KNOWLEDGE: &str = "paris";

/// What a node does with a request.
#[derive(Debug, Clone)]
pub enum Script {
    /// Says these words, in the form that is asked for.
    Say(&'static [&'static str]),
    /// Streams whatever comes here, and breaks off at an error.
    Follow(Arc<Mutex<mpsc::Receiver<io::Result<String>>>>),
    /// A status with a body.
    Status(u16, &'static str),
    /// A reply in JSON with this body.
    Reply(&'static str),
    /// Says nothing until nobody waits any more.
    Nothing,
}

/// A node.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    key: NodeKey,
    script: Mutex<Script>,
    pub requests: AtomicUsize,
    bodies: Mutex<Vec<String>>,
    cancelled: Notify,
    signing: Signing,
    receipts: AtomicUsize,
}

/// What a node does with a receipt that it is asked to sign.
#[derive(Debug, Clone, Copy)]
enum Signing {
    Signs,
    Refuses,
    /// Says nothing.
    Waits,
}

impl Node {
    pub fn new(number: u8, script: Script) -> Self {
        Self::signing(number, script, true)
    }

    pub fn signing(number: u8, script: Script, is_signing: bool) -> Self {
        let signing = match is_signing {
            true => Signing::Signs,
            false => Signing::Refuses,
        };
        Self::that(number, script, signing)
    }

    /// Never says whether it signs a receipt.
    pub fn undecided(number: u8, script: Script) -> Self {
        Self::that(number, script, Signing::Waits)
    }

    fn that(number: u8, script: Script, signing: Signing) -> Self {
        Self(Arc::new(Inner {
            key: NodeKey::from_bytes(&[number; 32]).unwrap(),
            script: Mutex::new(script),
            requests: AtomicUsize::new(0),
            bodies: Mutex::new(Vec::new()),
            cancelled: Notify::new(),
            signing,
            receipts: AtomicUsize::new(0),
        }))
    }

    pub fn address(&self) -> Address {
        self.0.key.address()
    }

    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::SeqCst)
    }

    /// Receipts that it was asked to sign.
    pub fn receipts(&self) -> usize {
        self.0.receipts.load(Ordering::SeqCst)
    }

    pub fn last_body(&self) -> String {
        self.0.bodies.lock().unwrap().last().unwrap().clone()
    }

    pub fn follow(&self, script: Script) {
        *self.0.script.lock().unwrap() = script;
    }

    /// Ready when a request was taken back.
    pub async fn cancelled(&self) {
        self.0.cancelled.notified().await;
    }

    /// Makes it a member that serves at once, at these gateways.
    pub async fn join(&self, tables: &[Nodes]) -> Channel {
        let service = |knowledge: Option<&str>| Service {
            model: MODEL.to_owned(),
            knowledge: knowledge.map(str::to_owned),
        };
        let info = NodeInfo {
            address: self.address(),
            operator: Address::repeat_byte(0x0b),
            offer: Offer {
                services: vec![service(None), service(Some(KNOWLEDGE))],
                sequences: 2000,
                reading: Some(1000.0),
            },
            split: None,
        };
        let channel = self.channel().await;
        for nodes in tables {
            nodes.joined(info.clone());
            nodes.connected(self.address(), channel.clone());
        }
        channel
    }

    async fn channel(&self) -> Channel {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let node = self.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| node.clone().answer(request));
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(4096);
            let _ = builder
                .serve_connection(TokioIo::new(theirs), service)
                .await;
        });
        Channel::over(TokioIo::new(ours)).await.unwrap()
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path().to_owned();
        let named = request.headers().contains_key("gaia-request");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        if path == RECEIPT_PATH {
            self.0.receipts.fetch_add(1, Ordering::SeqCst);
            return Ok(match self.0.signing {
                Signing::Signs => self.sign(&body),
                Signing::Refuses => reply(409, "{}".to_owned()),
                Signing::Waits => std::future::pending().await,
            });
        }
        assert!(named, "a request has no id");
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        let text = String::from_utf8(body.to_vec()).unwrap();
        let is_stream = text.contains("\"stream\":true");
        self.0.bodies.lock().unwrap().push(text);
        let script = self.0.script.lock().unwrap().clone();
        let mut guard = Guard(Some(self.clone()));
        Ok(match script {
            Script::Say(words) => {
                guard.0 = None;
                match is_stream {
                    true => self.stream(words),
                    false => reply(200, whole(words)),
                }
            }
            Script::Status(status, text) => {
                guard.0 = None;
                reply(status, text.to_owned())
            }
            Script::Reply(text) => {
                guard.0 = None;
                reply(200, text.to_owned())
            }
            Script::Nothing => std::future::pending().await,
            Script::Follow(pieces) => {
                let stream = futures::stream::poll_fn(move |context| {
                    let _ = &guard;
                    let piece = pieces.lock().unwrap().poll_recv(context);
                    piece.map(|piece| {
                        piece.map(|piece| piece.map(|text| Frame::data(Bytes::from(text))))
                    })
                });
                events(BodyExt::boxed(StreamBody::new(stream)))
            }
        })
    }

    fn stream(&self, words: &[&str]) -> Response<Body> {
        let mut text: String = words.iter().map(|word| chunk(word)).collect();
        text.push_str(&ended());
        text.push_str(&usage());
        text.push_str("data: [DONE]\n\n");
        events(full(text))
    }

    fn sign(&self, body: &[u8]) -> Response<Body> {
        let asked: ReceiptAsked = serde_json::from_slice(body).unwrap();
        let digest = asked.receipt.digest(&asked.domain);
        let signed = self.0.key.signer().sign_hash_sync(&digest).unwrap();
        let signed = ReceiptSigned {
            node_signature: Signature::from_bytes(&signed.as_bytes()).unwrap(),
        };
        reply(200, serde_json::to_string(&signed).unwrap())
    }
}

type Body = BoxBody<Bytes, io::Error>;

/// Says that a request was taken back, unless it was answered.
struct Guard(Option<Node>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(node) = self.0.take() {
            node.0.cancelled.notify_one();
        }
    }
}

/// A chunk of text.
pub fn chunk(word: &str) -> String {
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": format!("{word} ")}}]});
    format!("data: {chunk}\n\n")
}

/// The chunk that ends an answer.
pub fn ended() -> String {
    let chunk = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    format!("data: {chunk}\n\n")
}

/// The chunk of usage: lies in the node's favour.
pub fn usage() -> String {
    format!("data: {}\n\n", json!({"choices": [], "usage": boast()}))
}

/// What the node would like to be paid for.
fn boast() -> serde_json::Value {
    json!({"prompt_tokens": 50, "completion_tokens": 60, "total_tokens": 1_000_000})
}

fn whole(words: &[&str]) -> String {
    let message = json!({"role": "assistant", "content": words.join(" ")});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    json!({"object": "chat.completion", "choices": [choice], "usage": boast()}).to_string()
}

fn reply(status: u16, text: String) -> Response<Body> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    response.body(full(text)).unwrap()
}

fn events(body: Body) -> Response<Body> {
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap()
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed()
}
