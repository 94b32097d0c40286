//! What this machine takes from the worker.

use gaia_confine::grants;

use super::Finding;
use crate::config::{Config, Confine};
use crate::environment::Environment;
use crate::supervisor::confinement::{Program, Report};
use crate::supervisor::wasmedge;

const CHECK: &str = "confinement";

/// Says what the worker and the processes of plugins cannot do here, and what they can. `is_outside`: somebody else
/// keeps the worker.
pub fn examine(config: &Config, environment: &Environment, is_outside: bool) -> Finding {
    if config.confine == Confine::Off {
        let found = "off: the worker and the runtime of plugins may do whatever your user may";
        return Finding::warn(CHECK, found, "gaia config set confine auto");
    }
    let program = match wasmedge::find_wasmedge(environment) {
        Ok(wasmedge) => Program::of(&wasmedge.command),
        Err(_) => return Finding::ok(CHECK, "auto; what it does depends on WasmEdge"),
    };
    let report = Report::of(grants(), &program);
    let line = match is_outside {
        true => format!(
            "the worker by whoever starts it, as `gaia worker` says; the runtime of plugins as a worker of the node's own: {}",
            report.line()
        ),
        false => format!(
            "{}; the same goes for the runtime of plugins",
            report.line()
        ),
    };
    match report.can.first() {
        None => Finding::ok(CHECK, line),
        Some((_, mend)) => Finding::warn(CHECK, line, *mend),
    }
}
