//! What bounds a tunnel. Both ends hold to the same numbers.

use std::time::Duration;

/// Requests that run through one tunnel at a time; further ones wait for a place.
pub const STREAMS_MAX: u32 = 256;

/// Requests of one tunnel whose answer has not begun; further ones are refused.
pub const HEADS_WAITING_MAX: usize = 256;

/// What a stream may have sent that nobody has read yet, in bytes: tokens of several minutes.
pub const STREAM_WINDOW_BYTES: u32 = 64 << 10;

/// The same of all streams together: as much as they may have each, so that those who read slowly hold up nobody.
pub const CONNECTION_WINDOW_BYTES: u32 = STREAMS_MAX * STREAM_WINDOW_BYTES;

/// What is kept of one body that the peer does not take yet, in bytes.
pub const SEND_BYTES_MAX: usize = 64 << 10;

/// The longest head of a request or an answer, in bytes.
pub const HEAD_BYTES_MAX: u32 = 32 << 10;

/// Streams taken back that wait to be noticed; past it the connection ends.
pub const RESETS_MAX: usize = 1_024;

/// How often a side that hears nothing asks whether the other one is there.
pub const PING_INTERVAL: Duration = Duration::from_secs(2);

/// How long the answer to that may take; then the connection is dead, with all its streams. Longer than a busy
/// machine takes to breathe. That a node is silent the balancer notices earlier, by its reports, which breaks
/// nothing.
pub const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a name may take to be resolved and an address to answer.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long TLS, the request and its answer may take together.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Addresses of a name that are tried.
pub const ADDRESSES_MAX: usize = 8;

/// The longest proof, as it stands in the header, in bytes.
pub const PROOF_BYTES_MAX: usize = 4 << 10;

/// The longest answer to a refused dial that is read for its reason, in bytes.
pub const REFUSAL_BYTES_MAX: usize = 4 << 10;
