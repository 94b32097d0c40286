//! Both ends of a tunnel over real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dialling;
mod scene;
mod streams;
