//! `POST /v1/chat/completions`.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gaia_openai::chat::{ChunkHead, LogProbs, TokenLogProb, TopLogProb};
use gaia_openai::{ChatReply, ChatRequest, sse};
use gaia_wasi_rt::timeout;

use super::{Sent, Shared, json};
use crate::answer::{self, Running, Started, refused};
use crate::failure::Failure;
use crate::inference::{Piece, Step, TokenEvent};
use crate::stream::{self, Next};

// How long a stream may be silent before a comment keeps it open.
const SILENCE_MAX: Duration = Duration::from_secs(10);

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = ChatRequest::parse(&body, &app.limits)?;
    let started = answer::start(&app, &request).await?;
    if request.stream {
        Ok(streamed(started, request))
    } else {
        whole(started, &request).await
    }
}

async fn whole(started: Started, request: &ChatRequest) -> Result<Response, Failure> {
    let Started { head, mut running } = started;
    let (mut text, mut tokens) = (String::new(), Vec::new());
    loop {
        let step = running.session.next().await;
        match step.map_err(|error| refused(error, "messages", &request.sampling))? {
            Step::Piece(piece) => {
                running.timing.piece();
                text.push_str(&piece.text);
                tokens.extend(piece.events);
            }
            Step::End { reason, usage } => {
                running.timing.end(usage);
                let logprobs = logprobs(request.logprobs, &tokens);
                return Ok(json(&ChatReply::new(&head, text, logprobs, reason, usage)));
            }
        }
    }
}

struct Streaming {
    head: ChunkHead,
    running: Running,
    request: ChatRequest,
}

fn streamed(started: Started, request: ChatRequest) -> Response {
    let Started { head, running } = started;
    let first = sse::event(&head.first());
    let state = Box::new(Streaming {
        head,
        running,
        request,
    });
    stream::events(first, state, next)
}

async fn next(mut state: Box<Streaming>) -> Next<Box<Streaming>> {
    let Ok(step) = timeout(SILENCE_MAX, state.running.session.next()).await else {
        return Next::More(frames([sse::KEEP_ALIVE.to_vec()]), state);
    };
    match step {
        Ok(Step::Piece(piece)) => {
            state.running.timing.piece();
            let event = text_event(&state, piece);
            Next::More(frames([event]), state)
        }
        Ok(Step::End { reason, usage }) => {
            state.running.timing.end(usage);
            let finish = sse::event(&state.head.finish(reason));
            let usage = state
                .head
                .include_usage
                .then(|| sse::event(&state.head.usage(usage)));
            let last = [finish]
                .into_iter()
                .chain(usage)
                .chain([sse::DONE.to_vec()]);
            Next::Last(frames(last))
        }
        Err(error) => {
            let Failure(error) = refused(error, "messages", &state.request.sampling);
            Next::Last(frames([sse::error_event(&error), sse::DONE.to_vec()]))
        }
    }
}

fn text_event(state: &Streaming, piece: Piece) -> Vec<u8> {
    let logprobs = logprobs(state.request.logprobs, &piece.events);
    sse::event(&state.head.text(piece.text, logprobs))
}

pub(super) fn frames(events: impl IntoIterator<Item = Vec<u8>>) -> VecDeque<Bytes> {
    events.into_iter().map(Bytes::from).collect()
}

fn logprobs(wanted: Option<u32>, tokens: &[TokenEvent]) -> Option<LogProbs> {
    let top = wanted? as usize;
    Some(LogProbs {
        content: tokens
            .iter()
            .map(|token| token_logprob(token, top))
            .collect(),
        refusal: None,
    })
}

/// A token as the API shows it, with the `top` likeliest at its place.
pub(super) fn token_logprob(token: &TokenEvent, top: usize) -> TokenLogProb {
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
