//! Connections that are kept, and answers with the times of their pieces.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The longest that anything measured here takes; what takes longer counts as broken.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);

/// A request, ready to be sent again and again.
#[derive(Debug, Clone)]
pub struct Question {
    method: &'static str,
    path: String,
    token: String,
    body: Bytes,
}

impl Question {
    /// `token` is what stands behind `Authorization:`; empty: nobody asks for it.
    pub fn new(method: &'static str, path: &str, token: &str, body: String) -> Self {
        Self {
            method,
            path: path.to_owned(),
            token: token.to_owned(),
            body: body.into(),
        }
    }

    fn request(&self) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(&self.path)
            .header("host", "domain")
            .header("content-type", "application/json");
        if !self.token.is_empty() {
            request = request.header("authorization", &self.token);
        }
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}

/// An answer that was read to its end, or as far as it came.
#[derive(Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The gateway's name for the request.
    pub id: Option<String>,
    /// What came.
    pub text: String,
    /// From the request to the first piece of the body.
    pub first: Option<Duration>,
    /// From the request to the first word of a chat's answer, or to its end where it has none.
    pub word: Option<Duration>,
    /// Whether the body came to its end.
    pub is_whole: bool,
}

impl Answer {
    /// The numbers of a stream's pieces, in the order in which they came.
    pub fn numbers(&self) -> Vec<u64> {
        let parts = self.text.split("\"content\":\" ").skip(1);
        let numbers = parts.filter_map(|part| part.split_once('"')?.0.parse().ok());
        numbers.collect()
    }

    /// Whether everything came of a stream of so many pieces.
    pub fn is_stream_of(&self, pieces: u64) -> bool {
        self.is_served()
            && self.text.contains("[DONE]")
            && self.numbers() == (0..pieces).collect::<Vec<_>>()
    }

    /// Whether what came has a word that was written, or says that there will be none.
    fn has_word(&self) -> bool {
        let mut words = self.text.split("\"content\":\"").skip(1);
        words.any(|rest| !rest.is_empty() && !rest.starts_with('"'))
            || self.text.contains("\"finish_reason\":\"")
    }

    /// Whether it was answered, and to the end.
    pub fn is_served(&self) -> bool {
        self.status == 200 && self.is_whole
    }
}

/// A kept connection.
pub struct Connection {
    at: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Opens it.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(at: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(at)
            .await
            .with_context(|| format!("connecting to {at}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(Self { at, sender })
    }

    /// Asks, and reads the answer as far as it comes.
    ///
    /// # Errors
    /// There is no answer at all.
    pub async fn ask(&mut self, question: &Question) -> anyhow::Result<Answer> {
        if self.sender.is_closed() || self.sender.ready().await.is_err() {
            *self = Self::open(self.at).await?;
        }
        let begun = Instant::now();
        let asked = self.sender.send_request(question.request()?);
        let response = tokio::time::timeout(ANSWER_TIME_MAX, asked).await??;
        let id = response.headers().get("x-gaia-request-id");
        let mut answer = Answer {
            status: response.status().as_u16(),
            id: id.and_then(|id| id.to_str().ok()).map(str::to_owned),
            ..Answer::default()
        };
        answer.is_whole = read(response.into_body(), begun, &mut answer).await;
        Ok(answer)
    }
}

async fn read(mut body: Incoming, begun: Instant, answer: &mut Answer) -> bool {
    loop {
        match tokio::time::timeout(ANSWER_TIME_MAX, body.frame()).await {
            Ok(None) => return true,
            Ok(Some(Ok(frame))) => {
                let piece = frame.into_data().unwrap_or_default();
                answer.first.get_or_insert_with(|| begun.elapsed());
                answer.text.push_str(&String::from_utf8_lossy(&piece));
                if answer.word.is_none() && answer.has_word() {
                    answer.word = Some(begun.elapsed());
                }
            }
            Ok(Some(Err(_))) | Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_no_empty_piece() {
        let check = |text: &str, expected| {
            let text = text.to_owned();
            let answer = Answer {
                text,
                ..Answer::default()
            };
            assert_eq!(answer.has_word(), expected, "{}", answer.text);
        };
        check(
            r#"{"delta":{"role":"assistant","content":""},"finish_reason":null}"#,
            false,
        );
        check(r#"{"delta":{"content":""#, false);
        check(
            r#"{"delta":{"content":""}}{"delta":{"content":"Yes"}}"#,
            true,
        );
        check(r#"{"delta":{},"finish_reason":"stop"}"#, true);
    }
}
