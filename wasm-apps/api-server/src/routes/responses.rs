//! `/v1/responses`: answers as responses, and those that were kept.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use gaia_openai::responses::{
    Deleted, Event, Item, Kept, Page, ResponseRequest, in_words_of_responses,
};
use gaia_openai::{ApiError, sse};
use gaia_wasi_rt::timeout;

use super::chat::{SILENCE_MAX, frames};
use super::{Sent, Shared, json, tokenize};
use crate::app::App;
use crate::background;
use crate::failure::Failure;
use crate::records::Owner;
use crate::responding::{self, Prepared, Responding};
use crate::stream::{self, Next};

pub(super) async fn create(
    State(app): Shared,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Result<Response, Failure> {
    let request = ResponseRequest::parse(&body, &app.limits)?;
    let (stream, owner) = (request.stream, Owner::of(&headers));
    if request.settings.background {
        return Ok(json(&background::begin(&app, owner, request).await?));
    }
    let mut responding = Prepared::of(&app, owner, request).await?.begin().await?;
    if stream {
        let first = responding.events().iter().flat_map(Event::to_sse).collect();
        return Ok(stream::events(first, Box::new(responding), next));
    }
    while responding.go_on().await? {
        // What does not stream has no use for them.
        responding.events();
    }
    Ok(json(responding.response()))
}

async fn next(mut responding: Box<Responding>) -> Next<Box<Responding>> {
    let Ok(went) = timeout(SILENCE_MAX, responding.go_on()).await else {
        return Next::More(frames([sse::KEEP_ALIVE.to_vec()]), responding);
    };
    let events = responding.events();
    // One write for all of them.
    let bytes: Vec<u8> = events.iter().flat_map(Event::to_sse).collect();
    let frames = frames((!bytes.is_empty()).then_some(bytes));
    match went {
        Ok(true) => Next::More(frames, responding),
        Ok(false) | Err(_) => Next::Last(frames),
    }
}

type Named = Result<Path<String>, PathRejection>;
type Asked = Result<Query<Vec<(String, String)>>, QueryRejection>;

pub(super) async fn retrieve(
    State(app): Shared,
    headers: HeaderMap,
    named: Named,
    asked: Asked,
) -> Result<Response, Failure> {
    let streams = |(key, value): &(String, String)| key == "stream" && value != "false";
    if pairs(asked)?.iter().any(streams) {
        let message = "What was kept does not stream: leave `stream` out.";
        return Err(ApiError::unsupported("stream", message).into());
    }
    Ok(json(&kept(&app, &headers, &id(named)).await?.response))
}

pub(super) async fn input_items(
    State(app): Shared,
    headers: HeaderMap,
    named: Named,
    asked: Asked,
) -> Result<Response, Failure> {
    let pairs = pairs(asked)?;
    let pairs = pairs.iter();
    let page = Page::parse(pairs.map(|(key, value)| (key.as_str(), value.as_str())))?;
    let kept = kept(&app, &headers, &id(named)).await?;
    page.check_named(&kept.input, Item::id)?;
    Ok(json(&page.of(kept.input, Item::id)))
}

/// How many tokens the conversation has that the request would have answered.
pub(super) async fn count_input(
    State(app): Shared,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Result<Response, Failure> {
    let request = ResponseRequest::parse(&body, &app.limits)?;
    let chat = responding::conversation(&app, &Owner::of(&headers), &request).await?;
    let counted = tokenize::count(&app, chat).await;
    let counted = counted.map_err(|Failure(error)| in_words_of_responses(error))?;
    Ok(json(&counted))
}

pub(super) async fn delete(
    State(app): Shared,
    headers: HeaderMap,
    named: Named,
) -> Result<Response, Failure> {
    let id = id(named);
    match app.records.delete(&Owner::of(&headers), &id).await? {
        true => Ok(json(&Deleted::new(id, "response"))),
        false => Err(ApiError::no_such_object("response", &id).into()),
    }
}

pub(super) async fn cancel(
    State(app): Shared,
    headers: HeaderMap,
    named: Named,
) -> Result<Response, Failure> {
    let id = id(named);
    // Whose it is, is known before anything is done to it.
    kept(&app, &headers, &id).await?;
    background::cancel(&app, &id).await?;
    Ok(json(&kept(&app, &headers, &id).await?.response))
}

async fn kept(app: &App, headers: &HeaderMap, id: &str) -> Result<Kept, ApiError> {
    let kept = app.records.get(&Owner::of(headers), id).await?;
    let kept = kept.ok_or_else(|| ApiError::no_such_object("response", id))?;
    Ok(Kept {
        response: app.background.as_it_stands(kept.response),
        ..kept
    })
}

/// What is not UTF-8 is no response's name.
fn id(named: Named) -> String {
    named.map_or_else(|_| String::new(), |Path(id)| id)
}

fn pairs(asked: Asked) -> Result<Vec<(String, String)>, ApiError> {
    let pairs = asked.map(|Query(pairs)| pairs);
    pairs.map_err(|error| ApiError::invalid_value("query", format!("{error}.")))
}
