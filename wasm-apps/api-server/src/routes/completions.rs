//! `POST /v1/completions`. Several prompts of a request are continued one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gaia_openai::completion::{
    CompletionChoice, CompletionLogProbs, CompletionReply, Prompt as Sought,
};
use gaia_openai::{CompletionRequest, FinishReason, Usage, sse};

use super::chat::{frames, token_logprob};
use super::{Sent, Shared, json};
use crate::answer::{Running, completion_tokens, enter, refused};
use crate::app::{App, unix_seconds};
use crate::failure::Failure;
use crate::inference::{Prompt, Step, TokenEvent};
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
    running: Running,
    characters: u32,
    usage: Usage,
}

impl Work {
    async fn begin(app: Arc<App>, request: CompletionRequest) -> Result<Self, Failure> {
        let model = app.chat(request.model.as_deref())?.model.id.clone();
        Ok(Self {
            running: start(&app, &request, 0).await?,
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
        let step = self.running.session.next().await;
        let step = step.map_err(|error| refused(error, "prompt", &self.request.sampling))?;
        match &step {
            Step::Piece(_) => self.running.timing.piece(),
            Step::End { usage, .. } => {
                self.running.timing.end(*usage);
                self.usage = Usage::new(
                    self.usage.prompt_tokens + usage.prompt_tokens,
                    self.usage.completion_tokens + usage.completion_tokens,
                    self.usage.prompt_tokens_details.cached_tokens
                        + usage.prompt_tokens_details.cached_tokens,
                );
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
        self.running = start(&self.app, &self.request, self.index).await?;
        Ok(true)
    }

    fn echo(&self) -> String {
        match self.request.prompts.get(self.index) {
            Some(Sought::Text(text)) if self.request.echo => text.clone(),
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
        self.characters += u32::try_from(characters).unwrap_or(u32::MAX);
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

async fn start(
    app: &Arc<App>,
    request: &CompletionRequest,
    index: usize,
) -> Result<Running, Failure> {
    let mut timing = Timing::start(app);
    let model = &app.chat(request.model.as_deref())?.model;
    let pass = enter(app, model).await?;
    timing.entered();
    let prompt = match request.prompts.get(index) {
        Some(Sought::Text(text)) => Prompt::Text(text.clone()),
        Some(Sought::Tokens(tokens)) => Prompt::Tokens(tokens.clone()),
        None => Prompt::Text(String::new()),
    };
    let sampling = &request.sampling;
    let budget = |tokens| completion_tokens(app, model, tokens, sampling);
    let session = model
        .start(&prompt, sampling, request.logprobs, budget)
        .map_err(|error| refused(error, "prompt", sampling))?;
    Ok(Running {
        session,
        timing,
        _pass: pass,
    })
}

async fn next(mut work: Box<Work>) -> Next<Box<Work>> {
    match step_events(&mut work).await {
        Ok((events, true)) => Next::More(events, work),
        Ok((events, false)) => Next::Last(events),
        Err(Failure(error)) => Next::Last(frames([sse::error_event(&error), sse::DONE.to_vec()])),
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
