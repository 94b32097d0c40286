//! Grammars of answers that call, in every format but gpt-oss's.

use gaia_grammar::{Builder, Class, Expression, Grammar, schema};
use serde_json::{Value, json};

use super::automaton::Text;
use super::gemma::{Common, Values};
use super::parameters::{any, beyond_gemma, schema_of, strict};
use super::reasoning::{may_think, thought};
use super::{CallGrammarError, Family, Format, harmony};
use crate::marker::Mark;
use crate::{AnswerForm, CALLS_MAX, Tool};

/// What an answer must be.
pub(super) struct Plan<'a> {
    pub format: Format,
    pub tools: &'a [Tool],
    /// Whether it must call.
    pub must: bool,
    pub parallel: bool,
    pub reasoning_open: bool,
    /// What an answer without calls is.
    pub answer: Option<AnswerForm<'a>>,
}

/// A way to begin a call.
pub(super) struct Opening {
    /// Behind this mark only a call may follow.
    pub mark: Mark,
    /// The mark as the model has learnt it.
    pub written: &'static str,
    /// Everything behind the mark, to the end of the answer.
    pub then: Expression,
    /// Whether an answer that must call may begin so.
    pub usual: bool,
}

impl Opening {
    /// `mark` wherever it stands, and `rest` and `calls` behind it.
    pub fn at(mark: &'static str, rest: &str, calls: &Expression) -> Self {
        Self {
            mark: Mark::anywhere(mark),
            written: mark,
            then: sequence(vec![text(rest), calls.clone()]),
            usual: false,
        }
    }

    /// As an answer that must call begins.
    pub fn usual(self) -> Self {
        Self {
            usual: true,
            ..self
        }
    }
}

impl Plan<'_> {
    /// The grammar. Tools that are not strict lose their schemas where all together are too large.
    pub fn grammar(&self) -> Result<Grammar, CallGrammarError> {
        let whole = self.try_grammar(false);
        match whole {
            Err(CallGrammarError::Grammar(_)) => self.try_grammar(true),
            whole => whole,
        }
    }

    fn try_grammar(&self, loosely: bool) -> Result<Grammar, CallGrammarError> {
        let mut writer = Writer {
            builder: Builder::new(),
            plan: self,
            loosely,
            known: Vec::new(),
            free: None,
            gemma: Common::default(),
        };
        let root = match self.format.family() {
            Family::GptOss => harmony::root(&mut writer)?,
            _ => writer.root()?,
        };
        writer
            .builder
            .finish(root)
            .map_err(CallGrammarError::Grammar)
    }
}

/// Writes the rules of one grammar.
pub(super) struct Writer<'a> {
    pub builder: Builder,
    pub plan: &'a Plan<'a>,
    /// Whether tools that are not strict take any object.
    pub loosely: bool,
    /// Schemas that several tools share.
    known: Vec<(Value, Expression)>,
    /// What all calls share in formats without JSON.
    pub free: Option<Expression>,
    gemma: Common,
}

impl Writer<'_> {
    fn root(&mut self) -> Result<Expression, CallGrammarError> {
        let openings = self.openings()?;
        let (format, open) = (self.plan.format, self.plan.reasoning_open);
        if self.plan.must {
            let calls = calls_at_once(&openings);
            return Ok(may_think(&mut self.builder, format, open, calls));
        }
        if let Some(answer) = self.answer()? {
            let either = Expression::choice([calls_at_once(&openings), answer]);
            return Ok(may_think(&mut self.builder, format, open, either));
        }
        // Whatever the template says, the model may think first: a mark in its thoughts opens no call.
        let called = self.text_and_calls(&openings, None);
        let thought = thought(&mut self.builder, format, called);
        if open {
            return Ok(thought);
        }
        let open = format.family().thinking().open;
        Ok(self.text_and_calls(&openings, Some((open, thought))))
    }

    /// What an answer without calls is, if it has a form.
    pub(super) fn answer(&mut self) -> Result<Option<Expression>, CallGrammarError> {
        let form = self.plan.answer;
        let json = form.map(|form| schema::add(&mut self.builder, form.schema, form.limits));
        json.transpose().map_err(CallGrammarError::Answer)
    }

    fn text_and_calls(
        &mut self,
        openings: &[Opening],
        thought: Option<(Mark, Expression)>,
    ) -> Expression {
        let builder = &mut self.builder;
        let openings = openings
            .iter()
            .map(|one| (one.mark, builder.rule("calls", one.then.clone())));
        let marks: Vec<_> = openings.chain(thought).collect();
        let text = Text {
            marks: &marks,
            may_end: true,
        };
        text.rules(&mut self.builder)
    }

    fn openings(&mut self) -> Result<Vec<Opening>, CallGrammarError> {
        match self.plan.format.family() {
            Family::Hermes => {
                let body = self.each(|writer, tool| writer.member("name", "arguments", tool))?;
                let call = sequence(vec![text("\n{"), body, text("}\n</tool_call>")]);
                let calls = self.calls(call, "\n<tool_call>", "");
                Ok(vec![Opening::at("<tool_call>", "", &calls).usual()])
            }
            Family::QwenXml => self.qwen(),
            Family::Llama => self.llama(),
            Family::Mistral => {
                let call = self.object(true)?;
                let calls = self.calls(call, ", ", "]");
                Ok(vec![Opening::at("[TOOL_CALLS]", "[", &calls).usual()])
            }
            Family::MistralArgs => self.mistral_args(),
            Family::DeepSeekR1 => self.deepseek(["function<｜tool▁sep｜>", "\n```json\n", "\n```"]),
            Family::DeepSeekV31 => self.deepseek(["", "<｜tool▁sep｜>", ""]),
            Family::DeepSeekV32 => self.dsml("function_calls"),
            Family::DeepSeekV4 => self.dsml("tool_calls"),
            Family::Gemma4 => {
                let call = self.each(Self::gemma)?;
                let call = sequence(vec![text("call:"), call, text("<tool_call|>")]);
                let calls = self.calls(call, "<|tool_call>", "");
                Ok(vec![Opening::at("<|tool_call>", "", &calls).usual()])
            }
            Family::Phi4 => {
                let call = self.object(false)?;
                let calls = self.calls(call, ", ", "]");
                let usual = Opening {
                    mark: Mark::first("functools ["),
                    written: "functools[",
                    ..Opening::at("", "", &calls)
                };
                Ok(vec![
                    usual.usual(),
                    Opening::at("<|tool_call|>", "[", &calls),
                ])
            }
            Family::Generic => self.generic(),
            Family::GptOss => Ok(Vec::new()),
        }
    }

    /// One way for each of the tools.
    pub(super) fn each(
        &mut self,
        mut of: impl FnMut(&mut Self, &Tool) -> Result<Expression, CallGrammarError>,
    ) -> Result<Expression, CallGrammarError> {
        let tools = self.plan.tools.iter();
        let ways = tools
            .map(|tool| of(self, tool))
            .collect::<Result<Vec<_>, _>>()?;
        let ways = Expression::choice(ways);
        Ok(self.builder.rule("tool", ways))
    }

    /// The arguments of `tool` as a JSON object.
    pub(super) fn json(&mut self, tool: &Tool) -> Result<Expression, CallGrammarError> {
        let schema = schema_of(tool);
        let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
        let own = match is_object {
            true => Ok(&schema),
            false => Err("the arguments are not of type object".to_owned()),
        };
        self.valid(tool, own, &json!({"type": "object"}))
    }

    /// A JSON text that is valid against `own`, or, where that cannot be and the tool is not strict,
    /// against `instead`.
    pub(super) fn valid(
        &mut self,
        tool: &Tool,
        own: Result<&Value, String>,
        instead: &Value,
    ) -> Result<Expression, CallGrammarError> {
        if tool.strict || !self.loosely {
            match own.and_then(|own| self.shared(own)) {
                Ok(value) => return Ok(value),
                Err(reason) if tool.strict => return Err(strict(tool, reason)),
                Err(_) => {}
            }
        }
        let value = self.shared(instead);
        value.map_err(|reason| strict(tool, reason))
    }

    /// The rules of `schema`, which are written once.
    fn shared(&mut self, schema: &Value) -> Result<Expression, String> {
        if let Some((_, value)) = self.known.iter().find(|(known, _)| known == schema) {
            return Ok(value.clone());
        }
        let value = any(&mut self.builder, schema)?;
        let value = self.builder.rule("json", value);
        self.known.push((schema.clone(), value.clone()));
        Ok(value)
    }

    /// The two members of a call's object.
    fn member(
        &mut self,
        name: &str,
        arguments: &str,
        tool: &Tool,
    ) -> Result<Expression, CallGrammarError> {
        let before = format!("\"{name}\": \"{}\", \"{arguments}\": ", tool.name);
        Ok(sequence(vec![text(&before), self.json(tool)?]))
    }

    /// A call's object; `id`: the model may give one.
    fn object(&mut self, id: bool) -> Result<Expression, CallGrammarError> {
        let members = self.each(|writer, tool| writer.member("name", "arguments", tool))?;
        let mut parts = vec![text("{"), members];
        if id {
            let nine = Expression::repeat(alphanumeric(), 9, Some(9));
            let id = sequence(vec![text(", \"id\": \""), nine, text("\"")]);
            parts.push(Expression::optional(id));
        }
        parts.push(text("}"));
        Ok(sequence(parts))
    }

    /// `call` once, or as often as an answer may hold calls, with `between`; then `end`.
    pub(super) fn calls(&mut self, call: Expression, between: &str, end: &str) -> Expression {
        let call = self.builder.rule("call", call);
        let more = sequence(vec![text(between), call.clone()]);
        let more = Expression::repeat(more, 0, Some(self.more_max()));
        let calls = sequence(vec![call, more, text(end)]);
        self.builder.rule("calls", calls)
    }

    fn more_max(&self) -> u32 {
        match self.plan.parallel {
            true => u32::try_from(CALLS_MAX - 1).unwrap_or(0),
            false => 0,
        }
    }

    fn llama(&mut self) -> Result<Vec<Opening>, CallGrammarError> {
        let members = self.each(|writer, tool| writer.member("name", "parameters", tool))?;
        let after_name = self.each(|writer, tool| {
            let before = format!(": \"{}\", \"parameters\": ", tool.name);
            Ok(sequence(vec![text(&before), writer.json(tool)?]))
        })?;
        let whole = sequence(vec![members, text("}")]);
        let after_name = sequence(vec![after_name, text("}")]);
        Ok(vec![
            Opening {
                mark: Mark::first("{ \"name\""),
                written: "{\"name\"",
                then: after_name,
                usual: true,
            },
            Opening {
                mark: Mark::first("{ \"type\" : \"function\""),
                ..Opening::at("", ", ", &whole)
            },
            Opening::at("<|python_tag|>", "{", &whole),
        ])
    }

    fn mistral_args(&mut self) -> Result<Vec<Opening>, CallGrammarError> {
        let call = self.each(|writer, tool| {
            let id = Expression::repeat(alphanumeric(), 9, Some(9));
            let id = Expression::optional(sequence(vec![text("[CALL_ID]"), id]));
            let arguments = writer.json(tool)?;
            let name = text(&tool.name);
            Ok(sequence(vec![name, id, text("[ARGS]"), arguments]))
        })?;
        let calls = self.calls(call, "[TOOL_CALLS]", "");
        Ok(vec![Opening::at("[TOOL_CALLS]", "", &calls).usual()])
    }

    /// Calls between DeepSeek's marks; `around`: what stands before the name, between it and the
    /// arguments, and behind these.
    fn deepseek(&mut self, around: [&str; 3]) -> Result<Vec<Opening>, CallGrammarError> {
        const CALL: &str = "<｜tool▁call▁begin｜>";
        let [before, between, behind] = around;
        let call = self.each(|writer, tool| {
            let name = text(&format!("{}{between}", tool.name));
            Ok(sequence(vec![name, writer.json(tool)?]))
        })?;
        let end = text(&format!("{behind}<｜tool▁call▁end｜>"));
        let call = sequence(vec![text(before), call, end]);
        let line = if behind.is_empty() { "" } else { "\n" };
        let calls = self.calls(call, &format!("{line}{CALL}"), "<｜tool▁calls▁end｜>");
        Ok(vec![
            Opening::at("<｜tool▁calls▁begin｜>", CALL, &calls).usual(),
            Opening::at(CALL, "", &calls),
        ])
    }

    fn generic(&mut self) -> Result<Vec<Opening>, CallGrammarError> {
        let members = self.each(|writer, tool| writer.member("name", "arguments", tool))?;
        let single = sequence(vec![members, text("}}")]);
        let call = self.object(false)?;
        let several = self.calls(call, ", ", "]}");
        Ok(vec![
            Opening {
                mark: Mark::anywhere("{ \"tool_call\" : {"),
                written: "{\"tool_call\": {",
                then: single,
                usual: true,
            },
            Opening {
                mark: Mark::anywhere("{ \"tool_calls\" : ["),
                written: "{\"tool_calls\": [",
                then: several,
                usual: self.plan.parallel,
            },
        ])
    }

    fn gemma(&mut self, tool: &Tool) -> Result<Expression, CallGrammarError> {
        let schema = schema_of(tool);
        if let Some(reason) = beyond_gemma(&schema).filter(|_| tool.strict) {
            return Err(strict(tool, reason));
        }
        let members = Values::new(&mut self.builder, &mut self.gemma).members(&schema, 0);
        let members = members.map_err(|reason| strict(tool, reason))?;
        let open = text(&format!("{}{{", tool.name));
        Ok(sequence(vec![open, members, text("}")]))
    }
}

fn calls_at_once(openings: &[Opening]) -> Expression {
    let usual = openings.iter().filter(|one| one.usual);
    let whole = usual.map(|one| sequence(vec![text(one.written), one.then.clone()]));
    Expression::choice(whole)
}

pub(super) fn text(text: &str) -> Expression {
    match text {
        "" => Expression::empty(),
        text => Expression::literal(text),
    }
}

pub(super) fn sequence(parts: Vec<Expression>) -> Expression {
    Expression::sequence(parts)
}

fn alphanumeric() -> Expression {
    Expression::Class(Class::ranges([('a', 'z'), ('A', 'Z'), ('0', '9')]))
}
