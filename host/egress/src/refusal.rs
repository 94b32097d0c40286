//! Why there is no reply.

use std::io;
use std::time::Duration;

use gaia_outbound::{NotAllowed, Origin};

/// Why a call was not made, or came to nothing. Holds nothing of what was sent.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The place is not one that may be reached.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The name is not known, or DNS does not answer.
    #[error("failed to resolve the name of {origin}")]
    Resolve {
        /// The place.
        origin: Origin,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nobody answers there.
    #[error("failed to connect to {origin}")]
    Connect {
        /// The place.
        origin: Origin,
        /// What the system said, of the last address that was tried.
        #[source]
        source: io::Error,
    },
    /// It is not who it should be, or speaks no TLS.
    #[error("failed to speak TLS with {origin}")]
    Tls {
        /// The place.
        origin: Origin,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// A header that cannot be sent.
    #[error("the value of header `{0}` cannot be sent: visible ASCII characters only")]
    Header(String),
    /// It broke off, or speaks no HTTP.
    #[error("{origin} broke off")]
    Http {
        /// The place.
        origin: Origin,
        /// How.
        #[source]
        source: hyper::Error,
    },
    /// It leads elsewhere.
    #[error("{origin} redirects to {to}, and only redirections within the origin are followed")]
    OtherOrigin {
        /// The place.
        origin: Origin,
        /// Where it leads.
        to: String,
    },
    /// It leads on and on.
    #[error("{origin} redirects more than {max} times")]
    TooManyRedirects {
        /// The place.
        origin: Origin,
        /// The limit.
        max: u32,
    },
    /// A coding that was not asked for.
    #[error("{0} sends its reply compressed, which was not asked for")]
    Compressed(Origin),
    /// A longer reply than allowed.
    #[error("the reply is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// It takes longer than allowed.
    #[error("no whole reply within {max:?}")]
    TooSlow {
        /// The limit.
        max: Duration,
    },
    /// It stopped in the middle.
    #[error("nothing more came within {max:?}")]
    Silent {
        /// The limit.
        max: Duration,
    },
    /// As many calls run as may.
    #[error("{max} calls are running already; try again later")]
    Busy {
        /// The limit.
        max: usize,
    },
    /// The turn has made all its calls.
    #[error("this turn has made its {max} calls")]
    TurnSpent {
        /// The limit.
        max: u32,
    },
}
