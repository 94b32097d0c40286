//! The running node: what is started, watched and stopped.
//!
//! One process, `gaia`, owns everything: the lock, the vector store, the ingress, the back port and one child,
//! the worker (`wasmedge`), unless somebody else keeps that. Invariants: it only ever signals processes it started
//! itself; its own worker dies with it, also when it is killed; a home has at most one running node.

pub mod aot;
pub mod back;
pub mod backoff;
pub mod child;
pub mod confinement;
pub mod daemon;
pub mod front;
pub mod lock;
pub mod membership;
pub mod models;
pub mod node;
pub mod outside;
pub mod port_owner;
pub mod ports;
pub mod prepare;
pub mod probe;
pub mod state;
pub mod store;
pub mod wasmedge;
pub mod worker;
