//! Servers of a few lines on real sockets, and a resolver that says what a test wants.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaia_egress::{Ask, Egress, Limits, Method, Resolve};
use gaia_outbound::AllowList;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a server does once it was asked.
pub enum Reply {
    /// Says this, and closes.
    Say(String),
    /// Says nothing, and stays.
    Silence,
    /// Says this, and then nothing, and stays.
    Stall(String),
    /// Says this, and then a byte now and then, for ever.
    Drip(String),
    /// Says this, and then as much as is taken, for ever.
    Flood(String),
}

impl Reply {
    /// A whole reply with this status line, these headers (each with its line's end) and body.
    pub fn of(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Say(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
    }
}

/// A server and what it has seen.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// On any port of 127.0.0.1.
    pub async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", None, reply).await
    }

    pub async fn start_at(
        address: &str,
        tls: Option<TlsAcceptor>,
        reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let this = server.clone();
        let reply = Arc::new(reply);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                this.connections.fetch_add(1, Ordering::SeqCst);
                let (this, reply, tls) = (this.clone(), Arc::clone(&reply), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => this.serve(stream, &*reply).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                this.serve(stream, &*reply).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    async fn serve(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        reply: &(dyn Fn(&str) -> Reply + Sync),
    ) {
        let Some(request) = read_request(&mut stream).await else {
            return;
        };
        let reply = reply(&request);
        self.requests.lock().unwrap().push(request);
        // The other side may hang up at any time: that is what is tested.
        let _ = say(&mut stream, reply).await;
    }

    pub fn seen(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }
}

async fn say(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), reply: Reply) -> io::Result<()> {
    match reply {
        Reply::Say(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await
        }
        Reply::Silence => {
            let mut byte = [0];
            stream.read(&mut byte).await.map(drop)
        }
        Reply::Stall(text) => {
            stream.write_all(text.as_bytes()).await?;
            let mut byte = [0];
            stream.read(&mut byte).await.map(drop)
        }
        Reply::Drip(text) => {
            stream.write_all(text.as_bytes()).await?;
            loop {
                stream.write_all(b"x").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Reply::Flood(text) => {
            stream.write_all(text.as_bytes()).await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        }
    }
}

/// Head and body as text.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Says one list of addresses after the other, the last for ever.
#[derive(Clone)]
pub struct Answers {
    answers: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    pub asked: Arc<AtomicUsize>,
}

impl Answers {
    pub fn new(answers: &[&[&str]]) -> Self {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Self {
            answers: Arc::new(Mutex::new(answers.iter().map(parse).collect())),
            asked: Arc::default(),
        }
    }
}

impl Resolve for Answers {
    fn resolve<'a>(
        &'a self,
        _name: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            0 => Err(io::ErrorKind::NotFound.into()),
            1 => Ok(answers[0].clone()),
            _ => Ok(answers.pop_front().unwrap()),
        };
        Box::pin(async move { answer })
    }
}

/// A way out to origins that are listed one by one.
pub fn listed(origins: &[&str], limits: Limits) -> Egress {
    let origins = origins
        .iter()
        .map(|origin| origin.parse().unwrap())
        .collect();
    Egress::new(AllowList::new(Vec::new(), origins), limits)
}

/// A way out to origins of tools.
pub fn tools(origins: &[&str]) -> Egress {
    let origins = origins
        .iter()
        .map(|origin| origin.parse().unwrap())
        .collect();
    Egress::new(AllowList::new(origins, Vec::new()), Limits::default())
}

pub fn get(url: &str) -> Ask {
    Ask::new(Method::GET, url.parse().unwrap())
}
