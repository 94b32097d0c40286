//! `POST /v1/completions`. Several prompts of a request are continued one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gaia_chat::Generation;
use gaia_openai::completion::{CompletionChoice, CompletionLogProbs, CompletionReply, Prompt};
use gaia_openai::{ApiError, CompletionRequest, FinishReason, Usage, sse};
use gaia_prompt::budget;

use super::chat::{broken, frames};
use super::{Sent, Shared, json};
use crate::answer::{Generating, enter, refused, token_logprob};
use crate::app::{App, unix_seconds};
use crate::failure::Failure;
use crate::inference::{Engine, Model, Step, TokenEvent};
use crate::random;
use crate::stream::{self, Next};
use crate::timing::Timing;

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = CompletionRequest::parse(&body, &app.limits)?;
    let work = Work::begin(app, request).await?;
    if work.request.stream {
        Ok(stream::events(Vec::new(), Box::new(work), next))
    } else {
        work.whole().await
    }
}

/// The prompts of a request, and the one that is being continued.
struct Work {
    app: Arc<App>,
    request: CompletionRequest,
    id: String,
    created: u64,
    model: String,
    index: usize,
    generating: Generating,
    timing: Timing,
    characters: u32,
    usage: Usage,
}

impl Work {
    async fn begin(app: Arc<App>, request: CompletionRequest) -> Result<Self, Failure> {
        let model = app.chat(request.model.as_deref())?.model.id.clone();
        let (generating, timing) = start(&app, &request, 0).await?;
        Ok(Self {
            generating,
            timing,
            id: random::id("cmpl-"),
            created: unix_seconds(),
            model,
            index: 0,
            characters: 0,
            usage: Usage::default(),
            app,
            request,
        })
    }

    async fn whole(mut self) -> Result<Response, Failure> {
        let mut choices = Vec::new();
        loop {
            let (mut text, mut tokens) = (self.echo(), Vec::new());
            let reason = loop {
                match self.step().await? {
                    Step::Piece(piece) => {
                        text.push_str(&piece.text);
                        tokens.extend(piece.events);
                    }
                    Step::End { reason, .. } => break reason,
                }
            };
            let logprobs = self.logprobs(&tokens);
            choices.push(self.choice(text, logprobs, Some(reason)));
            if !self.advance().await? {
                return Ok(json(&self.reply(choices, Some(self.usage))));
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Failure> {
        let step = self.generating.session.next().await;
        let step = step.map_err(|error| {
            self.timing.failed();
            refused(error, "prompt", &self.request.sampling)
        })?;
        match &step {
            Step::Piece(_) => self.timing.piece(),
            Step::End { usage, .. } => {
                self.timing.end(*usage);
                self.usage = added(self.usage, *usage);
            }
        }
        Ok(step)
    }

    /// Goes to the next prompt; `false` when there is none.
    async fn advance(&mut self) -> Result<bool, Failure> {
        if self.index + 1 == self.request.prompts.len() {
            return Ok(false);
        }
        self.index += 1;
        self.characters = 0;
        (self.generating, self.timing) = start(&self.app, &self.request, self.index).await?;
        Ok(true)
    }

    fn echo(&self) -> String {
        match self.request.prompts.get(self.index) {
            Some(Prompt::Text(text)) if self.request.echo => text.clone(),
            // What has been generated from them can be written, so they can.
            Some(Prompt::Tokens(tokens)) if self.request.echo => {
                let chat = self.app.chat(None).ok();
                chat.and_then(|chat| chat.model.detokenize(tokens).ok())
                    .unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    fn logprobs(&mut self, tokens: &[TokenEvent]) -> Option<CompletionLogProbs> {
        let top = self.request.logprobs? as usize;
        let tokens: Vec<_> = tokens
            .iter()
            .map(|token| token_logprob(token, top))
            .collect();
        let offset = self.characters;
        let characters = tokens
            .iter()
            .map(|token| token.token.chars().count())
            .sum::<usize>();
        let characters = u32::try_from(characters).unwrap_or(u32::MAX);
        self.characters = self.characters.saturating_add(characters);
        Some(CompletionLogProbs::new(&tokens, offset))
    }

    fn choice(
        &self,
        text: String,
        logprobs: Option<CompletionLogProbs>,
        finish_reason: Option<FinishReason>,
    ) -> CompletionChoice {
        CompletionChoice {
            index: u32::try_from(self.index).unwrap_or(u32::MAX),
            text,
            logprobs,
            finish_reason,
        }
    }

    fn reply(&self, choices: Vec<CompletionChoice>, usage: Option<Usage>) -> CompletionReply {
        CompletionReply::new(
            self.id.clone(),
            self.created,
            self.model.clone(),
            choices,
            usage,
        )
    }

    fn event(&self, choice: CompletionChoice) -> Vec<u8> {
        sse::event(&self.reply(vec![choice], None))
    }
}

fn added(a: Usage, b: Usage) -> Usage {
    let cached = |usage: Usage| usage.prompt_tokens_details.cached_tokens;
    Usage::new(
        a.prompt_tokens.saturating_add(b.prompt_tokens),
        a.completion_tokens.saturating_add(b.completion_tokens),
        cached(a).saturating_add(cached(b)),
    )
}

async fn start(
    app: &Arc<App>,
    request: &CompletionRequest,
    index: usize,
) -> Result<(Generating, Timing), Failure> {
    let mut timing = Timing::start(app);
    let chat = app.chat(request.model.as_deref())?;
    let model = &chat.model;
    let prompt = request.prompts.get(index).cloned();
    let prompt = prompt.unwrap_or_else(|| Prompt::Text(String::new()));
    let tokens_max = tokens_max(app, model, request, &prompt)?;
    let wanted = Generation {
        prompt,
        tokens_max,
        sampling: chat.node.sampling(&request.sampling),
        logprobs: request.logprobs,
    };
    wanted.check(model.engine.into(), model.vocabulary())?;
    let since = Instant::now();
    let pass = enter(app, model).await?;
    timing.entered(since);
    let session = model.start(&wanted);
    let session = session.map_err(|error| refused(error, "prompt", &request.sampling))?;
    timing.begun();
    let generating = Generating {
        session,
        _pass: pass,
    };
    Ok((generating, timing))
}

fn tokens_max(
    app: &App,
    model: &Model,
    request: &CompletionRequest,
    prompt: &Prompt,
) -> Result<u32, ApiError> {
    let sampling = &request.sampling;
    let count = match prompt {
        Prompt::Text(text) => model.count_tokens(text),
        Prompt::Tokens(tokens) => Ok(u32::try_from(tokens.len()).unwrap_or(u32::MAX)),
    };
    let count = count.map_err(|error| refused(error, "prompt", sampling))?;
    let (context, cap) = (model.facts.n_ctx, app.options.n_predict_max);
    match budget::completion_tokens(context, count, sampling.tokens_max, cap) {
        Ok(tokens) => Ok(tokens),
        // There it is an estimate; the engine itself will say.
        Err(_) if model.engine == Engine::Stock => Ok(sampling.tokens_max.unwrap_or(context)),
        Err(over) => Err(ApiError::context_length_exceeded(
            "prompt",
            over.context,
            over.prompt,
            over.completion,
        )),
    }
}

async fn next(mut work: Box<Work>) -> Next<Box<Work>> {
    match step_events(&mut work).await {
        Ok((events, true)) => Next::More(events, work),
        Ok((events, false)) => Next::Last(events),
        Err(Failure(error)) => Next::Last(broken(&error)),
    }
}

// The next events, and whether more come.
async fn step_events(work: &mut Work) -> Result<(VecDeque<Bytes>, bool), Failure> {
    let echo = match work.characters {
        0 => work.echo(),
        _ => String::new(),
    };
    match work.step().await? {
        Step::Piece(piece) => {
            let logprobs = work.logprobs(&piece.events);
            work.characters = work.characters.max(1);
            let choice = work.choice(echo + &piece.text, logprobs, None);
            Ok((frames([work.event(choice)]), true))
        }
        Step::End { reason, .. } => {
            let last = work.choice(echo, None, Some(reason));
            let mut events = vec![work.event(last)];
            let more = work.advance().await?;
            if !more && work.request.include_usage {
                events.push(sse::event(&work.reply(Vec::new(), Some(work.usage))));
            }
            if !more {
                events.push(sse::DONE.to_vec());
            }
            Ok((frames(events), more))
        }
    }
}
