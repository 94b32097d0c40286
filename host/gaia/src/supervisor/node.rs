//! The life of a node: opens the store, listens, keeps a worker running, drains, ends.
//!
//! Runs on the thread that calls it, which must be the process's main thread: the worker dies
//! with the thread that started it.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::front::{self, Front};
use super::lock::{self, LockError};
use super::prepare::Prepared;
use super::probe::{self, Answer};
use super::state::{Phase, Service, State, WorkerProcess};
use super::store::{OpenStoreError, Store};
use super::worker::{
    GraphOptions, Preload, SETTINGS_FILE, Surroundings, Worker, WorkerLog, WorkerPlan,
    worker_settings,
};
use crate::config::Config;
use crate::environment::Environment;
use crate::home::{Home, WriteHomeError, write_private};
use crate::password::random_hex;

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

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another one runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The address is not to be had.
    #[error(transparent)]
    Listen(#[from] front::ListenError),
    /// The store does not open.
    #[error("failed to open the vector store in `{folder}`")]
    Store {
        /// Its folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: OpenStoreError,
    },
    /// Something in the home cannot be written.
    #[error(transparent)]
    Home(#[from] WriteHomeError),
    /// The worker's log cannot be written.
    #[error("failed to open `{path}`")]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The chat template is not there.
    #[error("failed to read chat_template `{path}`")]
    ChatTemplate {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No randomness for a key.
    #[error("no randomness from the system")]
    Random(#[source] getrandom::Error),
    /// Signals cannot be caught.
    #[error("failed to wait for signals")]
    Signals(#[source] std::io::Error),
    /// The worker never came up.
    #[error("the worker does not start ({failures} attempts); its last lines:\n{last_lines}")]
    NeverReady {
        /// How often it was tried.
        failures: u32,
        /// The end of its log.
        last_lines: String,
    },
}

/// What a node is.
#[derive(Debug)]
pub struct NodePlan<'a> {
    /// Its folder.
    pub home: &'a Home,
    /// Its configuration.
    pub config: &'a Config,
    /// What the environment says.
    pub environment: &'a Environment,
    /// Its parts.
    pub prepared: &'a Prepared,
    /// Its address.
    pub node_id: &'a str,
}

/// Runs the node until it is told to stop. Everything it started has ended when this returns.
///
/// `on_ready` is called once, with the node's URL, when it first answers.
pub async fn run(plan: &NodePlan<'_>, on_ready: impl FnOnce(&State)) -> Result<(), NodeError> {
    let _lock = lock::take(&plan.home.lock())?;
    let mut stop = StopSignal::new()?;
    let mut front = Front::open(plan.config).await?;
    let folder = plan.home.store();
    let store = Store::open(plan.config, &folder)
        .await
        .map_err(|source| NodeError::Store { folder, source })?;
    let outcome = serve(plan, &mut front, &store, &mut stop, on_ready).await;
    store.close().await;
    drop(front);
    let _gone_already = std::fs::remove_file(plan.home.state());
    outcome
}

async fn serve(
    plan: &NodePlan<'_>,
    front: &mut Front,
    store: &Store,
    stop: &mut StopSignal,
    on_ready: impl FnOnce(&State),
) -> Result<(), NodeError> {
    let log_path = plan.home.worker_log();
    let log = WorkerLog::open(&log_path).map_err(|source| NodeError::Log {
        path: log_path,
        source,
    })?;
    let worker_plan = worker_plan(plan, store.service())?;
    let mut state = first_state(plan, front, store);
    let mut keeper = Keeper {
        plan,
        front,
        worker_plan,
        log,
        backoff: Backoff::default(),
    };
    let mut on_ready = Some(on_ready);
    loop {
        state.write(plan.home)?;
        match keeper.one_worker(&mut state, stop, &mut on_ready).await? {
            Ended::Stopped => return Ok(()),
            Ended::Failed { ready } => {
                if !keeper
                    .pause(&mut state, ready, stop, on_ready.is_some())
                    .await?
                {
                    return Ok(());
                }
            }
        }
    }
}

/// How a worker's time ended.
enum Ended {
    /// The node was told to stop.
    Stopped,
    /// It ended by itself, after it was ready for so long.
    Failed { ready: Duration },
}

/// Keeps one worker running after the other.
struct Keeper<'a> {
    plan: &'a NodePlan<'a>,
    front: &'a mut Front,
    worker_plan: WorkerPlan,
    log: WorkerLog,
    backoff: Backoff,
}

impl Keeper<'_> {
    /// Runs one worker from start to end.
    async fn one_worker(
        &mut self,
        state: &mut State,
        stop: &mut StopSignal,
        on_ready: &mut Option<impl FnOnce(&State)>,
    ) -> Result<Ended, NodeError> {
        self.log.forget();
        let failed = Ended::Failed {
            ready: Duration::ZERO,
        };
        let mut worker = match self.worker_plan.spawn(&self.log) {
            Ok(worker) => worker,
            Err(error) => {
                self.log.write(&format!(
                    "`{}` does not start: {error}",
                    self.worker_plan.command.display()
                ));
                return Ok(failed);
            }
        };
        let started = tokio::select! {
            started = self.until_ready(&mut worker, state) => started,
            () = stop.wait() => {
                worker.stop().await;
                return Ok(Ended::Stopped);
            }
        };
        let service = match started {
            Ok(service) => service,
            Err(why) => {
                error!("{why}");
                self.log.write(&why);
                worker.stop().await;
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
    async fn until_ready(&self, worker: &mut Worker, state: &mut State) -> Result<Service, String> {
        let service = worker
            .listening(LISTEN_LIMIT)
            .await
            .map_err(|error| with_source(&error))?;
        state.worker = Some(WorkerProcess {
            pid: worker.pid,
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
        mut worker: Worker,
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
                self.drain(state, stop).await;
                worker.stop().await;
                return Ok(Ended::Stopped);
            }
        };
        self.front.forward_to(None);
        error!("{why}");
        self.log.write(&why);
        worker.stop().await;
        Ok(Ended::Failed {
            ready: since.elapsed(),
        })
    }

    /// Lets accepted requests finish; a second signal cuts it short.
    async fn drain(&mut self, state: &mut State, stop: &mut StopSignal) {
        let limit = Duration::from_secs(self.plan.config.drain_timeout_seconds.into());
        info!(
            "stopping; running answers may take {} s to finish",
            limit.as_secs()
        );
        state.phase = Phase::Draining;
        if let Err(error) = state.write(self.plan.home) {
            warn!("{}", with_source(&error));
        }
        tokio::select! {
            () = self.front.drain() => {}
            () = stop.wait() => warn!("told to stop again: not waiting any longer"),
        }
    }

    /// Waits before the next attempt. False if the node was told to stop meanwhile.
    async fn pause(
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

/// SIGTERM, ctrl-C and a closed terminal all mean the same.
struct StopSignal {
    signals: [Signal; 3],
}

impl StopSignal {
    fn new() -> Result<Self, NodeError> {
        let open = |kind| signal(kind).map_err(NodeError::Signals);
        let signals = [
            open(SignalKind::terminate())?,
            open(SignalKind::interrupt())?,
            open(SignalKind::hangup())?,
        ];
        Ok(Self { signals })
    }

    async fn wait(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.signals;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn first_state(plan: &NodePlan, front: &Front, store: &Store) -> State {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    State {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now.as_secs(),
        phase: Phase::Starting,
        url: front.url().to_owned(),
        node_id: plan.node_id.to_owned(),
        chat: plan.prepared.models.chat.clone(),
        embedding: plan.prepared.models.embedding.clone(),
        worker: None,
        store: store.service().clone(),
        restarts: 0,
        last_failure: None,
    }
}

/// Writes the worker's settings and says how to start it.
fn worker_plan(plan: &NodePlan, store: &Service) -> Result<WorkerPlan, NodeError> {
    const TEMPLATE_FILE: &str = "chat-template.jinja";
    let (config, prepared) = (plan.config, plan.prepared);
    let folder = plan.home.worker();
    let key = random_hex::<32>().map_err(NodeError::Random)?;
    if !config.chat_template.is_empty() {
        // The worker sees only its own folder.
        let path = PathBuf::from(&config.chat_template);
        let text =
            std::fs::read(&path).map_err(|source| NodeError::ChatTemplate { path, source })?;
        write_private(&folder.join(TEMPLATE_FILE), &text)?;
    }
    let around = Surroundings {
        store,
        worker_key: &key,
        node_id: plan.node_id,
        chat_name: &prepared.models.chat.name,
        embedding_name: prepared
            .models
            .embedding
            .as_ref()
            .map(|model| model.name.as_str()),
        chat_template: (!config.chat_template.is_empty()).then_some(TEMPLATE_FILE),
    };
    write_private(
        &folder.join(SETTINGS_FILE),
        worker_settings(config, &around).as_bytes(),
    )?;
    let options: &[&str] = if prepared.is_compiled {
        prepared.wasmedge.aot_options()
    } else {
        &[]
    };
    Ok(WorkerPlan {
        command: prepared.wasmedge.command.clone(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        module: prepared.module.clone(),
        plugin: prepared.plugin.clone(),
        folder,
        preloads: preloads(plan),
        environment: plan.environment.for_worker.clone(),
        key,
    })
}

fn preloads(plan: &NodePlan) -> Vec<Preload> {
    let models = &plan.prepared.models;
    let mut preloads = vec![Preload {
        graph: "default",
        file: models.chat.file.clone(),
        options: GraphOptions::chat(plan.config),
    }];
    preloads.extend(models.embedding.as_ref().map(|model| Preload {
        graph: "embedding",
        file: model.file.clone(),
        options: GraphOptions::embedding(plan.config),
    }));
    preloads
}

/// An error and its cause in one line.
fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
