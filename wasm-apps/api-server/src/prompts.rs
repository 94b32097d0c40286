//! The node's named prompts: which of them a request gets, and what is made of it.
//!
//! What a prompt is, and which one is chosen, is decided in `gaia_prompt::prompt`; here are the folder, the embedding
//! model, the clock, and the host, which runs what makes prompts at run time. Without prompts nothing of this costs a
//! request more than a look at the folder.

mod folder;
mod made;

use std::collections::BTreeMap;
use std::sync::Arc;

use gaia_chat::Node;
use gaia_openai::chat::NodeCall;
use gaia_openai::{ApiError, ChatRequest, Message, Role, ServiceTier};
use gaia_prompt::making::Said;
use gaia_prompt::prompt::{
    Asked, Choice, Kind, ModelFacts, Occasion, Opening, Prompt, PromptSet, PromptSource as _,
    RenderPromptError,
};

pub(crate) use folder::Prompts;

use self::made::Maker;

use crate::app::{App, Chat, unix_seconds};
use crate::retrieval;

/// The key of a request's metadata that names a prompt. Variables stand beside it by their own names.
const NAMED: &str = "prompt";

/// A request's node, with the prompts it answers by.
pub(crate) struct Prompted {
    pub(crate) node: Arc<Node>,
    /// The versions of the prompts, as the reply tells.
    pub(crate) used: Vec<String>,
    /// The calls that were made for a prompt.
    pub(crate) calls: Vec<NodeCall>,
    /// Why a prompt is not all that it could be.
    pub(crate) warning: Option<String>,
    /// What was embedded for the choice: the same text need not be embedded again.
    pub(crate) embedded: Option<(String, Vec<f32>)>,
}

/// What of a request decides.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// What the host counts calls by.
    pub(crate) turn: &'a str,
    pub(crate) messages: &'a [Message],
    pub(crate) metadata: &'a BTreeMap<String, String>,
    pub(crate) tier: ServiceTier,
}

impl<'a> Wanted<'a> {
    pub(crate) fn of(turn: &'a str, request: &'a ChatRequest, tier: ServiceTier) -> Self {
        Self {
            turn,
            messages: &request.messages,
            metadata: &request.metadata,
            tier,
        }
    }
}

/// What is known of the model, for the conditions of prompts.
pub(crate) fn facts(chat: &Chat) -> ModelFacts<'_> {
    ModelFacts {
        name: &chat.model.id,
        parameters: chat.model.facts.params,
    }
}

/// Chooses the prompts of a request.
///
/// # Errors
/// 400 where the request names a prompt that there is not, or its variables make one fail.
pub(crate) async fn choose(
    app: &App,
    chat: &Chat,
    wanted: Wanted<'_>,
) -> Result<Prompted, ApiError> {
    let set = app.prompts.current();
    let model = facts(chat);
    let name = wanted.metadata.get(NAMED).map(String::as_str);
    if let Some(name) = name {
        let known = set.check_name(name, &model);
        known.map_err(|unknown| refused(&format!("metadata.{NAMED}"), &unknown.to_string()))?;
    }
    let question = question(wanted.messages);
    let embedded = match name {
        None => embed(app, &set, &model, question, wanted.tier).await,
        Some(_) => None,
    };
    let [system, rag] = {
        let similarity = |example: &str| {
            let (_, vector) = embedded.as_ref()?;
            app.prompts.similarity(example, vector)
        };
        let asked = Asked {
            name,
            question,
            similarity: &similarity,
            configured: app.options.prompt.as_deref(),
        };
        Kind::ALL.map(|kind| set.choose(kind, &model, &asked))
    };
    // What would be of no effect was not used.
    let system = system.filter(|_| name.is_some() || !brings_its_own(wanted.messages));
    let is_made = system.is_some_and(|choice| choice.prompt.made_by().is_some());
    let rag = rag.filter(|_| is_made || chat.node.retrieval.is_some());
    let prompted = apply(app, chat, system, rag, wanted).await?;
    Ok(Prompted {
        embedded,
        ..prompted
    })
}

/// The node as these prompts make it.
async fn apply(
    app: &App,
    chat: &Chat,
    system: Option<Choice<'_>>,
    rag: Option<Choice<'_>>,
    wanted: Wanted<'_>,
) -> Result<Prompted, ApiError> {
    let mut prompted = Prompted {
        node: Arc::clone(&chat.node),
        used: Vec::new(),
        calls: Vec::new(),
        warning: None,
        embedded: None,
    };
    let Some(first) = system.or(rag) else {
        return Ok(prompted);
    };
    app.metrics.prompted(first.by);
    let mut node = Node::clone(&chat.node);
    let is_made = system.is_some_and(|choice| choice.prompt.made_by().is_some());
    let messages = match is_made {
        true => said(wanted.messages),
        false => Vec::new(),
    };
    let occasion = Occasion {
        question: question(wanted.messages),
        messages: &messages,
        variables: wanted.metadata,
        model: facts(chat),
        markers: chat.node.template.markers(),
        now_unix_seconds: i64::try_from(unix_seconds()).unwrap_or(i64::MAX),
    };
    if let Some(Choice { prompt, .. }) = system {
        let prepared = match prompt.made_by() {
            None => prompt.make(&occasion).await,
            Some(plugin) => {
                Maker::new(app, prompt, plugin, wanted.turn)
                    .make(&occasion)
                    .await
            }
        };
        let prepared = prepared.map_err(|error| no_text(prompt, error))?;
        node.opening = Opening {
            asked_for: wanted.metadata.contains_key(NAMED),
            ..prepared.opening
        };
        prompted.used = prepared.versions;
        prompted.calls = prepared.calls.into_iter().map(made::node_call).collect();
        prompted.warning = prepared.warning;
    }
    if let Some(Choice { prompt, .. }) = rag {
        node.rag_prompt.text = text(prompt, &occasion)?;
        prompted.used.push(prompt.version().to_owned());
    }
    prompted.node = Arc::new(node);
    Ok(prompted)
}

fn text(prompt: &Prompt, occasion: &Occasion<'_>) -> Result<String, ApiError> {
    let rendered = prompt.render(
        occasion.variables,
        &occasion.model,
        occasion.markers,
        occasion.now_unix_seconds,
    );
    rendered.map_err(|error| no_text(prompt, error))
}

fn no_text(prompt: &Prompt, error: RenderPromptError) -> ApiError {
    match error {
        RenderPromptError::VariableTooLong { ref name } => {
            refused(&format!("metadata.{name}"), &error.to_string())
        }
        error => {
            let name = prompt.name();
            refused(
                "metadata",
                &format!("the prompt `{name}` cannot be used so: {error}"),
            )
        }
    }
}

/// The conversation for whoever makes a prompt.
fn said(messages: &[Message]) -> Vec<Said> {
    let said = messages.iter().map(|message| Said {
        role: message.role.as_str().to_owned(),
        content: message.content.clone(),
    });
    said.collect()
}

fn refused(param: &str, reason: &str) -> ApiError {
    let mut letters = reason.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    let message = format!("{}{}.", first.unwrap_or_default(), letters.as_str());
    ApiError::invalid_value(param, message)
}

/// What rules look at.
fn question(messages: &[Message]) -> &str {
    let last = messages
        .iter()
        .rfind(|message| message.role == Role::User)
        .map(|message| message.content.as_str());
    last.unwrap_or_default()
}

/// Whether a conversation has a system message, which takes the place of ours.
fn brings_its_own(messages: &[Message]) -> bool {
    messages.iter().any(|message| message.role == Role::System)
}

/// The question as a vector, where a rule needs it. A node that cannot embed just now answers by its other rules.
async fn embed(
    app: &App,
    set: &PromptSet,
    model: &ModelFacts<'_>,
    question: &str,
    tier: ServiceTier,
) -> Option<(String, Vec<f32>)> {
    let examples = set.similar(model);
    if examples.is_empty() {
        return None;
    }
    let query = gaia_rag::query(&[question], 1)?;
    let missing = app.prompts.without_vector(&examples);
    let texts = missing.iter().cloned().chain([query.clone()]).collect();
    match retrieval::embed_all(app, texts, tier).await {
        Ok(mut vectors) => {
            let vector = vectors.pop()?;
            app.prompts.keep_vectors(&examples, missing, vectors);
            Some((query, vector))
        }
        Err(error) => {
            app.prompts.warn(&format!(
                "`similar` of prompts has no effect: {}",
                error.message
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_user_turn_is_the_question() {
        let check = |roles: &[(Role, &str)], expected| {
            let messages: Vec<Message> = roles
                .iter()
                .map(|(role, text)| Message::new(*role, *text))
                .collect();
            assert_eq!(question(&messages), expected);
        };
        check(
            &[(Role::User, "a"), (Role::Assistant, "b"), (Role::User, "c")],
            "c",
        );
        check(&[(Role::User, "a"), (Role::Assistant, "b")], "a");
        check(&[(Role::System, "a")], "");
    }

    #[test]
    fn refusals_are_sentences() {
        let error = refused("metadata.prompt", "no prompt is called `x`");
        assert_eq!(
            (error.status, error.message.as_str()),
            (400, "No prompt is called `x`.")
        );
    }
}
