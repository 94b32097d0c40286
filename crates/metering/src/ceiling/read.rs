//! What of a request costs tokens.

use serde_json::{Map, Value};

use super::{CeilingError, ModelLimits};
use crate::Kind;

/// Tokens that an answer to a completion has where the request does not say: OpenAI's specification.
const COMPLETION_TOKENS_DEFAULT: u64 = 16;

/// The most tokens that may be asked for: more, and the number is no longer exact in JSON.
const OUTPUT_TOKENS_MAX: u64 = 1 << 53;

/// Bytes that a line of indented JSON takes for each level of nesting, and besides: a line break, a comma, a colon,
/// spaces, quotation marks.
const INDENT_BYTES: u64 = 4;
const LINE_BYTES: u64 = 8;

/// The most that a character becomes where JSON is written, for each of its UTF-16 units: `\u003c`.
const ESCAPED_BYTES: u64 = 6;

/// The most that a number that is not whole becomes: all its digits.
const FRACTION_BYTES: u64 = 340;

/// What introduces tools to a model, be it the template or the node.
const TOOLS_INTRODUCTION_BYTES: u64 = 2048;

/// The name of an image in the text, while the text is handled.
const IMAGE_NAME_BYTES: u64 = 80;

/// What is no text for the model.
const SETTINGS: [&str; 10] = [
    "model",
    "stream",
    "stream_options",
    "stop",
    "user",
    "logit_bias",
    "grammar",
    "prompt_cache_key",
    "safety_identifier",
    "include",
];

/// What a request asks for, in what costs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Bytes of all that the model may be given to read.
    pub bytes: u64,
    /// Messages, calls, tools, inputs: what something is written around.
    pub pieces: u64,
    pub images: u64,
    /// Prompts that are answered apart, or texts that are ranked.
    pub prompts: u64,
    pub choices: u64,
    /// The most tokens of one answer, where it says.
    pub output: Option<u64>,
    /// Whether it goes on from what only the node has.
    pub is_continued: bool,
}

impl Asked {
    pub fn read(kind: Kind, body: &Value, limits: &ModelLimits) -> Result<Self, CeilingError> {
        let body = body.as_object().ok_or(CeilingError::NoObject)?;
        let is_there = |name| body.get(name).is_some_and(|value: &Value| !value.is_null());
        let mut asked = Self {
            prompts: 1,
            choices: choices(kind, body, limits)?,
            output: output(kind, body)?,
            is_continued: is_there("previous_response_id") || is_there("conversation"),
            ..Self::default()
        };
        let texts = body
            .iter()
            .filter(|(name, _)| !SETTINGS.contains(&name.as_str()));
        match kind {
            Kind::Chat | Kind::Responses => {
                texts.for_each(|(name, value)| asked.of_conversation(name, value))
            }
            Kind::Completion => asked.repeated(texts, &["prompt"], "suffix"),
            Kind::Embeddings => asked.repeated(texts, &["input", "content"], ""),
            Kind::Rerank => asked.repeated(texts, &["documents", "texts"], "query"),
        }
        Ok(asked)
    }

    fn of_conversation(&mut self, name: &str, value: &Value) {
        match name {
            "tools" | "functions" => {
                self.add(TOOLS_INTRODUCTION_BYTES);
                self.pieces(value.as_array().map_or(1, Vec::len));
                self.json(value, 0);
            }
            // The template's own variables and the prompts' are written wherever those like.
            "chat_template_kwargs" | "metadata" => self.json(value, 0),
            // How to answer, not what is said.
            _ if value.is_number() => {}
            _ => self.said(value),
        }
    }

    /// Inputs that are read apart, each with what stands under `beside`.
    fn repeated<'a>(
        &mut self,
        texts: impl Iterator<Item = (&'a String, &'a Value)>,
        inputs: &[&str],
        beside: &str,
    ) {
        let mut shared = Self::default();
        self.prompts = 0;
        for (name, value) in texts {
            match name.as_str() {
                name if inputs.contains(&name) => self.inputs(value),
                name if name == beside => shared.said(value),
                _ => {}
            }
        }
        self.prompts = self.prompts.max(1);
        self.add(shared.bytes.saturating_mul(self.prompts));
        // One for the input, one for what stands beside it, and one between.
        self.pieces = self.pieces.saturating_add(self.prompts.saturating_mul(3));
    }

    /// A text, a list of tokens, or a list of those.
    fn inputs(&mut self, value: &Value) {
        let many = value
            .as_array()
            .filter(|list| !list.iter().all(Value::is_number));
        let each = many.map_or(std::slice::from_ref(value), Vec::as_slice);
        for input in each {
            self.prompts = self.prompts.saturating_add(1);
            match input.as_array() {
                // Each number is a token.
                Some(tokens) => self.add(tokens.len() as u64),
                None => self.said(input),
            }
        }
    }

    /// What is said in a message, or is one, or a list of them.
    fn said(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(shown(text)),
            Value::Array(list) => list.iter().for_each(|value| self.said(value)),
            Value::Object(map) => {
                self.pieces(1);
                map.iter()
                    .for_each(|(name, value)| self.member(name, value));
            }
            Value::Null | Value::Bool(_) => {}
            Value::Number(_) => self.json(value, 0),
        }
    }

    fn member(&mut self, name: &str, value: &Value) {
        match (name, value) {
            ("image_url" | "input_audio" | "file_data", _) => {
                self.images = self.images.saturating_add(1);
                self.add(IMAGE_NAME_BYTES);
            }
            // Templates write them anew.
            ("arguments", Value::String(text)) => match serde_json::from_str(text) {
                Ok(arguments) => self.json(&arguments, 0),
                Err(_) => self.add(escaped(text)),
            },
            _ => self.said(value),
        }
    }

    /// A value that is written as JSON, indented or not.
    fn json(&mut self, value: &Value, depth: u64) {
        self.add(LINE_BYTES + INDENT_BYTES * depth);
        match value {
            Value::Null | Value::Bool(_) => self.add(5),
            Value::Number(number) if number.is_f64() => self.add(FRACTION_BYTES),
            Value::Number(number) => self.add(number.to_string().len() as u64),
            Value::String(text) => self.add(escaped(text)),
            Value::Array(list) => list.iter().for_each(|value| self.json(value, depth + 1)),
            Value::Object(map) => {
                for (name, value) in map {
                    self.add(escaped(name));
                    self.json(value, depth + 1);
                }
            }
        }
    }

    fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn pieces(&mut self, count: usize) {
        self.pieces = self.pieces.saturating_add(count as u64);
    }
}

/// Bytes of a text as a model reads it: markers in it are broken by a space each, and begin with one of two brackets.
fn shown(text: &str) -> u64 {
    let brackets = text.bytes().filter(|byte| matches!(byte, b'<' | b'['));
    (text.len() + brackets.count()) as u64
}

/// The most bytes of a text within JSON.
fn escaped(text: &str) -> u64 {
    let bytes = |character: char| match character {
        '"' | '\\' | '\'' | '<' | '>' | '&' | '[' => ESCAPED_BYTES + 1,
        ' '..='~' => 1,
        _ => ESCAPED_BYTES * character.len_utf16() as u64,
    };
    text.chars().map(bytes).sum()
}

fn choices(
    kind: Kind,
    body: &Map<String, Value>,
    limits: &ModelLimits,
) -> Result<u64, CeilingError> {
    let max = limits.choices_max;
    let n = number(body, "n", max)?;
    Ok(match kind {
        Kind::Chat => n.unwrap_or(1),
        Kind::Completion => n.max(number(body, "best_of", max)?).unwrap_or(1),
        Kind::Responses | Kind::Embeddings | Kind::Rerank => 1,
    }
    .max(1))
}

fn output(kind: Kind, body: &Map<String, Value>) -> Result<Option<u64>, CeilingError> {
    let number = |name| number(body, name, OUTPUT_TOKENS_MAX);
    Ok(match kind {
        Kind::Chat => number("max_tokens")?.max(number("max_completion_tokens")?),
        Kind::Completion => {
            let asked = number("max_tokens")?.max(number("max_completion_tokens")?);
            Some(asked.unwrap_or(COMPLETION_TOKENS_DEFAULT))
        }
        Kind::Responses => number("max_output_tokens")?,
        Kind::Embeddings | Kind::Rerank => None,
    })
}

/// A whole number, also where it is written `1.0`.
fn number(
    body: &Map<String, Value>,
    field: &'static str,
    max: u64,
) -> Result<Option<u64>, CeilingError> {
    let Some(value) = body.get(field).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let whole = || {
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && *number >= 0.0)
    };
    // A float above the maximum saturates.
    let number = value
        .as_u64()
        .or_else(|| whole().map(|number| number as u64));
    match number.filter(|number| *number <= max) {
        Some(number) => Ok(Some(number)),
        None => Err(CeilingError::Number { field, max }),
    }
}
