//! HTTP/2 by hand: what no well-behaved client sends.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::node::{KEY, Node, soon};

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A frame as it is sent.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![len[1], len[2], len[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A whole GET of `path`.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    // Indexed: `:method: GET`, `:scheme: https`.
    let mut block = vec![0x82, 0x87];
    // Named by index: `:path`, `:authority`, `authorization`.
    let key = format!("Bearer {KEY}");
    let named = [
        (&[0x04][..], path),
        (&[0x01][..], "localhost"),
        (&[0x0f, 23 - 15][..], &*key),
    ];
    for (name, value) in named {
        block.extend(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    }
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
}

/// A connection, whose client decides on every byte.
pub struct Raw {
    stream: TlsStream<TcpStream>,
}

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The number that begins at `at`.
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

impl Raw {
    /// After the preface and an empty SETTINGS.
    pub async fn connect(node: &Node) -> Self {
        let mut raw = Self {
            stream: node.shake(&["h2"]).await,
        };
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        raw.stream.write_all(preface).await.unwrap();
        raw.send(frame(SETTINGS, 0, 0, &[])).await;
        raw
    }

    pub async fn send(&mut self, frame: Vec<u8>) {
        // The other side may have had enough: then there is something to read.
        let _ = self.stream.write_all(&frame).await;
        let _ = self.stream.flush().await;
    }

    /// The next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.stream.read_exact(&mut head)).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        soon(self.stream.read_exact(&mut payload)).await.ok()?;
        Some(Frame {
            kind: head[3],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The next frame of `kind`; the ones before it are forgotten. Pings are not answered.
    #[track_caller]
    pub fn until(&mut self, kind: u8) -> impl Future<Output = Frame> {
        let place = std::panic::Location::caller();
        async move {
            loop {
                match self.next().await {
                    Some(frame) if frame.kind == kind => return frame,
                    Some(_) => {}
                    None => panic!("no frame {kind} came at {place}"),
                }
            }
        }
    }

    /// Says that it is still there.
    pub async fn answer(&mut self, ping: &Frame) {
        self.send(frame(PING, ACK, 0, &ping.payload)).await;
    }

    /// Reads to the end, or to the frame that says why it ends; then that reason.
    pub async fn reason(&mut self) -> Option<u32> {
        loop {
            match self.next().await {
                None => return None,
                Some(frame) if frame.kind == GOAWAY => return Some(frame.number(4)),
                Some(_) => {}
            }
        }
    }
}
