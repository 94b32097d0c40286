//! What this machine takes from the worker.

use gaia_confine::grants;

use super::Finding;
use crate::config::{Config, Confine};
use crate::environment::Environment;
use crate::supervisor::confinement::{Program, Report};
use crate::supervisor::wasmedge;

const CHECK: &str = "confinement";

/// Says what the worker and the processes of plugins cannot do here, and what they can.
pub fn examine(config: &Config, environment: &Environment) -> Finding {
    if config.confine == Confine::Off {
        let found = "off: the worker and the runtime of plugins may do whatever your user may";
        return Finding::warn(CHECK, found, "gaia config set confine auto");
    }
    let program = match wasmedge::find_wasmedge(environment) {
        Ok(wasmedge) => Program::of(&wasmedge.command),
        Err(_) => return Finding::ok(CHECK, "auto; what it does depends on WasmEdge"),
    };
    let report = Report::of(grants(), &program);
    let line = format!(
        "{}; the same goes for the runtime of plugins",
        report.line()
    );
    match report.can.first() {
        None => Finding::ok(CHECK, line),
        Some((_, mend)) => Finding::warn(CHECK, line, *mend),
    }
}
