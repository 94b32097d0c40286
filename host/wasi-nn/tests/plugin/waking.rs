//! Loading behind the guest's back, and the bell that tells when something is new.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::loading::with_number;
use crate::wasmedge::{Guest, Start, chat_model, with_each};

const BUSY: i64 = 4;
const INVALID_ENCODING: i64 = 2;
const INVALID_ARGUMENT: i64 = 1;
const MODEL_NOT_FOUND: i64 = 103;
const END_OF_SEQUENCE: i64 = 100;
const FACTS: u64 = 2;

const SECRET: &str = "00112233445566778899aabbccddeeff";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The guest's side of the bell, as the guest would hold it.
struct Bell {
    stream: TcpStream,
}

impl Bell {
    fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut shown = [0; SECRET.len()];
        stream.read_exact(&mut shown).unwrap();
        assert_eq!(shown, SECRET.as_bytes());
        Self { stream }
    }

    fn wait(&mut self) {
        assert!(self.stream.read(&mut [0; 64]).unwrap() > 0);
    }

    fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let read = self.stream.read(&mut [0; 64]);
        self.stream.set_nonblocking(false).unwrap();
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

fn open(guest: &mut Guest, config: &Value) -> Result<Value, i64> {
    guest.call(json!({"call": "load", "name": "default", "config": config}))
}

/// Looks until the model is there.
fn facts(guest: &mut Guest, context: u64) -> Result<Value, i64> {
    let started = Instant::now();
    loop {
        match guest.get(context, FACTS, "json") {
            Err(BUSY) if started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

#[test]
fn a_guest_need_not_look_before_the_bell_rings() {
    with_each(|wasmedge| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut guest = Start::chat().run(wasmedge);
        let config = json!({"non-blocking": true, "wake-port": port, "wake-secret": SECRET});
        open(&mut guest, &config).unwrap();
        let mut bell = Bell::accept(&listener);
        let contexts = [guest.context(), guest.context()];
        bell.wait();
        guest.get(contexts[0], FACTS, "json").unwrap();
        for context in contexts {
            let settings = json!({"temp": 0, "n-predict": 12, "ignore-eos": true});
            guest.set(context, 1, settings).unwrap();
            guest.set(context, 0, json!("Once upon a time")).unwrap();
        }
        let mut texts = [String::new(), String::new()];
        let mut running = vec![0, 1];
        let mut looks = 0;
        loop {
            running.retain(|index| {
                looks += 1;
                let step = guest.on("step", contexts[*index]);
                if step != Err(BUSY) {
                    let piece = guest.on("get-single", contexts[*index]).unwrap();
                    texts[*index].push_str(piece.as_str().unwrap());
                }
                step != Err(END_OF_SEQUENCE)
            });
            if running.is_empty() {
                break;
            }
            bell.wait();
        }
        assert!(!texts[0].is_empty());
        assert_eq!(texts[0], texts[1]);
        assert!(
            looks <= 2 * 2 * 13,
            "{looks} looks for two answers of 12 tokens"
        );
        for context in contexts {
            guest.on("fini", context).unwrap();
        }
        while !bell.is_silent() {}
        guest.end();
    });
}

#[test]
fn what_cannot_be_loaded_is_told_to_those_who_ask_for_it() {
    let folder = tempdir().unwrap();
    let odd = folder.path().join("odd.gguf");
    let whole = std::fs::read(chat_model()).unwrap();
    let bytes = with_number(whole, "llama.attention.head_count", 7);
    std::fs::write(&odd, bytes).unwrap();
    let missing = folder.path().join("missing.gguf");
    let config = json!({"non-blocking": true});
    with_each(|wasmedge| {
        // What the header tells is told at once.
        let mut guest = Start::default().preload("default", &missing).run(wasmedge);
        assert_eq!(open(&mut guest, &config), Err(MODEL_NOT_FOUND));
        guest.end();
        let mut guest = Start::default().preload("default", &odd).run(wasmedge);
        open(&mut guest, &config).unwrap();
        let context = guest.context();
        assert_eq!(facts(&mut guest, context), Err(INVALID_ENCODING));
        guest.set(context, 0, json!("Once")).unwrap();
        assert_eq!(guest.on("step", context), Err(INVALID_ENCODING));
        guest.end();
    });
}

#[test]
fn calls_during_a_load_are_busy_and_a_bell_out_of_reach_is_no_error() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    with_each(|wasmedge| {
        let mut guest = Start::default()
            .preload("default", &chat_model())
            .run(wasmedge);
        let bad = json!({"non-blocking": true, "wake-port": port, "wake-secret": "GET /"});
        assert_eq!(open(&mut guest, &bad), Err(INVALID_ARGUMENT));
        let config = json!({"non-blocking": true, "wake-port": port, "wake-secret": SECRET});
        open(&mut guest, &config).unwrap();
        let context = guest.context();
        guest.set(context, 0, json!("Once")).unwrap();
        // Loading takes far longer than this call.
        assert_eq!(guest.on("step", context), Err(BUSY));
        assert_eq!(facts(&mut guest, context).unwrap()["gaia-engine"], 1);
        guest.on("fini", context).unwrap();
        guest.end();
    });
}
