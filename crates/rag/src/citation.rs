//! From what the store found to what the answer may quote.
//!
//! [`Payload`] is the shape of a point in the store; a point of a GaiaNet snapshot has only `source` and reads as
//! well. [`select`] decides which hits count, [`fit`] which of them the prompt has room for.
//! Invariant: the citations come out best first, none below the threshold, none twice.

use serde::{Deserialize, Serialize};

/// A passage an answer rests on, in the form clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// The document's name, empty where the point does not say.
    pub document: String,
    /// The chunk's place in the document, from 0.
    pub chunk: u32,
    /// The headings above the passage, outermost first.
    pub heading: Vec<String>,
    /// Cosine similarity to the question, at most 1.
    pub score: f32,
    /// Where the passage starts in the document, in characters (Unicode scalar values).
    pub start: usize,
    /// Where it ends, in characters, exclusive.
    pub end: usize,
    /// The passage itself.
    pub text: String,
}

/// What a point carries beside its vector.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// The passage, under the name GaiaNet gives it.
    pub source: String,
    /// The document's name.
    #[serde(default)]
    pub document: String,
    /// See [`crate::document_hash`].
    #[serde(default)]
    pub document_hash: String,
    /// The chunk's place in the document, from 0.
    #[serde(default)]
    pub chunk: u32,
    /// How many chunks the document has: fewer in the store means that an ingest did not finish.
    #[serde(default)]
    pub chunks: u32,
    /// The headings above the passage, outermost first.
    #[serde(default)]
    pub heading: Vec<String>,
    /// Start of the passage in the document, in characters.
    #[serde(default)]
    pub start: usize,
    /// End of the passage, in characters, exclusive.
    #[serde(default)]
    pub end: usize,
    /// A mark of where the document was read from, so that another one of the same name is noticed.
    #[serde(default)]
    pub origin: String,
}

/// One answer of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Cosine similarity.
    pub score: f32,
    /// The point's payload.
    pub payload: Payload,
}

impl Hit {
    /// Reads one element of Qdrant's `result.points`. Gives `None` for a point without a text in `source`.
    pub fn from_point(point: &serde_json::Value) -> Option<Self> {
        let score = point.get("score")?.as_f64()? as f32;
        let payload = point.get("payload")?;
        let payload = Payload::deserialize(payload)
            .ok()
            .or_else(|| source_only(payload))?;
        (!payload.source.trim().is_empty()).then_some(Self { score, payload })
    }

    /// Reads the whole reply to `POST /collections/{c}/points/query`, leaving out points without a text.
    pub fn from_reply(reply: &serde_json::Value) -> Vec<Self> {
        let points = reply
            .pointer("/result/points")
            .and_then(|points| points.as_array());
        points
            .into_iter()
            .flatten()
            .filter_map(Self::from_point)
            .collect()
    }
}

/// A foreign point may use our field names for other types: its text still counts.
fn source_only(payload: &serde_json::Value) -> Option<Payload> {
    let source = payload.get("source")?.as_str()?.to_owned();
    Some(Payload {
        source,
        ..Payload::default()
    })
}

/// Which hits count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectLimits {
    /// Hits below this similarity are left out.
    pub score_threshold: f32,
    /// At most this many citations.
    pub limit: usize,
}

/// Turns hits into citations: best first, at or above the threshold, each passage once, at most `limit`.
pub fn select(mut hits: Vec<Hit>, limits: SelectLimits) -> Vec<Citation> {
    hits.retain(|hit| hit.score >= limits.score_threshold);
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut citations: Vec<Citation> = Vec::new();
    for hit in hits {
        if citations.len() == limits.limit {
            break;
        }
        let citation = Citation::from(hit);
        if !citations.iter().any(|kept| kept.same_passage(&citation)) {
            citations.push(citation);
        }
    }
    citations
}

impl Citation {
    fn same_passage(&self, other: &Self) -> bool {
        self.text.trim() == other.text.trim()
            || (!self.document.is_empty()
                && self.document == other.document
                && self.chunk == other.chunk)
    }
}

impl From<Hit> for Citation {
    fn from(hit: Hit) -> Self {
        let Payload {
            source: text,
            document,
            chunk,
            heading,
            start,
            end,
            ..
        } = hit.payload;
        Self {
            document,
            chunk,
            heading,
            score: hit.score,
            start,
            end,
            text,
        }
    }
}

/// Which end of the list the best passage stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As they are cited.
    BestFirst,
    /// The best one nearest to the question: small models read that part best.
    BestLast,
}

/// Keeps the best citations whose tokens fit, in their order.
///
/// Takes the citations best first and the tokens of each text, counted by the chat model. One that does not fit is
/// left out and smaller ones after it may still come in. A citation without a count is left out.
pub fn fit(citations: Vec<Citation>, tokens: &[usize], tokens_max: usize) -> Vec<Citation> {
    let mut room = tokens_max;
    let counted = citations.into_iter().zip(tokens);
    counted
        .filter_map(|(citation, &tokens)| {
            room = room.checked_sub(tokens)?;
            Some(citation)
        })
        .collect()
}

/// The texts in the order a prompt shows them.
pub fn passages(citations: &[Citation], order: Order) -> Vec<&str> {
    let mut texts: Vec<&str> = citations
        .iter()
        .map(|citation| citation.text.as_str())
        .collect();
    if order == Order::BestLast {
        texts.reverse();
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hit(text: &str, chunk: u32, score: f32) -> Hit {
        let payload = Payload {
            source: text.into(),
            document: "d".into(),
            chunk,
            ..Payload::default()
        };
        Hit { score, payload }
    }

    fn check(hits: &[(&str, u32, f32)], score_threshold: f32, limit: usize, expected: &[&str]) {
        let hits = hits
            .iter()
            .map(|&(text, chunk, score)| hit(text, chunk, score))
            .collect();
        let citations = select(
            hits,
            SelectLimits {
                score_threshold,
                limit,
            },
        );
        assert_eq!(passages(&citations, Order::BestFirst), expected);
    }

    #[test]
    fn selects_the_best_once() {
        check(&[], 0.0, 3, &[]);
        check(&[("a", 0, 0.1), ("b", 1, 0.9)], 0.0, 3, &["b", "a"]);
        check(&[("a", 0, 0.1), ("b", 1, 0.9)], 0.5, 3, &["b"]);
        check(&[("a", 0, 0.5)], 0.5, 3, &["a"]);
        check(&[("a", 0, 0.8), ("b", 1, 0.9)], 0.0, 1, &["b"]);
        check(&[("a", 0, 0.8), ("b", 1, 0.9)], 0.0, 0, &[]);
        check(&[("a", 0, 0.8), (" a\n", 7, 0.9)], 0.0, 3, &[" a\n"]);
        check(&[("a", 0, 0.8), ("older a", 0, 0.7)], 0.0, 3, &["a"]);
        check(&[("a", 0, f32::NAN)], 0.0, 3, &[]);
    }

    #[test]
    fn the_best_can_stand_last() {
        let citations = select(
            vec![hit("a", 0, 0.9), hit("b", 1, 0.8)],
            SelectLimits {
                score_threshold: 0.0,
                limit: 9,
            },
        );
        assert_eq!(passages(&citations, Order::BestLast), ["b", "a"]);
    }

    #[test]
    fn fits_the_budget() {
        let all = || {
            select(
                vec![hit("a", 0, 0.9), hit("b", 1, 0.8), hit("c", 2, 0.7)],
                SelectLimits {
                    score_threshold: 0.0,
                    limit: 9,
                },
            )
        };
        let check = |tokens: &[usize], max, expected: &[&str]| {
            assert_eq!(
                passages(&fit(all(), tokens, max), Order::BestFirst),
                expected
            );
        };
        check(&[10, 10, 10], 30, &["a", "b", "c"]);
        check(&[10, 10, 10], 29, &["a", "b"]);
        check(&[10, 30, 10], 20, &["a", "c"]);
        check(&[10, 10, 10], 0, &[]);
        check(&[10], 30, &["a"]);
    }

    #[test]
    fn reads_points_of_ours_and_of_gaianet() {
        let reply = json!({"result": {"points": [
            {"id": 1, "score": 0.9, "payload": {"source": "ours", "document": "d", "chunk": 2, "heading": ["A"], "start": 3, "end": 7}},
            {"id": 2, "score": 0.8, "payload": {"source": "GaiaNet's"}},
            {"id": 3, "score": 0.7, "payload": {"source": "foreign", "chunk": "seven"}},
            {"id": 4, "score": 0.6, "payload": {"text": "no source"}},
            {"id": 5, "score": 0.5, "payload": null},
            {"id": 6, "payload": {"source": "no score"}},
        ]}});
        let citations = select(
            Hit::from_reply(&reply),
            SelectLimits {
                score_threshold: 0.0,
                limit: 9,
            },
        );
        assert_eq!(
            passages(&citations, Order::BestFirst),
            ["ours", "GaiaNet's", "foreign"]
        );
        assert_eq!(
            (citations[0].chunk, citations[0].start, citations[0].end),
            (2, 3, 7)
        );
        assert!(Hit::from_reply(&json!({"status": "error"})).is_empty());
    }
}
