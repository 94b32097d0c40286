//! A domain's contracts, from outside: deposits in, epochs, settlement, claims.

pub mod rpc;
