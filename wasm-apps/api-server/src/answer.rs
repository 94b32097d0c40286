//! Drives an answer: carries out what [`Rounds`] asks for and reports back.
//!
//! What an answer is made of is decided there; here are the models, the store, the node's tools and the places.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use gaia_chat::{Effect, Event, Generation, Given, Rounds};
use gaia_openai::chat::{ChunkHead, TokenLogProb, ToolCall, TopLogProb};
use gaia_openai::completion::Prompt;
use gaia_openai::{ApiError, ChatRequest, Constraint, Sampling, ServiceTier, Timings, Usage};

use crate::admission::Pass;
use crate::app::{App, Chat, unix_seconds};
use crate::choices::Choices;
use crate::failure::{Failure, from_inference};
use crate::inference::{Engine, InferenceError, Model, Shown, Step, TokenEvent};
use crate::prompts::{self, Wanted};
use crate::timing::Timing;
use crate::{random, retrieval, tools};

/// An answer that has begun.
pub(crate) struct Answer {
    app: Arc<App>,
    rounds: Rounds,
    /// What the host counts the calls of its tools by.
    id: String,
    /// How urgent it is taken.
    tier: ServiceTier,
    generating: Option<Choices>,
    /// What the rounds wait for when it is not the engine.
    working: Option<Work>,
    timing: Timing,
    /// The text that was counted last and its tokens: it is most likely the prompt.
    counted: Option<(String, Vec<u32>)>,
    /// The images that the conversation names.
    shown: Shown,
    /// The text that was embedded to choose a prompt: it is most likely the query.
    embedded: Option<(String, Vec<f32>)>,
    /// What the rounds want done, and nobody has taken yet.
    effects: VecDeque<Effect>,
}

/// Something that takes its time. Dropped, it ends, wherever it is done.
type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

enum Done {
    /// The rounds are told of it.
    Event(Event),
    /// The engine works.
    Generating(Begun),
    /// The engine will not.
    Refused(InferenceError),
}

struct Begun {
    choices: Choices,
    /// When it began to wait for its places.
    since: Instant,
    prompt_tokens: usize,
    tokens_max: u32,
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
        let mut timing = Timing::start(app);
        let chat = app.chat(request.model.as_deref())?;
        let given = Given {
            now_unix_seconds: i64::try_from(unix_seconds()).unwrap_or(i64::MAX),
            nonce: random::wide(),
        };
        let granted = request
            .service_tier
            .map(|tier| tier.granted(app.options.priority_allowed));
        let tier = granted.unwrap_or_default();
        let shown = Shown::to(&chat.model, &request.messages, &app.limits).await?;
        let head = ChunkHead {
            include_usage: request.include_usage,
            may_call: !request.tooling.offered().is_empty(),
            service_tier: granted,
            ..head(chat)
        };
        timing.answers(&head.id);
        let wanted = Wanted::of(&head.id, &request, tier);
        let prompted = prompts::choose(app, chat, wanted).await?;
        let own = app.tools.offered(prompted.node.context_tokens).await;
        let mut answer = Self {
            app: Arc::clone(app),
            rounds: Rounds::new(prompted.node, &own, request, given)?,
            id: head.id.clone(),
            tier,
            generating: None,
            working: None,
            timing,
            counted: None,
            shown,
            embedded: prompted.embedded,
            effects: VecDeque::new(),
        };
        answer.step(Event::Start);
        match answer.next().await {
            Effect::Begin { citations, warning } => {
                if !prompted.calls.is_empty() {
                    answer.effects.push_front(Effect::Called(prompted.calls));
                }
                let warnings: Vec<String> = prompted.warning.into_iter().chain(warning).collect();
                let head = ChunkHead {
                    citations,
                    warning: (!warnings.is_empty()).then(|| warnings.join(" ")),
                    prompts: prompted.used,
                    ..head
                };
                Ok((answer, head))
            }
            Effect::Fail(error) => Err(error.into()),
            _ => Err(ApiError::internal("The answer began without a beginning.").into()),
        }
    }

    /// The request it answers, with the node's tools beside the caller's.
    pub(crate) fn request(&self) -> &ChatRequest {
        self.rounds.request()
    }

    /// What the caller is to be told of an answer that has ended.
    pub(crate) fn warning(&self, choice: u32) -> Option<String> {
        self.generating.as_ref()?.warning(choice)
    }

    /// How long it took.
    pub(crate) fn timings(&self, usage: Usage) -> Timings {
        self.timing.timings(usage)
    }

    /// What is to be sent next: text, the end, or an error, after which there is nothing more.
    /// May be dropped while it waits without losing anything.
    pub(crate) async fn next(&mut self) -> Effect {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                match self.carry_out(effect) {
                    Some(outward) => return outward,
                    None => continue,
                }
            }
            let event = match (&mut self.working, &mut self.generating) {
                (Some(work), _) => {
                    let done = work.as_mut().await;
                    self.working = None;
                    self.done(done)
                }
                (None, Some(generating)) => match generating.next().await {
                    Some((choice, step)) => Some(self.came(choice, step)),
                    None => return no_end(),
                },
                (None, None) => return no_end(),
            };
            if let Some(event) = event {
                self.step(event);
            }
        }
    }

    fn step(&mut self, event: Event) {
        let effects = self.rounds.step(event);
        self.effects.extend(effects);
    }

    fn done(&mut self, done: Done) -> Option<Event> {
        match done {
            Done::Event(event) => Some(event),
            Done::Refused(error) => Some(self.failed(error)),
            Done::Generating(begun) => {
                self.timing.entered(begun.since, begun.tokens_max);
                self.timing.begun(begun.prompt_tokens);
                self.generating = Some(begun.choices);
                None
            }
        }
    }

    fn came(&mut self, choice: u32, step: Result<Step, InferenceError>) -> Event {
        match step {
            Ok(Step::Piece(piece)) => {
                let Self {
                    timing, generating, ..
                } = self;
                timing.piece(choice);
                timing.read(choice, || generating.as_mut()?.usage(choice));
                let top = self.request().logprobs.unwrap_or(0) as usize;
                let tokens = piece.events.iter();
                Event::Generated {
                    choice,
                    text: piece.text,
                    logprobs: tokens.map(|token| token_logprob(token, top)).collect(),
                }
            }
            Ok(Step::End { reason, usage, .. }) => {
                self.timing.took(usage);
                Event::Ended {
                    choice,
                    reason,
                    usage,
                }
            }
            Err(error) => {
                self.timing.failed();
                self.failed(error)
            }
        }
    }

    fn failed(&self, error: InferenceError) -> Event {
        match error {
            InferenceError::PromptTooLong => Event::PromptTooLong,
            error => {
                let request = self.request();
                let error = match request.tooling.offered() {
                    [] => refused(error, "messages", &request.sampling),
                    _ => from_inference(error, "messages", Some("tools")),
                };
                Event::Failed(error)
            }
        }
    }

    /// Does what is to be done here, or begins it; what is the caller's to see is given back.
    fn carry_out(&mut self, effect: Effect) -> Option<Effect> {
        match effect {
            Effect::Embed { query } => self.embed(query),
            Effect::Search {
                vector,
                limit,
                score_threshold,
            } => self.search(vector, limit, score_threshold),
            Effect::Count { texts } => {
                let event = self.count(texts);
                self.step(event);
            }
            Effect::Generate(generation) => self.generate(generation),
            Effect::Call(calls) => self.call(calls),
            Effect::Stop => self.generating = None,
            Effect::End { choice, reason } => {
                self.timing.finished(reason);
                return Some(Effect::End { choice, reason });
            }
            Effect::Finish { usage } => {
                self.timing.end(usage);
                return Some(Effect::Finish { usage });
            }
            outward => return Some(outward),
        }
        None
    }

    fn work(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.working = Some(Box::pin(work));
    }

    fn embed(&mut self, query: String) {
        if let Some((_, vector)) = self.embedded.take_if(|(text, _)| *text == query) {
            return self.step(Event::Embedded(vector));
        }
        let (app, tier) = (Arc::clone(&self.app), self.tier);
        self.work(async move {
            Done::Event(match retrieval::embed(&app, &query, tier).await {
                Ok(vector) => Event::Embedded(vector),
                Err(error) => not_retrieved(error),
            })
        });
    }

    fn search(&mut self, vector: Vec<f32>, limit: usize, score_threshold: f32) {
        let app = Arc::clone(&self.app);
        self.work(async move {
            let found = retrieval::ask(&app, &vector, limit, score_threshold).await;
            Done::Event(match found {
                Ok(Some(hits)) => Event::Found(hits),
                Ok(None) => Event::NoKnowledge,
                Err(error) => not_retrieved(error),
            })
        });
    }

    fn count(&mut self, texts: Vec<String>) -> Event {
        let app = Arc::clone(&self.app);
        let model = match app.chat(None) {
            Ok(chat) => &chat.model,
            Err(error) => return Event::Failed(error),
        };
        let mut counts = Vec::with_capacity(texts.len());
        for text in texts {
            let counted = match model.engine {
                Engine::Gaia => self.shown.tokenize(model, &text).map(|tokens| {
                    counts.push(u32::try_from(tokens.len()).unwrap_or(u32::MAX));
                    self.counted = Some((text, tokens));
                }),
                Engine::Stock => model.count_tokens(&text).map(|count| counts.push(count)),
            };
            if let Err(error) = counted {
                return self.failed(error);
            }
        }
        Event::Counted(counts)
    }

    fn generate(&mut self, mut generation: Generation) {
        // Long prompts take milliseconds to tokenise: once is enough.
        if let Some((_, tokens)) = self
            .counted
            .take_if(|(text, _)| generation.prompt.is_text(text))
        {
            generation.prompt = Prompt::Tokens(tokens);
        }
        let (app, tier, choices) = (Arc::clone(&self.app), self.tier, self.request().choices);
        self.work(async move {
            match start(&app, &generation, choices, tier).await {
                Ok(Ok(begun)) => Done::Generating(begun),
                Ok(Err(error)) => Done::Refused(error),
                Err(error) => Done::Event(Event::Failed(error)),
            }
        });
    }

    /// Calls tools of the node. Meanwhile others have its places; it is not to wait behind those that come then.
    fn call(&mut self, calls: Vec<ToolCall>) {
        self.timing.calls();
        self.generating = None;
        self.tier = ServiceTier::Priority;
        let called = tools::call_all(Arc::clone(&self.app), self.id.clone(), calls);
        self.work(async move { Done::Event(Event::Called(called.await)) });
    }
}

/// Waits for the places of so many answers and starts them; the inner error is the engine's.
async fn start(
    app: &App,
    generation: &Generation,
    choices: u32,
    tier: ServiceTier,
) -> Result<Result<Begun, InferenceError>, ApiError> {
    let prompt_tokens = match &generation.prompt {
        Prompt::Tokens(tokens) => tokens.len(),
        // Only the stock engine is given text; how long it is comes with the end.
        Prompt::Text(_) => 0,
    };
    let model = &app.chat(None)?.model;
    let since = Instant::now();
    let pass = enter(app, model, choices, tier).await?;
    Ok(
        Choices::start(model, generation, choices, pass).map(|choices| Begun {
            choices,
            since,
            prompt_tokens,
            tokens_max: generation.tokens_max,
        }),
    )
}

fn no_end() -> Effect {
    Effect::Fail(ApiError::internal("The answer has no end."))
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
