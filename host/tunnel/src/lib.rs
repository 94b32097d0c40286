//! The one connection between a node and a gateway of its domain, and both of its ends.
//!
//! Whoever can reach the other dials: a node behind a router dials the gateway, a gateway dials a node that has
//! registered an address. The dialler asks over HTTP/1.1, so that any proxy lets it pass:
//!
//! ```text
//! GET /gaia/v1/tunnel HTTP/1.1
//! Upgrade: gaia-tunnel
//! gaia-proof: base64(JSON of a signed Heartbeat)
//! ```
//!
//! After `101 Switching Protocols` the connection speaks HTTP/2, in which the **gateway is always the client**: it
//! sends requests by a [`Channel`], the node answers them by [`Link::serve`].
//!
//! What a proof says is not judged here: the registry does that, who counts the sequence too.
//!
//! Invariants: every wait and every buffer is bounded by [`limits`]; a stream that is read slowly holds up no other
//! one; dropping a request ends it at the other side; who waits for [`Channel::closed`] hears of a dead peer.

pub mod backoff;
mod channel;
mod connect;
pub mod limits;
mod link;
pub mod messages;
mod proof;
mod trust;

pub use channel::{Channel, SendError};
pub use connect::{DialError, Dialled, ask, dial};
pub use gaia_authorities::AuthoritiesError;
pub use link::{Ended, Link};
pub use proof::{PATH, PROOF_HEADER, PROTOCOL, ProofError, proof_header, read_proof, switching};
pub use trust::Trust;

/// A body on its way through a tunnel.
pub type Body = http_body_util::combinators::BoxBody<hyper::body::Bytes, std::io::Error>;
