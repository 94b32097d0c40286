//! `POST /v1/chat/completions`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gaia_chat::{Effect, Part};
use gaia_openai::chat::{
    Answered, CallDelta, ChatChoice, ChatChunk, ChunkHead, LogProbs, NodeCall, TokenLogProb,
    ToolCall,
};
use gaia_openai::{ApiError, ChatReply, ChatRequest, sse};
use gaia_wasi_rt::timeout;

use super::{Sent, Shared, json};
use crate::answer::Answer;
use crate::failure::Failure;
use crate::stream::{self, Next};

/// How long a stream may be silent before a comment keeps it open.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);

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
    let mut texts = BTreeMap::<u32, (Answered, Vec<TokenLogProb>)>::new();
    let mut choices = Vec::new();
    let mut gaia_tools = Vec::new();
    loop {
        match answer.next().await {
            Effect::Part {
                choice,
                part,
                logprobs,
            } => {
                let (answered, tokens) = texts.entry(choice).or_default();
                add(answered, part);
                tokens.extend(logprobs);
            }
            Effect::End { choice, reason } => {
                let (answered, tokens) = texts.remove(&choice).unwrap_or_default();
                let logprobs = logprobs(&answer, tokens);
                let warning = answer.warning(choice);
                let choice = ChatChoice::new(head, choice, answered, logprobs, reason);
                choices.push(ChatChoice { warning, ..choice });
            }
            Effect::Finish { usage } => {
                choices.sort_by_key(|choice| choice.index);
                let reply = ChatReply::new(head, choices, usage);
                return Ok(json(&ChatReply {
                    timings: Some(answer.timings(usage)),
                    gaia_tools,
                    ..reply
                }));
            }
            Effect::Called(calls) => gaia_tools.extend(calls),
            Effect::Fail(error) => return Err(error.into()),
            _ => {}
        }
    }
}

/// Adds a piece to what was said so far.
fn add(answered: &mut Answered, part: Part) {
    match part {
        Part::Text(text) => answered.text.push_str(&text),
        Part::Reasoning(text) => answered.reasoning.push_str(&text),
        Part::CallBegins { id, name, .. } => answered.calls.push(ToolCall {
            id,
            name,
            arguments: String::new(),
        }),
        Part::Arguments { piece, .. } => {
            if let Some(call) = answered.calls.last_mut() {
                call.arguments.push_str(&piece);
            }
        }
        Part::CallEnds { .. } => {}
    }
}

/// A piece as an event, if it is one.
fn chunk(head: &ChunkHead, choice: u32, part: Part, logprobs: Option<LogProbs>) -> Option<Vec<u8>> {
    let chunk = match part {
        Part::Text(text) => head.text(choice, text, logprobs),
        Part::Reasoning(text) => head.reasoning(choice, text),
        Part::CallBegins { index, id, name } => {
            head.call(choice, CallDelta::begins(index, id, name))
        }
        Part::Arguments { index, piece } => head.call(choice, CallDelta::arguments(index, piece)),
        Part::CallEnds { .. } => return None,
    };
    Some(sse::event(&chunk))
}

async fn next(mut state: Box<(Answer, ChunkHead)>) -> Next<Box<(Answer, ChunkHead)>> {
    let (answer, head) = &mut *state;
    let Ok(effect) = timeout(SILENCE_MAX, answer.next()).await else {
        return Next::More(frames([sse::KEEP_ALIVE.to_vec()]), state);
    };
    match effect {
        Effect::Part {
            choice,
            part,
            logprobs: tokens,
        } => {
            let tokens = logprobs(answer, tokens);
            Next::More(frames(chunk(head, choice, part, tokens)), state)
        }
        Effect::Called(calls) => Next::More(node_calls(head, calls), state),
        Effect::End { choice, reason } => {
            let mut chunk = head.finish(choice, reason);
            for last in &mut chunk.choices {
                last.warning = answer.warning(choice);
            }
            let event = sse::event(&chunk);
            Next::More(frames([event]), state)
        }
        Effect::Finish { usage } => {
            let timings = Some(answer.timings(usage));
            let last = ChatChunk {
                timings,
                ..head.usage(usage)
            };
            let usage = head.include_usage.then(|| sse::event(&last));
            Next::Last(frames(usage.into_iter().chain([sse::DONE.to_vec()])))
        }
        Effect::Fail(error) => Next::Last(broken(&error)),
        _ => Next::More(VecDeque::new(), state),
    }
}

/// Calls of the node's tools; such an answer is the only one to its request.
fn node_calls(head: &ChunkHead, calls: Vec<NodeCall>) -> VecDeque<Bytes> {
    let events = calls.into_iter();
    frames(events.map(|call| sse::event(&head.node_call(0, call))))
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
