//! Drives a turn of conversation: carries out what [`Turn`] asks for and reports back.
//!
//! What an answer is made of is decided there; here are the models, the store and the places.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use gaia_chat::{Effect, Event, Generation, Given, Turn};
use gaia_openai::chat::{ChunkHead, TokenLogProb, TopLogProb};
use gaia_openai::completion::Prompt;
use gaia_openai::{ApiError, ChatRequest, Constraint, Sampling, ServiceTier};

use crate::admission::Pass;
use crate::app::{App, Chat, unix_seconds};
use crate::choices::Choices;
use crate::failure::{Failure, from_inference};
use crate::inference::{Engine, InferenceError, Model, Step, TokenEvent};
use crate::prompts::{self, Wanted};
use crate::timing::Timing;
use crate::{random, retrieval};

/// An answer that has begun.
pub(crate) struct Answer {
    app: Arc<App>,
    turn: Turn,
    /// How urgent it is taken.
    tier: ServiceTier,
    generating: Option<Choices>,
    timing: Timing,
    /// The text that was counted last and its tokens: it is most likely the prompt.
    counted: Option<(String, Vec<u32>)>,
    /// The text that was embedded to choose a prompt: it is most likely the query.
    embedded: Option<(String, Vec<f32>)>,
    /// What the turn wants sent and nobody has taken yet.
    outgoing: VecDeque<Effect>,
}

impl Answer {
    /// Begins the answer to `request`: gives what goes on its first chunk.
    ///
    /// # Errors
    /// Everything that goes wrong before the model has said something.
    pub(crate) async fn begin(
        app: &Arc<App>,
        request: ChatRequest,
    ) -> Result<(Self, ChunkHead), Failure> {
        let timing = Timing::start(app);
        let chat = app.chat(request.model.as_deref())?;
        let given = Given {
            now_unix_seconds: i64::try_from(unix_seconds()).unwrap_or(i64::MAX),
            nonce: random::wide(),
        };
        let include_usage = request.include_usage;
        let may_call = !request.tooling.offered().is_empty();
        let granted = request
            .service_tier
            .map(|tier| tier.granted(app.options.priority_allowed));
        let tier = granted.unwrap_or_default();
        let wanted = Wanted::of(&request, tier);
        let prompted = prompts::choose(app, chat, wanted).await?;
        let mut answer = Self {
            app: Arc::clone(app),
            turn: Turn::new(prompted.node, request, given)?,
            tier,
            generating: None,
            timing,
            counted: None,
            embedded: prompted.embedded,
            outgoing: VecDeque::new(),
        };
        let first = answer.turn.step(Event::Start);
        answer.carry_out(chat, first).await;
        match answer.next().await {
            Effect::Begin { citations, warning } => {
                let head = ChunkHead {
                    include_usage,
                    may_call,
                    service_tier: granted,
                    citations,
                    warning,
                    prompts: prompted.used,
                    ..head(chat)
                };
                Ok((answer, head))
            }
            Effect::Fail(error) => Err(error.into()),
            _ => Err(ApiError::internal("The answer began without a beginning.").into()),
        }
    }

    /// The request it answers.
    pub(crate) fn request(&self) -> &ChatRequest {
        self.turn.request()
    }

    /// What the caller is to be told of an answer that has ended.
    pub(crate) fn warning(&self, choice: u32) -> Option<String> {
        self.generating.as_ref()?.warning(choice)
    }

    /// What is to be sent next: text, the end, or an error, after which there is nothing more.
    /// May be dropped while it waits without losing anything.
    pub(crate) async fn next(&mut self) -> Effect {
        loop {
            if let Some(effect) = self.outgoing.pop_front() {
                return effect;
            }
            let next = match &mut self.generating {
                Some(generating) => generating.next().await,
                None => None,
            };
            let Some((choice, step)) = next else {
                return Effect::Fail(ApiError::internal("The answer has no end."));
            };
            let event = match step {
                Ok(Step::Piece(piece)) => {
                    self.timing.piece(choice);
                    let top = self.turn.request().logprobs.unwrap_or(0) as usize;
                    let tokens = piece.events.iter();
                    Event::Generated {
                        choice,
                        text: piece.text,
                        logprobs: tokens.map(|token| token_logprob(token, top)).collect(),
                    }
                }
                Ok(Step::End { reason, usage, .. }) => Event::Ended {
                    choice,
                    reason,
                    usage,
                },
                Err(error) => {
                    self.timing.failed();
                    self.failed(error)
                }
            };
            let effects = self.turn.step(event);
            self.send(effects);
        }
    }

    fn failed(&self, error: InferenceError) -> Event {
        match error {
            InferenceError::PromptTooLong => Event::PromptTooLong,
            error => {
                let request = self.turn.request();
                let error = match request.tooling.offered() {
                    [] => refused(error, "messages", &request.sampling),
                    _ => from_inference(error, "messages", Some("tools")),
                };
                Event::Failed(error)
            }
        }
    }

    // Up to the moment when the engine generates, every effect leads to one event.
    async fn carry_out(&mut self, chat: &Chat, first: Vec<Effect>) {
        let mut effects = VecDeque::from(first);
        while let Some(effect) = effects.pop_front() {
            let event = match effect {
                Effect::Embed { query } => self.embed(query).await,
                Effect::Search {
                    vector,
                    limit,
                    score_threshold,
                } => match retrieval::ask(&self.app, &vector, limit, score_threshold).await {
                    Ok(Some(hits)) => Event::Found(hits),
                    Ok(None) => Event::NoKnowledge,
                    Err(error) => not_retrieved(error),
                },
                Effect::Count { texts } => self.count(chat, texts),
                Effect::Generate(generation) => match self.generate(chat, generation).await {
                    Ok(()) => return,
                    Err(event) => event,
                },
                other => {
                    self.send(vec![other]);
                    continue;
                }
            };
            effects.extend(self.turn.step(event));
        }
    }

    async fn embed(&mut self, query: String) -> Event {
        if let Some((_, vector)) = self.embedded.take_if(|(text, _)| *text == query) {
            return Event::Embedded(vector);
        }
        match retrieval::embed(&self.app, &query, self.tier).await {
            Ok(vector) => Event::Embedded(vector),
            Err(error) => not_retrieved(error),
        }
    }

    fn count(&mut self, chat: &Chat, texts: Vec<String>) -> Event {
        let mut counts = Vec::with_capacity(texts.len());
        for text in texts {
            let counted = match chat.model.engine {
                Engine::Gaia => chat.model.tokenize(&text).map(|tokens| {
                    counts.push(u32::try_from(tokens.len()).unwrap_or(u32::MAX));
                    self.counted = Some((text, tokens));
                }),
                Engine::Stock => chat
                    .model
                    .count_tokens(&text)
                    .map(|count| counts.push(count)),
            };
            if let Err(error) = counted {
                return self.failed(error);
            }
        }
        Event::Counted(counts)
    }

    async fn generate(&mut self, chat: &Chat, mut generation: Generation) -> Result<(), Event> {
        // Long prompts take milliseconds to tokenise: once is enough.
        if let Some((_, tokens)) = self
            .counted
            .take_if(|(text, _)| generation.prompt.is_text(text))
        {
            generation.prompt = Prompt::Tokens(tokens);
        }
        let prompt_tokens = match &generation.prompt {
            Prompt::Tokens(tokens) => tokens.len(),
            // Only the stock engine is given text; how long it is comes with the end.
            Prompt::Text(_) => 0,
        };
        let since = Instant::now();
        let choices = self.turn.request().choices;
        let pass = enter(&self.app, &chat.model, choices, self.tier).await;
        let pass = pass.map_err(Event::Failed)?;
        self.timing.entered(since);
        let started = Choices::start(&chat.model, &generation, choices, pass);
        self.generating = Some(started.map_err(|error| self.failed(error))?);
        self.timing.begun(prompt_tokens);
        Ok(())
    }

    fn send(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Stop => self.generating = None,
                Effect::Finish { usage } => {
                    self.timing.end(usage);
                    self.outgoing.push_back(Effect::Finish { usage });
                }
                effect => self.outgoing.push_back(effect),
            }
        }
    }
}

fn not_retrieved(error: ApiError) -> Event {
    match error.status {
        429 => Event::Failed(error),
        _ => Event::RetrievalFailed {
            reason: error.message,
        },
    }
}

fn head(chat: &Chat) -> ChunkHead {
    ChunkHead {
        id: random::id("chatcmpl-"),
        created: unix_seconds(),
        model: chat.model.id.clone(),
        ..ChunkHead::default()
    }
}

/// Waits for so many places at the model.
///
/// # Errors
/// 429 when the queue is full.
pub(crate) async fn enter(
    app: &App,
    model: &Model,
    places: u32,
    tier: ServiceTier,
) -> Result<Pass, ApiError> {
    model.gate.enter(places, tier).await.map_err(|full| {
        app.metrics.refused_queue_full.add(1);
        Failure::from(full).0
    })
}

/// The error for the caller, naming the grammar or schema if the request has one.
pub(crate) fn refused(error: InferenceError, param: &str, sampling: &Sampling) -> ApiError {
    let constrained = sampling
        .constraint
        .as_ref()
        .map(|constraint| match constraint {
            Constraint::Grammar(_) => "grammar",
            Constraint::Schema(_) => "response_format",
        });
    from_inference(error, param, constrained)
}

/// A token as the API shows it, with the `top` likeliest at its place.
pub(crate) fn token_logprob(token: &TokenEvent, top: usize) -> TokenLogProb {
    let likeliest = token.top.iter().take(top).map(|token| TopLogProb {
        token: token.text.clone(),
        logprob: token.logprob,
        bytes: Some(token.bytes.clone()),
    });
    TokenLogProb {
        token: token.text.clone(),
        logprob: token.logprob,
        bytes: Some(token.bytes.clone()),
        top_logprobs: likeliest.collect(),
    }
}
