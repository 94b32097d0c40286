//! How files of a vector store are cut.

use serde::{Deserialize, Serialize};

use crate::ApiError;
use crate::fields::Fields;

/// The fewest tokens that chunks may be limited to, as OpenAI has it.
pub const STATIC_TOKENS_MIN: u32 = 100;
/// The most, before the embedding model limits them further.
pub const STATIC_TOKENS_MAX: u32 = 4096;

/// How a file is to be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkingRequest {
    /// As the node likes.
    Auto,
    /// To these sizes.
    Static(ChunkSizes),
}

/// How large chunks become, in tokens of the embedding model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkSizes {
    /// No chunk has more.
    pub max_chunk_size_tokens: u32,
    /// At most so many, in whole sentences, stand in two chunks.
    pub chunk_overlap_tokens: u32,
}

/// How a file was cut, as it is kept and shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Chunking {
    /// To these sizes.
    Static {
        /// The sizes.
        #[serde(rename = "static")]
        sizes: ChunkSizes,
    },
    /// It was cut before anybody noted how.
    #[default]
    Other,
}

impl ChunkingRequest {
    /// Reads `chunking_strategy` of a request; `None` where it says nothing of it.
    pub(super) fn read(from: &Fields<'_>) -> Result<Option<Self>, ApiError> {
        let Some(strategy) = from.object("chunking_strategy")? else {
            return Ok(None);
        };
        strategy.require("type")?;
        match strategy.text("type")?.unwrap_or_default() {
            "auto" => Ok(Some(Self::Auto)),
            "static" => Ok(Some(Self::Static(sizes(&strategy)?))),
            _ => {
                let param = strategy.param("type");
                let message = format!("`{param}` must be `auto` or `static`.");
                Err(ApiError::invalid_value(param, message))
            }
        }
    }
}

fn sizes(strategy: &Fields<'_>) -> Result<ChunkSizes, ApiError> {
    let missing = |of: &Fields<'_>, key: &str| ApiError::missing(of.param(key));
    let sizes = strategy
        .object("static")?
        .ok_or_else(|| missing(strategy, "static"))?;
    let tokens = |key: &str, range| {
        let count = sizes.count(key, range)?;
        count.ok_or_else(|| missing(&sizes, key))
    };
    let max = tokens(
        "max_chunk_size_tokens",
        STATIC_TOKENS_MIN..=STATIC_TOKENS_MAX,
    )?;
    Ok(ChunkSizes {
        max_chunk_size_tokens: max,
        // More than half of it would say most things three times.
        chunk_overlap_tokens: tokens("chunk_overlap_tokens", 0..=max / 2)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(strategy: Value, expected: Result<Option<ChunkingRequest>, &str>) {
        let body = json!({ "chunking_strategy": strategy });
        let got = ChunkingRequest::read(&Fields::root(body.as_object().unwrap()));
        let got = got.map_err(|error| error.param.unwrap_or_default());
        assert_eq!(got, expected.map_err(str::to_owned), "{body}");
    }

    #[test]
    fn strategies_are_read_within_their_limits() {
        let of = |max: u32, overlap: u32| {
            let sizes = json!({"max_chunk_size_tokens": max, "chunk_overlap_tokens": overlap});
            json!({"type": "static", "static": sizes})
        };
        let read = |max_chunk_size_tokens, chunk_overlap_tokens| {
            Ok(Some(ChunkingRequest::Static(ChunkSizes {
                max_chunk_size_tokens,
                chunk_overlap_tokens,
            })))
        };
        const MAX: &str = "chunking_strategy.static.max_chunk_size_tokens";
        const OVERLAP: &str = "chunking_strategy.static.chunk_overlap_tokens";
        check(Value::Null, Ok(None));
        check(json!({"type": "auto"}), Ok(Some(ChunkingRequest::Auto)));
        check(of(STATIC_TOKENS_MIN, 0), read(STATIC_TOKENS_MIN, 0));
        check(of(STATIC_TOKENS_MAX, 2048), read(STATIC_TOKENS_MAX, 2048));
        check(of(STATIC_TOKENS_MIN - 1, 0), Err(MAX));
        check(of(STATIC_TOKENS_MAX + 1, 0), Err(MAX));
        check(of(101, 50), read(101, 50));
        check(of(101, 51), Err(OVERLAP));
        check(json!({"type": "static"}), Err("chunking_strategy.static"));
        check(json!({"type": "static", "static": {}}), Err(MAX));
        check(
            json!({"type": "static", "static": {"max_chunk_size_tokens": 100}}),
            Err(OVERLAP),
        );
        check(json!({}), Err("chunking_strategy.type"));
        check(json!({"type": "semantic"}), Err("chunking_strategy.type"));
        check(json!("auto"), Err("chunking_strategy"));
    }

    #[test]
    fn what_is_kept_is_what_openai_shows() {
        let sizes = ChunkSizes {
            max_chunk_size_tokens: 128,
            chunk_overlap_tokens: 0,
        };
        let check = |chunking: Chunking, shown: Value| {
            assert_eq!(serde_json::to_value(chunking).unwrap(), shown);
            assert_eq!(serde_json::from_value::<Chunking>(shown).unwrap(), chunking);
        };
        let shown = json!({"max_chunk_size_tokens": 128, "chunk_overlap_tokens": 0});
        check(
            Chunking::Static { sizes },
            json!({"type": "static", "static": shown}),
        );
        check(Chunking::Other, json!({"type": "other"}));
    }
}
