//! The node as an MCP server: what is said to it, and what it says, without a socket.
//!
//! Streamable HTTP without sessions: every message is answered by itself, with JSON. The revisions with
//! a handshake are spoken as far as 2025-11-25, and 2026-07-28, which has none. Two tools: `ask` asks
//! the node's model, with what retrieval finds; `search_knowledge` gives what retrieval finds.
//!
//! It offers nothing that would need memory of who asks: no subscriptions, no tasks, no resources.
//!
//! Invariant: a message is read once and answered once; a tool becomes exactly one request to the
//! node's own API, whose path it does not choose.
//!
//! ```
//! use gaia_mcp_server::{Heard, Labels, hear};
//!
//! let message = br#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call",
//!     "params": {"name": "search_knowledge", "arguments": {"query": "tides"}}}"#;
//! let Heard::Call(call) = hear(&Labels::default(), message) else {
//!     panic!("it needs the node");
//! };
//! assert_eq!(call.path(), "/v1/retrieve");
//! let reply = call.reply(200, br#"{"hits": []}"#);
//! assert_eq!(reply.status, 200);
//! ```

mod message;
mod tools;

pub use message::{Call, Heard, Labels, Reply, hear};
