//! The same bytes in other pieces, and bytes that nobody meant.

use gaia_metering::{Kind, Meter, Metered};
use proptest::prelude::*;

use crate::{chat, response};

const KINDS: [Kind; 5] = [
    Kind::Chat,
    Kind::Completion,
    Kind::Responses,
    Kind::Embeddings,
    Kind::Rerank,
];

/// What `bytes` say when they come in pieces that end at `ends`, and what of them is passed on.
fn cut(
    kind: Kind,
    streamed: bool,
    hides: bool,
    bytes: &[u8],
    ends: &[usize],
) -> (Metered, Vec<u8>) {
    let mut meter = Meter::new(kind, streamed);
    if hides {
        meter = meter.hiding_usage();
    }
    let mut ends: Vec<usize> = ends.iter().map(|end| end % (bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    let mut passed = Vec::new();
    for pair in ends.windows(2) {
        passed.extend_from_slice(&meter.pass(&bytes[pair[0]..pair[1]]));
    }
    passed.extend(meter.rest());
    (meter.finish(), passed)
}

/// Pieces of what streams and replies are made of.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<Vec<u8>> = [
        "data: ",
        "data:",
        "\n",
        "\r\n",
        "\n\n",
        ": x",
        "event: response.completed\n",
        "[DONE]",
        "{",
        "}",
        "[",
        "]",
        "\"choices\":",
        "\"usage\":",
        "{\"prompt_tokens\":3}",
        "\"delta\":{\"content\":\"a\"}",
        "\"index\":4294967295",
        "\"logprobs\":",
        "\"data\":",
        "\"results\":",
        ",",
        ":",
        "\"",
        "\\",
        "null",
        "-1",
        "1e999",
        "\"type\":\"response.completed\"",
        "\"response\":",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
    ]
    .iter()
    .map(|word| word.as_bytes().to_vec())
    .collect();
    let word = prop_oneof![4 => prop::sample::select(words), 1 => prop::collection::vec(any::<u8>(), 0..4)];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn an_answer_says_the_same_however_it_is_cut(ends in prop::collection::vec(0_usize..10_000, 0..20)) {
        for (kind, bytes) in [(Kind::Chat, chat()), (Kind::Responses, response())] {
            for hides in [false, true] {
                let whole = cut(kind, true, hides, &bytes, &[]);
                prop_assert_eq!(&cut(kind, true, hides, &bytes, &ends), &whole);
                prop_assert_eq!(hides && kind == Kind::Chat, whole.1 != bytes);
            }
        }
    }

    #[test]
    fn whatever_comes_says_the_same_however_it_is_cut(
        bytes in anything(), ends in prop::collection::vec(0_usize..1_000, 0..8), hides: bool,
    ) {
        for kind in KINDS {
            for streamed in [false, true] {
                let whole = cut(kind, streamed, hides, &bytes, &[]);
                prop_assert_eq!(&cut(kind, streamed, hides, &bytes, &ends), &whole);
                prop_assert!(whole.0.bytes() <= bytes.len());
                prop_assert!(hides && streamed || whole.1 == bytes);
            }
        }
    }
}

#[test]
fn an_answer_says_the_same_byte_by_byte() {
    let bytes = chat();
    let ends: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(
        cut(Kind::Chat, true, true, &bytes, &ends),
        cut(Kind::Chat, true, true, &bytes, &[])
    );
}
