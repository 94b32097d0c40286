//! What `set_input` takes to compute with, and how many tokens it has.

use gaia_engine::{Input, ModelKind, TokenId, TokenizeError, Vocabulary};
use serde::Deserialize;
use serde_json::Value;

use crate::errno::Errno;

/// What a context is to compute with.
#[derive(Debug)]
pub(crate) enum Inputs {
    One(Input),
    Many(Vec<Input>),
    /// To rank.
    Pairs(Pairs),
}

/// Texts that may answer a query.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pairs {
    pub query: String,
    pub documents: Vec<String>,
}

/// The tokens of an input as the model would read it.
pub(crate) fn tokens_of(vocabulary: &Vocabulary, input: &Input) -> Result<Vec<TokenId>, Errno> {
    let tokens = match (input, vocabulary.facts().kind) {
        (Input::Tokens(ids), _) => return Ok(ids.clone()),
        (Input::Text(text), ModelKind::Chat) => vocabulary.tokenize_prompt(text),
        (Input::Text(text), ModelKind::Embedding | ModelKind::Reranking) => {
            vocabulary.tokenize_input(text)
        }
    };
    tokens.map_err(|_| Errno::TooLarge)
}

/// Token numbers from their bytes.
pub(crate) fn token_ids(bytes: &[u8]) -> Result<Vec<TokenId>, Errno> {
    if !bytes.len().is_multiple_of(4) {
        return Err(Errno::InvalidArgument);
    }
    let numbers = bytes.chunks_exact(4);
    Ok(numbers
        .map(|one| TokenId::from_le_bytes([one[0], one[1], one[2], one[3]]))
        .collect())
}

/// How many tokens the model reads for each document.
pub(crate) fn pair_lengths(vocabulary: &Vocabulary, pairs: &Pairs) -> Result<Vec<usize>, Errno> {
    let documents = pairs.documents.iter();
    let lengths = documents.map(|document| {
        let len = vocabulary.pair_len(&pairs.query, document);
        len.map_err(|error| match error {
            TokenizeError::NoPairs => Errno::UnsupportedOperation,
            TokenizeError::TooLong { .. } | TokenizeError::Token { .. } => Errno::TooLarge,
        })
    });
    lengths.collect()
}

/// A list to embed or to count, or an object with a query and documents to rank.
pub(crate) fn several(value: Value) -> Result<Inputs, Errno> {
    if value.is_array() {
        return many(&value).map(Inputs::Many);
    }
    let pairs = serde_json::from_value(value).map_err(|error| {
        tracing::error!("the inputs are no list, and no query with documents: {error}");
        Errno::InvalidArgument
    })?;
    Ok(Inputs::Pairs(pairs))
}

/// A list of texts and of lists of token numbers.
fn many(value: &Value) -> Result<Vec<Input>, Errno> {
    let list = value.as_array().ok_or(Errno::InvalidArgument)?;
    list.iter()
        .map(|item| match item {
            Value::String(text) => Some(Input::Text(text.clone())),
            Value::Array(ids) => ids
                .iter()
                .map(|id| id.as_i64().and_then(|id| TokenId::try_from(id).ok()))
                .collect::<Option<_>>()
                .map(Input::Tokens),
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or(Errno::InvalidArgument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_hold_texts_and_tokens() {
        let inputs = many(&json!(["a", [1, 2]])).unwrap();
        assert_eq!(
            inputs,
            [Input::Text("a".to_owned()), Input::Tokens(vec![1, 2])]
        );
        for bad in [
            json!({}),
            json!([1]),
            json!([["x"]]),
            json!([[1.5]]),
            json!([[1u64 << 40]]),
        ] {
            assert_eq!(many(&bad), Err(Errno::InvalidArgument));
        }
    }

    #[test]
    fn an_object_holds_a_query_and_documents() {
        let pairs = several(json!({"query": "q", "documents": ["a", "b"]})).unwrap();
        let Inputs::Pairs(pairs) = pairs else {
            panic!("{pairs:?}");
        };
        assert_eq!((pairs.query.as_str(), pairs.documents.len()), ("q", 2));
        assert!(matches!(several(json!(["a"])), Ok(Inputs::Many(_))));
        for bad in [
            json!("q"),
            json!({"query": "q"}),
            json!({"query": 1, "documents": []}),
            json!({"query": "q", "documents": [[1]]}),
            json!({"query": "q", "documents": [], "more": 1}),
        ] {
            assert_eq!(several(bad).map(drop), Err(Errno::InvalidArgument));
        }
    }

    #[test]
    fn tokens_come_in_fours() {
        assert_eq!(
            token_ids(&[1, 0, 0, 0, 255, 255, 255, 255]),
            Ok(vec![1, -1])
        );
        assert_eq!(token_ids(&[1, 0, 0]), Err(Errno::InvalidArgument));
    }
}
