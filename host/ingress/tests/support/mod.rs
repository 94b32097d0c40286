//! A worker of a few lines on a real socket, which does what its paths say.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// The worker and what a test can see and do.
#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    /// Lets `/v1/wait` and `/v1/events` go on.
    pub go: Arc<Notify>,
    /// A request has arrived.
    pub arrived: Arc<Notify>,
    /// The other side hung up in the middle of `/v1/events`.
    pub hung_up: Arc<Notify>,
    /// Connections accepted.
    pub connections: Arc<AtomicUsize>,
    /// Its note of what each request took; none: it keeps no notes.
    pub note: Arc<Mutex<Option<String>>>,
    /// It has told what it knows of a request.
    pub told: Arc<Notify>,
    /// What it has counted; none: it echoes who asks for it.
    pub metrics: Arc<Mutex<Option<String>>>,
    /// What it says where it would echo.
    pub says: Arc<Mutex<Option<String>>>,
    /// What it would have echoed.
    pub seen: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            go: Arc::default(),
            arrived: Arc::default(),
            hung_up: Arc::default(),
            connections: Arc::default(),
            note: Arc::default(),
            told: Arc::default(),
            metrics: Arc::default(),
            says: Arc::default(),
            seen: Arc::default(),
        };
        let this = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                this.connections.fetch_add(1, Ordering::Relaxed);
                let this = this.clone();
                tokio::spawn(async move { this.serve(stream).await });
            }
        });
        upstream
    }

    async fn serve(&self, mut stream: TcpStream) {
        while let Some((head, body)) = read_request(&mut stream).await {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            if path.starts_with("/gaia/usage/") {
                self.tell(&mut stream).await;
                self.told.notify_one();
                continue;
            }
            self.arrived.notify_one();
            match path.as_str() {
                "/v1/events" | "/v1/chat/completions?events" => {
                    if !self.events(&mut stream).await {
                        self.hung_up.notify_one();
                        return;
                    }
                }
                "/v1/die" => {
                    begin_events(&mut stream).await;
                    chunk(&mut stream, "data: {\"n\":1}\n\ndata: {\"n\":").await;
                    return;
                }
                "/metrics" => {
                    let counted = self.metrics.lock().unwrap().clone();
                    reply(&mut stream, &counted.unwrap_or(head)).await;
                }
                "/v1/refuse" => return,
                "/v1/wait" => {
                    self.go.notified().await;
                    reply(&mut stream, "done").await;
                }
                _ => {
                    let request = format!("{head}{body}");
                    self.seen.lock().unwrap().push(request.clone());
                    let says = self.says.lock().unwrap().clone();
                    reply(&mut stream, &says.unwrap_or(request)).await;
                }
            }
        }
    }

    /// From now on each request took so many.
    #[allow(dead_code, reason = "not every test file has keys")]
    pub fn notes(&self, tokens: u64) {
        *self.note.lock().unwrap() = Some(format!(
            "{{\"prompt_tokens\":{tokens},\"completion_tokens\":0}}"
        ));
    }

    async fn tell(&self, stream: &mut TcpStream) {
        let note = self.note.lock().unwrap().clone();
        match note {
            Some(note) => reply(stream, &note).await,
            None => {
                let none = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(none).await;
            }
        }
    }

    /// Two events, the second when told to. Gives whether the other side stayed.
    async fn events(&self, stream: &mut TcpStream) -> bool {
        begin_events(stream).await;
        chunk(stream, "data: {\"n\":1}\n\n").await;
        let mut byte = [0];
        tokio::select! {
            () = self.go.notified() => {}
            _ = stream.read(&mut byte) => return false,
        }
        chunk(stream, "data: [DONE]\n\n").await;
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        true
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let head_len = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_len].to_vec()).unwrap();
    let body_len = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_len + body_len {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[head_len..].to_vec()).unwrap();
    Some((head, body))
}

/// The value of a header in a head as text.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

async fn reply(stream: &mut TcpStream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all((head + body).as_bytes()).await;
}

async fn begin_events(stream: &mut TcpStream) {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
}

async fn chunk(stream: &mut TcpStream, text: &str) {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    stream.write_all(chunk.as_bytes()).await.unwrap();
}

/// An answer, read to its end.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Reads an answer to its end.
pub async fn rest(mut stream: impl AsyncRead + Unpin) -> Reply {
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    let read = tokio::time::timeout(Duration::from_secs(10), read).await;
    read.expect("an answer in time").unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
