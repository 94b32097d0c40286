//! The way of a user's request through a domain: who asks and pays, which node answers, what it took, what it cost.
//!
//! ```text
//! head ─▶ token ─▶ body ─▶ model, price ─▶ ceiling ─▶ reserve ─▶ node ─▶ forward and meter ─▶ count ─▶ capture ─▶ end
//!  400      401     413      404, 400        400        402     404–503      502             │         ─▶ receipt
//! ```
//!
//! A gateway keeps nothing of its own: tokens and money are in the ledger, so that two of them on one database serve
//! one domain. What the balancer decides is done here; what a node is, and whether it is a member, is told to
//! [`Nodes`] by others.
//!
//! Invariants: nobody is served on money that is not set aside; what was served is captured before the answer's last
//! bytes go out; what was not served is released, or expires; nothing waits without a bound.

mod access;
mod attempt;
mod browsers;
pub mod chain;
mod client;
mod config;
mod connection;
mod count;
mod credit;
mod domain;
mod earnings;
mod endpoint;
mod forward;
mod grants;
pub mod members;
mod models;
mod money;
mod nodes;
mod notices;
mod pages;
mod policy;
mod receipts;
mod reply;
mod request;
mod router;
mod server;
mod shared;
mod status;
mod tail;

pub use config::{Config, ConfigError, DomainInfo, Limits, Model};
pub use count::{Basis, Count, CountTokens};
pub use endpoint::Endpoint;
pub use gaia_ledger::split::SplitRule;
pub use members::{Members, MembersConfig, MembersLimits};
pub use nodes::{NODES_MAX, NodeInfo, Nodes, Prober};
pub use notices::{NOTICE_LEN_MAX, Notices};
pub use policy::CurrentPolicy;
pub use reply::{Reply, error as error_reply, json as json_reply};
pub use server::{Gateway, StartError};
