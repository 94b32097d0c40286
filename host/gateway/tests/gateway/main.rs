//! A gateway from outside: real sockets, a real ledger, nodes that answer by a script over real tunnels.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod client;
mod credit;
mod failing;
mod front;
mod kills;
mod limits;
mod maxima;
mod members;
mod money;
mod node;
mod pages;
mod pair;
mod scene;
#[path = "../../../ledger/tests/ledger/server.rs"]
#[allow(dead_code, reason = "the ledger's own tests need more of it")]
mod server;
mod serving;
mod shown;
mod tokens;

/// Not a test of its own: the gateway that [`kills`] starts and kills, or that a browser looks at.
#[test]
fn worker() {
    kills::serve_if_asked();
    browser::serve_if_asked();
}
