//! What every turn of a node has in common.

use std::borrow::Cow;

use gaia_openai::{ApiError, ChatRequest, Sampling};
use gaia_prompt::prompt::Opening;
use gaia_prompt::{ChatTemplate, Message, RagPrompt, RenderOptions, TemplateError};
use gaia_rag::SelectLimits;
use gaia_tools::{Family, Format};
use serde_json::{Map, Value};

use crate::Engine;
use crate::tooling::{self, Offer, for_template};

/// The chat model and the owner's choices.
#[derive(Debug, Clone)]
pub struct Node {
    /// Renders conversations for the model.
    pub template: ChatTemplate,
    /// What generates.
    pub engine: Engine,
    /// Tokens of context one conversation has.
    pub context_tokens: u32,
    /// Tokens in the model's vocabulary, where the engine tells.
    pub vocabulary: Option<u32>,
    /// Most tokens an answer may have, whatever is asked for.
    pub completion_tokens_max: Option<u32>,
    /// Goes before a conversation.
    pub opening: Opening,
    /// The temperature of requests that name none; `None`: the engine's.
    pub temperature: Option<f32>,
    /// Whether a model thinks that can be told so, in requests that do not say; `None`: its template's choice.
    pub thinking: Option<bool>,
    /// How passages are put into the prompt.
    pub rag_prompt: RagPrompt,
    /// How passages are found; `None` without a knowledge base.
    pub retrieval: Option<Retrieval>,
}

impl Node {
    /// What a request asks for, with the owner's choice where it asks for nothing.
    #[must_use]
    pub fn sampling(&self, asked: &Sampling) -> Sampling {
        let mut sampling = asked.clone();
        sampling.temperature = sampling.temperature.or(self.temperature);
        sampling
    }

    /// The prompt of a request, with what its opening rests on and without passages.
    ///
    /// # Errors
    /// 400 where the template refuses the messages, 500 where it is broken.
    pub fn prompt(&self, request: &ChatRequest, now_unix_seconds: i64) -> Result<String, ApiError> {
        let offer = Offer::of(&request.tooling);
        let mut messages = self.conversation(request, &offer);
        let markers = self.template.markers();
        let passages: Vec<_> = self.opening.passages().map(|(_, text)| text).collect();
        if !passages.is_empty() {
            let passages = passages.iter().map(|text| markers.neutralise_data(text));
            let passages: Vec<_> = passages.collect();
            let passages: Vec<&str> = passages.iter().map(AsRef::as_ref).collect();
            messages = self.rag_prompt.insert(messages, &passages);
        }
        self.render(request, &offer, &messages, now_unix_seconds)
    }

    /// The prompt of a request, with the passages as they stand in it; `None`: without a word about a knowledge base.
    ///
    /// # Errors
    /// As [`Self::prompt`].
    pub fn prompt_with(
        &self,
        request: &ChatRequest,
        passages: Option<&[&str]>,
        now_unix_seconds: i64,
    ) -> Result<String, ApiError> {
        let offer = Offer::of(&request.tooling);
        self.prompt_of(request, &offer, passages, now_unix_seconds)
    }

    /// How the model writes calls and reasoning in its answer to this request.
    #[must_use]
    pub fn answer_format(&self, request: &ChatRequest) -> Format {
        self.format(&Offer::of(&request.tooling))
    }

    pub(crate) fn prompt_of(
        &self,
        request: &ChatRequest,
        offer: &Offer,
        passages: Option<&[&str]>,
        now_unix_seconds: i64,
    ) -> Result<String, ApiError> {
        let mut messages = self.conversation(request, offer);
        if let Some(passages) = passages {
            let markers = self.template.markers();
            let passages = passages.iter();
            let passages: Vec<_> = passages
                .map(|passage| markers.neutralise_data(passage.trim()))
                .collect();
            let passages: Vec<&str> = passages.iter().map(AsRef::as_ref).collect();
            messages = self.rag_prompt.insert(messages, &passages);
        }
        self.render(request, offer, &messages, now_unix_seconds)
    }

    /// The same without what opens the answer: the conversation as the model has read it.
    ///
    /// # Errors
    /// 400 where the template refuses the messages, 500 where it is broken.
    pub fn history(
        &self,
        request: &ChatRequest,
        now_unix_seconds: i64,
    ) -> Result<String, ApiError> {
        let offer = Offer::of(&request.tooling);
        let messages = self.conversation(request, &offer);
        let variables = self.variables(request);
        let options = RenderOptions {
            closed: true,
            ..self.options(&offer, &variables)
        };
        let rendered = self
            .template
            .render_with(&messages, &options, now_unix_seconds);
        rendered.map_err(template_error)
    }

    /// A conversation as the template is given it: with what goes before it, and with the tools where the
    /// template is not told of them.
    pub(crate) fn conversation(&self, request: &ChatRequest, offer: &Offer) -> Vec<Message> {
        let messages = request.messages.iter().map(for_template).collect();
        let messages = self.opening.open(messages);
        match self.format(offer).instructions(&offer.callable) {
            Some(instructions) => gaia_prompt::into_system(messages, &instructions),
            None => messages,
        }
    }

    /// How the model writes calls and reasoning.
    pub(crate) fn format(&self, offer: &Offer) -> Format {
        tooling::format_of(&self.template, offer)
    }

    /// The text that the model reads.
    pub(crate) fn render(
        &self,
        request: &ChatRequest,
        offer: &Offer,
        messages: &[Message],
        now_unix_seconds: i64,
    ) -> Result<String, ApiError> {
        let variables = self.variables(request);
        let options = self.options(offer, &variables);
        let rendered = self
            .template
            .render_with(messages, &options, now_unix_seconds);
        rendered.map_err(template_error)
    }

    fn options<'a>(
        &self,
        offer: &'a Offer,
        variables: &'a Map<String, Value>,
    ) -> RenderOptions<'a> {
        RenderOptions {
            tools: &offer.shown,
            variables: Some(variables),
            // What the model has written before is shown as it is asked to write.
            calls_as_text: !offer.is_empty() && self.format(offer).family() == Family::Generic,
            closed: false,
        }
    }

    /// What a request tells the template, and what the owner does where it says nothing.
    fn variables<'a>(&self, request: &'a ChatRequest) -> Cow<'a, Map<String, Value>> {
        const THINKING: &str = "enable_thinking";
        let asked = &request.variables;
        match self.thinking {
            Some(thinks) if !asked.contains_key(THINKING) => {
                let mut variables = asked.clone();
                variables.insert(THINKING.to_owned(), thinks.into());
                Cow::Owned(variables)
            }
            _ => Cow::Borrowed(asked),
        }
    }
}

/// A template that refuses the messages is the caller's affair, a broken one the owner's.
fn template_error(error: TemplateError) -> ApiError {
    match error {
        TemplateError::Refused { .. } => ApiError::invalid_value("messages", error.to_string()),
        error => ApiError::internal(error.to_string()),
    }
}

/// How passages are found.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrieval {
    /// User turns that make up the query.
    pub context_window: usize,
    /// Which hits count.
    pub select: SelectLimits,
    /// Most tokens of all passages in a prompt.
    pub tokens_max: u32,
    /// Whether to refuse to answer when retrieval fails.
    pub required: bool,
}
