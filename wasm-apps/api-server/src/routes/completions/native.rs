//! `POST /completion`: the same continuations in the words of llama.cpp's server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gaia_openai::completion::{NativeChunk, NativeProbability, NativeReply, NativeRequest};
use gaia_openai::{ApiError, Constraint, FinishReason, LogitBias, Sampling, Timings, Usage, sse};
use serde_json::{Value, json};

use super::super::chat::{broken, frames};
use super::super::{Sent, Shared, json as answer};
use super::Work;
use crate::app::App;
use crate::failure::{Failure, from_inference};
use crate::inference::{Model, Piece, Step, TokenEvent};
use crate::stream::{self, Next};

pub(in crate::routes) async fn create(
    State(app): Shared,
    Sent(body): Sent,
) -> Result<Response, Failure> {
    let asked = NativeRequest::parse(&body, &app.limits)?;
    let native = Native::begin(&app, asked).await.map_err(in_its_words)?;
    if native.work.request.stream {
        Ok(stream::events(Vec::new(), Box::new(native), next))
    } else {
        native.whole().await.map_err(in_its_words)
    }
}

/// A request on its way.
struct Native {
    work: Work,
    single: bool,
    fields: Vec<String>,
    /// Log-probabilities that were asked for: the tokens come with them, so they may be there without.
    probabilities: bool,
    tokens: bool,
    context: u32,
    settings: Value,
    said: Said,
}

/// What the current prompt has led to.
struct Said {
    since: Instant,
    first: Option<Instant>,
    content: String,
    events: Vec<TokenEvent>,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            first: None,
            content: String::new(),
            events: Vec::new(),
        }
    }
}

impl Native {
    async fn begin(app: &Arc<App>, asked: NativeRequest) -> Result<Self, Failure> {
        let NativeRequest {
            mut request,
            single,
            return_tokens,
            fields,
            text_bias,
        } = asked;
        let chat = app.chat(request.model.as_deref())?;
        bias_texts(app, &chat.model, &mut request.sampling, text_bias)?;
        let probabilities = request.logprobs.is_some();
        let tokens = return_tokens || request.stream;
        if tokens {
            request.logprobs.get_or_insert(0);
        }
        let sampling = chat.node.sampling(&request.sampling);
        let predict = match (sampling.tokens_max, app.options.n_predict_max) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        };
        let settings = settings(&sampling, predict, request.logprobs, request.stream);
        let context = chat.model.facts.n_ctx;
        Ok(Self {
            work: Work::begin(Arc::clone(app), request).await?,
            said: Said::default(),
            settings,
            context,
            single,
            fields,
            probabilities,
            tokens,
        })
    }

    async fn whole(mut self) -> Result<Response, Failure> {
        let mut replies = Vec::new();
        loop {
            while let Some((_, step)) = self.work.step().await? {
                match step {
                    Step::Piece(piece) => self.said.hear(piece),
                    Step::End {
                        reason,
                        usage,
                        stop,
                    } => replies.push(self.end(reason, usage, stop)),
                }
            }
            if !self.work.advance().await? {
                break;
            }
            self.said = Said::default();
        }
        Ok(match (self.single, replies.pop()) {
            (true, Some(reply)) => answer(&reply),
            (_, last) => {
                replies.extend(last);
                answer(&replies)
            }
        })
    }

    fn chunk(&mut self, piece: Piece) -> NativeChunk {
        let tokens = piece.events.iter().map(|event| event.id).collect();
        let probabilities = piece.events.iter().map(probability);
        let chunk = NativeChunk {
            index: self.work.index,
            content: piece.text.clone(),
            tokens,
            stop: false,
            completion_probabilities: self.probabilities.then(|| probabilities.collect()),
        };
        self.said.hear(piece);
        chunk
    }

    fn end(&mut self, reason: FinishReason, usage: Usage, stop: Option<String>) -> Value {
        let streams = self.work.request.stream;
        let said = std::mem::take(&mut self.said);
        let tokens = said.events.iter().map(|event| event.id);
        let probabilities = said.events.iter().map(probability);
        let reply = NativeReply {
            index: self.work.index,
            stop: true,
            model: self.work.model.clone(),
            tokens_predicted: usage.completion_tokens,
            tokens_evaluated: usage.prompt_tokens,
            tokens_cached: usage.prompt_tokens_details.cached_tokens,
            generation_settings: self.settings.clone(),
            prompt: self.work.prompt(),
            has_new_line: said.content.contains('\n'),
            truncated: reason == FinishReason::Length && usage.total_tokens >= self.context,
            stop_type: match (reason, &stop) {
                (FinishReason::Length, _) => "limit",
                (_, Some(_)) => "word",
                _ => "eos",
            },
            stopping_word: stop.unwrap_or_default(),
            timings: said.timings(usage),
            completion_probabilities: (self.probabilities && !streams)
                .then(|| probabilities.collect()),
            tokens: match self.tokens && !streams {
                true => tokens.collect(),
                false => Vec::new(),
            },
            content: match streams {
                true => String::new(),
                false => said.content,
            },
        };
        reply.to_json(&self.fields)
    }
}

impl Said {
    fn hear(&mut self, piece: Piece) {
        self.first.get_or_insert_with(Instant::now);
        self.content.push_str(&piece.text);
        self.events.extend(piece.events);
    }

    fn timings(&self, usage: Usage) -> Timings {
        let cached = usage.prompt_tokens_details.cached_tokens;
        let first = self.first.unwrap_or_else(Instant::now);
        let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1000.0;
        let read = (
            usage.prompt_tokens.saturating_sub(cached),
            ms(self.since, first),
        );
        let written = (usage.completion_tokens, ms(first, Instant::now()));
        Timings::new(cached, read, written)
    }
}

/// Adds what the tokens of texts are biased by.
fn bias_texts(
    app: &App,
    model: &Model,
    sampling: &mut Sampling,
    texts: Vec<(String, f32)>,
) -> Result<(), ApiError> {
    let max = app.limits.logit_bias_max;
    for (text, bias) in texts {
        let tokens = model.tokenize_plain(&text);
        let tokens = tokens.map_err(|error| from_inference(error, "logit_bias", None))?;
        let biases = tokens.into_iter().map(|token| LogitBias { token, bias });
        sampling.logit_bias.extend(biases);
        if sampling.logit_bias.len() > max {
            let message = format!("The texts of `logit_bias` have more than {max} tokens.");
            return Err(ApiError::invalid_value("logit_bias", message));
        }
    }
    Ok(())
}

fn probability(event: &TokenEvent) -> NativeProbability {
    NativeProbability {
        id: event.id,
        token: event.text.clone(),
        bytes: event.bytes.clone(),
        logprob: event.logprob,
        top_logprobs: event.top.iter().map(probability).collect(),
    }
}

fn settings(
    sampling: &Sampling,
    predict: Option<u32>,
    probabilities: Option<u32>,
    stream: bool,
) -> Value {
    let biases = sampling.logit_bias.iter();
    let biases = biases.map(|bias| json!({"token": bias.token, "bias": bias.bias}));
    json!({
        "n_predict": predict.map_or(-1, i64::from),
        "max_tokens": predict.map_or(-1, i64::from),
        "seed": sampling.seed,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "stop": sampling.stop,
        "logit_bias": biases.collect::<Vec<_>>(),
        "ignore_eos": sampling.ignore_eos,
        "n_probs": probabilities.unwrap_or(0),
        "stream": stream,
        "grammar": sampling.constraint.as_ref().map(Constraint::gbnf),
    })
}

// The words that clients of that server look for.
fn in_its_words(Failure(error): Failure) -> Failure {
    if error.code.as_deref() != Some("context_length_exceeded") {
        return Failure(error);
    }
    let message = format!(
        "The request exceeds the available context size. {}",
        error.message
    );
    Failure(ApiError { message, ..error })
}

async fn next(mut native: Box<Native>) -> Next<Box<Native>> {
    match step_events(&mut native).await {
        Ok((events, true)) => Next::More(events, native),
        Ok((events, false)) => Next::Last(events),
        Err(Failure(error)) => Next::Last(broken(&error)),
    }
}

// The next events, and whether more come.
async fn step_events(native: &mut Native) -> Result<(VecDeque<Bytes>, bool), Failure> {
    let event = match native.work.step().await? {
        Some((_, Step::Piece(piece))) => sse::event(&native.chunk(piece)),
        Some((
            _,
            Step::End {
                reason,
                usage,
                stop,
            },
        )) => sse::event(&native.end(reason, usage, stop)),
        None => {
            let more = native.work.advance().await?;
            native.said = Said::default();
            return Ok((VecDeque::new(), more));
        }
    };
    Ok((frames([event]), true))
}
