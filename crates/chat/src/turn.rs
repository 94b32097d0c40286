//! The turn itself.
//!
//! ```text
//! Start ─▶ Embed ─▶ Search ─▶ Count (passages) ─▶ Count (prompt) ─▶ Generate ─▶ Begin, Part… ─▶ Finish
//!    └──────────┴───────┴── nothing to look up, or it failed ──▶┘
//! ```

mod answers;
mod compose;
mod event;

use std::sync::Arc;

use gaia_openai::completion::Prompt;
use gaia_openai::{AnswerSchema, ApiError, ChatRequest, Constraint};
use gaia_prompt::budget;
use gaia_rag::Hit;
use gaia_tools::{AnswerForm, Format, Parser};

use self::answers::Answers;
pub use self::event::{Effect, Event, Outcome, Part};
use crate::generation::{self, Generation};
use crate::tooling::Offer;
use crate::{Engine, Node, query_of};

/// Tokens that putting a passage into a prompt costs besides its own.
const PASSAGE_TOKENS_EXTRA: u32 = 4;

/// Seconds after which a caller may ask again when retrieval failed.
const RETRY_AFTER_SECONDS: u32 = 5;

/// What a turn cannot know by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Given {
    /// When it was asked.
    pub now_unix_seconds: i64,
    /// Chance, for ids that nobody else has.
    pub nonce: u128,
}

#[derive(Debug)]
enum State {
    New,
    Embedding,
    Searching,
    /// The texts being counted are the prompt without passages and each passage.
    CountingPassages(Vec<gaia_rag::Citation>),
    /// The text being counted is the prompt with these passages, best first.
    CountingPrompt(Option<Vec<gaia_rag::Citation>>, String),
    Generating(Answers),
    Over,
}

/// One turn of a conversation.
#[derive(Debug)]
pub struct Turn {
    node: Arc<Node>,
    request: ChatRequest,
    offer: Offer,
    given: Given,
    state: State,
    warning: Option<String>,
    /// Held back until the engine has said something, so that a failure before that is a status of
    /// its own and not the end of a stream.
    begin: Option<Effect>,
}

/// What `store` is answered with.
const NOT_KEPT: &str = "`store`: this node does not keep chats; `/v1/responses` are kept.";

impl Turn {
    /// A turn for `request`.
    ///
    /// # Errors
    /// 400 where the request asks for what this model or engine cannot do.
    pub fn new(node: Arc<Node>, request: ChatRequest, given: Given) -> Result<Self, ApiError> {
        request.tooling.check()?;
        let offer = Offer::of(&request.tooling);
        offer.check(&request, node.engine)?;
        generation::check_choices(request.choices, node.engine)?;
        generation::check(
            &request.sampling,
            request.logprobs,
            node.engine,
            node.vocabulary,
        )?;
        let warning = request.store.then(|| NOT_KEPT.to_owned());
        Ok(Self {
            node,
            request,
            offer,
            given,
            state: State::New,
            warning,
            begin: None,
        })
    }

    /// The request as it came in.
    pub fn request(&self) -> &ChatRequest {
        &self.request
    }

    /// Whether the turn has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes what happened, gives what to do about it.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        let state = std::mem::replace(&mut self.state, State::Over);
        let next = match (state, event) {
            (State::Over, _) => Ok((State::Over, Vec::new())),
            (State::Generating(_), Event::Cancelled) => Ok((State::Over, vec![Effect::Stop])),
            (_, Event::Cancelled) => Ok((State::Over, Vec::new())),
            (State::Generating(_), Event::Failed(error)) => {
                Ok((State::Over, vec![Effect::Stop, Effect::Fail(error)]))
            }
            (_, Event::Failed(error)) => Err(error),
            (State::New, Event::Start) => self.start(),
            (State::Embedding, Event::Embedded(vector)) => self.search(vector),
            (State::Searching, Event::Found(hits)) => self.found(hits),
            (State::Searching, Event::NoKnowledge) => self.with_sources(None),
            (State::Embedding | State::Searching, Event::RetrievalFailed { reason }) => {
                self.without_retrieval(&reason)
            }
            (State::CountingPassages(citations), Event::Counted(tokens)) => {
                self.fit(citations, &tokens)
            }
            (State::CountingPrompt(citations, prompt), Event::Counted(tokens)) => {
                self.generate(citations, prompt, tokens.first().copied())
            }
            (
                State::Generating(mut answers),
                Event::Generated {
                    choice,
                    text,
                    logprobs,
                },
            ) if answers.is_running(choice) => {
                let parts = answers.push(choice, text, logprobs);
                Ok((State::Generating(answers), self.begun(parts)))
            }
            (
                State::Generating(mut answers),
                Event::Ended {
                    choice,
                    reason,
                    usage,
                },
            ) if answers.is_running(choice) => {
                let parts = answers.end(choice, reason, usage);
                let state = match answers.is_over() {
                    true => State::Over,
                    false => State::Generating(answers),
                };
                Ok((state, self.begun(parts)))
            }
            (State::Generating(answers), Event::PromptTooLong) => {
                Err(self.too_long(answers.prompt_tokens))
            }
            (state, event) => Err(out_of_order(&state, &event)),
        };
        match next {
            Ok((state, effects)) => {
                self.state = state;
                effects
            }
            Err(error) => vec![Effect::Fail(error)],
        }
    }

    fn start(&mut self) -> Step {
        let window = self
            .node
            .retrieval
            .as_ref()
            .map(|retrieval| retrieval.context_window);
        match window.and_then(|window| query_of(&self.request.messages, window)) {
            Some(query) => Ok((State::Embedding, vec![Effect::Embed { query }])),
            None => self.with_sources(None),
        }
    }

    fn search(&self, vector: Vec<f32>) -> Step {
        let select = self
            .node
            .retrieval
            .as_ref()
            .map(|retrieval| retrieval.select);
        let Some(select) = select else {
            return self.with_sources(None);
        };
        let search = Effect::Search {
            vector,
            limit: select.limit,
            score_threshold: select.score_threshold,
        };
        Ok((State::Searching, vec![search]))
    }

    fn found(&self, hits: Vec<Hit>) -> Step {
        let citations = match &self.node.retrieval {
            Some(retrieval) => gaia_rag::select(hits, retrieval.select),
            None => Vec::new(),
        };
        self.with_sources(Some(citations))
    }

    /// Goes on with what the opening rests on before what was found; `None`: nothing was looked up.
    fn with_sources(&self, found: Option<Vec<gaia_rag::Citation>>) -> Step {
        let mut citations = self.sources();
        if citations.is_empty() && found.is_none() {
            return self.count_prompt(None);
        }
        citations.extend(found.unwrap_or_default());
        if citations.is_empty() {
            return self.count_prompt(Some(citations));
        }
        let mut texts = vec![self.prompt(Some(&[]))?];
        texts.extend(citations.iter().map(|citation| citation.text.clone()));
        Ok((
            State::CountingPassages(citations),
            vec![Effect::Count { texts }],
        ))
    }

    fn without_retrieval(&mut self, reason: &str) -> Step {
        if self
            .node
            .retrieval
            .as_ref()
            .is_some_and(|retrieval| retrieval.required)
        {
            let message = format!("This node answers only with its knowledge base, and {reason}.");
            return Err(ApiError::retrieval_unavailable(
                message,
                RETRY_AFTER_SECONDS,
            ));
        }
        let told = format!("Answered without the knowledge base: {reason}.");
        self.warning = Some(match self.warning.take() {
            Some(before) => format!("{before} {told}"),
            None => told,
        });
        self.with_sources(None)
    }

    fn fit(&self, citations: Vec<gaia_rag::Citation>, tokens: &[u32]) -> Step {
        let (prompt, passages) = tokens.split_first().unwrap_or((&0, &[]));
        let retrieval = self.node.retrieval.as_ref();
        let tokens_max = retrieval.map_or(self.node.context_tokens / 2, |it| it.tokens_max);
        let wanted = self.request.sampling.tokens_max;
        let room = budget::retrieval_tokens(self.node.context_tokens, *prompt, wanted, tokens_max);
        let costs: Vec<usize> = passages
            .iter()
            .map(|tokens| tokens.saturating_add(PASSAGE_TOKENS_EXTRA) as usize)
            .collect();
        self.count_prompt(Some(gaia_rag::fit(citations, &costs, room as usize)))
    }

    fn count_prompt(&self, citations: Option<Vec<gaia_rag::Citation>>) -> Step {
        // Without a knowledge base there is none that could have nothing.
        let knows = self.node.retrieval.is_some();
        let citations = citations.filter(|found| knows || !found.is_empty());
        let prompt = self.prompt(citations.as_deref())?;
        let count = Effect::Count {
            texts: vec![prompt.clone()],
        };
        Ok((State::CountingPrompt(citations, prompt), vec![count]))
    }

    fn generate(
        &mut self,
        citations: Option<Vec<gaia_rag::Citation>>,
        prompt: String,
        prompt_tokens: Option<u32>,
    ) -> Step {
        let Some(prompt_tokens) = prompt_tokens else {
            return Err(ApiError::internal("The engine counted no tokens."));
        };
        let context = self.node.context_tokens;
        let wanted = self.request.sampling.tokens_max;
        let cap = self.node.completion_tokens_max;
        let tokens_max = match budget::completion_tokens(context, prompt_tokens, wanted, cap) {
            Ok(tokens_max) => tokens_max,
            // Passages never cost somebody the answer: the worst goes, and it is counted again.
            Err(_)
                if citations
                    .as_ref()
                    .is_some_and(|citations| !citations.is_empty()) =>
            {
                let mut citations = citations.unwrap_or_default();
                citations.pop();
                return self.count_prompt(Some(citations));
            }
            // An estimate is no reason to refuse: the engine itself will say.
            Err(_) if self.node.engine == Engine::Stock => wanted.or(cap).unwrap_or(context),
            Err(_) => return Err(self.too_long(prompt_tokens)),
        };
        let open = self.node.format(&self.offer).opens_reasoning(&prompt);
        self.begin = Some(Effect::Begin {
            citations: citations.map(|citations| self.told(&citations)),
            warning: self.warning.take(),
        });
        let generation = Generation {
            prompt: Prompt::Text(prompt),
            tokens_max,
            sampling: self.node.sampling(&self.request.sampling),
            logprobs: self.request.logprobs,
            score_prompt: false,
            shown_tokens: &[],
        };
        let (generation, answers) = self.held(generation, open, prompt_tokens)?;
        Ok((
            State::Generating(answers),
            vec![Effect::Generate(generation)],
        ))
    }

    /// What the engine is to generate, held to the form of calls, and who reads it.
    ///
    /// A caller's own grammar begins with the first token: there is nothing but text then. A schema holds
    /// for what follows upon the model's thinking.
    fn held(
        &self,
        mut generation: Generation,
        reasoning_open: bool,
        prompt_tokens: u32,
    ) -> Result<(Generation, Answers), ApiError> {
        let mut answers = Answers::new(prompt_tokens, self.request.choices, self.given.nonce);
        let format = self.node.format(&self.offer);
        let schema = match &generation.sampling.constraint {
            None => None,
            Some(Constraint::Schema(schema)) => Some(Arc::clone(schema)),
            Some(Constraint::Grammar(_)) => return Ok((generation, answers)),
        };
        let is_bare = self.offer.is_empty() && !format.comes_before(reasoning_open);
        if schema.is_some() && is_bare {
            return Ok((generation, answers));
        }
        generation.sampling.constraint = self.constraint(schema, format, reasoning_open)?;
        generation.shown_tokens = format.shown_tokens();
        let parser = || Parser::new(format, &self.offer.callable, reasoning_open);
        if self.offer.must_be_called() {
            generation.sampling.stop.clear();
            answers.read_by(|| parser().must_call());
        } else {
            answers.read_by(parser);
        }
        Ok((generation, answers))
    }

    /// What holds the answer to calls, or to the schema behind what the model thinks, or to either.
    fn constraint(
        &self,
        schema: Option<Arc<AnswerSchema>>,
        format: Format,
        reasoning_open: bool,
    ) -> Result<Option<Constraint>, ApiError> {
        let must = self.offer.must_be_called();
        let Some(schema) = schema.filter(|_| !must) else {
            let grammar = self.offer.grammar(format, reasoning_open, None)?;
            let text = grammar.map(|grammar| grammar.gbnf().to_owned());
            return Ok(text.map(Constraint::Grammar));
        };
        let form = AnswerForm {
            schema: &schema.schema,
            limits: &schema.limits,
        };
        let either = self.offer.grammar(format, reasoning_open, Some(form))?;
        let mut held = match format.comes_before(reasoning_open) {
            true => behind_thinking(&schema, format, reasoning_open)?,
            false => AnswerSchema::clone(&schema),
        };
        held.or_calls = either.map(Arc::new);
        Ok(Some(Constraint::Schema(Arc::new(held))))
    }

    /// With the beginning before it, if that has not been sent.
    fn begun(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        if effects.is_empty() {
            return effects;
        }
        let begin = self.begin.take().into_iter();
        begin.chain(effects).collect()
    }

    fn too_long(&self, prompt_tokens: u32) -> ApiError {
        ApiError::context_length_exceeded(
            "messages",
            self.node.context_tokens,
            prompt_tokens,
            self.request.sampling.tokens_max.unwrap_or(1),
        )
    }
}

/// The schema behind what the model thinks.
fn behind_thinking(
    schema: &AnswerSchema,
    format: Format,
    reasoning_open: bool,
) -> Result<AnswerSchema, ApiError> {
    let grammar = format.structured(&schema.schema, &schema.limits, reasoning_open);
    let refused = |error| ApiError::invalid_value("response_format", format!("{error}."));
    Ok(AnswerSchema {
        grammar: Arc::new(grammar.map_err(refused)?),
        ..schema.clone()
    })
}

type Step = Result<(State, Vec<Effect>), ApiError>;

fn out_of_order(state: &State, event: &Event) -> ApiError {
    debug_assert!(false, "{event:?} in {state:?}");
    ApiError::internal("The turn was driven out of order.")
}
