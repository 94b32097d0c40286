//! What a worker tells of a request that is over.

use serde::{Deserialize, Serialize};

use crate::SpanId;

/// The most phases of a request; what comes after is not told.
pub const PHASES_MAX: usize = 64;

/// The longest name in a report, in characters; the rest is cut off.
pub const TEXT_CHARS_MAX: usize = 128;

/// What a request took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Tokens that were read.
    pub prompt_tokens: u64,
    /// Tokens that were written.
    pub completion_tokens: u64,
    /// What was done, in the order in which it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
}

impl Report {
    /// All tokens.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// Something that took a while. Times are microseconds since the request came to the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// When it began.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
    /// Its id, where somebody was told of it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SpanId>,
    /// Why it came to nothing: a word, not a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// Texts became vectors.
    Embeddings {
        /// The model's name.
        model: String,
        /// Tokens that were read.
        tokens: u64,
    },
    /// Texts were ranked by how well they answer a query.
    Reranking {
        /// The model's name.
        model: String,
        /// Tokens that were read.
        tokens: u64,
    },
    /// The store was asked for passages.
    Retrieval {
        /// The collection.
        collection: String,
        /// Passages that it has.
        hits: u64,
    },
    /// The model answered.
    Chat(Box<Generated>),
    /// A tool of the node was called.
    Tool {
        /// Its name.
        name: String,
        /// The call's id.
        call: String,
    },
}

/// One generation: of several answers to a prompt, all of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The model's name.
    pub model: String,
    /// The id of the reply.
    pub response: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Of them those that the cache had.
    pub cached_tokens: u64,
    /// Tokens that were written.
    pub completion_tokens: u64,
    /// Why each answer ended.
    #[serde(default)]
    pub finish: Vec<String>,
    /// The most tokens that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_max: Option<u64>,
    /// When it had a place at the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<u64>,
    /// When the first token came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = Report {
            prompt_tokens: 7,
            completion_tokens: 2,
            phases: vec![
                Phase {
                    start: 1,
                    end: 5,
                    what: What::Chat(Box::new(Generated {
                        model: "m".to_owned(),
                        finish: vec!["stop".to_owned()],
                        entered: Some(2),
                        first: Some(3),
                        ..Generated::default()
                    })),
                    id: None,
                    failed: None,
                },
                Phase {
                    start: 5,
                    end: 9,
                    what: What::Tool {
                        name: "weather".to_owned(),
                        call: "call_1".to_owned(),
                    },
                    id: Some(SpanId::from_random(7)),
                    failed: Some("error".to_owned()),
                },
            ],
        };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        assert_eq!(report.tokens(), 9);
    }

    #[test]
    fn a_report_of_nothing_but_tokens_is_short() {
        let text = serde_json::to_string(&Report::default()).unwrap();
        assert_eq!(text, r#"{"prompt_tokens":0,"completion_tokens":0}"#);
    }
}
