//! Reading streams of events, whatever a server sends and however the network cuts it.

#![no_main]

use gaia_openai::sse::{EventReader, event};
use hyper::body::Bytes;
use libfuzzer_sys::fuzz_target;

/// The command's own reader, which has no library to be in.
#[path = "../../host/gaia/src/client/events.rs"]
#[allow(dead_code, reason = "all of it is read, not all is looked at")]
mod events;

/// What the ingress passes on of a worker's stream.
#[path = "../../host/ingress/src/event.rs"]
mod tail;

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut reader = EventReader::default();
    pieces
        .flat_map(|piece| reader.feed(piece).expect("too little for a limit"))
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((step, stream)) = bytes.split_first() else {
        return;
    };
    let whole = read([stream].into_iter());
    let step = usize::from(step % 7) + 1;
    assert_eq!(read(stream.chunks(step)), whole);
    let held: usize = whole.iter().map(Vec::len).sum();
    assert!(held <= stream.len(), "events from nowhere");
    // What is written can be read again, after anything that has come to an end.
    let text = String::from_utf8_lossy(stream);
    let written = event(&text);
    let last = read([stream, &b"\n\n"[..], &written[..]].into_iter()).pop();
    let back = last.and_then(|last| serde_json::from_slice::<String>(&last).ok());
    assert_eq!(back.as_deref(), Some(&*text));

    let mut tail = tail::EventTail::default();
    let mut passed = Vec::new();
    for piece in stream.chunks(step) {
        passed.extend_from_slice(&tail.push(Bytes::copy_from_slice(piece)));
        let is_whole = passed.ends_with(b"\n\n") || passed.ends_with(b"\n\r\n");
        assert!(passed.is_empty() || is_whole, "half an event went on");
    }
    passed.extend_from_slice(&tail.finish());
    assert_eq!(passed, stream);

    let mut said = 0;
    let _ended_or_not = events::read_events(stream, &mut |event| {
        if let events::Event::Text(text) = event {
            said += text.len();
        }
    });
    assert!(said <= stream.len(), "text from nowhere");
});
