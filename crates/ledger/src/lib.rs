//! The exact ledger of a domain: what is reserved, what is captured, and who earned it.
//!
//! ```text
//! deposit ─▶ held(payer, asset) ── reserve ─▶ reserved ── capture ─▶ earned(party), in nano-USD of the epoch
//!                 ▲                    └──── release, expire ───▶ back
//!                 └── at the epoch's close: units = ⌈charged ÷ price⌉ ─▶ shares(address), cumulative ─▶ Merkle tree
//! ```
//!
//! # One function decides, whoever keeps the rows
//!
//! [`decide()`] takes the rows that a command touches ([`View`]), the command and the time, and gives
//! an [`Entry`] for the journal with the rows as they are afterwards, or a [`Refusal`]. [`Book`] does
//! so in memory; a shell over SQL does the same in one transaction:
//!
//! 1. look up the idempotency key; if it is there, [`Entry::answers`] says what to reply;
//! 2. load what [`Touched`] lists: for a reservation the asset's epochs (shared lock), the account, its two open
//!    epochs and the access token (each one row, locked); for a capture the reservation first, then the same;
//! 3. [`decide()`];
//! 4. insert entry, postings and idempotency key, write the rows back, commit, and only then reply.
//!
//! A capture writes one row that payers share, the node's that served. What parties earn is appended as postings and
//! summed at the epoch's close. Expensive sums ([`View::earned`], [`View::reserved_open`]) are needed
//! once per asset and epoch.
//!
//! # Two currencies per asset
//!
//! What the escrow holds is in nano-units of the asset. What requests take is in nano-USD of an epoch,
//! because prices are; a token account is worth units × the epoch's price. At the close the sum of an
//! account's charges becomes units, rounded once, up, never beyond what is held. The contracts
//! compute the same. Each entry's postings sum to zero in each currency.
//!
//! Invariants: no balance is negative, none is lost, none is made; what was answered for an idempotency
//! key is answered again; what is captured never exceeds what was reserved.

pub mod account;
pub mod amount;
pub mod book;
pub mod command;
pub mod contest;
pub mod decide;
pub mod decimal;
pub mod entry;
pub mod merkle;
pub mod price;
pub mod receipt;
pub mod rows;
pub mod split;
pub mod tally;

pub use account::{AccountId, Currency, LedgerAccount, Party, Role};
pub use amount::{NanoUnits, NanoUsd, Price};
pub use book::{Book, ReplayError};
pub use command::{Command, IdempotencyKey};
pub use decide::{Decision, Refusal, decide};
pub use decimal::DecimalError;
pub use entry::{Answer, Entry, Outcome, Posting};
pub use merkle::{Share, ShareTree};
pub use price::{ModelPrice, PriceTable};
pub use receipt::{Receipt, SignedReceipt};
pub use rows::{Row, Touched, View};
pub use split::Split;
