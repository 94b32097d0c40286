//! Keeps one worker running after the other: starts it, waits until it is ready, watches it,
//! and starts the next one when it ends.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::{error, info, warn};

use super::plan::WorkerChild;
use super::{NodeError, NodePlan, StopSignal, with_source};
use crate::supervisor::backoff::Backoff;
use crate::supervisor::child::{Child, ChildLog};
use crate::supervisor::front::Front;
use crate::supervisor::probe::{self, Answer};
use crate::supervisor::state::{Phase, Service, State, WorkerProcess};

/// A worker must listen within this time. Loading a large model from a slow disk is in it.
const LISTEN_LIMIT: Duration = Duration::from_secs(600);
/// And be ready within this time from then on.
const READY_LIMIT: Duration = Duration::from_secs(600);
/// How often a worker is asked whether it is ready.
const READY_INTERVAL: Duration = Duration::from_millis(50);
/// How often a running worker is asked whether it lives.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// A worker that answers nothing for so long is stuck.
const HEALTH_LIMIT: Duration = Duration::from_secs(60);
/// How long one such question waits.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// After SIGTERM a drained worker has so long to end.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// How a worker's time ended.
pub enum Ended {
    /// The node was told to stop.
    Stopped,
    /// It ended by itself, after it was ready for so long.
    Failed { ready: Duration },
}

/// Keeps one worker running after the other.
pub struct Keeper<'a> {
    /// The node it belongs to.
    pub plan: &'a NodePlan<'a>,
    /// What forwards to the worker.
    pub front: &'a mut Front,
    /// How to start the worker.
    pub worker: WorkerChild,
    /// Where its output goes.
    pub log: ChildLog,
    /// How often it failed.
    pub backoff: Backoff,
}

impl Keeper<'_> {
    /// Runs one worker from start to end.
    pub async fn one_worker(
        &mut self,
        state: &mut State,
        stop: &mut StopSignal,
        on_ready: &mut Option<impl FnOnce(&State)>,
    ) -> Result<Ended, NodeError> {
        self.log.forget();
        let failed = Ended::Failed {
            ready: Duration::ZERO,
        };
        let mut worker = match self.worker.plan.spawn(&self.log) {
            Ok(worker) => worker,
            Err(error) => {
                self.log.write(&format!(
                    "`{}` does not start: {error}",
                    self.worker.plan.command.display()
                ));
                return Ok(failed);
            }
        };
        self.front.processes().set("worker", Some(worker.pid));
        let started = tokio::select! {
            started = self.until_ready(&mut worker, state) => started,
            () = stop.wait() => {
                worker.stop(STOP_GRACE).await;
                return Ok(Ended::Stopped);
            }
        };
        let service = match started {
            Ok(service) => service,
            Err(why) => {
                error!("{why}");
                self.log.write(&why);
                worker.stop(STOP_GRACE).await;
                return Ok(failed);
            }
        };
        self.front.forward_to(Some(&service));
        state.phase = Phase::Ready;
        state.write(self.plan.home)?;
        info!(url = state.url, worker = worker.pid, "ready");
        if let Some(on_ready) = on_ready.take() {
            on_ready(state);
        }
        self.until_end(worker, &service, state, stop).await
    }

    /// Waits until the worker listens and its models are loaded; the error says what went wrong.
    async fn until_ready(&self, worker: &mut Child, state: &mut State) -> Result<Service, String> {
        let url = worker
            .listening(LISTEN_LIMIT)
            .await
            .map_err(|error| format!("the worker does not come up: {}", with_source(&error)))?;
        let service = Service {
            url,
            key: self.worker.key.clone(),
        };
        state.worker = Some(WorkerProcess {
            pid: Some(worker.pid),
            service: service.clone(),
        });
        if let Err(error) = state.write(self.plan.home) {
            warn!("{}", with_source(&error));
        }
        let ready = async {
            while probe::ask(&service, "/ready", ASK_LIMIT).await != Answer::Yes {
                sleep(READY_INTERVAL).await;
            }
        };
        tokio::select! {
            () = ready => Ok(service),
            ended = worker.ended() => Err(match ended {
                Ok(status) => format!("the worker ended while it loaded ({status})"),
                Err(error) => format!("failed to watch the worker: {error}"),
            }),
            () = sleep(READY_LIMIT) => {
                Err(format!("the worker was not ready within {} s", READY_LIMIT.as_secs()))
            }
        }
    }

    /// Watches a ready worker until it ends, hangs, or the node is told to stop.
    async fn until_end(
        &mut self,
        mut worker: Child,
        service: &Service,
        state: &mut State,
        stop: &mut StopSignal,
    ) -> Result<Ended, NodeError> {
        let since = Instant::now();
        let why = tokio::select! {
            ended = worker.ended() => match ended {
                Ok(status) => format!("the worker ended ({status})"),
                Err(error) => format!("failed to watch the worker: {error}"),
            },
            () = stuck(service) => {
                format!("the worker answered nothing for {} s", HEALTH_LIMIT.as_secs())
            }
            () = stop.wait() => {
                drain(self.front, self.plan, state, stop).await;
                worker.stop(STOP_GRACE).await;
                return Ok(Ended::Stopped);
            }
        };
        self.front.forward_to(None);
        error!("{why}");
        self.log.write(&why);
        worker.stop(STOP_GRACE).await;
        Ok(Ended::Failed {
            ready: since.elapsed(),
        })
    }

    /// Waits before the next attempt. False if the node was told to stop meanwhile.
    pub async fn pause(
        &mut self,
        state: &mut State,
        ready: Duration,
        stop: &mut StopSignal,
        never_ready: bool,
    ) -> Result<bool, NodeError> {
        let delay = self.backoff.failed(ready);
        let last_lines = self.log.last_lines();
        if never_ready && self.backoff.is_crash_loop() {
            return Err(NodeError::NeverReady {
                failures: self.backoff.failures(),
                last_lines,
            });
        }
        state.worker = None;
        state.restarts += 1;
        state.phase = Phase::Restarting;
        if self.backoff.is_crash_loop() {
            state.phase = Phase::CrashLoop;
            error!("the worker fails again and again; its last lines:\n{last_lines}");
        }
        state.last_failure = Some(last_lines);
        state.write(self.plan.home)?;
        warn!("starting the worker again in {} ms", delay.as_millis());
        tokio::select! {
            () = sleep(delay) => Ok(true),
            () = stop.wait() => Ok(false),
        }
    }
}

/// Lets accepted requests finish; a second signal cuts it short.
pub async fn drain(
    front: &mut Front,
    plan: &NodePlan<'_>,
    state: &mut State,
    stop: &mut StopSignal,
) {
    let limit = Duration::from_secs(plan.config.drain_timeout_seconds.into());
    info!(
        "stopping; running answers may take {} s to finish",
        limit.as_secs()
    );
    state.phase = Phase::Draining;
    if let Err(error) = state.write(plan.home) {
        warn!("{}", with_source(&error));
    }
    tokio::select! {
        () = front.drain() => {}
        () = stop.wait() => warn!("told to stop again: not waiting any longer"),
    }
}

/// Ends when `service` has answered nothing for [`HEALTH_LIMIT`].
async fn stuck(service: &Service) {
    let mut last_answer = Instant::now();
    while last_answer.elapsed() < HEALTH_LIMIT {
        sleep(HEALTH_INTERVAL).await;
        if probe::ask(service, "/health", ASK_LIMIT).await != Answer::Nothing {
            last_answer = Instant::now();
        }
    }
}
