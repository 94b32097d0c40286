//! `POST /v1/responses`: the request as meant, the response, its events, and what is kept of it.

mod conversation;
mod event;
mod item;
mod list;
mod reply;
mod request;

pub use event::{Body, Event, Events, Text};
pub use item::{
    CallItem, CallProgress, Content, Item, ItemStatus, MessageItem, NodeCallItem, OutputItem,
    ReasoningItem, Speaker,
};
pub use list::{ENTRIES_MAX, List, Page};
pub use reply::{
    CHAIN_MAX, CutBy, Deleted, FailedBy, InputTokensDetails, Kept, OutputTokensDetails, Response,
    ResponseUsage, Status,
};
pub use request::{INCLUDES_MAX, ResponseRequest, Settings, in_words_of_responses};
