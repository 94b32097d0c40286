//! A node's part in domains.
//!
//! [`join`] and [`leave`] say to a domain what the node's owner has decided; [`Agent`] keeps a tunnel to every gateway
//! of every domain that was joined, and answers what comes out of it:
//!
//! | Asked | Answered by |
//! |---|---|
//! | what [`routes`](crate::routes) lists of `/v1/…` | the node itself, on loopback, byte by byte |
//! | `GET /gaia/v1/report` | how the node is, every quarter of a second, and every few seconds a signed heartbeat |
//! | `POST /gaia/v1/receipt` | the node's signature, where the receipt says what the node has seen |
//!
//! Invariants: nothing of the node but the listed paths is reached through a tunnel; the node's key signs no receipt
//! that takes back an earlier one, or that the node did not serve; what was signed is on the disk.

pub mod agent;
mod book;
mod claims;
mod clock;
mod domain;
pub mod forward;
pub mod joined;
mod joining;
mod load;
mod node;
mod public;
mod receipts;
mod report;
pub mod routes;
mod session;
mod sign;
mod standing;

pub use agent::{Agent, Config};
pub use joined::{Joined, JoinedError, Joins};
pub use joining::{JoinError, Standing, Wish, consent, facts, join, leave, standing};
pub use node::{NodeKey, NodeNow};
pub use standing::{GatewayStanding, Standings};
