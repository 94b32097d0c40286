//! A file server on loopback that stands in for the hub and misbehaves on demand.

#![allow(dead_code, reason = "each test file uses another part")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How the server behaves; may be changed while it runs.
#[derive(Clone)]
pub struct Behaviour {
    pub file: Vec<u8>,
    pub etag: Option<String>,
    /// Sent with a redirect to the file, as the hub does.
    pub linked_etag: Option<String>,
    /// Each connection breaks after so many bytes of body.
    pub break_after: Option<usize>,
    /// Sends a chunk of 64 KiB, then waits.
    pub pause: Duration,
    pub status: u16,
    /// What is appended to the paths that exist; others get 404. Empty: all exist.
    pub paths: Vec<String>,
}

impl Behaviour {
    pub fn serving(file: Vec<u8>) -> Self {
        Self {
            file,
            etag: Some("\"one\"".to_owned()),
            linked_etag: None,
            break_after: None,
            pause: Duration::ZERO,
            status: 200,
            paths: Vec::new(),
        }
    }
}

/// One request: its first line, and its range if it had one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub line: String,
    pub range: Option<String>,
}

#[derive(Clone)]
pub struct Server {
    pub base: String,
    behaviour: Arc<Mutex<Behaviour>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            behaviour: Arc::new(Mutex::new(behaviour)),
            asked: Arc::default(),
        };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                // A client that goes away is no failure of the server.
                thread::spawn(move || drop(server.answer(stream)));
            }
        });
        server
    }

    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The ranges of all GET requests that reached the file.
    pub fn ranges(&self) -> Vec<Option<String>> {
        let gets = self
            .asked()
            .into_iter()
            .filter(|asked| asked.line.starts_with("GET"));
        gets.map(|asked| asked.range).collect()
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let line = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let (mut range, mut if_range) = (None, None);
        for header in lines {
            let header = header?;
            let Some((name, value)) = header.split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "range" => range = Some(value.trim().to_owned()),
                "if-range" => if_range = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        self.asked.lock().unwrap().push(Asked {
            line: line.clone(),
            range: range.clone(),
        });
        let behaviour = self.behaviour.lock().unwrap().clone();
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let status = match &behaviour.paths {
            paths if !paths.is_empty() && !paths.iter().any(|it| path.contains(it.as_str())) => 404,
            _ => behaviour.status,
        };
        if status != 200 {
            return write!(
                stream,
                "HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
        }
        if let (Some(linked), false) = (&behaviour.linked_etag, path.starts_with("/cdn")) {
            return write!(
                stream,
                "HTTP/1.1 302 Found\r\nlocation: /cdn{path}\r\nx-linked-etag: {linked}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
        }
        let range = range.filter(|_| if_range.is_none() || if_range == behaviour.etag);
        send(
            &mut stream,
            &behaviour,
            range.as_deref(),
            line.starts_with("HEAD"),
        )
    }
}

fn send(
    stream: &mut TcpStream,
    behaviour: &Behaviour,
    range: Option<&str>,
    is_head: bool,
) -> std::io::Result<()> {
    let file = &behaviour.file;
    let start = range.and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    if start.is_some_and(|start| start >= file.len()) {
        return write!(
            stream,
            "HTTP/1.1 416 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }
    let body = &file[start.unwrap_or(0)..];
    let status = if start.is_some() {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    )?;
    if let Some(start) = start {
        write!(
            stream,
            "content-range: bytes {start}-{}/{}\r\n",
            file.len() - 1,
            file.len()
        )?;
    }
    if let Some(etag) = &behaviour.etag {
        write!(stream, "etag: {etag}\r\n")?;
    }
    write!(stream, "\r\n")?;
    if is_head {
        return Ok(());
    }
    let body = &body[..behaviour.break_after.unwrap_or(body.len()).min(body.len())];
    for chunk in body.chunks(64 << 10) {
        stream.write_all(chunk)?;
        thread::sleep(behaviour.pause);
    }
    Ok(())
}
