//! The ingress over TLS: the certificate that it shows, and HTTP/2.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

mod certificate;
mod frames;
mod hostile;
mod http2;
mod node;
#[allow(dead_code, reason = "not every test needs all of it")]
#[path = "../support/mod.rs"]
mod support;
