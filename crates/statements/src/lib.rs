//! What the parties of a domain sign, and how it is told who signed.
//!
//! Every statement (a join, a heartbeat, a receipt) is an EIP-712 struct under one signing domain, so
//! that contracts and programs agree on it byte for byte. This crate makes digests and recovers
//! signers; keys it never sees. What a statement means is for `gaia-ledger` and `gaia-registry`.
//!
//! Invariant: a statement has one accepted signature per signing key and nonce: the other half of
//! the curve, other lengths and other recovery ids are refused, as OpenZeppelin's `ECDSA` does.

pub mod counts;
pub mod domain;
pub mod signature;

pub use counts::{Claimed, CountTolerance, Counted, TokenCounts};
pub use domain::{ForeignDomain, SigningDomain};
pub use signature::{Signature, SignatureError};
