//! Sockets and an async runtime for hyper inside WasmEdge.
//!
//! WasmEdge has socket calls of its own that neither `std` nor tokio knows. This crate is the only guest
//! code that touches them: a single-threaded executor ([`block_on`], [`spawn`]), timers ([`sleep`],
//! [`timeout`]), TCP (`TcpListener`, `TcpStream`, both hyper's `rt` traits) and an HTTP/1 server loop
//! (`serve`) with the limits a public port needs.
//!
//! What holds:
//! * an idle program costs nothing: the thread sleeps in one `poll_oneoff` until a socket or a timer is due;
//! * no connection starves another: a task may read or write [`IO_BUDGET`] times a turn, then it queues again;
//! * every wait on a peer ends: header, idle and write-stall times are bounded, the number of connections too;
//! * nothing here panics on what a peer sends: in Wasm one panic is the end of the process.
//!
//! The executor and the timers compile natively as well, so that they are tested there; the sockets exist
//! on `wasm32-wasip1` only. There is no `TCP_NODELAY` in WasmEdge: answers leave in one write where they can.

mod executor;
mod timer;

#[cfg(target_os = "wasi")]
mod client;
#[cfg(target_os = "wasi")]
mod net;
mod phase;
mod reactor;
#[cfg(target_os = "wasi")]
mod serve;

pub use executor::{IO_BUDGET, block_on, spawn, yield_now};
pub use timer::{Elapsed, Sleep, sleep, sleep_until, timeout};

#[cfg(target_os = "wasi")]
pub use client::{RequestError, send_request};
#[cfg(target_os = "wasi")]
pub use net::{TcpListener, TcpStream};
pub use phase::ServeLimits;
#[cfg(target_os = "wasi")]
pub use serve::serve;
