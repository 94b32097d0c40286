//! Calls whose arguments are tags, as rules.

use gaia_grammar::{Class, Expression, Kinds, without};
use serde_json::Value;

use super::CallGrammarError;
use super::calls::{Opening, Writer, sequence, text};
use super::parameters::{beyond_tags, listed, members, parameters, schema_of, strict};
use crate::{NAME_BYTES_MAX, Tool};

/// The tags of one parameter.
struct Tags {
    /// Before the name.
    open: &'static str,
    /// Behind the name of a string, and of anything else.
    open_end: [&'static str; 2],
    /// Behind the value: its last tag, and what goes before it.
    close: &'static str,
    before_close: &'static str,
}

const QWEN: Tags = Tags {
    open: "<parameter=",
    open_end: [">\n", ">\n"],
    close: "</parameter>",
    before_close: "\n",
};

const DSML: Tags = Tags {
    open: "<｜DSML｜parameter name=\"",
    open_end: ["\" string=\"true\">", "\" string=\"false\">"],
    close: "</｜DSML｜parameter>",
    before_close: "",
};

impl Writer<'_> {
    /// Qwen's calls, from behind the mark that opens the function.
    pub(super) fn qwen(&mut self) -> Result<Vec<Opening>, CallGrammarError> {
        let call = self.each(|writer, tool| {
            let lines = writer.tags(tool, &QWEN)?;
            let name = text(&format!("{}>\n", tool.name));
            Ok(sequence(vec![
                name,
                lines,
                text("</function>\n</tool_call>"),
            ]))
        })?;
        let calls = self.calls(call, "\n<tool_call>\n<function=", "");
        Ok(vec![
            Opening::at("<tool_call>", "\n<function=", &calls).usual(),
            Opening::at("<function=", "", &calls),
        ])
    }

    /// DeepSeek's calls in a block that is called `block`.
    pub(super) fn dsml(&mut self, block: &str) -> Result<Vec<Opening>, CallGrammarError> {
        let call = self.each(|writer, tool| {
            let lines = writer.tags(tool, &DSML)?;
            let name = text(&format!("{}\">\n", tool.name));
            Ok(sequence(vec![name, lines, text("</｜DSML｜invoke>")]))
        })?;
        let calls = self.calls(call, "\n<｜DSML｜invoke name=\"", "");
        let in_block = |mark, name: &str| {
            let close = text(&format!("\n</｜DSML｜{name}>"));
            let closed = sequence(vec![calls.clone(), close]);
            Opening {
                usual: name == block,
                ..Opening::at(mark, "\n<｜DSML｜invoke name=\"", &closed)
            }
        };
        Ok(vec![
            in_block("<｜DSML｜function_calls>", "function_calls"),
            in_block("<｜DSML｜tool_calls>", "tool_calls"),
            Opening::at("<｜DSML｜invoke", " name=\"", &calls),
        ])
    }

    /// The parameters of `tool`, each a line of tags.
    fn tags(&mut self, tool: &Tool, tags: &Tags) -> Result<Expression, CallGrammarError> {
        let schema = schema_of(tool);
        if let Some(reason) = beyond_tags(&schema).filter(|_| tool.strict) {
            return Err(strict(tool, reason));
        }
        let free = match self.free.clone() {
            Some(free) => free,
            None => {
                let free = without(&mut self.builder, &[tags.close]);
                let free = free.map_err(|error| strict(tool, error.to_string()))?;
                self.free.insert(free).clone()
            }
        };
        let Some(known) = parameters(&schema) else {
            let letters = Class::ranges([('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]);
            let max = u32::try_from(NAME_BYTES_MAX).ok();
            let name = Expression::repeat(Expression::Class(letters), 1, max);
            let line = self.line(tags, name, true, free);
            return Ok(Expression::many(line));
        };
        let mut lines = Vec::new();
        for parameter in known {
            let is_text = parameter.kinds.has(Kinds::STRING);
            let value = match listed(&parameter.schema) {
                Some(values) => Expression::choice(values.into_iter().map(written)),
                None if is_text => free.clone(),
                None => self.valid(tool, Ok(&parameter.schema), &Value::Bool(true))?,
            };
            let line = self.line(tags, text(&parameter.name), is_text, value);
            lines.push((line, parameter.required));
        }
        Ok(members(&mut self.builder, lines, ""))
    }

    fn line(
        &mut self,
        tags: &Tags,
        name: Expression,
        is_text: bool,
        value: Expression,
    ) -> Expression {
        let line = sequence(vec![
            text(tags.open),
            name,
            text(tags.open_end[usize::from(!is_text)]),
            value,
            text(tags.before_close),
            text(tags.close),
            text("\n"),
        ]);
        self.builder.rule("parameter", line)
    }
}

/// A value as it stands between tags.
fn written(value: &Value) -> Expression {
    match value {
        Value::String(value) => text(value),
        value => text(&value.to_string()),
    }
}
