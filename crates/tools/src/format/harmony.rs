//! Grammars of answers in channels, as gpt-oss writes them.

use gaia_grammar::{Builder, Expression, MarkersError, without};

use super::CallGrammarError;
use super::calls::Writer;
use super::parameters::strict;

/// How often the model may think, or say what it is about to do, before it answers.
const MESSAGES_MAX: u32 = 16;

/// The marks of harmony: no message holds one.
const MARKS: [&str; 4] = ["<|end|>", "<|start|>", "<|channel|>", "<|message|>"];

/// How an answer goes on behind a message.
const NEXT: &str = "<|end|><|start|>assistant";

/// Any text of a message.
fn free(builder: &mut Builder) -> Result<Expression, MarkersError> {
    without(builder, &MARKS)
}

fn message(channel: &str, text: Expression, end: &str) -> Expression {
    let open = format!("<|channel|>{channel}<|message|>");
    let end = match end {
        "" => Expression::empty(),
        end => Expression::literal(end),
    };
    Expression::sequence([Expression::literal(open), text, end])
}

fn several(builder: &mut Builder, message: Expression) -> Expression {
    let message = builder.rule("before", message);
    Expression::repeat(message, 0, Some(MESSAGES_MAX))
}

/// An answer with calls, from behind `<|start|>assistant`.
pub(super) fn root(writer: &mut Writer<'_>) -> Result<Expression, CallGrammarError> {
    let call = writer.each(|writer, tool| {
        let name = &tool.name;
        let headers = [
            format!("<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"),
            format!("<|channel|>analysis to=functions.{name} <|constrain|>json<|message|>"),
            format!(" to=functions.{name}<|channel|>commentary json<|message|>"),
            format!(" to=functions.{name}<|channel|>commentary <|constrain|>json<|message|>"),
        ];
        let header = Expression::choice(headers.map(Expression::literal));
        Ok(Expression::sequence([header, writer.json(tool)?]))
    })?;
    let builder = &mut writer.builder;
    let free = free(builder).map_err(|error| strict(&writer.plan.tools[0], error.to_string()))?;
    let analysis = message("analysis", free.clone(), NEXT);
    if writer.plan.must {
        return Ok(Expression::sequence([several(builder, analysis), call]));
    }
    let preamble = message("commentary", free.clone(), NEXT);
    let before = several(builder, Expression::choice([analysis, preamble]));
    let answer = match writer.answer()? {
        Some(json) => last(json),
        None => message("final", free, ""),
    };
    let last = Expression::choice([answer, call]);
    Ok(Expression::sequence([before, last]))
}

/// An answer that is `json`.
pub(super) fn structured(
    builder: &mut Builder,
    json: Expression,
) -> Result<Expression, MarkersError> {
    let analysis = message("analysis", free(builder)?, NEXT);
    let before = several(builder, analysis);
    Ok(Expression::sequence([before, last(json)]))
}

/// The last message, with `json`.
fn last(json: Expression) -> Expression {
    Expression::sequence([
        Expression::literal("<|channel|>final"),
        Expression::optional(Expression::literal(" <|constrain|>json")),
        Expression::literal("<|message|>"),
        json,
    ])
}
