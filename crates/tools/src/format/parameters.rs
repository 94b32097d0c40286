//! What of a tool's schema becomes of its grammar.

use gaia_grammar::schema::{self, Limits};
use gaia_grammar::{Builder, Expression, Kinds};
use serde_json::{Map, Value, json};

use super::CallGrammarError;
use crate::Tool;
use crate::kinds::admitted;

/// Keywords that hold nothing to anything.
const SILENT: [&str; 13] = [
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "$schema",
    "$id",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$defs",
    "definitions",
    "additionalProperties",
];

/// The schema of a tool's arguments, which are an object, said or not.
pub(super) fn schema_of(tool: &Tool) -> Value {
    let none = || json!({"type": "object", "properties": {}, "additionalProperties": false});
    let mut schema = tool.parameters.clone().unwrap_or_else(none);
    if let Value::Object(schema) = &mut schema {
        schema.entry("type").or_insert_with(|| "object".into());
    }
    schema
}

/// A JSON text that is valid against `schema`.
pub(super) fn any(builder: &mut Builder, schema: &Value) -> Result<Expression, String> {
    let before = builder.clone();
    let added = schema::add(builder, schema, &Limits::default());
    added.map_err(|error| {
        *builder = before;
        error.to_string()
    })
}

pub(super) fn strict(tool: &Tool, reason: String) -> CallGrammarError {
    CallGrammarError::Strict {
        name: tool.name.clone(),
        reason,
    }
}

/// One parameter of a tool.
pub(super) struct Parameter {
    pub name: String,
    /// Its schema, with what it may refer to.
    pub schema: Value,
    pub kinds: Kinds,
    pub required: bool,
}

/// The parameters, in the schema's order; `None`: the schema does not list them.
pub(super) fn parameters(schema: &Value) -> Option<Vec<Parameter>> {
    let properties = schema.get("properties")?.as_object()?;
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| {
        required.is_some_and(|required| required.iter().any(|one| one.as_str() == Some(name)))
    };
    let of = |(name, own): (&String, &Value)| Parameter {
        name: name.clone(),
        schema: with_definitions(own, schema),
        kinds: admitted(own, schema),
        required: is_required(name),
    };
    Some(properties.iter().map(of).collect())
}

/// `own` as a schema by itself.
pub(super) fn with_definitions(own: &Value, root: &Value) -> Value {
    let Value::Object(own) = own else {
        return own.clone();
    };
    let mut whole = own.clone();
    for name in ["$defs", "definitions"] {
        if let Some(definitions) = root.get(name) {
            whole.insert(name.to_owned(), definitions.clone());
        }
    }
    Value::Object(whole)
}

/// The values that a list permits, if there is one.
pub(super) fn listed(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(value) = schema.get("const") {
        return Some(vec![value]);
    }
    let values = schema.get("enum")?.as_array()?;
    Some(values.iter().collect())
}

/// Why a strict tool's schema cannot be held to where only strings are not JSON; `None`: it can.
pub(super) fn beyond_tags(schema: &Value) -> Option<String> {
    let of_text: Vec<&str> = ["type", "enum", "const"]
        .into_iter()
        .chain(SILENT)
        .collect();
    let known = parameters(schema).unwrap_or_default().into_iter();
    let texts = known.filter(|parameter| parameter.kinds.has(Kinds::STRING));
    unknown_keyword(schema, &of_object()).or_else(|| {
        texts
            .into_iter()
            .find_map(|one| unknown_keyword(&one.schema, &of_text))
    })
}

/// The same where nothing but numbers and words is JSON.
pub(super) fn beyond_gemma(schema: &Value) -> Option<String> {
    let composite = |value: &&Value| value.is_array() || value.is_object();
    if listed(schema).is_some_and(|values| values.iter().any(composite)) {
        return Some("a listed value has no form in this model's calls".to_owned());
    }
    let allowed: Vec<&str> = of_object()
        .into_iter()
        .chain(["items", "enum", "const"])
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let inner = properties.into_iter().flat_map(Map::values);
    unknown_keyword(schema, &allowed)
        .or_else(|| inner.chain(schema.get("items")).find_map(beyond_gemma))
}

fn of_object() -> Vec<&'static str> {
    let kept = ["type", "properties", "required"];
    kept.into_iter().chain(SILENT).collect()
}

fn unknown_keyword(schema: &Value, known: &[&str]) -> Option<String> {
    let mut keywords = schema.as_object()?.keys();
    let keyword = keywords.find(|keyword| !known.contains(&keyword.as_str()))?;
    Some(format!("`{keyword}` has no form in this model's calls"))
}

/// Members one after the other, those that are not required left out as one likes, `between` each two.
pub(super) fn members(
    builder: &mut Builder,
    members: Vec<(Expression, bool)>,
    between: &str,
) -> Expression {
    // What may follow a member, and what may come where there was none yet.
    let (mut after, mut first) = (Expression::empty(), Expression::empty());
    for (member, required) in members.into_iter().rev() {
        let with = Expression::sequence([member, after.clone()]);
        let with = builder.rule("member", with);
        let next = match between {
            "" => with.clone(),
            between => Expression::sequence([Expression::literal(between), with.clone()]),
        };
        (after, first) = match required {
            true => (next, with),
            false => (
                Expression::choice([next, after]),
                Expression::choice([with, first]),
            ),
        };
        after = builder.rule("rest", after);
        first = builder.rule("first", first);
    }
    first
}
