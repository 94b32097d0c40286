//! `gaia stop`: asks the running node to drain and waits until nothing of it is left.

use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::Context;
use crate::exit::{Exit, failure};
use crate::supervisor::lock;

/// What the node needs beyond the drain: to end the worker and close the store.
const CLOSE_GRACE: Duration = Duration::from_secs(30);

/// Arguments of `gaia stop`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  gaia stop          running answers may finish first\n  gaia stop --now    they may not"
)]
pub struct Arguments {
    /// Do not wait for running answers
    #[arg(long)]
    now: bool,
}

/// Runs `gaia stop`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let pid = stop(context, arguments.now)?;
    context
        .terminal
        .answer(|| json!({"stopped": pid}), |_| "Stopped.".to_owned());
    Ok(())
}

/// Stops the node of this home; gives its process id.
pub fn stop(context: &Context, now: bool) -> anyhow::Result<i32> {
    let path = context.home.lock();
    let Some(pid) = lock::holder(&path) else {
        return Err(failure(Exit::NotRunning, "no node is running in this home"));
    };
    send(pid, Signal::TERM)?;
    if now {
        // The second signal means: do not wait.
        std::thread::sleep(Duration::from_millis(200));
        let _gone_already = send(pid, Signal::TERM);
    }
    let drain = context
        .config()
        .map_or(30, |config| config.drain_timeout_seconds);
    let patience = Duration::from_secs(drain.into()) + CLOSE_GRACE;
    if !lock::wait_free(&path, patience) {
        // The lock is held, so the process is the node still; its worker dies with it.
        send(pid, Signal::KILL)?;
        lock::wait_free(&path, CLOSE_GRACE);
    }
    Ok(pid)
}

fn send(pid: i32, signal: Signal) -> anyhow::Result<()> {
    let Some(target) = Pid::from_raw(pid) else {
        return Err(failure(Exit::Failure, format!("`{pid}` is no process")));
    };
    kill_process(target, signal).map_err(|error| {
        failure(
            Exit::Failure,
            format!("failed to signal process {pid}: {error}"),
        )
    })
}
