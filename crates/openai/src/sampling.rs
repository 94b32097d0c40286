//! How tokens are chosen: what chat and completions share.
//!
//! Everything here ends up in C++, so every number has a range.

use std::sync::Arc;

use gaia_grammar::schema;
use serde_json::{Value, json};

use crate::fields::{self, Fields};
use crate::{ApiError, Limits, grammar};

/// How the model's tokens are chosen. `None` means the node's default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// 0 (always the likeliest token) to 2.
    pub temperature: Option<f32>,
    /// Smallest set of tokens whose probability adds up to this, 0 to 1.
    pub top_p: Option<f32>,
    /// How many of the likeliest tokens stay in the draw; 0 = all.
    pub top_k: Option<u32>,
    /// Least probability, relative to the likeliest token, 0 to 1.
    pub min_p: Option<f32>,
    /// Divides the logits of repeated tokens; 1 = off.
    pub repeat_penalty: Option<f32>,
    /// -2 to 2, negative values encourage.
    pub presence_penalty: Option<f32>,
    /// -2 to 2, negative values encourage.
    pub frequency_penalty: Option<f32>,
    /// Makes the draw repeatable. Never `u32::MAX`, which the engine takes for "random".
    pub seed: Option<u32>,
    /// Most tokens to generate.
    pub tokens_max: Option<u32>,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// Added to the logits of single tokens.
    pub logit_bias: Vec<LogitBias>,
    /// What the text must conform to.
    pub constraint: Option<Constraint>,
    /// Whether the engine may reuse a prompt's cached start.
    pub cache_prompt: Option<bool>,
    /// Go on past the model's own end, up to the token limit. For measurements.
    pub ignore_eos: bool,
}

/// An addition to one token's logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitBias {
    /// The token.
    pub token: u32,
    /// -100 (never) to 100 (always).
    pub bias: f32,
}

/// What the text must conform to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// What a JSON schema permits.
    Schema(Arc<AnswerSchema>),
    /// A grammar in llama.cpp's GBNF, already checked.
    Grammar(String),
}

/// A JSON schema, and what it permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSchema {
    /// The schema as it came.
    pub schema: Value,
    /// What it was compiled within.
    pub limits: schema::Limits,
    /// What is permitted: the schema's values, or whatever holds one.
    pub grammar: Arc<gaia_grammar::Grammar>,
    /// What is permitted where the answer may be calls of tools instead: either.
    pub or_calls: Option<Arc<gaia_grammar::Grammar>>,
}

impl Constraint {
    /// It as a grammar in llama.cpp's GBNF.
    pub fn gbnf(&self) -> &str {
        match self {
            Self::Schema(schema) => schema.or_calls.as_ref().unwrap_or(&schema.grammar).gbnf(),
            Self::Grammar(text) => text,
        }
    }
}

impl Sampling {
    pub(crate) fn parse(root: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        let penalty = -2.0..=2.0;
        Ok(Self {
            temperature: root.number("temperature", 0.0..=2.0)?,
            top_p: root.number("top_p", 0.0..=1.0)?,
            top_k: top_k(root, limits)?,
            min_p: root.number("min_p", 0.0..=1.0)?,
            repeat_penalty: root.number("repeat_penalty", 0.01..=10.0)?,
            presence_penalty: root.number("presence_penalty", penalty.clone())?,
            frequency_penalty: root.number("frequency_penalty", penalty)?,
            seed: root.integer("seed", i64::MIN..=i64::MAX)?.map(fold_seed),
            tokens_max: tokens_max(root, limits)?,
            stop: stop(root, limits)?,
            logit_bias: logit_bias(root, limits)?,
            constraint: constraint(root, limits)?,
            cache_prompt: root.boolean("cache_prompt")?,
            ignore_eos: root.boolean("ignore_eos")?.unwrap_or(false),
        })
    }
}

/// Equal seeds stay equal; different ones differ as long as they fit 32 bits.
fn fold_seed(seed: i64) -> u32 {
    let folded = seed.rem_euclid(i64::from(u32::MAX));
    u32::try_from(folded).expect("a remainder is smaller than its divisor")
}

fn tokens_max(root: &Fields<'_>, limits: &Limits) -> Result<Option<u32>, ApiError> {
    let old = tokens(root, "max_tokens", limits)?;
    let new = tokens(root, "max_completion_tokens", limits)?;
    Ok(new.or(old))
}

/// A number of tokens; -1 is no limit, as llama.cpp's server and others have it.
fn tokens(root: &Fields<'_>, key: &str, limits: &Limits) -> Result<Option<u32>, ApiError> {
    match is_minus_one(root, key) {
        true => Ok(None),
        false => root.count(key, 1..=limits.tokens_max),
    }
}

/// How many tokens to choose from; -1 is all of them, as 0 is.
fn top_k(root: &Fields<'_>, limits: &Limits) -> Result<Option<u32>, ApiError> {
    match is_minus_one(root, "top_k") {
        true => Ok(Some(0)),
        false => root.count("top_k", 0..=limits.top_k_max),
    }
}

fn is_minus_one(root: &Fields<'_>, key: &str) -> bool {
    root.get(key).and_then(Value::as_i64) == Some(-1)
}

fn stop(root: &Fields<'_>, limits: &Limits) -> Result<Vec<String>, ApiError> {
    let stops = match root.get("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(list)) => {
            fields::too_long("stop", list.len(), limits.stop_max)?;
            let texts = list.iter().map(|value| value.as_str().map(str::to_owned));
            texts
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| ApiError::invalid_type("stop", "a string or a list of strings"))?
        }
        Some(_) => {
            return Err(ApiError::invalid_type(
                "stop",
                "a string or a list of strings",
            ));
        }
    };
    if stops.iter().any(String::is_empty) {
        let message = "A stop sequence must not be empty.";
        return Err(ApiError::invalid_value("stop", message));
    }
    for stop in &stops {
        fields::too_large("stop", stop.len(), limits.stop_bytes_max)?;
    }
    Ok(stops)
}

fn logit_bias(root: &Fields<'_>, limits: &Limits) -> Result<Vec<LogitBias>, ApiError> {
    let Some(map) = root.object("logit_bias")? else {
        return Ok(Vec::new());
    };
    fields::too_long("logit_bias", map.len(), limits.logit_bias_max)?;
    let bad = || {
        let message = "`logit_bias` maps token ids to numbers between -100 and 100.";
        ApiError::invalid_value("logit_bias", message)
    };
    map.entries()
        .map(|(key, value)| {
            let token: i32 = key.parse().map_err(|_| bad())?;
            let token = u32::try_from(token).map_err(|_| bad())?;
            let bias = value
                .as_f64()
                .filter(|bias| bias.abs() <= 100.0)
                .ok_or_else(bad)?;
            Ok(LogitBias {
                token,
                bias: bias as f32,
            })
        })
        .collect()
}

fn constraint(root: &Fields<'_>, limits: &Limits) -> Result<Option<Constraint>, ApiError> {
    let mut found = Vec::new();
    if let Some(format) = root.object("response_format")? {
        found.extend(response_format(&format, limits)?);
    }
    if let Some(schema) = root.get("json_schema") {
        found.push(json_schema(schema, "json_schema", limits)?);
    }
    if let Some(text) = root.text("grammar")?.filter(|text| !text.is_empty()) {
        fields::too_large("grammar", text.len(), limits.grammar_bytes_max)?;
        grammar::check(text)
            .map_err(|error| ApiError::invalid_value("grammar", format!("`grammar`: {error}.")))?;
        found.push(Constraint::Grammar(text.to_owned()));
    }
    if found.len() > 1 {
        let message = "Only one of `response_format`, `json_schema` and `grammar` can be given.";
        return Err(ApiError::invalid_value("response_format", message));
    }
    Ok(found.pop())
}

fn response_format(format: &Fields<'_>, limits: &Limits) -> Result<Option<Constraint>, ApiError> {
    let param = format.param("type");
    let kind = format
        .text("type")?
        .ok_or_else(|| ApiError::missing(&param))?;
    match kind {
        "text" => Ok(None),
        // A schema here is llama.cpp's way.
        "json_object" => match format.get("schema") {
            None => json_schema(&json!({"type": "object"}), &param, limits).map(Some),
            Some(schema) => json_schema(schema, &format.param("schema"), limits).map(Some),
        },
        "json_schema" => {
            let outer = format
                .object("json_schema")?
                .ok_or_else(|| ApiError::missing(format.param("json_schema")))?;
            outer.name("name", limits)?;
            outer.boolean("strict")?;
            let schema = outer.require("schema")?;
            json_schema(schema, &outer.param("schema"), limits).map(Some)
        }
        _ => {
            let message = format!("`{param}` must be `text`, `json_object` or `json_schema`.");
            Err(ApiError::invalid_value(param, message))
        }
    }
}

/// The `format` of a response's text: as `response_format`, with the schema beside the type.
pub(crate) fn text_format(
    format: &Fields<'_>,
    limits: &Limits,
) -> Result<Option<Constraint>, ApiError> {
    format.require("type")?;
    if format.text("type")? != Some("json_schema") {
        return response_format(format, limits);
    }
    format.require("name")?;
    format.name("name", limits)?;
    format.boolean("strict")?;
    let schema = format.require("schema")?;
    json_schema(schema, &format.param("schema"), limits).map(Some)
}

fn json_schema(value: &Value, param: &str, limits: &Limits) -> Result<Constraint, ApiError> {
    let limits = schema::Limits {
        bytes_max: limits.schema_bytes_max,
        depth_max: limits.schema_depth_max,
        nodes_max: limits.schema_nodes_max,
        enum_max: limits.schema_enum_max,
    };
    let grammar = schema::compile(value, &limits)
        .map_err(|error| ApiError::invalid_value(param, format!("`{param}`: {error}.")))?;
    Ok(Constraint::Schema(Arc::new(AnswerSchema {
        schema: value.clone(),
        limits,
        grammar: Arc::new(grammar),
        or_calls: None,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_fold_without_reaching_the_random_one() {
        assert_eq!(fold_seed(0), 0);
        assert_eq!(fold_seed(42), 42);
        assert_eq!(fold_seed(-1), u32::MAX - 1);
        assert_eq!(fold_seed(i64::from(u32::MAX)), 0);
        assert_ne!(fold_seed(i64::MIN), u32::MAX);
    }
}
