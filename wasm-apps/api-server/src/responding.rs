//! A response on its way: an answer, as events, kept when it is whole.
//!
//! Invariant: whoever is told that a response was completed and stored finds it: it is on the disk before that is said.

use std::sync::Arc;

use gaia_chat::{Effect, Part};
use gaia_openai::chat::{ChunkHead, TokenLogProb};
use gaia_openai::responses::{
    CHAIN_MAX, Event, Events, Item, Kept, Response, ResponseRequest, ResponseUsage, Settings,
    Status, in_words_of_responses,
};
use gaia_openai::{ApiError, ChatRequest, FinishReason, Usage};

use crate::answer::Answer;
use crate::app::{App, unix_seconds};
use crate::failure::Failure;
use crate::log;
use crate::random;
use crate::records::Owner;

/// A response that has begun.
pub(crate) struct Responding {
    app: Arc<App>,
    owner: Owner,
    answer: Answer,
    events: Events,
    /// What is kept beside the response.
    input: Vec<Item>,
    depth: u32,
    state: State,
}

/// How far it has come.
enum State {
    Answering(Option<FinishReason>),
    /// Everything is said but the last event.
    Settled,
    Over,
}

/// What went before.
pub(crate) struct History {
    items: Vec<Item>,
    /// Responses in it.
    depth: u32,
}

/// A response that can begin.
pub(crate) struct Prepared {
    app: Arc<App>,
    owner: Owner,
    id: String,
    chat: ChatRequest,
    settings: Settings,
    warning: Option<&'static str>,
    input: Vec<Item>,
    depth: u32,
}

impl Prepared {
    /// Looks up what `request` goes on from.
    ///
    /// # Errors
    /// 400 where that is not there, or is too much.
    pub(crate) async fn of(
        app: &Arc<App>,
        owner: Owner,
        mut request: ResponseRequest,
    ) -> Result<Self, ApiError> {
        let history = history(app, &owner, &request).await?;
        let chat = request.conversation(&history.items)?;
        let id = format!("resp_{:032x}", random::wide());
        request.name_input(&id);
        let mut settings = request.settings;
        settings.store = request.store.unwrap_or(true) && app.records.is_there();
        let in_vain = request.store == Some(true) && !settings.store;
        Ok(Self {
            app: Arc::clone(app),
            owner,
            id,
            chat,
            settings,
            warning: in_vain.then_some("This node keeps no responses."),
            input: request.input,
            depth: history.depth,
        })
    }

    /// The response as it is before anybody works on it, to be kept.
    ///
    /// # Errors
    /// 404 where there is no such model.
    pub(crate) fn queued(&self) -> Result<Kept, ApiError> {
        let chat = self.app.chat(self.chat.model.as_deref())?;
        let head = ChunkHead {
            created: unix_seconds(),
            model: chat.model.id.clone(),
            ..ChunkHead::default()
        };
        let mut response = Response::new(self.id.clone(), head, self.settings.clone());
        response.status = Status::Queued;
        Ok(Kept {
            response,
            input: self.input.clone(),
            depth: self.depth,
        })
    }

    /// Begins to respond.
    ///
    /// # Errors
    /// Everything that goes wrong before the model has said something.
    pub(crate) async fn begin(self) -> Result<Responding, Failure> {
        let begun = Answer::begin(&self.app, self.chat).await;
        let (answer, head) = begun.map_err(|Failure(error)| in_words_of_responses(error))?;
        let mut response = Response::new(self.id, head, self.settings);
        if let Some(warning) = self.warning {
            response.warn(warning);
        }
        Ok(Responding {
            app: self.app,
            owner: self.owner,
            answer,
            events: Events::new(response),
            input: self.input,
            depth: self.depth,
            state: State::Answering(None),
        })
    }
}

impl Responding {
    /// The response as far as it has come.
    pub(crate) fn response(&self) -> &Response {
        self.events.response()
    }

    /// The events since the last call.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.events.take()
    }

    /// Goes on a little; false when that was the end. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// The answer broke off; the events say so, too.
    pub(crate) async fn go_on(&mut self) -> Result<bool, ApiError> {
        match self.state {
            State::Answering(ended) => {
                let effect = self.answer.next().await;
                self.carry_on(ended, effect)?;
                Ok(true)
            }
            State::Settled => {
                self.keep().await;
                self.events.finish();
                self.state = State::Over;
                Ok(false)
            }
            State::Over => Ok(false),
        }
    }

    fn carry_on(&mut self, ended: Option<FinishReason>, effect: Effect) -> Result<(), ApiError> {
        match effect {
            Effect::Part { part, logprobs, .. } => self.part(part, logprobs),
            Effect::Called(calls) => {
                for call in calls {
                    self.events.node_call(call);
                }
            }
            Effect::End { reason, choice } => {
                self.events.answer_ends(reason);
                if let Some(warning) = self.answer.warning(choice) {
                    self.events.response_mut().warn(&warning);
                }
                self.state = State::Answering(Some(reason));
            }
            Effect::Finish { usage } => self.settle(ended.unwrap_or(FinishReason::Stop), usage),
            Effect::Fail(error) => {
                let error = in_words_of_responses(error);
                self.events.fail(&error);
                self.state = State::Over;
                return Err(error);
            }
            _ => {}
        }
        Ok(())
    }

    fn part(&mut self, part: Part, tokens: Vec<TokenLogProb>) {
        match part {
            Part::Text(text) => self.events.text(&text, tokens),
            Part::Reasoning(text) => self.events.reasoning(&text),
            Part::CallBegins { id, name, .. } => self.events.call(id, name),
            Part::Arguments { piece, .. } => self.events.arguments(&piece),
            Part::CallEnds { .. } => self.events.item_ends(),
        }
    }

    fn settle(&mut self, reason: FinishReason, usage: Usage) {
        let usage = ResponseUsage::new(usage, self.reasoning_tokens());
        self.events.settle(reason, usage, unix_seconds());
        self.state = State::Settled;
    }

    /// The engine counts an answer as one: its thoughts are counted again by themselves.
    fn reasoning_tokens(&self) -> u32 {
        let thoughts = self.response().reasoning();
        if thoughts.is_empty() {
            return 0;
        }
        let counted = self
            .app
            .chat(None)
            .map(|chat| chat.model.count_tokens(&thoughts));
        counted.ok().and_then(Result::ok).unwrap_or(0)
    }

    /// What is kept of it.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            response: self.response().clone(),
            input: self.input.clone(),
            depth: self.depth,
        }
    }

    async fn keep(&mut self) {
        if !self.response().settings.store {
            return;
        }
        let kept = self.kept();
        if let Err(error) = self.app.records.put(&self.owner, &kept).await {
            log::warn(format_args!("a response is not kept: {error}"));
            let response = self.events.response_mut();
            response.settings.store = false;
            response.warn("The node could not keep this response.");
        }
    }
}

/// The whole conversation that `request` is to answer.
///
/// # Errors
/// 400 where what it goes on from is not there, or is too much.
pub(crate) async fn conversation(
    app: &App,
    owner: &Owner,
    request: &ResponseRequest,
) -> Result<ChatRequest, ApiError> {
    let history = history(app, owner, request).await?;
    request.conversation(&history.items)
}

/// What `request` goes on from.
///
/// # Errors
/// 400 where a response is not there, is not whole, or there are too many.
async fn history(app: &App, owner: &Owner, request: &ResponseRequest) -> Result<History, ApiError> {
    let mut chain: Vec<Kept> = Vec::new();
    let mut bytes = 0;
    let mut wanted = request.previous.clone();
    while let Some(id) = wanted {
        let kept = app.records.get(owner, &id).await?;
        let kept = kept.ok_or_else(|| ApiError::previous_response_not_found(&id))?;
        check(&kept)?;
        bytes += kept.text_bytes();
        if bytes > app.limits.text_bytes_max {
            return Err(too_long("it has too much text"));
        }
        wanted = kept.response.settings.previous_response_id.clone();
        chain.push(kept);
    }
    let depth = u32::try_from(chain.len()).unwrap_or(u32::MAX);
    let items = chain.into_iter().rev().flat_map(Kept::into_items);
    Ok(History {
        items: items.collect(),
        depth,
    })
}

fn check(kept: &Kept) -> Result<(), ApiError> {
    if !matches!(kept.response.status, Status::Completed | Status::Incomplete) {
        let message = "The response has not come to its end, and cannot be gone on from.";
        return Err(ApiError::invalid_value("previous_response_id", message));
    }
    // Also what bounds the walk: each response knows how many are before it, and has one more than the one before.
    match kept.depth >= CHAIN_MAX {
        true => Err(too_long("it has too many responses")),
        false => Ok(()),
    }
}

fn too_long(why: &str) -> ApiError {
    let message = format!("The conversation cannot go on: {why}. Begin a new one.");
    ApiError::invalid_value("previous_response_id", message)
}
