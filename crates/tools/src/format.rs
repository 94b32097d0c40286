//! Which format a model's template shows, and what follows from it.

mod automaton;
mod calls;
mod gemma;
mod harmony;
mod parameters;
mod reasoning;
pub(crate) mod syntax;
mod tags;

use gaia_grammar::schema::SchemaError;
use gaia_grammar::{Grammar, GrammarError};
use serde_json::json;

use crate::{Calls, Tool, ToolChoice};

/// How models of one family write calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes 2 and 3, Qwen 2.5 and 3.
    Hermes,
    /// `<tool_call><function=…><parameter=…>…`: Qwen3-Coder, Qwen3.5.
    QwenXml,
    /// Bare `{"name": …, "parameters": …}`, one call an answer: Llama 3.1 to 3.3.
    Llama,
    /// `[TOOL_CALLS][{"name": …, "arguments": …}]`: Mistral Nemo.
    Mistral,
    /// `[TOOL_CALLS]name[ARGS]{…}`: Mistral Small 3.2, Ministral 3, Devstral.
    MistralArgs,
    /// `<｜tool▁call▁begin｜>function<｜tool▁sep｜>name` and a block of JSON: DeepSeek R1.
    DeepSeekR1,
    /// `<｜tool▁call▁begin｜>name<｜tool▁sep｜>{…}`: DeepSeek V3.1.
    DeepSeekV31,
    /// `<｜DSML｜invoke name="…">` in a block `function_calls`: DeepSeek V3.2.
    DeepSeekV32,
    /// The same in a block `tool_calls`: DeepSeek V4.
    DeepSeekV4,
    /// `<|tool_call>call:name{…}<tool_call|>`: Gemma 4.
    Gemma4,
    /// Channels, `to=functions.name`, one call an answer: gpt-oss. Every answer needs parsing.
    GptOss,
    /// `functools[{"name": …, "arguments": …}]`: Phi-4-mini.
    Phi4,
    /// `{"tool_call": {"name": …, "arguments": …}}`, told to the model by
    /// [`Format::instructions`] and not by its template: every other model.
    Generic,
}

/// How a model writes calls and reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    family: Family,
    /// Whether the template knows of reasoning.
    thinks: bool,
}

/// Why there is no grammar for the calls.
#[derive(Debug, thiserror::Error)]
pub enum CallGrammarError {
    /// The choice names a tool that is not there.
    #[error("no tool is named `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A call is required and there is nothing to call.
    #[error("a call is required, and there are no tools")]
    NoTools,
    /// A strict tool's schema cannot be enforced.
    #[error("the parameters of the strict tool `{name}` cannot be enforced: {reason}")]
    Strict {
        /// The tool.
        name: String,
        /// What of its schema, and why.
        reason: String,
    },
    /// What the schema of an answer without calls says cannot be enforced.
    #[error("{0}")]
    Answer(#[source] SchemaError),
    /// All tools together are too much.
    #[error("the tools make too large a grammar")]
    Grammar(#[source] GrammarError),
}

impl Format {
    /// The format that the chat template shows; a template that shows none of those known: generic.
    pub fn of(template: &str) -> Self {
        let family = family_of(template);
        let thinking = family.thinking();
        let thinks = template.contains(thinking.close) || template.contains(thinking.open.text);
        Self { family, thinks }
    }

    /// Whose format it is.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The grammar of an answer with these calls. `None`: anything goes, as there are no calls to hold
    /// to a form.
    ///
    /// With [`ToolChoice::Auto`] a text may stand before the calls, or alone. What is said before a
    /// mark that opens a call is free; behind it everything is held to the form. Nothing follows the
    /// calls. Where answers have a form, there is either a value of that form or calls, and no text.
    ///
    /// In formats without JSON (Qwen's and DeepSeek's tags, Gemma) the grammar holds values to their
    /// types and to lists of permitted values; a strict tool whose schema says more is refused.
    ///
    /// # Errors
    /// A choice that cannot be met, or a strict tool that cannot be enforced.
    pub fn grammar(&self, calls: &Calls<'_>) -> Result<Option<Grammar>, CallGrammarError> {
        let tools = match calls.choice {
            ToolChoice::None => return Ok(None),
            ToolChoice::Auto if calls.tools.is_empty() => return Ok(None),
            _ if calls.tools.is_empty() => return Err(CallGrammarError::NoTools),
            ToolChoice::Auto | ToolChoice::Required => calls.tools,
            ToolChoice::Named(name) => {
                let found = calls.tools.iter().find(|tool| tool.name == *name);
                let name = name.clone();
                std::slice::from_ref(found.ok_or(CallGrammarError::Unknown { name })?)
            }
        };
        let plan = calls::Plan {
            format: *self,
            tools,
            must: *calls.choice != ToolChoice::Auto,
            parallel: calls.parallel,
            reasoning_open: calls.reasoning_open,
            answer: calls.answer,
        };
        plan.grammar().map(Some)
    }

    /// Whether the template knows of reasoning.
    pub(crate) fn thinks(&self) -> bool {
        self.thinks
    }

    /// The control tokens that the engine must give as text for the parser and the reader to see an
    /// answer's form; those the model's vocabulary does not have may be ignored. At most 32.
    pub fn shown_tokens(&self) -> &'static [&'static str] {
        match self.family {
            Family::Hermes | Family::QwenXml | Family::Generic => {
                &["<think>", "</think>", "<tool_call>", "</tool_call>"]
            }
            Family::Llama => &["<|python_tag|>", "<think>", "</think>"],
            Family::Mistral | Family::MistralArgs => {
                &["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "[THINK]", "[/THINK]"]
            }
            Family::DeepSeekR1 | Family::DeepSeekV31 => &[
                "<think>",
                "</think>",
                "<｜tool▁calls▁begin｜>",
                "<｜tool▁calls▁end｜>",
                "<｜tool▁call▁begin｜>",
                "<｜tool▁call▁end｜>",
                "<｜tool▁sep｜>",
            ],
            Family::DeepSeekV32 | Family::DeepSeekV4 => &["<think>", "</think>", "｜DSML｜"],
            Family::Gemma4 => &[
                "<|tool_call>",
                "<tool_call|>",
                "<|\"|>",
                "<|channel>",
                "<channel|>",
            ],
            Family::GptOss => &[
                "<|channel|>",
                "<|constrain|>",
                "<|message|>",
                "<|start|>",
                "<|end|>",
            ],
            Family::Phi4 => &["<|tool_call|>", "<|/tool_call|>", "<think>", "</think>"],
        }
    }

    /// What the system message must say of `tools` where the template is not to be told of them;
    /// `None`: the template says it, or there are none.
    pub fn instructions(&self, tools: &[Tool]) -> Option<String> {
        if self.family != Family::Generic || tools.is_empty() {
            return None;
        }
        let mut text = "You may call these tools:\n".to_owned();
        for tool in tools {
            let mut described = json!({"name": tool.name});
            if let Some(description) = &tool.description {
                described["description"] = description.as_str().into();
            }
            if let Some(parameters) = &tool.parameters {
                described["parameters"] = parameters.clone();
            }
            text.push_str(&described.to_string());
            text.push('\n');
        }
        text.push_str(
            "To call one, write this and nothing else:\n\
             {\"tool_call\": {\"name\": \"the tool's name\", \"arguments\": {}}}\n\
             with the arguments that its parameters describe. To call several at once, write:\n\
             {\"tool_calls\": [{\"name\": \"…\", \"arguments\": {}}, {\"name\": \"…\", \"arguments\": {}}]}\n\
             You are then told the results. Where no tool helps, answer in plain text.",
        );
        Some(text)
    }

    /// Whether this rendered prompt ends in the middle of the model's reasoning.
    pub fn opens_reasoning(&self, prompt: &str) -> bool {
        self.family != Family::GptOss
            && prompt
                .trim_end()
                .ends_with(self.family.thinking().open.text)
    }
}

/// The first that fits.
fn family_of(template: &str) -> Family {
    let has = |text: &str| template.contains(text);
    if has("DSML") {
        return match has("function_calls") {
            true => Family::DeepSeekV32,
            false => Family::DeepSeekV4,
        };
    }
    if has("<|channel|>") && has("<|message|>") {
        return Family::GptOss;
    }
    if has("<|tool_call>") {
        return Family::Gemma4;
    }
    if has("[TOOL_CALLS]") {
        return match has("[ARGS]") {
            true => Family::MistralArgs,
            false => Family::Mistral,
        };
    }
    if has("<｜tool▁calls▁begin｜>") {
        return match has("```json") {
            true => Family::DeepSeekR1,
            false => Family::DeepSeekV31,
        };
    }
    if has("<tool_call>") {
        return match (has("<function="), has("<parameter=")) {
            (true, true) => Family::QwenXml,
            // GLM's tags, and others that only share the outer mark.
            _ if has("<arg_key>") || has("<function=") || has("minimax") => Family::Generic,
            _ => Family::Hermes,
        };
    }
    if has("<|start_header_id|>") && has("\"parameters\"") && has("ipython") {
        return Family::Llama;
    }
    match has("<|tool|>") {
        true => Family::Phi4,
        false => Family::Generic,
    }
}
