//! Values as Gemma writes them, as rules.

use gaia_grammar::{Builder, Expression, Kinds, without};
use serde_json::{Value, json};

use super::parameters::{any, listed, members, parameters};
use crate::kinds::admitted;
use crate::parser::QUOTE;

/// How deep schemas are followed; what is deeper is any value.
const DEPTH_MAX: usize = 16;

/// Rules that all values share, once they are needed.
#[derive(Default)]
pub(super) struct Common {
    /// Any text between quotes.
    text: Option<Expression>,
    anything: Option<Expression>,
}

/// Writes the values of one call.
pub(super) struct Values<'a> {
    builder: &'a mut Builder,
    common: &'a mut Common,
}

impl<'a> Values<'a> {
    pub fn new(builder: &'a mut Builder, common: &'a mut Common) -> Self {
        Self { builder, common }
    }

    /// The members of an object, without its braces.
    pub fn members(&mut self, schema: &Value, depth: usize) -> Result<Expression, String> {
        let Some(mut known) = parameters(schema) else {
            return self.any_members();
        };
        // The template sorts them, so the model has learnt them sorted.
        known.sort_by_key(|parameter| parameter.name.to_lowercase());
        let mut all = Vec::new();
        for parameter in known {
            let value = self.value(&parameter.schema, depth + 1)?;
            let key = Expression::literal(format!("{}:", parameter.name));
            all.push((Expression::sequence([key, value]), parameter.required));
        }
        Ok(members(self.builder, all, ","))
    }

    fn value(&mut self, schema: &Value, depth: usize) -> Result<Expression, String> {
        let composite = |value: &&Value| value.is_array() || value.is_object();
        if let Some(values) = listed(schema).filter(|values| !values.iter().any(composite)) {
            return Ok(Expression::choice(values.into_iter().map(written)));
        }
        let kinds = admitted(schema, schema);
        let bare = Kinds::NUMBER.or(Kinds::BOOLEAN).or(Kinds::NULL);
        if kinds == Kinds::STRING {
            self.text()
        } else if kinds.without(bare) == Kinds::NONE && kinds != Kinds::NONE {
            any(self.builder, schema)
        } else if kinds == Kinds::OBJECT && depth < DEPTH_MAX {
            let members = self.members(schema, depth)?;
            Ok(between("{", members, "}"))
        } else if kinds == Kinds::ARRAY && depth < DEPTH_MAX {
            let of = schema.get("items").cloned().unwrap_or(json!({}));
            let of = super::parameters::with_definitions(&of, schema);
            let item = self.value(&of, depth + 1)?;
            Ok(self.list("[", item, "]"))
        } else {
            self.anything()
        }
    }

    fn text(&mut self) -> Result<Expression, String> {
        if let Some(text) = &self.common.text {
            return Ok(text.clone());
        }
        let free = without(self.builder, &[QUOTE]).map_err(|error| error.to_string())?;
        let text = self.builder.rule("quoted", between(QUOTE, free, QUOTE));
        Ok(self.common.text.insert(text).clone())
    }

    fn anything(&mut self) -> Result<Expression, String> {
        if let Some(anything) = &self.common.anything {
            return Ok(anything.clone());
        }
        let rule = self.builder.declare("anything");
        self.common.anything = Some(rule.into());
        let text = self.text()?;
        let bare = any(
            self.builder,
            &json!({"type": ["number", "boolean", "null"]}),
        )?;
        let list = self.list("[", rule.into(), "]");
        let members = self.any_members()?;
        let object = between("{", members, "}");
        self.builder
            .define(rule, Expression::choice([text, bare, list, object]));
        Ok(rule.into())
    }

    fn any_members(&mut self) -> Result<Expression, String> {
        let anything = self.anything()?;
        let letter = Expression::Class(gaia_grammar::Class::ranges([
            ('a', 'z'),
            ('A', 'Z'),
            ('0', '9'),
            ('_', '_'),
        ]));
        let key = Expression::repeat(letter, 1, Some(64));
        let member = Expression::sequence([key, Expression::literal(":"), anything]);
        Ok(self.list("", member, ""))
    }

    fn list(&mut self, open: &str, item: Expression, close: &str) -> Expression {
        let item = self.builder.rule("item", item);
        let more = Expression::sequence([Expression::literal(","), item.clone()]);
        let items = Expression::sequence([item, Expression::many(more)]);
        between(open, Expression::optional(items), close)
    }
}

/// A listed value.
fn written(value: &Value) -> Expression {
    Expression::literal(match value {
        Value::String(value) => format!("{QUOTE}{value}{QUOTE}"),
        value => value.to_string(),
    })
}

fn between(open: &str, of: Expression, close: &str) -> Expression {
    let text = |text: &str| match text {
        "" => Expression::empty(),
        text => Expression::literal(text),
    };
    Expression::sequence([text(open), of, text(close)])
}
