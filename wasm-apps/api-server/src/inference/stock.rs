//! What WasmEdge's stock plugin leaves to its guests: whole characters, stop sequences, reading embeddings.

use serde::Deserialize;

/// Collects the bytes of tokens and lets out text: whole characters only, and nothing that is, or may yet become, a
/// stop sequence.
#[derive(Debug, Default)]
pub(crate) struct TextGuard {
    bytes: Vec<u8>,
    stop: Vec<String>,
}

/// What [`TextGuard::push`] lets out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) text: String,
    /// A stop sequence came: the text ends before it.
    pub(crate) stopped: bool,
}

impl TextGuard {
    pub(crate) fn new(stop: &[String]) -> Self {
        Self {
            bytes: Vec::new(),
            stop: stop.to_vec(),
        }
    }

    /// Takes a token's bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Passed {
        self.bytes.extend_from_slice(bytes);
        let text = take_whole_characters(&mut self.bytes);
        let first = self
            .stop
            .iter()
            .filter_map(|stop| text.find(stop.as_str()))
            .min();
        if let Some(at) = first {
            self.bytes.clear();
            return passed(text.get(..at), true);
        }
        let keep = self.stop.iter().map(|stop| held_back(&text, stop)).max();
        let at = text.len() - keep.unwrap_or(0);
        let rest = text.as_bytes().get(at..).unwrap_or_default().to_vec();
        self.bytes.splice(0..0, rest);
        passed(text.get(..at), false)
    }

    /// The end of the text: what was held back comes out, an unfinished character as U+FFFD.
    pub(crate) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned()
    }
}

fn passed(text: Option<&str>, stopped: bool) -> Passed {
    Passed {
        text: text.unwrap_or_default().to_owned(),
        stopped,
    }
}

// Invalid bytes become U+FFFD; an unfinished character at the end stays for the next token.
fn take_whole_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        used += chunk.valid().len();
        let invalid = chunk.invalid();
        let unfinished = used + invalid.len() == bytes.len() && may_go_on(invalid);
        if !invalid.is_empty() && !unfinished {
            text.push(char::REPLACEMENT_CHARACTER);
            used += invalid.len();
        }
    }
    bytes.drain(..used);
    text
}

fn may_go_on(start: &[u8]) -> bool {
    let len = match start.first() {
        Some(0xC2..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF4) => 4,
        _ => return false,
    };
    start.len() < len
}

// Length of the longest end of `text` that is a beginning of `stop`.
fn held_back(text: &str, stop: &str) -> usize {
    let ends = stop.char_indices().map(|(at, _)| at).rev();
    ends.filter(|len| *len > 0)
        .find(|len| stop.get(..*len).is_some_and(|start| text.ends_with(start)))
        .unwrap_or(0)
}

/// Reads the JSON text that the plugin answers for an embedding.
pub(crate) fn read_embedding(output: &[u8]) -> Option<Vec<f32>> {
    #[derive(Deserialize)]
    struct Output {
        embedding: Vec<f32>,
    }
    let output: Output = serde_json::from_slice(output).ok()?;
    (!output.embedding.is_empty()).then(|| normalised(output.embedding))
}

fn normalised(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    }
    vector
}

/// Reads the number of prompt tokens, and of generated ones, from output 1.
pub(crate) fn read_usage(output: &[u8]) -> (u32, u32, u32) {
    #[derive(Deserialize, Default)]
    struct Output {
        #[serde(default)]
        input_tokens: u32,
        #[serde(default)]
        output_tokens: u32,
        #[serde(default)]
        cached_tokens: u32,
    }
    let output: Output = serde_json::from_slice(output).unwrap_or_default();
    (
        output.input_tokens,
        output.output_tokens,
        output.cached_tokens,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stop: &[&str], tokens: &[&[u8]], expected: &[&str], rest: &str) {
        let stop: Vec<String> = stop.iter().map(|stop| (*stop).to_owned()).collect();
        let mut guard = TextGuard::new(&stop);
        let mut out = Vec::new();
        for token in tokens {
            let passed = guard.push(token);
            out.push(passed.text);
            if passed.stopped {
                break;
            }
        }
        assert_eq!(out, expected);
        assert_eq!(guard.finish(), rest);
    }

    #[test]
    fn characters_stay_whole() {
        check(&[], &[b"a", b"\xC3", b"\xA9b"], &["a", "", "éb"], "");
        check(&[], &[b"\xF0\x9F", b"\x98\x80"], &["", "😀"], "");
        check(&[], &[b"\xFFa", b"\xC3"], &["\u{FFFD}a", ""], "\u{FFFD}");
        check(&[], &[b"\xC3a"], &["\u{FFFD}a"], "");
    }

    #[test]
    fn stop_sequences_cut_across_tokens() {
        check(&["END"], &[b"abEND rest"], &["ab"], "");
        check(&["END"], &[b"abE", b"N", b"D"], &["ab", "", ""], "");
        check(&["END"], &[b"abE", b"x"], &["ab", "Ex"], "");
        check(&["END"], &[b"abEN"], &["ab"], "EN");
        check(&["bc", "c"], &[b"abcd"], &["a"], "");
        check(&["é!"], &[b"a\xC3", b"\xA9", b"?"], &["a", "", "é?"], "");
        check(&["aab"], &[b"aa", b"a", b"b"], &["", "a", ""], "");
    }

    #[test]
    fn embeddings_come_out_normal() {
        let json = br#"{"n_embedding":2,"embedding":[3.0,4.0]}"#;
        assert_eq!(read_embedding(json), Some(vec![0.6, 0.8]));
        assert_eq!(read_embedding(b"{}"), None);
        assert_eq!(read_embedding(br#"{"embedding":[]}"#), None);
        assert_eq!(read_usage(br#"{"input_tokens":3}"#), (3, 0, 0));
    }
}
