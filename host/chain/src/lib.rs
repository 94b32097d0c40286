//! A domain's contracts, from outside: deposits in, epochs, settlement, claims.
//!
//! ```text
//! chain ── logs, confirmed ──▶ Watcher ── commands, once each ──▶ ledger
//!   ▲                                                               │ charges, shares
//!   └── transactions, each looked for before it is sent ◀── Settler ┘
//! ```
//!
//! Nothing here is trusted to have happened because it was sent: what is so is read from the chain
//! and the ledger, so that each step can be repeated after a process died in the middle of it.
//! Addresses of contracts come from the one [`Place`] that an operator or a payer chose; everything
//! else is read from the chain.
//!
//! Invariants: a deposit is credited once, or the watcher stops and says why; a charge is proposed
//! once; no key leaves the keystore's type.

pub mod contracts;
pub mod domain;
pub mod evidence;
pub mod payer;
pub mod receipts;
pub mod refusal;
pub mod registry;
pub mod rpc;
pub mod settle;
pub mod shares;
pub mod stake;
pub mod wallet;
pub mod watch;

pub use domain::{Asset, ChainError, Domain, Place};
pub use rpc::{Block, Log, Rpc, RpcError};
pub use settle::{SettleError, Settled, Settler};
pub use wallet::{SendError, Wallet};
pub use watch::{Step, WatchError, Watcher};
