//! The agent of a node against gateways, over real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dialled;
mod forwarding;
mod maxima;
mod receipts;
mod scene;
mod tunnels;
