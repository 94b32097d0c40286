//! A plain HTTP client: one connection a request.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub id: Option<String>,
    pub retry_after: Option<String>,
    pub text: String,
    /// Whether the body came to its end.
    pub is_whole: bool,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// Sends a request and gives the answer as it comes; the connection ends with its body.
pub async fn begin(
    at: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: impl Into<Bytes>,
) -> Response<Incoming> {
    let stream = TcpStream::connect(at).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "gateway");
    if !token.is_empty() {
        request = request.header("authorization", token);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    sender.send_request(request).await.unwrap()
}

/// Sends a request with headers of the caller's choice and no body.
pub async fn with(
    at: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Incoming> {
    let stream = TcpStream::connect(at).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "gateway");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::new())).unwrap();
    sender.send_request(request).await.unwrap()
}

pub async fn ask(
    at: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: impl Into<Bytes>,
) -> Answer {
    end(begin(at, method, path, token, body).await).await
}

pub async fn end(response: Response<Incoming>) -> Answer {
    let (head, mut body) = response.into_parts();
    let header = |name: &str| Some(head.headers.get(name)?.to_str().unwrap().to_owned());
    let mut answer = Answer {
        status: head.status.as_u16(),
        id: header("x-gaia-request-id"),
        retry_after: header("retry-after"),
        text: String::new(),
        is_whole: true,
    };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let piece = frame.into_data().unwrap_or_default();
                answer.text.push_str(std::str::from_utf8(&piece).unwrap());
            }
            Err(_) => answer.is_whole = false,
        }
    }
    answer
}

/// The next piece of an answer.
pub async fn piece(body: &mut Incoming) -> Option<String> {
    let piece = body.frame().await?.ok()?.into_data().ok()?;
    Some(String::from_utf8(piece.to_vec()).unwrap())
}
