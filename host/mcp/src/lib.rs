//! Other people's tools: a client of MCP servers, whose only way out is the egress.
//!
//! Speaks streamable HTTP as far as the revision of 2026-07-28, and the older HTTP with server-sent
//! events of 2024-11-05. Connects when something is first asked of a server, keeps the connection,
//! and opens a lost one again when it is next needed, after a pause that grows.
//!
//! What a server says is data. It is asked for nothing but tools: sampling, elicitation and roots
//! are refused, links in answers are not followed.
//!
//! Invariant: nothing that a server says changes where the node goes, which servers there are, or
//! what is sent along; and a server that lies, stalls or talks without end costs no more than its
//! limits.

mod answer;
mod connection;
mod error;
mod events;
mod legacy;
mod limits;
mod name;
mod server;
mod servers;
mod slot;
mod tool;
mod way;

pub use answer::Answer;
pub use error::{CallError, LostError};
pub use limits::Limits;
pub use server::{Credentials, Server, Transport};
pub use servers::{Listing, Servers};
pub use tool::{LeftOut, Tool};
