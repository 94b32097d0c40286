//! `gaia domain stop`: running answers may finish, then the gateway ends.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::folder;
use crate::commands::Context;
use crate::exit::{Exit, failure};
use crate::supervisor::lock;

/// How long a gateway may take to end: what it gives running requests, and to close its ledger.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `gaia domain stop`.
pub fn run(context: &Context) -> anyhow::Result<()> {
    let path = folder(context).lock();
    let Some(pid) = lock::holder(&path) else {
        return Err(failure(
            Exit::NotRunning,
            "no gateway of this domain is running here",
        ));
    };
    let send = |signal| {
        let target = Pid::from_raw(pid)
            .ok_or_else(|| failure(Exit::Failure, format!("`{pid}` is no process")))?;
        kill_process(target, signal).map_err(|error| {
            failure(
                Exit::Failure,
                format!("failed to signal process {pid}: {error}"),
            )
        })
    };
    send(Signal::TERM)?;
    if !lock::wait_free(&path, PATIENCE) {
        // The lock is held, so the process is the gateway still.
        send(Signal::KILL)?;
        lock::wait_free(&path, PATIENCE);
    }
    context
        .terminal
        .answer(|| json!({"stopped": pid}), |_| "Stopped.".to_owned());
    Ok(())
}
