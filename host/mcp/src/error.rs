//! What goes wrong, in words for the model and the owner.
//!
//! A server's own words are cut and tamed: they are data, and a terminal obeys none of them.

use std::time::Duration;

use gaia_egress::Refusal;
use rmcp::ServiceError;
use rmcp::service::ClientInitializeError;

/// What of a server's words is passed on, in characters.
const SAID_CHARS_MAX: usize = 300;

/// Why there is no connection to a server, or no list of its tools.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LostError {
    /// What is to be sent along cannot be had.
    #[error("{0}")]
    Credentials(String),
    /// It was tried, in vain.
    #[error("{0}")]
    Failed(String),
    /// It takes longer than allowed.
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    /// It was tried in vain a short while ago.
    #[error("{why}; it is tried again in {again_in:?}")]
    Pausing {
        /// What went wrong then.
        why: Box<LostError>,
        /// How long until it is tried again.
        again_in: Duration,
    },
}

/// Why a tool was not called, or gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No server has such a tool.
    #[error("there is no tool `{0}`")]
    Unknown(String),
    /// Not what a tool is called with.
    #[error("the arguments must be a JSON object")]
    NotObject,
    /// Longer than the limit.
    #[error("the arguments are longer than {max} bytes")]
    ArgumentsTooLong {
        /// The limit.
        max: usize,
    },
    /// The server is not there.
    #[error("the server `{server}` cannot be reached: {why}")]
    Lost {
        /// Its name.
        server: String,
        /// Why.
        why: LostError,
    },
    /// A limit of the node.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server says no.
    #[error("the server refuses: {0}")]
    Server(String),
    /// It takes longer than allowed.
    #[error("no answer within {max:?}; the call was cancelled")]
    TooSlow {
        /// The limit.
        max: Duration,
    },
    /// It said more than allowed.
    #[error("the answer is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// It broke off, or says what is no answer.
    #[error("the server gave no answer: {0}")]
    NoAnswer(String),
}

impl From<ServiceError> for CallError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::TransportClosed => Self::NoAnswer("it broke off".to_owned()),
            ServiceError::McpError(data) => Self::Server(said(&data.message)),
            other => Self::NoAnswer(said(&chain(&other))),
        }
    }
}

impl From<ServiceError> for LostError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(data) => {
                Self::Failed(format!("the server refuses: {}", said(&data.message)))
            }
            other => Self::Failed(said(&chain(&other))),
        }
    }
}

impl From<ClientInitializeError> for LostError {
    fn from(error: ClientInitializeError) -> Self {
        let text = match &error {
            ClientInitializeError::TransportError { error, .. } => chain(error.error.as_ref()),
            ClientInitializeError::LegacyFallbackFailed { fallback, .. } => chain(fallback),
            // It holds a whole message in its debugging form.
            ClientInitializeError::ExpectedInitResponse(_)
            | ClientInitializeError::ExpectedInitResult(_) => {
                "it answers the handshake with something else".to_owned()
            }
            other => chain(other),
        };
        Self::Failed(said(&text))
    }
}

/// An error and its causes, each only once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

/// The beginning of a stranger's words, on one line.
pub(crate) fn said(text: &str) -> String {
    let tame = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(SAID_CHARS_MAX).map(tame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_words_are_short_and_tame() {
        assert_eq!(said(" a\x1b[2Jb\n c "), "a [2Jb  c");
        assert_eq!(
            said(&"\u{e4}".repeat(SAID_CHARS_MAX + 1)).chars().count(),
            SAID_CHARS_MAX
        );
    }
}
