//! The tools a request offers, and what it wants done with them.
//!
//! Invariant: names are unique. Whether a choice can be met is looked at when all tools are together: a node
//! may have some of its own ([`Tooling::check`]).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// A function that the caller is ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Letters, digits, `_` and `-`.
    pub name: String,
    /// What it is for, for the model.
    pub description: Option<String>,
    /// The JSON schema of its arguments; always an object.
    pub parameters: Value,
    /// Whether every keyword of the schema must be enforced.
    pub strict: bool,
}

/// What to do with the tools.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// Answer in words.
    None,
    /// The model decides.
    #[default]
    Auto,
    /// Call at least one.
    Required,
    /// Call this one.
    Named(String),
}

/// The tools of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tooling {
    /// In the request's order; empty where it offers none.
    pub tools: Vec<Tool>,
    /// What to do with them.
    pub choice: ToolChoice,
    /// Whether one answer may hold several calls.
    pub parallel: bool,
}

impl Tooling {
    /// The tools the model is to know of. With the choice `none` it is shown none: what it does not
    /// know, it does not try to call in its prose.
    pub fn offered(&self) -> &[Tool] {
        match self.choice {
            ToolChoice::None => &[],
            _ => &self.tools,
        }
    }

    /// Refuses a choice that these tools cannot meet.
    ///
    /// # Errors
    /// 400 where a call is wanted and there is nothing to call, or not that.
    pub fn check(&self) -> Result<(), ApiError> {
        let known = |name: &String| self.tools.iter().any(|tool| tool.name == *name);
        let message = match &self.choice {
            ToolChoice::Required if self.tools.is_empty() => {
                "`tool_choice` asks for a call, and there are no `tools`.".to_owned()
            }
            ToolChoice::Named(name) if !known(name) => format!("There is no tool named `{name}`."),
            _ => return Ok(()),
        };
        Err(ApiError::invalid_value("tool_choice", message))
    }

    pub(crate) fn parse(
        root: &Fields<'_>,
        shape: Shape,
        limits: &Limits,
    ) -> Result<Self, ApiError> {
        let mut tools = tools(root, shape, limits)?;
        let choice = match allowed(root, shape, limits)? {
            Some((choice, names)) => {
                keep(&mut tools, &names)?;
                choice
            }
            None => choice(root, shape)?,
        };
        Ok(Self {
            tools,
            choice,
            parallel: root.boolean("parallel_tool_calls")?.unwrap_or(true),
        })
    }
}

/// Where a function's own fields stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// In an object `function` beside the type, as chats have it.
    Nested,
    /// Beside the type, as responses have it.
    Flat,
}

impl Shape {
    /// The function that `fields` describes; another type is refused.
    fn function<'a>(self, fields: Fields<'a>) -> Result<Fields<'a>, ApiError> {
        is_function(&fields)?;
        match self {
            Self::Flat => Ok(fields),
            Self::Nested => {
                fields.require("function")?;
                let function = fields.object("function")?;
                function.ok_or_else(|| ApiError::missing(fields.param("function")))
            }
        }
    }
}

fn tools(root: &Fields<'_>, shape: Shape, limits: &Limits) -> Result<Vec<Tool>, ApiError> {
    let list = root.list("tools", limits.tools_max)?.unwrap_or_default();
    let mut names = HashSet::new();
    let mut bytes = 0;
    let mut tools = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let fields = Fields::of(value, format!("tools[{index}]"))?;
        let function = shape.function(fields)?;
        let tool = Tool::parse(&function, limits)?;
        bytes += tool.bytes();
        fields::too_large("tools", bytes, limits.tool_schema_bytes_max)?;
        if !names.insert(tool.name.clone()) {
            let message = format!("There are two tools named `{}`.", tool.name);
            return Err(ApiError::invalid_value(function.param("name"), message));
        }
        tools.push(tool);
    }
    Ok(tools)
}

impl Tool {
    fn parse(function: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        let parameters = match function.get("parameters") {
            None => json!({"type": "object", "properties": {}}),
            Some(value @ Value::Object(_)) => value.clone(),
            Some(_) => {
                let param = function.param("parameters");
                return Err(ApiError::invalid_type(param, "an object"));
            }
        };
        Ok(Self {
            name: function_name(function, limits)?,
            description: function.text("description")?.map(str::to_owned),
            parameters,
            strict: function.boolean("strict")?.unwrap_or(false),
        })
    }

    /// What it takes of a prompt, about.
    fn bytes(&self) -> usize {
        let description = self.description.as_ref().map_or(0, String::len);
        self.name.len() + description + self.parameters.to_string().len()
    }
}

/// Refuses what is of another type than `function`.
pub(super) fn is_function(fields: &Fields<'_>) -> Result<(), ApiError> {
    fields.require("type")?;
    match fields.text("type")?.unwrap_or_default() {
        "function" => Ok(()),
        _ => {
            let message = "Only tools of type `function` are supported.";
            Err(ApiError::unsupported(fields.param("type"), message))
        }
    }
}

/// The `name` of a function: it goes into prompts and grammars, so it is held to letters, digits, `_`
/// and `-`.
pub(crate) fn function_name(function: &Fields<'_>, limits: &Limits) -> Result<String, ApiError> {
    function.require("name")?;
    let name = function.text("name")?.unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > limits.tool_name_bytes_max || !name.bytes().all(plain) {
        let max = limits.tool_name_bytes_max;
        let param = function.param("name");
        let message = format!("`{param}` must be 1 to {max} of A-Z, a-z, 0-9, `_` and `-`.");
        return Err(ApiError::invalid_value(param, message));
    }
    Ok(name.to_owned())
}

fn choice(root: &Fields<'_>, shape: Shape) -> Result<ToolChoice, ApiError> {
    const PARAM: &str = "tool_choice";
    match root.get(PARAM) {
        None => Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Required),
            _ => {
                let message = "`tool_choice` must be `none`, `auto`, `required` or a function.";
                Err(ApiError::invalid_value(PARAM, message))
            }
        },
        Some(Value::Object(_)) => named(root, shape),
        Some(_) => Err(ApiError::invalid_type(PARAM, "a string or an object")),
    }
}

/// A choice of type `allowed_tools`: the mode, and the names of those that may be called.
fn allowed(
    root: &Fields<'_>,
    shape: Shape,
    limits: &Limits,
) -> Result<Option<(ToolChoice, Vec<String>)>, ApiError> {
    let is_allowed = |choice: &Value| choice.get("type") == Some(&json!("allowed_tools"));
    if !root.get("tool_choice").is_some_and(is_allowed) {
        return Ok(None);
    }
    let missing = || ApiError::missing("tool_choice.allowed_tools");
    let fields = root.object("tool_choice")?.ok_or_else(missing)?;
    let fields = match shape {
        Shape::Flat => fields,
        Shape::Nested => fields.object("allowed_tools")?.ok_or_else(missing)?,
    };
    let mode = match fields.text("mode")? {
        None | Some("auto") => ToolChoice::Auto,
        Some("required") => ToolChoice::Required,
        Some(_) => {
            let param = fields.param("mode");
            let message = format!("`{param}` must be `auto` or `required`.");
            return Err(ApiError::invalid_value(param, message));
        }
    };
    fields.require("tools")?;
    let list = fields.list("tools", limits.tools_max)?.unwrap_or_default();
    let param = fields.param("tools");
    let names = list.iter().enumerate().map(|(index, value)| {
        let function = shape.function(Fields::of(value, format!("{param}[{index}]"))?)?;
        function_name(&function, limits)
    });
    Ok(Some((mode, names.collect::<Result<_, _>>()?)))
}

/// Leaves those of `tools` that are named; a name without a tool is refused.
fn keep(tools: &mut Vec<Tool>, names: &[String]) -> Result<(), ApiError> {
    let unknown = |name: &&String| !tools.iter().any(|tool| tool.name == **name);
    if let Some(name) = names.iter().find(unknown) {
        let message = format!("There is no tool named `{name}`.");
        return Err(ApiError::invalid_value("tool_choice", message));
    }
    tools.retain(|tool| names.contains(&tool.name));
    Ok(())
}

fn named(root: &Fields<'_>, shape: Shape) -> Result<ToolChoice, ApiError> {
    let fields = root
        .object("tool_choice")?
        .ok_or_else(|| ApiError::missing("tool_choice"))?;
    let function = shape.function(fields)?;
    function.require("name")?;
    let name = function.text("name")?.unwrap_or_default();
    Ok(ToolChoice::Named(name.to_owned()))
}
