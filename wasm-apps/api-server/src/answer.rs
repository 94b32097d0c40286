//! From a chat request to an answer that has started: retrieve, fit, render, infer.

use gaia_openai::chat::ChunkHead;
use gaia_openai::{ApiError, ChatRequest, Constraint, Message, Sampling};
use gaia_prompt::budget;
use gaia_rag::{Citation, citation};

use crate::admission::Pass;
use crate::app::{App, Chat, unix_seconds};
use crate::failure::{Failure, from_inference};
use crate::inference::{InferenceError, Model, Prompt, Session};
use crate::random;
use crate::retrieval::{self, Found};
use crate::timing::Timing;

/// An answer that the engine works on.
pub(crate) struct Started {
    pub(crate) head: ChunkHead,
    pub(crate) running: Running,
}

/// What has to live as long as the answer.
pub(crate) struct Running {
    pub(crate) session: Session,
    pub(crate) timing: Timing,
    pub(crate) _pass: Pass,
}

/// Starts the answer to a chat request.
///
/// # Errors
/// Everything that can be known before the first token.
pub(crate) async fn start(
    app: &std::sync::Arc<App>,
    request: &ChatRequest,
) -> Result<Started, Failure> {
    let mut timing = Timing::start(app);
    let chat = app.chat(request.model.as_deref())?;
    let Found { citations, warning } = retrieval::find(app, &request.messages).await?;
    let pass = enter(app, &chat.model).await?;
    timing.entered();
    let (prompt, citations) = assemble(app, chat, request, citations)?;
    let session = begin(app, &chat.model, &prompt, request)?;
    let head = ChunkHead {
        id: random::id("chatcmpl-"),
        created: unix_seconds(),
        model: chat.model.id.clone(),
        system_fingerprint: None,
        include_usage: request.include_usage,
        citations: citations.map(|all| all.iter().map(retrieval::shown).collect()),
        warning,
    };
    Ok(Started {
        head,
        running: Running {
            session,
            timing,
            _pass: pass,
        },
    })
}

/// Waits for a place at the model.
pub(crate) async fn enter(app: &App, model: &Model) -> Result<Pass, Failure> {
    model.gate.enter().await.map_err(|full| {
        app.metrics.refused_queue_full.add(1);
        full.into()
    })
}

fn begin(
    app: &App,
    model: &Model,
    prompt: &str,
    request: &ChatRequest,
) -> Result<Session, Failure> {
    let prompt = Prompt::Text(prompt.to_owned());
    let sampling = &request.sampling;
    model
        .start(&prompt, sampling, request.logprobs, |tokens| {
            completion_tokens(app, model, tokens, sampling)
        })
        .map_err(|error| refused(error, "messages", sampling))
}

/// What the answer may be long; an error when the prompt leaves no room.
pub(crate) fn completion_tokens(
    app: &App,
    model: &Model,
    prompt: u32,
    sampling: &Sampling,
) -> Result<u32, InferenceError> {
    let cap = app.options.n_predict_max;
    budget::completion_tokens(model.facts.n_ctx, prompt, sampling.tokens_max, cap).map_err(|over| {
        InferenceError::ContextExceeded {
            context: over.context,
            prompt: over.prompt,
            wanted: over.completion,
        }
    })
}

/// The error for the caller, naming the grammar or schema if the request has one.
pub(crate) fn refused(error: InferenceError, param: &str, sampling: &Sampling) -> Failure {
    let constrained = sampling
        .constraint
        .as_ref()
        .map(|constraint| match constraint {
            Constraint::Grammar(_) => "grammar",
            Constraint::JsonSchema(_) => "response_format",
        });
    from_inference(error, param, constrained).into()
}

// The prompt's text, and the citations that made it into it.
fn assemble(
    app: &App,
    chat: &Chat,
    request: &ChatRequest,
    citations: Option<Vec<Citation>>,
) -> Result<(String, Option<Vec<Citation>>), Failure> {
    let messages = request.messages.iter().map(template_message).collect();
    let messages = gaia_prompt::with_system_prompt(messages, app.options.system_prompt.as_deref());
    let Some(citations) = citations else {
        return Ok((render(chat, &messages)?, None));
    };
    let plain = chat.model.count_tokens(&render(chat, &messages)?);
    let plain = plain.map_err(|error| refused(error, "messages", &request.sampling))?;
    let citations = fit(app, chat, request, plain, citations)?;
    let passages = citation::passages(&citations, citation::Order::BestLast);
    let messages = app.rag_prompt.insert(messages, &passages);
    Ok((render(chat, &messages)?, Some(citations)))
}

fn fit(
    app: &App,
    chat: &Chat,
    request: &ChatRequest,
    prompt_tokens: u32,
    citations: Vec<Citation>,
) -> Result<Vec<Citation>, Failure> {
    let counted: Result<Vec<usize>, _> = citations
        .iter()
        .map(|citation| {
            chat.model
                .count_tokens(&citation.text)
                .map(|count| count as usize)
        })
        .collect();
    let counted = counted.map_err(|error| refused(error, "messages", &request.sampling))?;
    let context = chat.model.facts.n_ctx;
    let max = app.options.retrieval_tokens_max.unwrap_or(context / 2);
    // The words around the passages.
    let prompt_tokens = prompt_tokens.saturating_add(64);
    let room = budget::retrieval_tokens(context, prompt_tokens, request.sampling.tokens_max, max);
    Ok(citation::fit(citations, &counted, room as usize))
}

fn template_message(message: &Message) -> gaia_prompt::Message {
    gaia_prompt::Message::new(message.role.as_str(), message.content.clone())
}

fn render(chat: &Chat, messages: &[gaia_prompt::Message]) -> Result<String, Failure> {
    let now = i64::try_from(unix_seconds()).unwrap_or(i64::MAX);
    let rendered = chat.template.render(messages, now);
    rendered.map_err(|error| ApiError::invalid_value("messages", error.to_string()).into())
}
