//! Which format a model's template shows, and what follows from it.

use crate::{Calls, Tool};

/// How models of one family write calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes 2 and 3, Qwen 2.5 and 3.
    Hermes,
    /// `<tool_call><function=…><parameter=…>…`: Qwen3-Coder, Qwen3.5.
    QwenXml,
    /// Bare `{"name": …, "parameters": …}`: Llama 3.1 to 3.3.
    Llama,
    /// `[TOOL_CALLS][{"name": …, "arguments": …}]`: Mistral Nemo.
    Mistral,
    /// `[TOOL_CALLS]name[ARGS]{…}`: Mistral Small 3.2, Ministral 3, Devstral.
    MistralArgs,
    /// `<｜tool▁call▁begin｜>function<｜tool▁sep｜>name` and a block of JSON: DeepSeek R1.
    DeepSeekR1,
    /// `<｜tool▁call▁begin｜>name<｜tool▁sep｜>{…}`: DeepSeek V3.1.
    DeepSeekV31,
    /// `<｜DSML｜invoke name="…">`: DeepSeek V3.2 and V4.
    Dsml,
    /// `<|tool_call>call:name{…}<tool_call|>`: Gemma 4.
    Gemma4,
    /// Channels, `to=functions.name`: gpt-oss.
    GptOss,
    /// `functools[{"name": …, "arguments": …}]`: Phi-4-mini.
    Phi4,
    /// `{"tool_call": {"name": …, "arguments": …}}`, told to the model by
    /// [`Format::instructions`]: every other model.
    Generic,
}

/// How a model writes calls and reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    family: Family,
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
}

impl Format {
    /// The format that the chat template shows; a template that shows none: generic.
    pub fn of(template: &str) -> Self {
        let family = match template.contains("<tool_call>") {
            true => Family::Hermes,
            false => Family::Generic,
        };
        Self { family }
    }

    /// Whose format it is.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The grammar, in GBNF with the rule `root`, of an answer with these calls. `None`: anything goes,
    /// as there are no calls to hold to a form.
    pub fn grammar(&self, calls: &Calls<'_>) -> Result<Option<String>, CallGrammarError> {
        let _ = calls;
        Ok(None)
    }

    /// The control tokens that the engine must give as text for the parser and the reader to see an
    /// answer's form; those the model's vocabulary does not have may be ignored. At most 32.
    pub fn shown_tokens(&self) -> &'static [&'static str] {
        &[]
    }

    /// What the system message must say of `tools` where the template takes none; `None`: the template
    /// says it.
    pub fn instructions(&self, tools: &[Tool]) -> Option<String> {
        (self.family == Family::Generic && !tools.is_empty()).then(String::new)
    }

    /// Whether this rendered prompt ends in the middle of the model's reasoning.
    pub fn opens_reasoning(&self, prompt: &str) -> bool {
        let prompt = prompt.trim_end();
        prompt.ends_with("<think>") || prompt.ends_with("[THINK]")
    }
}
