//! What a request says to the model's template itself: how much to think, and the template's own switches.

use serde_json::{Map, Value, json};

use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// What the node itself tells every template.
const OWN: [&str; 7] = [
    "messages",
    "tools",
    "add_generation_prompt",
    "bos_token",
    "eos_token",
    "strftime_now",
    "raise_exception",
];

/// Bytes of a variable's name.
const NAME_BYTES_MAX: usize = 64;

/// `reasoning_effort` and `chat_template_kwargs` as the template's variables.
///
/// Templates know three efforts at most, and a switch: those between are the nearest.
pub(super) fn parse(root: &Fields<'_>, limits: &Limits) -> Result<Map<String, Value>, ApiError> {
    let mut variables = thinking(root, "reasoning_effort")?;
    let Some(map) = root.object("chat_template_kwargs")? else {
        return Ok(variables);
    };
    let at = "chat_template_kwargs";
    fields::too_long(at, map.len(), limits.template_variables_max)?;
    for (key, value) in map.entries() {
        check(&map.param(key), key, value, limits)?;
        variables.insert(key.clone(), value.clone());
    }
    Ok(variables)
}

/// How much to think, by the field `key`, as the variables that templates have for it.
pub(crate) fn thinking(fields: &Fields<'_>, key: &str) -> Result<Map<String, Value>, ApiError> {
    let asked = fields.text(key)?;
    let effort = match asked {
        None => return Ok(Map::new()),
        Some("none" | "minimal" | "low") => "low",
        Some("medium") => "medium",
        Some("high" | "xhigh") => "high",
        Some(_) => {
            let param = fields.param(key);
            let message =
                format!("`{param}` must be `none`, `minimal`, `low`, `medium`, `high` or `xhigh`.");
            return Err(ApiError::invalid_value(param, message));
        }
    };
    let thinks = asked != Some("none");
    Ok(Map::from_iter([
        ("reasoning_effort".to_owned(), json!(effort)),
        ("enable_thinking".to_owned(), json!(thinks)),
    ]))
}

/// Plain values only: nothing a template could take for messages or tools.
fn check(param: &str, key: &str, value: &Value, limits: &Limits) -> Result<(), ApiError> {
    let max = limits.name_bytes_max;
    let plain = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.len() <= max,
        Value::Array(_) | Value::Object(_) => false,
    };
    if OWN.contains(&key) || key.len() > NAME_BYTES_MAX {
        let message = format!("`{param}` is not for requests to set.");
        return Err(ApiError::invalid_value(param, message));
    }
    match plain {
        true => Ok(()),
        false => {
            let message = format!(
                "`{param}` must be a boolean, a number or a string of at most {max} bytes."
            );
            Err(ApiError::invalid_value(param, message))
        }
    }
}
