//! JSON schemas of strangers, and texts on their way through the grammars they become.
//!
//! The input is a schema, a zero byte, and what chooses characters.

#![no_main]

use gaia_grammar::Reader;
use gaia_grammar::schema::{Limits, compile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let schema = parts.next().unwrap_or_default();
    let chooses = parts.next().unwrap_or_default();
    let Ok(schema) = serde_json::from_slice(schema) else {
        return;
    };
    let Ok(grammar) = compile(&schema, &Limits::default()) else {
        return;
    };
    let mut reader = Reader::new(&grammar);
    let mut text = String::new();
    for byte in chooses.iter().take(256) {
        let next = reader.next();
        let ranges: Vec<(char, char)> = next.iter().collect();
        let Some((low, high)) = ranges.get(usize::from(*byte) % ranges.len().max(1)) else {
            break;
        };
        let c = if byte % 2 == 0 { *low } else { *high };
        assert!(
            reader.read(c.encode_utf8(&mut [0; 4])),
            "{c:?} was announced"
        );
        text.push(c);
    }
    let Some(closing) = reader.closing() else {
        panic!("{text:?} has no ending");
    };
    text.push_str(&closing);
    assert!(grammar.accepts(&text), "{text:?} is not legal");
    assert!(
        serde_json::from_str::<serde_json::Value>(&text).is_ok(),
        "{text:?} is no JSON"
    );
});
