//! Why a question to the chain has no answer.

use alloy_primitives::Bytes;

/// A question was not answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RpcError {
    /// The server cannot be reached.
    #[error(
        "failed to reach the chain at {host} for {method}: {why}; check the URL and the network"
    )]
    Reach {
        /// Whom.
        host: String,
        /// What was asked.
        method: &'static str,
        /// What happened.
        why: String,
    },
    /// No success, by HTTP.
    #[error("the chain's server {host} answered {method} with HTTP status {status}: {said}")]
    Status {
        /// Who.
        host: String,
        /// What was asked.
        method: &'static str,
        /// What it answered.
        status: u16,
        /// Its words.
        said: String,
    },
    /// It answered with an error.
    #[error("the chain refused {method}: {message} (code {code})")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// JSON-RPC's code.
        code: i64,
        /// Its words.
        message: String,
        /// What a contract that reverted gave back.
        data: Option<Bytes>,
    },
    /// The answer is something else.
    #[error(
        "what {host} answered to {method} makes no sense ({why}): is it the URL of a chain's JSON-RPC?"
    )]
    Nonsense {
        /// Who.
        host: String,
        /// What was asked.
        method: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The process is stopping.
    #[error("the question {0} was given up: the process is stopping")]
    Stopped(&'static str),
}

impl RpcError {
    /// What a contract that reverted gave back.
    #[must_use]
    pub fn reverted(&self) -> Option<&Bytes> {
        match self {
            Self::Refused { data, .. } => data.as_ref(),
            _ => None,
        }
    }
}
