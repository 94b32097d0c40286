//! What WasmEdge's stock plugin leaves to its guests: whole characters, stop sequences, reading
//! embeddings.

use gaia_chat::{StopFilter, Utf8Joiner};
use serde::Deserialize;

/// Makes text of the bytes of tokens: whole characters only, and nothing that is, or may yet become, a stop sequence.
#[derive(Debug)]
pub(crate) struct TextGuard {
    joiner: Utf8Joiner,
    filter: StopFilter,
}

impl TextGuard {
    pub(crate) fn new(stop: &[String]) -> Self {
        Self {
            joiner: Utf8Joiner::default(),
            filter: StopFilter::new(stop.to_vec()),
        }
    }

    /// Takes a token's bytes, gives what certainly belongs to the answer.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.filter.push(&self.joiner.push(bytes))
    }

    /// Whether a stop sequence came.
    pub(crate) fn stopped(&self) -> bool {
        self.filter.stopped()
    }

    /// The end of the text: what was held back comes out.
    pub(crate) fn finish(&mut self) -> String {
        let joiner = std::mem::take(&mut self.joiner);
        let mut rest = self.filter.push(&joiner.finish());
        let filter = std::mem::replace(&mut self.filter, StopFilter::new(Vec::new()));
        rest.push_str(&filter.finish());
        rest
    }
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
    fn check(stop: &str, tokens: &[&[u8]], expected: &str) {
        let mut guard = TextGuard::new(&[stop.to_owned()]);
        let mut text: String = tokens.iter().map(|token| guard.push(token)).collect();
        text.push_str(&guard.finish());
        assert_eq!(text, expected);
    }

    #[test]
    fn tokens_become_text_up_to_the_stop() {
        check("END", &[b"a\xC3", b"\xA9b"], "aéb");
        check("END", &[b"a\xC3"], "a\u{FFFD}");
        check("END", &[b"abE", b"N", b"D", b"x"], "ab");
        check("END", &[b"abE", b"N"], "abEN");
        check("é!", &[b"a\xC3", b"\xA9", b"!", b"b"], "a");
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
