//! The life of a node: opens the store, listens, keeps a worker running, drains, ends.
//!
//! Runs on the thread that calls it, which must be the process's main thread: the worker dies
//! with the thread that started it.

mod keeper;
mod plan;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gaia_prompt::TemplateError;
use gaia_records::{OpenRecordsError, Records};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use self::keeper::{Ended, Keeper};
pub use self::plan::check;
use self::plan::{confinement_line, worker_child};
use super::back::{Back, KeptLibrary, OpenBackError, Routes};
use super::backoff::Backoff;
use super::child::ChildLog;
use super::front::{self, Front};
use super::lock::{self, LockError};
use super::membership::Membership;
use super::ports::HeldPort;
use super::prepare::Prepared;
use super::state::{Phase, Service, State};
use super::store::{OpenStoreError, Store, StorePlan};
use crate::config::{Config, LogFormat};
use crate::environment::Environment;
use crate::home::{Home, WriteHomeError};
use crate::library::Library;
use crate::telemetry::Telemetry;
use crate::toolbox::LiveTools;

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another one runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The address is not to be had.
    #[error(transparent)]
    Listen(#[from] front::ListenError),
    /// The worker could ask for nothing.
    #[error(transparent)]
    Back(#[from] OpenBackError),
    /// What it keeps for its callers cannot be read.
    #[error(transparent)]
    Records(#[from] OpenRecordsError),
    /// No port on loopback for the worker.
    #[error("failed to find a port for the worker")]
    Bell(#[source] std::io::Error),
    /// What the worker keeps has no form.
    #[error("failed to confine the worker; `gaia config set confine off` leaves that out")]
    Confine(#[source] serde_json::Error),
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
    /// WasmEdge cannot be told of a folder whose name holds a colon.
    #[error("`{0}` has a colon in its name, which WasmEdge cannot take; choose another --home")]
    Colon(PathBuf),
    /// The chat template is not there.
    #[error("failed to read chat_template `{path}`")]
    ChatTemplate {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The chat template is none.
    #[error(
        "chat_template `{path}` cannot be used; `gaia config set chat_template \"\"` takes the model's own"
    )]
    WrongTemplate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TemplateError,
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
/// `on_ready` is called once, with the node's state, when it first answers.
pub async fn run(plan: &NodePlan<'_>, on_ready: impl FnOnce(&State)) -> Result<(), NodeError> {
    lock::take_for_life(&plan.home.lock())?;
    let mut stop = StopSignal::new()?;
    let telemetry = Telemetry::start(plan.home, plan.config, plan.environment, plan.node_id);
    let traces = telemetry.as_ref().map(Telemetry::traces);
    let mut front = Front::open(plan.config, plan.home, traces).await?;
    let mut store = tokio::select! {
        store = open_store(plan) => store?,
        () = stop.wait() => return Ok(()),
    };
    let back = open_back(plan, &front, store.service()).await?;
    let services = Services {
        store: store.service().cloned(),
        back: back.service().clone(),
        bell: HeldPort::hold().map_err(NodeError::Bell)?,
    };
    let membership = Membership::start(plan, &front, store.service());
    front.keep_membership(membership);
    let processes = front.processes();
    processes.set("store", store.pid());
    let outcome = tokio::select! {
        outcome = serve(plan, &mut front, &services, &mut stop, on_ready) => outcome,
        never = store.keep(|pid| processes.set("store", Some(pid))) => match never {},
    };
    store.close().await;
    if let Some(telemetry) = telemetry {
        telemetry.close().await;
    }
    let _gone_already = std::fs::remove_file(plan.home.state());
    outcome
}

/// What the worker may ask.
#[derive(Debug)]
pub struct Services {
    /// The vector store, where there is one.
    pub store: Option<Service>,
    /// Its host.
    pub back: Service,
    /// The port on which it wakes itself.
    pub bell: HeldPort,
}

impl Services {
    /// Those that the worker connects to.
    fn reached(&self) -> Vec<&Service> {
        self.store.iter().chain([&self.back]).collect()
    }
}

async fn open_back(
    plan: &NodePlan<'_>,
    front: &Front,
    store: Option<&Service>,
) -> Result<Back, NodeError> {
    let tools = LiveTools::open(plan.home, plan.config, plan.environment);
    let records = Records::open(&plan.home.records(), gaia_records::Limits::default())?;
    let library = Library::open(
        &plan.home.library(),
        store.cloned().unwrap_or_default(),
        &plan.config.collection,
        front.watch_worker(),
    )?;
    let library = KeptLibrary {
        library,
        has_store: store.is_some(),
    };
    let routes = Routes::new(tools, Arc::new(records), library);
    Ok(Back::open(routes).await?)
}

async fn open_store(plan: &NodePlan<'_>) -> Result<Store, NodeError> {
    let folder = plan.home.store();
    let log = open_log(plan, plan.home.store_log(), "store")?;
    let store_plan = StorePlan {
        program: &plan.prepared.store,
        folder: &folder,
        log: &log,
        embeds: plan.prepared.models.embedding.is_some(),
    };
    Store::open(plan.config, plan.environment, &store_plan)
        .await
        .map_err(|source| NodeError::Store {
            folder: folder.clone(),
            source,
        })
}

/// The log of the child called `name`.
fn open_log(plan: &NodePlan<'_>, path: PathBuf, name: &'static str) -> Result<ChildLog, NodeError> {
    match ChildLog::open(&path) {
        Ok(log) if plan.config.log_format == LogFormat::Json => Ok(log.in_json(name)),
        Ok(log) => Ok(log),
        Err(source) => Err(NodeError::Log { path, source }),
    }
}

/// Keeps workers running until the node is told to stop.
async fn serve(
    plan: &NodePlan<'_>,
    front: &mut Front,
    services: &Services,
    stop: &mut StopSignal,
    on_ready: impl FnOnce(&State),
) -> Result<(), NodeError> {
    let log = open_log(plan, plan.home.worker_log(), "worker")?;
    let worker = worker_child(plan, services)?;
    info!("{}", confinement_line(plan));
    let mut state = first_state(plan, front, services.store.as_ref());
    let mut keeper = Keeper {
        plan,
        front,
        worker,
        log,
        backoff: Backoff::default(),
    };
    let mut on_ready = Some(on_ready);
    loop {
        state.write(plan.home)?;
        let Ended::Failed { ready } = keeper.one_worker(&mut state, stop, &mut on_ready).await?
        else {
            return Ok(());
        };
        if !keeper
            .pause(&mut state, ready, stop, on_ready.is_some())
            .await?
        {
            return Ok(());
        }
    }
}

/// SIGTERM, ctrl-C and a closed terminal all mean the same.
pub struct StopSignal {
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

    /// Waits for the next one.
    pub async fn wait(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.signals;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn first_state(plan: &NodePlan, front: &Front, store: Option<&Service>) -> State {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    State {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now.as_secs(),
        phase: Phase::Starting,
        url: front.url().to_owned(),
        admin_url: front.admin_url().to_owned(),
        node_id: plan.node_id.to_owned(),
        chat: plan.prepared.models.chat.clone(),
        embedding: plan.prepared.models.embedding.clone(),
        reranking: plan.prepared.models.reranking.clone(),
        worker: None,
        store: store.cloned(),
        restarts: 0,
        last_failure: None,
    }
}

/// An error and its cause in one line.
fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
