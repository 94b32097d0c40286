//! The tokens of what a model was given to read.

use std::borrow::Cow;

use gaia_chat::{Node, with_own_tools};
use gaia_engine::ModelKind;
use gaia_metering::{Kind, Metered};
use gaia_openai::completion::Infill;
use gaia_openai::embedding::EmbeddingInput;
use gaia_openai::image::{Fragment, fragments};
use gaia_openai::input::{Input, Part};
use gaia_openai::responses::ResponseRequest;
use gaia_openai::{
    ChatRequest, CompletionRequest, EmbeddingRequest, Limits, RerankRequest, Sampling,
};
use gaia_prompt::prompt::{Kind as PromptKind, ModelFacts, Opening, Prompt};
use gaia_statements::CountTolerance;
use gaia_tools::Format;

use crate::count::{Doubts, Reason};
use crate::words::Reading;
use crate::{CountError, Counter, passages};

/// The key of `metadata` under which a request names a prompt.
const NAMED: &str = "prompt";

/// What was asked, as far as the answer's count depends on it.
pub(crate) struct Asked {
    pub prompt: u64,
    /// How the model writes thoughts and calls, and whether the prompt ends within a thought. `None`: all is text.
    pub format: Option<(Format, bool)>,
    /// The longest text that may have ended the answer and is not in it.
    pub stop: Option<String>,
    /// What stands before the text of each answer and was not written, by its number.
    pub echoes: Vec<String>,
    /// Whether nothing was to be written.
    pub only_echo: bool,
}

impl Counter {
    pub(crate) fn asked(
        &self,
        kind: Kind,
        request: &[u8],
        metered: &Metered,
        doubts: &mut Doubts,
    ) -> Result<Asked, CountError> {
        let limits = Limits::default();
        match kind {
            Kind::Chat => self.conversation(ChatRequest::parse(request, &limits)?, metered, doubts),
            Kind::Responses => {
                let request = ResponseRequest::parse(request, &limits)?;
                if request.previous.is_some() {
                    doubts.blind(Reason::Continued);
                }
                self.conversation(request.conversation(&[])?, metered, doubts)
            }
            Kind::Completion => self.completion(&CompletionRequest::parse(request, &limits)?),
            Kind::Embeddings => self.embeddings(&EmbeddingRequest::parse(request, &limits)?),
            Kind::Rerank => self.ranking(&RerankRequest::parse(request, &limits)?),
        }
    }

    /// The text that a model was given for a chat whose answer said this: what [`Self::count`] counts.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn prompt_text(&self, request: &[u8], metered: &Metered) -> Result<String, CountError> {
        let request = ChatRequest::parse(request, &Limits::default())?;
        let mut doubts = Doubts::new(CountTolerance::default());
        let node = self.node(&request, metered, &mut doubts)?;
        let request = with_own_tools(&node, &self.nodes.tools, request);
        rendered(&node, &request, metered)
    }

    fn conversation(
        &self,
        request: ChatRequest,
        metered: &Metered,
        doubts: &mut Doubts,
    ) -> Result<Asked, CountError> {
        self.expect(ModelKind::Chat)?;
        if !metered.own_calls.is_empty() {
            doubts.blind(Reason::OwnCalls);
        }
        let node = self.node(&request, metered, doubts)?;
        let request = with_own_tools(&node, &self.nodes.tools, request);
        let text = rendered(&node, &request, metered)?;
        let format = node.answer_format(&request);
        Ok(Asked {
            prompt: self.with_images(&text, &request, doubts)?,
            format: Some((format, format.opens_reasoning(&text))),
            stop: longest_stop(&request.sampling),
            echoes: Vec::new(),
            only_echo: false,
        })
    }

    /// The node as the prompts make it that it says it used.
    fn node(
        &self,
        request: &ChatRequest,
        metered: &Metered,
        doubts: &mut Doubts,
    ) -> Result<Cow<'_, Node>, CountError> {
        let mut node = Cow::Borrowed(&self.nodes.node);
        for version in &metered.prompts {
            let known = self
                .nodes
                .prompts
                .all()
                .find(|(_, prompt)| prompt.version() == version);
            let Some((_, prompt)) = known else {
                doubts.blind(Reason::UnknownPrompt(version.clone()));
                continue;
            };
            if prompt.made_by().is_some() {
                doubts.blind(Reason::MadePrompt(version.clone()));
            }
            let text = self.said(prompt, request, metered)?;
            match prompt.kind() {
                PromptKind::System => {
                    node.to_mut().opening = Opening {
                        system: Some(text),
                        examples: prompt.examples(),
                        asked_for: request.metadata.contains_key(NAMED),
                        sources: Vec::new(),
                    };
                }
                PromptKind::Rag => node.to_mut().rag_prompt.text = text,
            }
        }
        Ok(node)
    }

    fn said(
        &self,
        prompt: &Prompt,
        request: &ChatRequest,
        metered: &Metered,
    ) -> Result<String, CountError> {
        let model = ModelFacts {
            name: metered.model.as_deref().unwrap_or_default(),
            parameters: Some(self.vocabulary.facts().params).filter(|count| *count > 0),
        };
        let markers = self.nodes.node.template.markers();
        let text = prompt.render(&request.metadata, &model, markers, now(metered));
        text.map_err(|error| CountError::Request(error.to_string()))
    }

    /// Images stand in the text by their names, and are read as so many tokens each.
    fn with_images(
        &self,
        text: &str,
        request: &ChatRequest,
        doubts: &mut Doubts,
    ) -> Result<u64, CountError> {
        let images = request.messages.iter().flat_map(|message| &message.images);
        let hashes: Vec<&str> = images.map(|image| image.hash()).collect();
        if hashes.is_empty() {
            return self.read(text, Reading::Prompt);
        }
        match self.nodes.image_tokens {
            Some(_) => doubts.about(hashes.len() as u64, Reason::Images),
            None => doubts.blind(Reason::Images),
        }
        let (mut tokens, mut words) = (0, String::new());
        for fragment in fragments(text) {
            match fragment {
                Fragment::Text(text) => words.push_str(text),
                Fragment::Image(hash) if hashes.contains(&hash) => {
                    tokens += self.nodes.image_tokens.unwrap_or(0);
                }
                // The name of an image that is not there is what somebody wrote.
                Fragment::Image(hash) => words.push_str(&format!("[image:{hash}]")),
            }
        }
        Ok(tokens + self.read(&words, Reading::Prompt)?)
    }

    fn completion(&self, request: &CompletionRequest) -> Result<Asked, CountError> {
        self.expect(ModelKind::Chat)?;
        let mut asked = Asked {
            prompt: 0,
            format: None,
            stop: longest_stop(&request.sampling),
            echoes: Vec::new(),
            only_echo: request.only_echo,
        };
        for input in &request.prompts {
            asked.prompt += match &request.suffix {
                Some(suffix) => self.around(input, suffix)?,
                None => self.input(input)?,
            };
            if request.echo {
                let echo = self.echo(input)?;
                asked
                    .echoes
                    .extend((0..request.choices).map(|_| echo.clone()));
            }
        }
        Ok(asked)
    }

    /// A prompt with a gap in it.
    fn around(&self, input: &Input, suffix: &str) -> Result<u64, CountError> {
        let facts = self.vocabulary.facts();
        let gap = Infill::from([0, 0, 0]).prompt(None, &[], &[]).len() as u64;
        let start = u64::from(facts.add_bos && facts.bos_id.is_some());
        let before = match input {
            Input::Text(text) => self.vocabulary.tokenize(text, false)?.len() as u64,
            input => self.input(input)?,
        };
        let after = self.vocabulary.tokenize(suffix, false)?.len() as u64;
        Ok(start + gap + before + after)
    }

    /// One text, however it was given.
    fn input(&self, input: &Input) -> Result<u64, CountError> {
        let is_chat = self.vocabulary.facts().kind == ModelKind::Chat;
        let whole = |text: &str| match is_chat {
            true => self.vocabulary.tokenize_prompt(text),
            false => self.vocabulary.tokenize_input(text),
        };
        let parts = match input {
            Input::Text(text) => return Ok(whole(text)?.len() as u64),
            Input::Tokens(tokens) => return Ok(tokens.len() as u64),
            Input::Mixed(parts) => parts,
        };
        let mut tokens = 0;
        for (index, part) in parts.iter().enumerate() {
            tokens += match part {
                Part::Tokens(ids) => ids.len() as u64,
                Part::Text(text) if index == 0 && is_chat => whole(text)?.len() as u64,
                Part::Text(text) => self.vocabulary.tokenize(text, false)?.len() as u64,
            };
        }
        Ok(tokens)
    }

    /// The prompt as it stands before the text of an answer.
    fn echo(&self, input: &Input) -> Result<String, CountError> {
        let ids = |ids: &[u32]| {
            let ids: Vec<i32> = ids.iter().map(|id| id.cast_signed()).collect();
            self.vocabulary.detokenize(&ids)
        };
        Ok(match input {
            Input::Text(text) => text.clone(),
            Input::Tokens(tokens) => ids(tokens)?,
            Input::Mixed(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(part) => text.push_str(part),
                        Part::Tokens(tokens) => text.push_str(&ids(tokens)?),
                    }
                }
                text
            }
        })
    }

    fn embeddings(&self, request: &EmbeddingRequest) -> Result<Asked, CountError> {
        self.expect(ModelKind::Embedding)?;
        let mut tokens = 0;
        match &request.input {
            EmbeddingInput::Texts(texts) => {
                for text in texts {
                    tokens += self.vocabulary.tokenize_input(text)?.len() as u64;
                }
            }
            EmbeddingInput::Tokens(lists) => {
                tokens += lists.iter().map(|list| list.len() as u64).sum::<u64>();
            }
            EmbeddingInput::Several(inputs) => {
                for input in inputs {
                    tokens += self.input(input)?;
                }
            }
        }
        Ok(Asked::read(tokens))
    }

    fn ranking(&self, request: &RerankRequest) -> Result<Asked, CountError> {
        self.expect(ModelKind::Reranking)?;
        let mut tokens = 0;
        for document in &request.documents {
            tokens += self.vocabulary.pair_len(&request.query, document)? as u64;
        }
        Ok(Asked::read(tokens))
    }

    fn expect(&self, needed: ModelKind) -> Result<(), CountError> {
        let use_of = |kind| match kind {
            ModelKind::Chat => "writes",
            ModelKind::Embedding => "embeds",
            ModelKind::Reranking => "ranks",
        };
        let has = self.vocabulary.facts().kind;
        match has == needed {
            true => Ok(()),
            false => Err(CountError::Kind {
                has: use_of(has),
                needs: use_of(needed),
            }),
        }
    }
}

impl Asked {
    /// Only read, and nothing written.
    fn read(prompt: u64) -> Self {
        Self {
            prompt,
            format: None,
            stop: None,
            echoes: Vec::new(),
            only_echo: true,
        }
    }
}

fn rendered(node: &Node, request: &ChatRequest, metered: &Metered) -> Result<String, CountError> {
    let cited = metered.citations.as_deref();
    let shown = cited.map(|cited| passages::shown(node.rag_prompt.policy, cited));
    Ok(node.prompt_with(request, shown.as_deref(), now(metered))?)
}

/// When the answer began, by the node's clock: what its template told the model.
fn now(metered: &Metered) -> i64 {
    let now = metered.created.and_then(|now| i64::try_from(now).ok());
    now.unwrap_or(0)
}

fn longest_stop(sampling: &Sampling) -> Option<String> {
    sampling.stop.iter().max_by_key(|stop| stop.len()).cloned()
}
