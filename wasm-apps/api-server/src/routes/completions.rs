//! `POST /v1/completions`. Several prompts of a request are continued one after the other, the choices of a prompt
//! together.

pub(super) mod native;
mod only_echo;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gaia_chat::Generation;
use gaia_openai::completion::{CompletionChoice, CompletionLogProbs, CompletionReply, Prompt};
use gaia_openai::input::Input;
use gaia_openai::{ApiError, CompletionRequest, FinishReason, ServiceTier, Usage, sse};
use gaia_prompt::budget;

use super::chat::{broken, frames};
use super::{Sent, Shared, json};
use crate::answer::{enter, refused, token_logprob};
use crate::app::{App, unix_seconds};
use crate::choices::Choices;
use crate::failure::{Failure, from_inference};
use crate::inference::{Engine, InferenceError, Model, Step, TokenEvent};
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
    generating: Choices,
    timing: Timing,
    /// Where the current prompt is scored: the text of its first token.
    first: Option<String>,
    /// Of each choice of the current prompt: characters of its tokens so far.
    characters: Vec<Option<u32>>,
    /// Where nothing but the prompt is wanted, of each choice: tokens of the prompt that are not told yet.
    untold: Vec<usize>,
    /// What the choices of the current prompt took that have ended.
    of_prompt: Option<Usage>,
    usage: Usage,
}

impl Work {
    async fn begin(app: Arc<App>, request: CompletionRequest) -> Result<Self, Failure> {
        let model = &app.chat(request.model.as_deref())?.model;
        if let Some(size) = model.vocabulary() {
            request.check_vocabulary(size)?;
        }
        let model = model.id.clone();
        let Started {
            generating,
            mut timing,
            first,
            prompt_tokens,
        } = start(&app, &request, 0).await?;
        let id = random::id("cmpl-");
        timing.answers(&id);
        Ok(Self {
            generating,
            timing,
            first,
            id,
            created: unix_seconds(),
            model,
            index: 0,
            characters: vec![None; request.choices as usize],
            untold: vec![prompt_tokens.saturating_sub(1); request.choices as usize],
            of_prompt: None,
            usage: Usage::default(),
            app,
            request,
        })
    }

    async fn whole(mut self) -> Result<Response, Failure> {
        let mut choices = Vec::new();
        loop {
            let texts = vec![(self.echo(), Vec::new()); self.request.choices as usize];
            let mut texts: Vec<(String, Vec<TokenEvent>)> = texts;
            while let Some((choice, step)) = self.step().await? {
                let (text, tokens) = &mut texts[choice as usize];
                match step {
                    Step::Piece(piece) => {
                        text.push_str(&piece.text);
                        tokens.extend(piece.events);
                    }
                    Step::End { reason, .. } => {
                        let (text, tokens) = std::mem::take(&mut texts[choice as usize]);
                        let logprobs = self.logprobs(choice, &tokens);
                        choices.push(self.choice(choice, text, logprobs, Some(reason)));
                    }
                }
            }
            if !self.advance().await? {
                choices.sort_by_key(|choice| choice.index);
                return Ok(json(&self.reply(choices, Some(self.usage))));
            }
        }
    }

    /// The next step, and of which choice; `None` when all of the current prompt have ended.
    async fn step(&mut self) -> Result<Option<(u32, Step)>, Failure> {
        let Some((choice, step)) = self.generating.next().await else {
            return Ok(None);
        };
        let step = step.map_err(|error| {
            self.timing.failed();
            refused(error, "prompt", &self.request.sampling)
        })?;
        let step = match self.untold.get_mut(choice as usize) {
            Some(untold) if self.request.only_echo => only_echo::without_answer(step, untold),
            _ => step,
        };
        match &step {
            Step::Piece(_) => {
                self.timing.piece(choice);
                let generating = &mut self.generating;
                self.timing.read(choice, || generating.usage(choice));
            }
            Step::End { usage, reason, .. } => {
                self.timing.took(*usage);
                self.timing.finished(*reason);
                let sum = self.of_prompt.map_or(*usage, |sum| sum.and_choice(*usage));
                self.of_prompt = Some(sum);
            }
        }
        Ok(Some((choice, step)))
    }

    /// Goes to the next prompt; `false` when there is none.
    async fn advance(&mut self) -> Result<bool, Failure> {
        let of_prompt = self.of_prompt.take().unwrap_or_default();
        self.timing.end(of_prompt);
        self.usage = self.usage.and_prompt(of_prompt);
        if self.index + 1 == self.request.prompts.len() {
            return Ok(false);
        }
        self.index += 1;
        self.characters.fill(None);
        let started = start(&self.app, &self.request, self.index).await?;
        self.untold.fill(started.prompt_tokens.saturating_sub(1));
        self.generating = started.generating;
        self.timing = started.timing;
        self.timing.answers(&self.id);
        self.first = started.first;
        Ok(true)
    }

    fn echo(&self) -> String {
        match self.request.echo {
            true => self.prompt(),
            false => String::new(),
        }
    }

    /// The current prompt as text. What has been generated from tokens can be written, so they can.
    fn prompt(&self) -> String {
        let input = match self.request.prompts.get(self.index) {
            None => return String::new(),
            Some(Input::Text(text)) => return text.clone(),
            Some(input) => input,
        };
        let model = self.app.chat(None).ok().map(|chat| &chat.model);
        let text = model.and_then(|model| {
            let tokens = model.tokens_of(input).ok()?;
            model.detokenize(&tokens).ok()
        });
        text.unwrap_or_default()
    }

    fn logprobs(&mut self, choice: u32, tokens: &[TokenEvent]) -> Option<CompletionLogProbs> {
        let top = self.request.logprobs? as usize;
        let tokens: Vec<_> = tokens
            .iter()
            .map(|token| token_logprob(token, top))
            .collect();
        let so_far = self.characters.get_mut(choice as usize)?;
        let first = self.first.as_ref().filter(|_| so_far.is_none());
        let offset = so_far.unwrap_or(first.map_or(0, |first| characters(first)));
        let of_these = tokens.iter().map(|token| characters(&token.token));
        *so_far = Some(of_these.fold(offset, u32::saturating_add));
        let logprobs = CompletionLogProbs::new(&tokens, offset);
        Some(match first {
            Some(first) => logprobs.after(first.clone()),
            None => logprobs,
        })
    }

    fn choice(
        &self,
        choice: u32,
        text: String,
        logprobs: Option<CompletionLogProbs>,
        finish_reason: Option<FinishReason>,
    ) -> CompletionChoice {
        CompletionChoice {
            index: u32::try_from(self.index)
                .unwrap_or(u32::MAX)
                .saturating_mul(self.request.choices)
                .saturating_add(choice),
            text,
            logprobs,
            warning: finish_reason
                .filter(|_| !self.request.only_echo)
                .and(self.generating.warning(choice)),
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
        .with_tier(granted(&self.app, &self.request))
    }

    fn event(&self, choice: CompletionChoice) -> Vec<u8> {
        sse::event(&self.reply(vec![choice], None))
    }
}

/// The tier the request gets, if it asks for one.
fn granted(app: &App, request: &CompletionRequest) -> Option<ServiceTier> {
    let asked = request.service_tier;
    asked.map(|tier| tier.granted(app.options.priority_allowed))
}

fn characters(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// A prompt that is being continued.
struct Started {
    generating: Choices,
    timing: Timing,
    first: Option<String>,
    prompt_tokens: usize,
}

async fn start(
    app: &Arc<App>,
    request: &CompletionRequest,
    index: usize,
) -> Result<Started, Failure> {
    let mut timing = Timing::start(app);
    let chat = app.chat(request.model.as_deref())?;
    let model = &chat.model;
    let prompt = request.prompts.get(index).cloned();
    let prompt = prompt.unwrap_or_else(|| Input::Text(String::new()));
    let (prompt, count) = match &request.suffix {
        None => {
            counted(model, prompt).map_err(|error| refused(error, "prompt", &request.sampling))?
        }
        Some(suffix) => around(model, &prompt, suffix)?,
    };
    let score_prompt = request.echo && request.logprobs.is_some();
    let first = score_prompt.then(|| first_text(model, &prompt));
    let tokens_max = tokens_max(app, model, request, count)?;
    let wanted = Generation {
        prompt,
        tokens_max,
        sampling: chat.node.sampling(&request.sampling),
        logprobs: request.logprobs,
        score_prompt,
        shown_tokens: &[],
    };
    wanted.check(model.engine.into(), model.vocabulary(), request.choices)?;
    let since = Instant::now();
    let tier = granted(app, request).unwrap_or_default();
    let pass = enter(app, model, request.choices, tier).await?;
    timing.entered(since, tokens_max);
    let started = Choices::start(model, &wanted, request.choices, pass);
    let started = started.map_err(|error| refused(error, "prompt", &request.sampling))?;
    timing.begun(count as usize);
    Ok(Started {
        generating: started,
        timing,
        first,
        prompt_tokens: count as usize,
    })
}

/// The prompt for what is missing before `suffix`, and its length.
fn around(model: &Model, prompt: &Input, suffix: &str) -> Result<(Prompt, u32), ApiError> {
    let tokens = model.around(prompt, suffix);
    let tokens = tokens.map_err(|error| from_inference(error, "suffix", None))?;
    let tokens = tokens.ok_or_else(|| {
        let message = format!(
            "`suffix` needs a model that fills gaps; `{}` has no tokens for that.",
            model.id
        );
        ApiError::unsupported("suffix", message)
    })?;
    let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    Ok((Prompt::Tokens(tokens), count))
}

/// The text of a prompt's first token. What starts every text is none of the prompt's own.
fn first_text(model: &Model, prompt: &Prompt) -> String {
    let first = match prompt {
        Prompt::Tokens(tokens) => tokens.first().copied(),
        Prompt::Text(_) => None,
    };
    let first = first.filter(|first| Some(*first) != model.facts.start());
    let bytes = first.and_then(|first| model.piece(first).ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// A prompt and its length; as tokens, where it had to be tokenised for that.
fn counted(model: &Model, prompt: Input) -> Result<(Prompt, u32), InferenceError> {
    let prompt = match prompt {
        Input::Text(text) if model.engine == Engine::Stock => {
            let count = model.count_tokens(&text)?;
            return Ok((Prompt::Text(text), count));
        }
        Input::Mixed(_) if model.engine == Engine::Stock => {
            return Err(InferenceError::Unsupported { param: "prompt" });
        }
        input => model.tokens_of(&input)?,
    };
    let count = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
    Ok((Prompt::Tokens(prompt), count))
}

fn tokens_max(
    app: &App,
    model: &Model,
    request: &CompletionRequest,
    count: u32,
) -> Result<u32, ApiError> {
    let sampling = &request.sampling;
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
    let Some((choice, step)) = work.step().await? else {
        return next_prompt(work).await;
    };
    let echo = match work.characters.get(choice as usize) {
        Some(None) => work.echo(),
        _ => String::new(),
    };
    let (text, logprobs, reason) = match step {
        Step::Piece(piece) => {
            let logprobs = work.logprobs(choice, &piece.events);
            (echo + &piece.text, logprobs, None)
        }
        Step::End { reason, .. } => (echo, None, Some(reason)),
    };
    if let Some(characters) = work.characters.get_mut(choice as usize) {
        characters.get_or_insert(0);
    }
    let event = work.event(work.choice(choice, text, logprobs, reason));
    Ok((frames([event]), true))
}

async fn next_prompt(work: &mut Work) -> Result<(VecDeque<Bytes>, bool), Failure> {
    if work.advance().await? {
        return Ok((VecDeque::new(), true));
    }
    let usage = work.request.include_usage;
    let usage = usage.then(|| sse::event(&work.reply(Vec::new(), Some(work.usage))));
    let last = usage.into_iter().chain([sse::DONE.to_vec()]);
    Ok((frames(last), false))
}
