//! What this machine takes from the worker.

use gaia_confine::grants;

use super::Finding;
use crate::config::{Config, Confine};
use crate::environment::Environment;
use crate::supervisor::confinement::{Program, Report};
use crate::supervisor::wasmedge;

const CHECK: &str = "confinement";

/// Says what the worker cannot do here, and what it can.
pub fn examine(config: &Config, environment: &Environment) -> Finding {
    if config.confine == Confine::Off {
        let found = "off: the worker may do whatever your user may";
        return Finding::warn(CHECK, found, "gaia config set confine auto");
    }
    let program = match wasmedge::find_wasmedge(environment) {
        Ok(wasmedge) => Program::of(&wasmedge.command),
        Err(_) => return Finding::ok(CHECK, "auto; what it does depends on WasmEdge"),
    };
    let report = Report::of(grants(), &program);
    match report.can.first() {
        None => Finding::ok(CHECK, report.line()),
        Some((_, mend)) => Finding::warn(CHECK, report.line(), *mend),
    }
}
