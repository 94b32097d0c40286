//! A count, and how far it may be relied on.

use gaia_engine::TokenizeError;
use gaia_openai::ApiError;
use gaia_statements::{Claimed, CountTolerance, Counted};

/// Tokens of one request as the gateway counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The tokens. Of the prompt, as many count as cached as the node says: that makes it no more expensive.
    pub counted: Counted,
    /// How good the count is.
    pub certainty: Certainty,
}

/// How far a count may be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certainty {
    /// All that the model read and wrote was seen.
    Exact {
        /// How far an honest claim may be off all the same: a text can be put into tokens in several ways.
        tolerance: CountTolerance,
    },
    /// Something was not seen. What was is counted, so that the count is rather too low.
    Estimated {
        /// How far an honest claim may be off; `None`: it proves nothing, whatever it says.
        tolerance: Option<CountTolerance>,
        /// Why.
        reasons: Vec<Reason>,
    },
}

/// Why a count is an estimate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// What they said went into the prompt, and is in no answer.
    #[error("the node called tools of its own")]
    OwnCalls,
    /// The configuration does not have it, or it has another version.
    #[error(
        "the node answered by its prompt `{0}`, which the domain's configuration does not have"
    )]
    UnknownPrompt(String),
    /// A program wrote into it.
    #[error("the node's prompt `{0}` is made for each question")]
    MadePrompt(String),
    /// Their tokens are the projector's.
    #[error("the request has images")]
    Images,
    /// Only the node has what went before.
    #[error("the request goes on from an earlier response")]
    Continued,
    /// What was written of it is not in the answer.
    #[error("a stop sequence may have ended the answer")]
    StopSequence,
    /// The node wrote words of its own.
    #[error("the node ended the answer itself")]
    Mended,
    /// The model writes more around them than the answer shows.
    #[error("the answer has calls or thoughts")]
    Marks,
    /// More was said than is kept.
    #[error("the answer is beyond what is metered: {0}")]
    Beyond(gaia_metering::Beyond),
    /// Parts of it could not be read.
    #[error("parts of the answer could not be read")]
    Unread,
}

/// Why nothing can be counted.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// No node takes such a request.
    #[error("the request cannot be read as a node reads it: {0}")]
    Request(String),
    /// Longer than anything a model reads.
    #[error(transparent)]
    Text(#[from] TokenizeError),
    /// The vocabulary is one of another use.
    #[error("the vocabulary is of a model that {has}, and the request needs one that {needs}")]
    Kind {
        /// What there is.
        has: &'static str,
        /// What is needed.
        needs: &'static str,
    },
}

impl From<ApiError> for CountError {
    fn from(error: ApiError) -> Self {
        Self::Request(error.message)
    }
}

impl Count {
    /// Whether what the node claims is as near to the count as an honest claim is; where nobody can say, it is.
    #[must_use]
    pub fn bears_out(&self, claimed: &Claimed) -> bool {
        let tolerance = self.certainty.tolerance();
        tolerance.is_none_or(|tolerance| tolerance.covers(&self.counted, claimed))
    }
}

impl Certainty {
    /// How far an honest claim may be off; `None`: by anything.
    #[must_use]
    pub fn tolerance(&self) -> Option<CountTolerance> {
        match self {
            Self::Exact { tolerance } => Some(*tolerance),
            Self::Estimated { tolerance, .. } => *tolerance,
        }
    }
}

/// Collects what a count could not see.
#[derive(Debug)]
pub(crate) struct Doubts {
    tolerance: Option<CountTolerance>,
    reasons: Vec<Reason>,
}

impl Doubts {
    pub fn new(tolerance: CountTolerance) -> Self {
        Self {
            tolerance: Some(tolerance),
            reasons: Vec::new(),
        }
    }

    /// Nothing can be said of claims any more.
    pub fn blind(&mut self, reason: Reason) {
        self.tolerance = None;
        self.note(reason);
    }

    /// A claim may be off by so many tokens more.
    pub fn about(&mut self, tokens: u64, reason: Reason) {
        if let Some(tolerance) = &mut self.tolerance {
            tolerance.tokens = tolerance.tokens.saturating_add(tokens);
        }
        self.note(reason);
    }

    fn note(&mut self, reason: Reason) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    pub fn certainty(self) -> Certainty {
        match (self.tolerance, self.reasons.is_empty()) {
            (Some(tolerance), true) => Certainty::Exact { tolerance },
            (tolerance, _) => Certainty::Estimated {
                tolerance,
                reasons: self.reasons,
            },
        }
    }
}
