//! The events of a streamed response, made from the pieces of an answer. What does not stream is made by the same
//! machine: the response at the end is the same.
//!
//! ```text
//! created in_progress (output_item.added (content_part.added delta… text.done content_part.done |
//!     delta… arguments.done | mcp_call…) output_item.done)… (completed | incomplete | failed)
//! ```
//!
//! Invariants: sequence numbers have no gap; what was added is done before the next is added; only the last event says
//! that the response ended, and what it holds is what the events before it said.

use std::borrow::Cow;

use serde::Serialize;

use crate::chat::{CallStatus, NodeCall, TokenLogProb};
use crate::responses::item::{
    CallItem, CallProgress, Content, Item, ItemStatus, MessageItem, NodeCallItem, ReasoningItem,
    Speaker,
};
use crate::responses::reply::{Response, ResponseUsage};
use crate::{ApiError, FinishReason, sse};

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Its name.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Which event of the stream, from 0.
    pub sequence_number: u64,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Body {
    /// How the response stands.
    Response {
        /// The whole of it.
        response: Box<Response>,
    },
    /// How an item stands.
    Item {
        /// Which item of the response, from 0.
        output_index: u32,
        /// The whole of it.
        item: Item,
    },
    /// How an item stands, in the event's name.
    Progress {
        /// Which item.
        item_id: String,
        /// Which item of the response, from 0.
        output_index: u32,
    },
    /// How a piece of content stands.
    Part {
        /// Of which item.
        item_id: String,
        /// Which item of the response.
        output_index: u32,
        /// Which piece of the item.
        content_index: u32,
        /// The whole of it.
        part: Content,
    },
    /// More text.
    Text {
        /// Of which item.
        item_id: String,
        /// Which item of the response.
        output_index: u32,
        /// Which piece of the item.
        content_index: u32,
        /// What is new, or all of it.
        #[serde(flatten)]
        text: Text,
        /// Its tokens; absent for thoughts.
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<Vec<TokenLogProb>>,
    },
    /// More arguments.
    MoreArguments {
        /// Of which item.
        item_id: String,
        /// Which item of the response.
        output_index: u32,
        /// What is new.
        delta: String,
    },
    /// All arguments.
    Arguments {
        /// Of which item.
        item_id: String,
        /// Which item of the response.
        output_index: u32,
        /// The function.
        name: String,
        /// All of it.
        arguments: String,
    },
}

/// What is new, or all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Text {
    /// What is new.
    Delta(String),
    /// All of it.
    Text(String),
}

impl Event {
    /// As it goes into the stream.
    pub fn to_sse(&self) -> Vec<u8> {
        sse::named_event(self.kind, self)
    }
}

/// A response on its way.
#[derive(Debug)]
pub struct Events {
    response: Response,
    sequence_number: u64,
    /// Whether the last item of the response still grows.
    open: bool,
    /// Events that nobody has taken yet.
    out: Vec<Event>,
}

/// What may follow what in an open item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Call,
}

impl Events {
    /// The events of `response`, which begins; the first two are there already.
    pub fn new(response: Response) -> Self {
        let mut events = Self {
            response,
            sequence_number: 0,
            open: false,
            out: Vec::new(),
        };
        events.tell("response.created");
        events.tell("response.in_progress");
        events
    }

    /// The response as far as it has come.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// The same, to say more of it before it ends.
    pub fn response_mut(&mut self) -> &mut Response {
        &mut self.response
    }

    /// The events since the last call.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.out)
    }

    /// The model says something.
    pub fn text(&mut self, piece: &str, tokens: Vec<TokenLogProb>) {
        if piece.is_empty() && tokens.is_empty() {
            return;
        }
        self.open(Kind::Text);
        if let Some(Content::OutputText { text, logprobs, .. }) = self.content() {
            text.push_str(piece);
            logprobs.extend(tokens.iter().cloned());
        }
        let delta = Text::Delta(piece.to_owned());
        self.tell_text("response.output_text.delta", delta, Some(tokens));
    }

    /// The model thinks something.
    pub fn reasoning(&mut self, piece: &str) {
        if piece.is_empty() {
            return;
        }
        self.open(Kind::Reasoning);
        if let Some(Content::ReasoningText { text }) = self.content() {
            text.push_str(piece);
        }
        let delta = Text::Delta(piece.to_owned());
        self.tell_text("response.reasoning_text.delta", delta, None);
    }

    /// The model calls a function of the caller; its arguments follow.
    pub fn call(&mut self, call_id: String, name: String) {
        self.close(ItemStatus::Completed);
        self.add(Item::FunctionCall(CallItem {
            id: String::new(),
            status: ItemStatus::InProgress,
            call_id,
            name,
            arguments: String::new(),
        }));
    }

    /// More of the arguments of the call that began last.
    pub fn arguments(&mut self, piece: &str) {
        if piece.is_empty() || self.open_kind() != Some(Kind::Call) {
            return;
        }
        if let Some(Item::FunctionCall(call)) = self.response.output.last_mut() {
            call.arguments.push_str(piece);
        }
        let body = Body::MoreArguments {
            item_id: self.item_id(),
            output_index: self.output_index(),
            delta: piece.to_owned(),
        };
        self.event("response.function_call_arguments.delta", body);
    }

    /// The node has called one of its own tools.
    pub fn node_call(&mut self, call: NodeCall) {
        self.close(ItemStatus::Completed);
        self.add(Item::McpCall(NodeCallItem::begun(
            call.name,
            call.arguments,
        )));
        self.open = false;
        self.tell_progress("response.mcp_call.in_progress");
        self.tell_arguments("response.mcp_call_arguments.done");
        let (status, error, kind) = match call.status {
            CallStatus::Completed => (CallProgress::Completed, None, "response.mcp_call.completed"),
            CallStatus::Failed => {
                let error = Cow::Borrowed("The tool did not answer as it should.");
                (
                    CallProgress::Failed,
                    Some(error),
                    "response.mcp_call.failed",
                )
            }
        };
        if let Some(Item::McpCall(item)) = self.response.output.last_mut() {
            (item.status, item.error) = (status, error);
            (item.ms, item.bytes) = (call.ms, call.bytes);
        }
        self.tell_progress(kind);
        self.tell_item("response.output_item.done");
    }

    /// Nothing more comes of the item that grows.
    pub fn item_ends(&mut self) {
        self.close(ItemStatus::Completed);
    }

    /// The model has ended: all but the last event. An answer without anything is an empty message.
    pub fn answer_ends(&mut self, reason: FinishReason) {
        if self.response.output.is_empty() {
            self.open(Kind::Text);
        }
        self.close(match reason {
            FinishReason::Length | FinishReason::ContentFilter => ItemStatus::Incomplete,
            FinishReason::Stop | FinishReason::ToolCalls => ItemStatus::Completed,
        });
    }

    /// What the response is when [`Self::finish`] will be called with the same: to keep it before anybody is told.
    pub fn settle(&mut self, reason: FinishReason, usage: ResponseUsage, now_unix_seconds: u64) {
        self.response.end(reason, usage, now_unix_seconds);
    }

    /// The last event of a response that was settled.
    pub fn finish(&mut self) {
        let kind = match self.response.incomplete_details {
            Some(_) => "response.incomplete",
            None => "response.completed",
        };
        self.tell(kind);
    }

    /// The last event of a response that went wrong.
    pub fn fail(&mut self, error: &ApiError) {
        self.close(ItemStatus::Incomplete);
        self.response.fail(error);
        self.tell("response.failed");
    }

    /// Thoughts and text go on in the item that grows, if it is of their kind; else a new one begins.
    fn open(&mut self, kind: Kind) {
        if self.open_kind() == Some(kind) {
            return;
        }
        self.close(ItemStatus::Completed);
        let (id, status) = (String::new(), ItemStatus::InProgress);
        let (item, part) = match kind {
            Kind::Text | Kind::Call => {
                let (role, content) = (Speaker::Assistant, Vec::new());
                let message = MessageItem {
                    id,
                    status,
                    role,
                    content,
                };
                (Item::Message(message), Content::answer())
            }
            Kind::Reasoning => {
                let thoughts = ReasoningItem {
                    id,
                    status,
                    summary: Vec::new(),
                    content: Vec::new(),
                };
                let text = String::new();
                (Item::Reasoning(thoughts), Content::ReasoningText { text })
            }
        };
        self.add(item);
        if let Some(Item::Message(MessageItem { content, .. }))
        | Some(Item::Reasoning(ReasoningItem { content, .. })) = self.response.output.last_mut()
        {
            content.push(part);
        }
        self.tell_part("response.content_part.added");
    }

    fn add(&mut self, mut item: Item) {
        let index = self.response.output.len();
        let tail = self.response.id.split_once('_');
        let tail = tail.map_or(self.response.id.as_str(), |(_, tail)| tail);
        item.name(&format!("{tail}o{index:03x}"));
        self.response.output.push(item);
        self.open = true;
        self.tell_item("response.output_item.added");
    }

    fn close(&mut self, status: ItemStatus) {
        let Some(kind) = self.open_kind() else {
            return;
        };
        if kind == Kind::Call {
            self.tell_arguments("response.function_call_arguments.done");
        } else {
            let text = self.content().map(|part| part.text().to_owned());
            let text = Text::Text(text.unwrap_or_default());
            match kind {
                Kind::Reasoning => self.tell_text("response.reasoning_text.done", text, None),
                Kind::Text | Kind::Call => {
                    let logprobs = self.logprobs();
                    self.tell_text("response.output_text.done", text, Some(logprobs));
                }
            }
            self.tell_part("response.content_part.done");
        }
        self.open = false;
        match self.response.output.last_mut() {
            Some(Item::Message(item)) => item.status = status,
            Some(Item::Reasoning(item)) => item.status = status,
            Some(Item::FunctionCall(item)) => item.status = status,
            Some(Item::FunctionCallOutput(_) | Item::McpCall(_)) | None => {}
        }
        self.tell_item("response.output_item.done");
    }

    fn open_kind(&self) -> Option<Kind> {
        match self.response.output.last().filter(|_| self.open)? {
            Item::Message(_) => Some(Kind::Text),
            Item::Reasoning(_) => Some(Kind::Reasoning),
            Item::FunctionCall(_) => Some(Kind::Call),
            Item::FunctionCallOutput(_) | Item::McpCall(_) => None,
        }
    }

    /// The piece of content that grows.
    fn content(&mut self) -> Option<&mut Content> {
        match self.response.output.last_mut()? {
            Item::Message(item) => item.content.last_mut(),
            Item::Reasoning(item) => item.content.last_mut(),
            Item::FunctionCall(_) | Item::FunctionCallOutput(_) | Item::McpCall(_) => None,
        }
    }

    fn logprobs(&mut self) -> Vec<TokenLogProb> {
        match self.content() {
            Some(Content::OutputText { logprobs, .. }) => logprobs.clone(),
            _ => Vec::new(),
        }
    }

    fn item_id(&self) -> String {
        self.response
            .output
            .last()
            .map_or_else(String::new, |item| item.id().to_owned())
    }

    fn output_index(&self) -> u32 {
        u32::try_from(self.response.output.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn tell(&mut self, kind: &'static str) {
        let response = Box::new(self.response.clone());
        self.event(kind, Body::Response { response });
    }

    fn tell_item(&mut self, kind: &'static str) {
        let output_index = self.output_index();
        if let Some(item) = self.response.output.last().cloned() {
            self.event(kind, Body::Item { output_index, item });
        }
    }

    fn tell_part(&mut self, kind: &'static str) {
        let (item_id, output_index) = (self.item_id(), self.output_index());
        if let Some(part) = self.content().cloned() {
            let body = Body::Part {
                item_id,
                output_index,
                content_index: 0,
                part,
            };
            self.event(kind, body);
        }
    }

    fn tell_text(&mut self, kind: &'static str, text: Text, logprobs: Option<Vec<TokenLogProb>>) {
        let body = Body::Text {
            item_id: self.item_id(),
            output_index: self.output_index(),
            content_index: 0,
            text,
            logprobs,
        };
        self.event(kind, body);
    }

    fn tell_progress(&mut self, kind: &'static str) {
        let body = Body::Progress {
            item_id: self.item_id(),
            output_index: self.output_index(),
        };
        self.event(kind, body);
    }

    fn tell_arguments(&mut self, kind: &'static str) {
        let (name, arguments) = match self.response.output.last() {
            Some(Item::FunctionCall(call)) => (call.name.clone(), call.arguments.clone()),
            Some(Item::McpCall(call)) => (call.name.clone(), call.arguments.clone()),
            _ => return,
        };
        let body = Body::Arguments {
            item_id: self.item_id(),
            output_index: self.output_index(),
            name,
            arguments,
        };
        self.event(kind, body);
    }

    fn event(&mut self, kind: &'static str, body: Body) {
        self.out.push(Event {
            kind,
            sequence_number: self.sequence_number,
            body,
        });
        self.sequence_number += 1;
    }
}
