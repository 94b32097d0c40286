//! Whether a worker that somebody else keeps is there, and knows the node.

use super::{ASK_LIMIT, Finding};
use crate::config::Config;
use crate::home::Home;
use crate::supervisor::outside::Seats;
use crate::supervisor::ports::OutsidePorts;
use crate::supervisor::probe::{self, Answer};
use crate::supervisor::state::State;

const CHECK: &str = "worker";
const START_IT: &str = "start it where it is kept; `gaia worker` says how";

/// Where the worker is, if somebody else keeps it: as the running node has it, else as is configured.
pub fn outside(config: &Config, running: Option<&State>) -> Option<String> {
    match running {
        Some(state) => state.worker_url.clone(),
        None => config.outside_ports().map(|_| config.worker_url.clone()),
    }
}

/// Asks the worker at `url` as the node would.
pub fn examine(home: &Home, url: &str) -> Finding {
    let seats = OutsidePorts::parse(url).and_then(|ports| Seats::outside(ports, home).ok());
    let Some(seats) = seats else {
        return Finding::fail(
            CHECK,
            format!("`{url}` is no place for it"),
            "gaia config set worker_url URL",
        );
    };
    let question = format!("{}/ready", url.trim_end_matches('/'));
    let kept = format!("kept by somebody else at {url}");
    match probe::ask_blocking(&question, &seats.worker.key, ASK_LIMIT) {
        Answer::Yes => Finding::ok(CHECK, format!("{kept}: ready")),
        Answer::No(401 | 403) => Finding::fail(
            CHECK,
            format!("{kept}: does not know this node's key"),
            START_IT,
        ),
        Answer::No(status) => Finding::warn(
            CHECK,
            format!("{kept}: there, but not ready (status {status})"),
            "its own log says why",
        ),
        Answer::Nothing => Finding::fail(CHECK, format!("{kept}: does not answer"), START_IT),
    }
}
