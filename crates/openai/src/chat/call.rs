//! Calls of tools, as messages carry them and as streams bring them.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tool;
use crate::fields::Fields;
use crate::{ApiError, Limits};

const FUNCTION: &str = "function";

/// A call that a model made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WireCall", from = "WireCall")]
pub struct ToolCall {
    /// What the message with the result refers to.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments, as the text of a JSON object.
    pub arguments: String,
}

#[derive(Serialize, Deserialize)]
struct WireCall {
    id: String,
    #[serde(rename = "type")]
    kind: Cow<'static, str>,
    function: WireFunction,
}

#[derive(Serialize, Deserialize)]
struct WireFunction {
    name: String,
    arguments: String,
}

impl From<ToolCall> for WireCall {
    fn from(call: ToolCall) -> Self {
        Self {
            id: call.id,
            kind: Cow::Borrowed(FUNCTION),
            function: WireFunction {
                name: call.name,
                arguments: call.arguments,
            },
        }
    }
}

impl From<WireCall> for ToolCall {
    fn from(wire: WireCall) -> Self {
        Self {
            id: wire.id,
            name: wire.function.name,
            arguments: wire.function.arguments,
        }
    }
}

impl ToolCall {
    /// The field `tool_calls` of a message.
    pub(super) fn parse_list(message: &Fields<'_>, limits: &Limits) -> Result<Vec<Self>, ApiError> {
        let list = message.list("tool_calls", limits.tool_calls_max)?;
        let list = list.unwrap_or_default();
        let at = message.param("tool_calls");
        let mut calls = Vec::<Self>::with_capacity(list.len());
        let mut ids = HashSet::new();
        for (index, value) in list.iter().enumerate() {
            let fields = Fields::of(value, format!("{at}[{index}]"))?;
            let call = Self::parse(&fields, limits)?;
            if !ids.insert(call.id.clone()) {
                let message = format!("There are two calls with the id `{}`.", call.id);
                return Err(ApiError::invalid_value(fields.param("id"), message));
            }
            calls.push(call);
        }
        Ok(calls)
    }

    fn parse(fields: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        tool::is_function(fields)?;
        fields.require("id")?;
        let function = fields
            .object(FUNCTION)?
            .ok_or_else(|| ApiError::missing(fields.param(FUNCTION)))?;
        Ok(Self {
            id: fields.name("id", limits)?.unwrap_or_default(),
            name: tool::function_name(&function, limits)?,
            arguments: function_arguments(&function)?,
        })
    }
}

/// The text of a JSON object. Clients send nothing at all for functions without arguments.
pub(crate) fn function_arguments(function: &Fields<'_>) -> Result<String, ApiError> {
    function.require("arguments")?;
    let text = function.text("arguments")?.unwrap_or_default();
    if text.trim().is_empty() {
        return Ok("{}".to_owned());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(_)) => Ok(text.to_owned()),
        _ => {
            let param = function.param("arguments");
            let message = format!("`{param}` must be the text of a JSON object.");
            Err(ApiError::invalid_value(param, message))
        }
    }
}

/// What is new of a call in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDelta {
    /// Which call of the answer, from 0.
    pub index: u32,
    /// Where the call begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `function`, where the call begins.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'static, str>>,
    /// What is called with what.
    pub function: FunctionDelta,
}

/// What is new of a call's function.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FunctionDelta {
    /// Where the call begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More of the arguments' text.
    #[serde(default)]
    pub arguments: String,
}

impl CallDelta {
    /// A call begins.
    pub fn begins(index: u32, id: String, name: String) -> Self {
        Self {
            index,
            id: Some(id),
            kind: Some(Cow::Borrowed(FUNCTION)),
            function: FunctionDelta {
                name: Some(name),
                arguments: String::new(),
            },
        }
    }

    /// More arguments.
    pub fn arguments(index: u32, arguments: String) -> Self {
        Self {
            index,
            id: None,
            kind: None,
            function: FunctionDelta {
                name: None,
                arguments,
            },
        }
    }
}
