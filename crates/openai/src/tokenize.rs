//! `POST /tokenize` and back, and `POST /apply-template`: what a model sees of a text, as llama.cpp's server names the
//! fields.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields::{self, Fields};
use crate::{ApiError, ChatRequest, Limits};

/// What to tokenise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizeRequest {
    /// The texts; one when `content` was a string.
    pub texts: Vec<String>,
    /// Whether `content` was a single string, which decides the reply's shape.
    pub single: bool,
    /// Whose tokens; the chat model's when absent.
    pub model: Option<String>,
    /// Whether to add the tokens a model expects at the start and end of a text.
    pub add_special: bool,
    /// Whether each token comes with its text.
    pub with_pieces: bool,
}

impl TokenizeRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        let (texts, single) = match root.require("content")? {
            Value::String(text) => (vec![text.clone()], true),
            Value::Array(list) => (text_list(list, "content", limits)?, false),
            _ => {
                return Err(ApiError::invalid_type(
                    "content",
                    "a string or a list of strings",
                ));
            }
        };
        let bytes = texts.iter().map(String::len).sum();
        fields::too_large("content", bytes, limits.text_bytes_max)?;
        Ok(Self {
            texts,
            single,
            model: root.name("model", limits)?,
            add_special: root.boolean("add_special")?.unwrap_or(false),
            with_pieces: root.boolean("with_pieces")?.unwrap_or(false),
        })
    }
}

/// Strings of a list within its limit.
pub(crate) fn text_list(
    list: &[Value],
    param: &str,
    limits: &Limits,
) -> Result<Vec<String>, ApiError> {
    fields::too_long(param, list.len(), limits.inputs_max)?;
    list.iter()
        .enumerate()
        .map(|(index, value)| match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(ApiError::invalid_type(
                format!("{param}[{index}]"),
                "a string",
            )),
        })
        .collect()
}

/// Tokens: one list, or one list a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizeReply {
    /// The tokens.
    pub tokens: TokenLists,
}

/// Tokens in the shape the request asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TokenLists {
    /// For `content` as a string.
    One(Vec<Token>),
    /// For `content` as a list, in its order.
    Many(Vec<Vec<Token>>),
}

/// A token as the request asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Token {
    /// Its id.
    Id(u32),
    /// Its id and what it says.
    Shown {
        /// Its id.
        id: u32,
        /// What it says.
        piece: Piece,
    },
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Piece {
    /// Its text.
    Text(String),
    /// Its bytes, where they are no text by themselves: characters may span tokens.
    Bytes(Vec<u8>),
}

impl From<u32> for Token {
    fn from(id: u32) -> Self {
        Self::Id(id)
    }
}

impl Token {
    /// A token with its bytes.
    pub fn shown(id: u32, bytes: Vec<u8>) -> Self {
        let piece = match String::from_utf8(bytes) {
            Ok(text) => Piece::Text(text),
            Err(error) => Piece::Bytes(error.into_bytes()),
        };
        Self::Shown { id, piece }
    }
}

impl TokenizeReply {
    /// The reply to `request`; `lists` holds the tokens of each of its texts.
    pub fn new(request: &TokenizeRequest, mut lists: Vec<Vec<Token>>) -> Self {
        let tokens = match request.single {
            true => TokenLists::One(lists.pop().unwrap_or_default()),
            false => TokenLists::Many(lists),
        };
        Self { tokens }
    }
}

/// What to turn back into text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetokenizeRequest {
    /// The ids; may be empty.
    pub tokens: Vec<u32>,
    /// Whose tokens; the chat model's when absent.
    pub model: Option<String>,
}

impl DetokenizeRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        let Value::Array(list) = root.require("tokens")? else {
            return Err(ApiError::invalid_type("tokens", "a list of token ids"));
        };
        Ok(Self {
            tokens: fields::token_ids(list, "tokens", limits.input_tokens_max)?,
            model: root.name("model", limits)?,
        })
    }
}

/// The text of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetokenizeReply {
    /// The text; bytes that are no characters by themselves are replaced.
    pub content: String,
}

/// A conversation to be shown as the model reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateRequest {
    /// The conversation.
    pub chat: ChatRequest,
    /// Whether the text ends with the conversation instead of opening an answer.
    pub closed: bool,
}

impl TemplateRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        Ok(Self {
            chat: ChatRequest::read(&root, limits)?,
            closed: root.boolean("add_generation_prompt")? == Some(false),
        })
    }
}

/// A conversation as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateReply {
    /// The text before it is tokenised.
    pub prompt: String,
}

/// How many tokens a conversation has before it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputTokensReply {
    /// Always `response.input_tokens`.
    pub object: Cow<'static, str>,
    /// Tokens of the prompt, template included and passages not.
    pub input_tokens: u32,
}

impl InputTokensReply {
    /// The reply for so many.
    pub fn new(input_tokens: u32) -> Self {
        Self {
            object: Cow::Borrowed("response.input_tokens"),
            input_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<TokenizeRequest, ApiError> {
        let limits = Limits {
            inputs_max: 2,
            text_bytes_max: 8,
            ..Limits::default()
        };
        TokenizeRequest::parse(body.as_bytes(), &limits)
    }

    #[track_caller]
    fn check_param(body: &str, param: &str) {
        assert_eq!(parse(body).unwrap_err().param.as_deref(), Some(param));
    }

    #[test]
    fn bad_fields_are_named() {
        check_param("{}", "content");
        check_param(r#"{"content":1}"#, "content");
        check_param(r#"{"content":["a",1]}"#, "content[1]");
        check_param(r#"{"content":["a","b","c"]}"#, "content");
        check_param(r#"{"content":"123456789"}"#, "content");
        check_param(r#"{"content":"a","add_special":1}"#, "add_special");
        check_param(r#"{"content":"a","with_pieces":1}"#, "with_pieces");
    }

    #[test]
    fn tokens_to_turn_back_are_checked() {
        let limits = Limits {
            input_tokens_max: 2,
            ..Limits::default()
        };
        let parse = |body: &str| DetokenizeRequest::parse(body.as_bytes(), &limits);
        assert_eq!(parse(r#"{"tokens":[1,2]}"#).unwrap().tokens, [1, 2]);
        assert!(parse(r#"{"tokens":[]}"#).unwrap().tokens.is_empty());
        let check = |body: &str, param: &str| {
            assert_eq!(
                parse(body).unwrap_err().param.as_deref(),
                Some(param),
                "{body}"
            );
        };
        check("{}", "tokens");
        check(r#"{"tokens":"1"}"#, "tokens");
        check(r#"{"tokens":[1,-2]}"#, "tokens");
        check(r#"{"tokens":[1,2,3]}"#, "tokens");
    }

    #[test]
    fn only_a_shown_prompt_may_stay_closed() {
        let body = |opens: &str| {
            let messages = r#"[{"role":"user","content":"a"}]"#;
            format!(r#"{{"messages":{messages},"add_generation_prompt":{opens}}}"#)
        };
        let limits = Limits::default();
        let closed = |opens: &str| {
            let request = TemplateRequest::parse(body(opens).as_bytes(), &limits);
            request.map(|request| request.closed)
        };
        assert_eq!(closed("true"), Ok(false));
        assert_eq!(closed("false"), Ok(true));
        assert_eq!(closed("null"), Ok(false));
        assert_eq!(
            closed("1").unwrap_err().param.as_deref(),
            Some("add_generation_prompt")
        );
        let answer = |opens: &str| ChatRequest::parse(body(opens).as_bytes(), &limits);
        assert!(answer("true").is_ok());
        let refused = answer("false").unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("add_generation_prompt"));
    }

    #[test]
    fn the_reply_has_the_shape_of_the_request() {
        let one = parse(r#"{"content":"a"}"#).unwrap();
        let many = parse(r#"{"content":["a"]}"#).unwrap();
        let json = |request| {
            let tokens = vec![Token::Id(1), Token::Id(2)];
            serde_json::to_string(&TokenizeReply::new(request, vec![tokens])).unwrap()
        };
        assert_eq!(json(&one), r#"{"tokens":[1,2]}"#);
        assert_eq!(json(&many), r#"{"tokens":[[1,2]]}"#);
    }

    #[test]
    fn a_piece_is_text_where_it_can_be() {
        let json = |token| serde_json::to_string(&token).unwrap();
        let whole = Token::shown(7, "é".as_bytes().to_vec());
        assert_eq!(json(whole), r#"{"id":7,"piece":"é"}"#);
        let half = Token::shown(8, vec![0xC3]);
        assert_eq!(json(half), r#"{"id":8,"piece":[195]}"#);
    }
}
