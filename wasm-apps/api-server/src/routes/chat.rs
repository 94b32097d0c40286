//! `POST /v1/chat/completions`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gaia_chat::Effect;
use gaia_openai::chat::{ChatChoice, ChunkHead, LogProbs, TokenLogProb};
use gaia_openai::{ApiError, ChatReply, ChatRequest, sse};
use gaia_wasi_rt::timeout;

use super::{Sent, Shared, json};
use crate::answer::Answer;
use crate::failure::Failure;
use crate::stream::{self, Next};

/// How long a stream may be silent before a comment keeps it open.
const SILENCE_MAX: Duration = Duration::from_secs(10);

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = ChatRequest::parse(&body, &app.limits)?;
    let (answer, head) = Answer::begin(&app, request).await?;
    if answer.request().stream {
        let choices = 0..answer.request().choices;
        let first = choices.flat_map(|choice| sse::event(&head.first(choice)));
        let first = first.collect();
        Ok(stream::events(first, Box::new((answer, head)), next))
    } else {
        whole(answer, &head).await
    }
}

async fn whole(mut answer: Answer, head: &ChunkHead) -> Result<Response, Failure> {
    let mut texts = BTreeMap::<u32, (String, Vec<TokenLogProb>)>::new();
    let mut choices = Vec::new();
    loop {
        match answer.next().await {
            Effect::Delta {
                choice,
                text,
                logprobs,
            } => {
                let (content, tokens) = texts.entry(choice).or_default();
                content.push_str(&text);
                tokens.extend(logprobs);
            }
            Effect::End { choice, reason } => {
                let (content, tokens) = texts.remove(&choice).unwrap_or_default();
                let logprobs = logprobs(&answer, tokens);
                choices.push(ChatChoice::new(head, choice, content, logprobs, reason));
            }
            Effect::Finish { usage } => {
                choices.sort_by_key(|choice| choice.index);
                return Ok(json(&ChatReply::new(head, choices, usage)));
            }
            Effect::Fail(error) => return Err(error.into()),
            _ => {}
        }
    }
}

async fn next(mut state: Box<(Answer, ChunkHead)>) -> Next<Box<(Answer, ChunkHead)>> {
    let (answer, head) = &mut *state;
    let Ok(effect) = timeout(SILENCE_MAX, answer.next()).await else {
        return Next::More(frames([sse::KEEP_ALIVE.to_vec()]), state);
    };
    match effect {
        Effect::Delta {
            choice,
            text,
            logprobs: tokens,
        } => {
            let event = sse::event(&head.text(choice, text, logprobs(answer, tokens)));
            Next::More(frames([event]), state)
        }
        Effect::End { choice, reason } => {
            let event = sse::event(&head.finish(choice, reason));
            Next::More(frames([event]), state)
        }
        Effect::Finish { usage } => {
            let usage = head.include_usage.then(|| sse::event(&head.usage(usage)));
            Next::Last(frames(usage.into_iter().chain([sse::DONE.to_vec()])))
        }
        Effect::Fail(error) => Next::Last(broken(&error)),
        _ => Next::More(VecDeque::new(), state),
    }
}

fn logprobs(answer: &Answer, content: Vec<TokenLogProb>) -> Option<LogProbs> {
    answer.request().logprobs.map(|_| LogProbs {
        content,
        refusal: None,
    })
}

/// Events as the frames of a body.
pub(super) fn frames(events: impl IntoIterator<Item = Vec<u8>>) -> VecDeque<Bytes> {
    events.into_iter().map(Bytes::from).collect()
}

/// How a stream ends that cannot go on.
pub(super) fn broken(error: &ApiError) -> VecDeque<Bytes> {
    frames([sse::error_event(error), sse::DONE.to_vec()])
}
