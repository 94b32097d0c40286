//! A call of one of the node's own tools, as the caller is told of it: an addition of ours.

use serde::{Deserialize, Serialize};

/// A call that the node made by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCall {
    /// The tool.
    pub name: String,
    /// What it was called with: the text of a JSON object.
    pub arguments: String,
    /// What came of it.
    pub status: CallStatus,
    /// How long it took.
    pub ms: u64,
    /// How long the tool's reply was.
    pub bytes: u64,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallStatus {
    /// The model was told an answer.
    Completed,
    /// It was told why there is none.
    Failed,
}
