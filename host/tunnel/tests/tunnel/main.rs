//! Both ends of a tunnel over real sockets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
