//! Grammars of answers that call, in every format but gpt-oss's.

use gaia_grammar::{Builder, Class, Expression, Grammar};

use super::automaton::Text;
use super::gemma::Values;
use super::parameters::{beyond_gemma, json_arguments, schema_of, strict};
use super::reasoning::{may_think, thought};
use super::syntax::Opener;
use super::{CallGrammarError, Family, Format, harmony};
use crate::marker::Mark;
use crate::{CALLS_MAX, Tool};

/// What an answer must be.
pub(super) struct Plan<'a> {
    pub format: Format,
    pub tools: &'a [Tool],
    /// Whether it must call.
    pub must: bool,
    pub parallel: bool,
    pub reasoning_open: bool,
}

/// A way to begin a call.
pub(super) struct Opening {
    pub mark: Mark,
    /// The mark as the model has learnt it.
    pub written: String,
    /// Everything behind the mark, to the end of the answer.
    pub then: Expression,
    /// Whether an answer that must call may begin so.
    pub usual: bool,
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
}

impl Writer<'_> {
    fn root(&mut self) -> Result<Expression, CallGrammarError> {
        let openings = self.openings()?;
        let (format, open) = (self.plan.format, self.plan.reasoning_open);
        if self.plan.must {
            let calls = calls_at_once(&openings);
            return Ok(may_think(&mut self.builder, format, open, calls));
        }
        let called = self.text_and_calls(&openings, None);
        if !open && !format.thinks() {
            return Ok(called);
        }
        let thought = thought(&mut self.builder, format, called);
        if open {
            return Ok(thought);
        }
        let open = format.family().thinking().open;
        Ok(self.text_and_calls(&openings, Some((open, thought))))
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
                Ok(self.marked(call, "\n<tool_call>", "", &["<tool_call>"]))
            }
            Family::QwenXml => self.qwen(),
            Family::Llama => self.llama(),
            Family::Mistral => {
                let call = self.object(true)?;
                let list = self.list(call);
                Ok(self.marks(list, &["[TOOL_CALLS]"]))
            }
            Family::MistralArgs => {
                let call = self.each(|writer, tool| {
                    let id = Expression::repeat(alphanumeric(), 9, Some(9));
                    let id = Expression::optional(sequence(vec![text("[CALL_ID]"), id]));
                    let arguments = writer.json(tool)?;
                    Ok(sequence(vec![
                        text(&tool.name),
                        id,
                        text("[ARGS]"),
                        arguments,
                    ]))
                })?;
                Ok(self.marked(call, "[TOOL_CALLS]", "", &["[TOOL_CALLS]"]))
            }
            Family::DeepSeekR1 => {
                let call = self.each(|writer, tool| {
                    let arguments = writer.json(tool)?;
                    let end = text("\n```<｜tool▁call▁end｜>");
                    let name = text(&format!("{}\n```json\n", tool.name));
                    Ok(sequence(vec![name, arguments, end]))
                })?;
                const NEXT: &str = "\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>";
                const FIRST: &str =
                    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>";
                Ok(self.marked(call, NEXT, "<｜tool▁calls▁end｜>", &[FIRST]))
            }
            Family::DeepSeekV31 => {
                let call = self.each(|writer, tool| {
                    let arguments = writer.json(tool)?;
                    let end = text("<｜tool▁call▁end｜>");
                    let name = text(&format!("{}<｜tool▁sep｜>", tool.name));
                    Ok(sequence(vec![name, arguments, end]))
                })?;
                const FIRST: &str = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>";
                let next = "<｜tool▁call▁begin｜>";
                Ok(self.marked(call, next, "<｜tool▁calls▁end｜>", &[FIRST]))
            }
            Family::DeepSeekV32 => self.dsml("function_calls"),
            Family::DeepSeekV4 => self.dsml("tool_calls"),
            Family::Gemma4 => {
                let call = self.each(Self::gemma)?;
                let call = sequence(vec![text("call:"), call, text("<tool_call|>")]);
                Ok(self.marked(call, "<|tool_call>", "", &["<|tool_call>"]))
            }
            Family::Phi4 => self.phi4(),
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

    pub(super) fn json(&mut self, tool: &Tool) -> Result<Expression, CallGrammarError> {
        json_arguments(&mut self.builder, tool, self.loosely)
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
        sequence(vec![call, more, text(end)])
    }

    fn more_max(&self) -> u32 {
        match self.plan.parallel {
            true => u32::try_from(CALLS_MAX - 1).unwrap_or(0),
            false => 0,
        }
    }

    /// `[`, calls, `]`.
    fn list(&mut self, call: Expression) -> Expression {
        let calls = self.calls(call, ", ", "]");
        sequence(vec![text("["), calls])
    }

    /// The family's marks, each with calls behind it. The first of them is written as `usual` says.
    pub(super) fn marked(
        &mut self,
        call: Expression,
        between: &str,
        end: &str,
        usual: &[&'static str],
    ) -> Vec<Opening> {
        let calls = self.calls(call, between, end);
        self.marks(calls, usual)
    }

    pub(super) fn marks(&mut self, then: Expression, usual: &[&'static str]) -> Vec<Opening> {
        let then = self.builder.rule("calls", then);
        let openers = self.plan.format.family().openers().iter().enumerate();
        let opening = |(index, opener): (usize, &Opener)| Opening {
            mark: opener.mark,
            written: usual.get(index).copied().unwrap_or_default().to_owned(),
            then: then.clone(),
            usual: index < usual.len(),
        };
        openers.map(opening).collect()
    }

    fn llama(&mut self) -> Result<Vec<Opening>, CallGrammarError> {
        let members = self.each(|writer, tool| writer.member("name", "parameters", tool))?;
        let after_name = self.each(|writer, tool| {
            let before = format!(": \"{}\", \"parameters\": ", tool.name);
            Ok(sequence(vec![text(&before), writer.json(tool)?]))
        })?;
        let whole = sequence(vec![members, text("}")]);
        let typed = sequence(vec![text(", "), whole.clone()]);
        let after_name = sequence(vec![after_name, text("}")]);
        let ways = [
            ("{\"name\"", after_name),
            ("{\"type\": \"function\"", typed),
            ("<|python_tag|>{", whole),
        ];
        let openers = Family::Llama.openers().iter();
        let opening = |(opener, (written, then)): (&Opener, (&str, Expression))| Opening {
            mark: opener.mark,
            written: written.to_owned(),
            then,
            usual: opener.mark.text == "{ \"name\"",
        };
        Ok(openers.zip(ways).map(opening).collect())
    }

    fn phi4(&mut self) -> Result<Vec<Opening>, CallGrammarError> {
        let call = self.object(false)?;
        let list = self.calls(call, ", ", "]");
        let members = self.each(|writer, tool| writer.member("name", "arguments", tool))?;
        let single = sequence(vec![members, text("}")]);
        let mut openings = self.marks(list, &["functools["]);
        if let Some(last) = openings.last_mut() {
            last.then = single;
        }
        Ok(openings)
    }

    fn generic(&mut self) -> Result<Vec<Opening>, CallGrammarError> {
        let members = self.each(|writer, tool| writer.member("name", "arguments", tool))?;
        let single = sequence(vec![members, text("}}")]);
        let call = self.object(false)?;
        let several = self.calls(call, ", ", "]}");
        let parallel = self.plan.parallel;
        let ways = [
            ("{\"tool_call\": {", single, true),
            ("{\"tool_calls\": [", several, parallel),
        ];
        // The marks in a fence end as those without do.
        let openers = Family::Generic.openers().iter();
        let opening =
            |(opener, (written, then, usual)): (&Opener, (&str, Expression, bool))| Opening {
                mark: opener.mark,
                written: written.to_owned(),
                then,
                usual,
            };
        Ok(openers.zip(ways).map(opening).collect())
    }

    fn gemma(&mut self, tool: &Tool) -> Result<Expression, CallGrammarError> {
        let schema = schema_of(tool);
        if let Some(reason) = beyond_gemma(&schema).filter(|_| tool.strict) {
            return Err(strict(tool, reason));
        }
        let members = Values::new(&mut self.builder).members(&schema, 0);
        let members = members.map_err(|reason| strict(tool, reason))?;
        let open = text(&format!("{}{{", tool.name));
        Ok(sequence(vec![open, members, text("}")]))
    }
}

fn calls_at_once(openings: &[Opening]) -> Expression {
    let usual = openings.iter().filter(|one| one.usual);
    let whole = usual.map(|one| sequence(vec![text(&one.written), one.then.clone()]));
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
