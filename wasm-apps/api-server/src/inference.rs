//! The client to WASI-NN: models that answer, models that embed and models that rank.
//!
//! Gaia's plugin is used without ever waiting in it: a request is a context of its own that is looked at between
//! short naps, so many run at a time and none stops the others. WasmEdge's stock plugin has one context for all and
//! waits in every call: requests on it run one at a time, token by token, and what it cannot do is refused by name.
//! Which of the two is there is found out when a model is opened.
//!
//! Invariant: a context that goes out of use stops computing at once and takes nothing to the next request.

mod bell;
mod embed;
mod facts;
mod model;
mod nn;
mod rank;
mod session;
mod settings;
mod shown;
mod stock;

use serde::Deserialize;

pub(crate) use facts::{Engine, Facts};
pub(crate) use model::{Cells, LoadSettings, Model, OpenModelError, Opening};
pub(crate) use session::{Session, Step};
pub(crate) use settings::Purpose;
pub(crate) use shown::Shown;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InferenceError {
    /// The prompt does not fit the context.
    #[error("the prompt does not fit the context")]
    PromptTooLong,
    /// The engine does not take what the request asks for.
    #[error("the engine refuses the settings of the request")]
    Refused,
    /// WasmEdge's stock plugin cannot do it.
    #[error("`{param}` in this form is not supported by WasmEdge's stock GGML plugin")]
    Unsupported { param: &'static str },
    /// The images of other requests take the memory for images.
    #[error("the images of other requests take the memory for images")]
    ImagesFull,
    /// The engine failed.
    #[error("the engine failed to {doing}: {reason}")]
    Engine { doing: &'static str, reason: String },
}

/// New text of an answer, and its tokens where log-probabilities were asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) events: Vec<TokenEvent>,
}

/// A token that was chosen.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct TokenEvent {
    #[serde(default)]
    pub(crate) id: u32,
    #[serde(default)]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) bytes: Vec<u8>,
    #[serde(default)]
    pub(crate) logprob: f32,
    #[serde(default)]
    pub(crate) top: Vec<TokenEvent>,
}
