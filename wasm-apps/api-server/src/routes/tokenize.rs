//! `POST /tokenize`, `/detokenize` and `/apply-template`: what the models see.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use gaia_chat::Node;
use gaia_openai::tokenize::{InputTokensReply, TemplateRequest, Token};
use gaia_openai::{
    ApiError, ChatRequest, DetokenizeReply, DetokenizeRequest, ServiceTier, TemplateReply,
    TokenizeReply, TokenizeRequest,
};
use gaia_wasi_rt::yield_now;

use super::{Sent, Shared, json};
use crate::app::{App, unix_seconds};
use crate::failure::{Failure, from_inference};
use crate::inference::{InferenceError, Model};
use crate::prompts::{self, Wanted};
use crate::random;

/// Tokens that are looked up before others get their turn.
const PIECES_AT_ONCE: usize = 64;

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = TokenizeRequest::parse(&body, &app.limits)?;
    let model = find(&app, request.model.as_deref())?;
    let mut lists = Vec::with_capacity(request.texts.len());
    for text in &request.texts {
        let tokens = match request.add_special {
            true => model.tokenize(text),
            false => model.tokenize_plain(text),
        };
        let shown = match tokens {
            Ok(ids) if request.with_pieces => with_pieces(model, ids).await,
            ids => ids.map(|ids| ids.into_iter().map(Token::Id).collect()),
        };
        lists.push(shown.map_err(|error| from_inference(error, "content", None))?);
        yield_now().await;
    }
    Ok(json(&TokenizeReply::new(&request, lists)))
}

async fn with_pieces(model: &Model, ids: Vec<u32>) -> Result<Vec<Token>, InferenceError> {
    let mut tokens = Vec::with_capacity(ids.len());
    for (index, id) in ids.into_iter().enumerate() {
        tokens.push(Token::shown(id, model.piece(id)?));
        if index % PIECES_AT_ONCE == 0 {
            yield_now().await;
        }
    }
    Ok(tokens)
}

pub(super) async fn reverse(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = DetokenizeRequest::parse(&body, &app.limits)?;
    let model = find(&app, request.model.as_deref())?;
    let unknown = |id: &&u32| model.vocabulary().is_some_and(|size| **id >= size);
    if let Some(id) = request.tokens.iter().find(unknown) {
        let message = format!("`tokens`: {id} is not in the model's vocabulary.");
        return Err(ApiError::invalid_value("tokens", message).into());
    }
    let content = match request.tokens.as_slice() {
        [] => Ok(String::new()),
        tokens => model.detokenize(tokens),
    };
    let content = content.map_err(|error| from_inference(error, "tokens", None))?;
    Ok(json(&DetokenizeReply { content }))
}

/// The prompt of a chat request with its tools, without passages.
pub(super) async fn apply_template(
    State(app): Shared,
    Sent(body): Sent,
) -> Result<Response, Failure> {
    let TemplateRequest { chat, closed } = TemplateRequest::parse(&body, &app.limits)?;
    let node = node_for(&app, &chat).await?;
    let chat = with_node_tools(&app, &node, chat).await;
    let prompt = match closed {
        true => node.history(&chat, now())?,
        false => node.prompt(&chat, now())?,
    };
    Ok(json(&TemplateReply { prompt }))
}

/// How many tokens that prompt has.
pub(super) async fn count_input(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = ChatRequest::parse(&body, &app.limits)?;
    Ok(json(&count(&app, request).await?))
}

/// The same for a chat request at hand.
pub(super) async fn count(app: &App, request: ChatRequest) -> Result<InputTokensReply, Failure> {
    let node = node_for(app, &request).await?;
    let request = with_node_tools(app, &node, request).await;
    let prompt = node.prompt(&request, now())?;
    let model = &app.chat(request.model.as_deref())?.model;
    let tokens = model.count_tokens(&prompt);
    let input_tokens = tokens.map_err(|error| from_inference(error, "messages", None))?;
    Ok(InputTokensReply::new(input_tokens))
}

/// The request as the model gets it first: the node's tools are offered beside the caller's.
async fn with_node_tools(app: &App, node: &Node, request: ChatRequest) -> ChatRequest {
    let own = app.tools.offered(node.context_tokens).await;
    gaia_chat::with_own_tools(node, &own, request)
}

/// The node with the prompts that the request chooses.
async fn node_for(app: &App, request: &ChatRequest) -> Result<Arc<Node>, Failure> {
    let chat = app.chat(request.model.as_deref())?;
    let turn = random::id("prompt-");
    let wanted = Wanted::of(&turn, request, ServiceTier::default());
    Ok(prompts::choose(app, chat, wanted).await?.node)
}

fn now() -> i64 {
    i64::try_from(unix_seconds()).unwrap_or(i64::MAX)
}

fn find<'a>(app: &'a App, wanted: Option<&str>) -> Result<&'a Model, ApiError> {
    let models = app.models()?;
    let embedding = models.embedding.as_ref();
    match embedding.filter(|model| wanted == Some(model.id.as_str())) {
        Some(model) => Ok(model),
        None => app.chat(wanted).map(|chat| &chat.model),
    }
}
