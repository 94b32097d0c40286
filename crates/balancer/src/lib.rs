//! Which node of a domain answers a request, and which nodes may be asked at all.
//!
//! Pure: [`Balancer::step`] is given the time, a random number and an [`Event`], and answers with [`Effect`]s. It
//! never waits; [`Balancer::wake_at`] says when it wants an [`Event::Tick`] although nothing happened.
//!
//! What the gateway tells it:
//!
//! | When | Event |
//! |---|---|
//! | a node was admitted, wants to go, is gone | [`Event::Joined`], [`Event::Draining`], [`Event::Left`] |
//! | its connection came back or broke | [`Event::Connected`], [`Event::ConnectionLost`] |
//! | anything was heard of it, at least every third of [`Config::silence_max`] | [`Event::Heartbeat`] |
//! | a probe that an [`Effect::Probe`] asked for, or one of the gateway's own, ended | [`Event::Probed`] |
//! | a request was authenticated and paid for | [`Event::Arrived`] |
//! | a node's first token, its last, its failure | [`Event::FirstByte`], [`Event::Finished`], [`Event::Failed`] |
//! | the client went away | [`Event::Gone`] |
//!
//! Invariants: an ejected node gets no request before a probe of it succeeded; a request is sent again only before
//! its first byte; nobody waits longer than [`Config::wait_max`] for a node; a pick looks at no more than
//! [`LOOKED_AT_MAX`] nodes, however many there are.

mod affinity;
mod bag;
mod balancer;
mod beginning;
mod breaker;
mod config;
mod dice;
mod event;
mod id;
mod line;
mod load;
mod pick;
mod retry;
mod time;

pub use balancer::{Balancer, Counters, NodeView};
pub use beginning::{BLOCK_BYTES, BLOCKS_MAX, Beginning};
pub use breaker::Health;
pub use config::Config;
pub use event::{
    Ask, Effect, Event, Failure, Offer, Refusal, Report, SERVICES_PER_NODE_MAX, Service,
};
pub use id::{KeyId, NodeId, RequestId};
pub use pick::LOOKED_AT_MAX;
pub use time::Moment;
