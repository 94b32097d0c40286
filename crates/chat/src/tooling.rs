//! The tools of a request, in the words of who shows them, who holds the model to them and who reads
//! what it wrote.

use gaia_grammar::Grammar;
use gaia_openai::{ApiError, ChatRequest, Constraint, Message, ToolChoice, Tooling};
use gaia_prompt::{ChatTemplate, ToolCall};
use gaia_tools::{AnswerForm, CallGrammarError, Calls, Format};
use serde_json::{Map, Value};

use crate::{Engine, generation};

/// The tools that the model is to know of.
#[derive(Debug, Default)]
pub(crate) struct Offer {
    pub(crate) shown: Vec<gaia_prompt::Tool>,
    pub(crate) callable: Vec<gaia_tools::Tool>,
    choice: gaia_tools::ToolChoice,
    parallel: bool,
}

/// How a model with this template writes what is read from it. Where calls do not go through the
/// template, it is the format that instructions of ours describe.
pub(crate) fn format_of(template: &ChatTemplate, offer: &Offer) -> Format {
    let native = template.takes_calls() && template.lists_tools();
    match offer.is_empty() || native {
        true => Format::of(template.source()),
        false => Format::of(""),
    }
}

impl Offer {
    pub(crate) fn of(tooling: &Tooling) -> Self {
        let tools = tooling.offered();
        Self {
            shown: tools.iter().map(shown).collect(),
            callable: tools.iter().map(callable).collect(),
            choice: match &tooling.choice {
                ToolChoice::None => gaia_tools::ToolChoice::None,
                ToolChoice::Auto => gaia_tools::ToolChoice::Auto,
                ToolChoice::Required => gaia_tools::ToolChoice::Required,
                ToolChoice::Named(name) => gaia_tools::ToolChoice::Named(name.clone()),
            },
            // Who names a function wants a call of it.
            parallel: tooling.parallel && !matches!(tooling.choice, ToolChoice::Named(_)),
        }
    }

    /// Refuses what cannot be had together.
    pub(crate) fn check(&self, request: &ChatRequest, engine: Engine) -> Result<(), ApiError> {
        if self.is_empty() {
            return Ok(());
        }
        if engine == Engine::Stock {
            return Err(generation::needs_our_own("tools"));
        }
        match request.sampling.constraint {
            None | Some(Constraint::Schema(_)) => Ok(()),
            // Nobody but the caller knows what in his grammar would be a call.
            Some(Constraint::Grammar(_)) => Err(ApiError::unsupported(
                "grammar",
                "`grammar` and `tools` cannot be combined, unless `tool_choice` is `none`. A schema as `response_format` can.",
            )),
        }
    }

    /// Whether the answer is calls and nothing else. Then there is no text that a stop sequence could end.
    pub(crate) fn must_be_called(&self) -> bool {
        use gaia_tools::ToolChoice::{Named, Required};
        matches!(self.choice, Required | Named(_))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.callable.is_empty()
    }

    /// What holds the model to calls that parse, or else to an answer of this form; `None`: nothing has to.
    pub(crate) fn grammar(
        &self,
        format: Format,
        reasoning_open: bool,
        answer: Option<AnswerForm<'_>>,
    ) -> Result<Option<Grammar>, ApiError> {
        if self.is_empty() {
            return Ok(None);
        }
        let calls = Calls {
            tools: &self.callable,
            choice: &self.choice,
            parallel: self.parallel,
            reasoning_open,
            answer,
        };
        format.grammar(&calls).map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &CallGrammarError) -> ApiError {
        let chosen = matches!(
            error,
            CallGrammarError::Unknown { .. } | CallGrammarError::NoTools
        );
        let param = match error {
            CallGrammarError::Strict { name, .. } => {
                let index = self.callable.iter().position(|tool| tool.name == *name);
                let index = index.unwrap_or_default();
                format!("tools[{index}].function.parameters")
            }
            CallGrammarError::Answer(_) => "response_format".to_owned(),
            _ if chosen => "tool_choice".to_owned(),
            _ => "tools".to_owned(),
        };
        ApiError::invalid_value(param, format!("{error}."))
    }
}

fn shown(tool: &gaia_openai::Tool) -> gaia_prompt::Tool {
    gaia_prompt::Tool {
        name: tool.name.clone(),
        description: tool.description.clone(),
        parameters: tool.parameters.clone(),
    }
}

fn callable(tool: &gaia_openai::Tool) -> gaia_tools::Tool {
    gaia_tools::Tool {
        name: tool.name.clone(),
        description: tool.description.clone(),
        parameters: Some(tool.parameters.clone()),
        strict: tool.strict,
    }
}

/// A message as templates take it.
pub(crate) fn for_template(message: &Message) -> gaia_prompt::Message {
    let calls = message.tool_calls.iter().map(|call| ToolCall {
        id: call.id.clone(),
        name: call.name.clone(),
        arguments: arguments(&call.arguments),
    });
    gaia_prompt::Message {
        calls: calls.collect(),
        answers: message.tool_call_id.clone(),
        reasoning: message.reasoning_content.clone(),
        ..gaia_prompt::Message::new(message.role.as_str(), message.content.clone())
    }
}

/// Requests hold nothing but the texts of objects.
fn arguments(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::Object(Map::new()))
}
