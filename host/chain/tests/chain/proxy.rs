//! A way to the chain that kills whoever asks, at a chosen request: after the chain has heard it, before the answer.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub struct Proxy {
    pub url: String,
    state: Arc<State>,
}

struct State {
    chain: String,
    requests: AtomicU64,
    /// The request that is the last one.
    fatal: AtomicU64,
    victim: Mutex<Option<Child>>,
}

impl Proxy {
    /// To the chain at `url`, for ever.
    pub fn new(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            chain: url.strip_prefix("http://").unwrap().to_owned(),
            requests: AtomicU64::new(0),
            fatal: AtomicU64::new(u64::MAX),
            victim: Mutex::new(None),
        });
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = shared.clone();
                std::thread::spawn(move || state.serve(stream.unwrap()));
            }
        });
        Self { url, state }
    }

    /// Lets `child` live for that many requests. Whether it ended by itself, and how many requests that took.
    pub fn let_live(&self, requests: u64, start: impl FnOnce() -> Child) -> (bool, u64) {
        self.state.requests.store(0, Ordering::SeqCst);
        self.state.fatal.store(requests, Ordering::SeqCst);
        *self.state.victim.lock().unwrap() = Some(start());
        loop {
            let status = {
                let mut victim = self.state.victim.lock().unwrap();
                victim.as_mut().unwrap().try_wait().unwrap()
            };
            if let Some(status) = status {
                *self.state.victim.lock().unwrap() = None;
                return (status.success(), self.state.requests.load(Ordering::SeqCst));
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

impl State {
    /// One connection; its end is no matter.
    fn serve(&self, client: TcpStream) {
        let mut reader = BufReader::new(client.try_clone().unwrap());
        let mut client = client;
        while let Some(request) = message(&mut reader) {
            let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
            let mut chain = TcpStream::connect(&self.chain).unwrap();
            chain.write_all(&request).unwrap();
            let Some(answer) = message(&mut BufReader::new(chain)) else {
                return;
            };
            if number >= self.fatal.load(Ordering::SeqCst) {
                if let Some(victim) = self.victim.lock().unwrap().as_mut() {
                    victim.kill().unwrap();
                }
                return;
            }
            if client.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

/// Head and body of a request or an answer with a length.
fn message(reader: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let begin = head.len();
        if reader.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&head[begin..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    head.extend(body);
    Some(head)
}
