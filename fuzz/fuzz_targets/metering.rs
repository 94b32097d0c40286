//! Reading answers as they pass a gateway, whatever a node sends and however the network cuts it; and what is set aside
//! for whatever a client sends.

#![no_main]

use gaia_metering::{
    ANSWER_BYTES_MAX, CHOICES_MAX, Kind, Meter, Metered, ModelLimits, ask_for_usage, ceiling,
};
use libfuzzer_sys::fuzz_target;

const KINDS: [Kind; 5] = [
    Kind::Chat,
    Kind::Completion,
    Kind::Responses,
    Kind::Embeddings,
    Kind::Rerank,
];

fn read<'a>(mut meter: Meter, pieces: impl Iterator<Item = &'a [u8]>) -> (Metered, Vec<u8>) {
    let mut passed = Vec::new();
    for piece in pieces {
        passed.extend_from_slice(&meter.pass(piece));
    }
    passed.extend(meter.rest());
    (meter.finish(), passed)
}

fuzz_target!(|bytes: &[u8]| {
    let [first, step, bytes @ ..] = bytes else {
        return;
    };
    let kind = KINDS[usize::from(*first) % KINDS.len()];
    let (streamed, hides) = (first & 0x40 != 0, first & 0x80 != 0);
    let meter = || match hides {
        true => Meter::new(kind, streamed).hiding_usage(),
        false => Meter::new(kind, streamed),
    };
    let whole = read(meter(), [bytes].into_iter());
    assert_eq!(
        read(meter(), bytes.chunks(usize::from(step % 7) + 1)),
        whole
    );
    let (metered, passed) = whole;
    assert!(
        metered.bytes() <= bytes.len().min(ANSWER_BYTES_MAX),
        "words from nowhere"
    );
    assert!(metered.texts.len() <= CHOICES_MAX);
    assert!(passed == bytes || hides && streamed && passed.len() < bytes.len());

    // The same bytes as a request, which a gateway has read before it asks.
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(bytes) else {
        return;
    };
    let _ceiling_or_not = ceiling(kind, &body, &ModelLimits::default());
    if let Some(asked) = ask_for_usage(kind, bytes) {
        let mut again: serde_json::Value = serde_json::from_slice(&asked).expect("still JSON");
        assert_eq!(again["stream_options"]["include_usage"], true);
        assert_eq!(ask_for_usage(kind, &asked), None);
        // Nothing else has changed.
        let mut body = body;
        for body in [&mut again, &mut body] {
            body.as_object_mut()
                .expect("an object")
                .remove("stream_options");
        }
        assert_eq!(again, body);
    }
});
