//! The life of a node: opens the store, listens, keeps a worker running or waits for somebody else's, drains, ends.
//!
//! Runs on the thread that calls it, which must be the process's main thread: the worker dies
//! with the thread that started it.

mod keeper;
mod outside;
mod plan;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gaia_prompt::TemplateError;
use gaia_records::{OpenRecordsError, Records};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use self::keeper::{Ended, Keeper};
pub use self::outside::COME_LIMIT;
use self::outside::Outside;
pub use self::plan::check;
use self::plan::confinement_line;
pub use self::plan::{WorkerChild, worker_child, write_settings};
use super::back::{Back, KeptLibrary, OpenBackError, Routes};
use super::backoff::Backoff;
use super::child::ChildLog;
use super::front::{self, Front};
use super::lock::{self, LockError};
use super::membership::Membership;
use super::outside::{Seats, TakeSeatsError};
use super::ports::loopback_url;
use super::prepare::{Parts, Prepared};
use super::state::{Phase, Seat, Service, State};
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
    /// No ports and keys for the worker.
    #[error(transparent)]
    Seats(#[from] TakeSeatsError),
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
    /// The worker that somebody else was to start never came.
    #[error(
        "no worker to serve with within {seconds} s: {seen}; with worker_url = \"\" the node starts its own"
    )]
    NeverCame {
        /// What was seen of it last.
        seen: String,
        /// How long it was waited for.
        seconds: u64,
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
    let seats = take_seats(plan)?;
    let mut store = tokio::select! {
        store = open_store(plan, &seats.store) => store?,
        () = stop.wait() => return Ok(()),
    };
    let back = open_back(plan, &front, store.service(), seats.back.clone()).await?;
    let services = Services {
        store: store.service().cloned(),
        back: back.service().clone(),
        worker: seats.worker.clone(),
        bell: seats.bell,
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

fn take_seats(plan: &NodePlan<'_>) -> Result<Seats, TakeSeatsError> {
    match plan.config.outside_ports() {
        None => Seats::own(),
        Some(ports) => Seats::outside(ports, plan.home),
    }
}

/// What the worker may ask, and where it is itself.
#[derive(Debug)]
pub struct Services {
    /// The vector store, where there is one.
    pub store: Option<Service>,
    /// Its host.
    pub back: Service,
    /// Where the worker listens, and its key.
    pub worker: Seat,
    /// The port on which it wakes itself.
    pub bell: u16,
}

impl Services {
    /// Those that a running node of `plan` gives a worker that somebody else keeps at `seats`.
    pub fn outside(plan: &NodePlan<'_>, seats: &Seats) -> Self {
        let service = |seat: &Seat| Service {
            url: loopback_url(seat.port),
            key: seat.key.clone(),
        };
        let embeds = plan.prepared.models.embedding.is_some();
        let own = embeds.then(|| service(&seats.store));
        Self {
            store: Store::elsewhere(plan.config).or(own),
            back: service(&seats.back),
            worker: seats.worker.clone(),
            bell: seats.bell,
        }
    }

    /// Those that the worker connects to.
    fn reached(&self) -> Vec<&Service> {
        self.store.iter().chain([&self.back]).collect()
    }
}

async fn open_back(
    plan: &NodePlan<'_>,
    front: &Front,
    store: Option<&Service>,
    seat: Seat,
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
    Ok(Back::open(routes, seat).await?)
}

async fn open_store(plan: &NodePlan<'_>, seat: &Seat) -> Result<Store, NodeError> {
    let folder = plan.home.store();
    let log = open_log(plan, plan.home.store_log(), "store")?;
    let store_plan = StorePlan {
        program: &plan.prepared.store,
        folder: &folder,
        log: &log,
        embeds: plan.prepared.models.embedding.is_some(),
        seat,
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

/// Serves, by a worker of its own or somebody else's, until the node is told to stop.
async fn serve(
    plan: &NodePlan<'_>,
    front: &mut Front,
    services: &Services,
    stop: &mut StopSignal,
    on_ready: impl FnOnce(&State),
) -> Result<(), NodeError> {
    let mut state = first_state(plan, front, services.store.as_ref());
    let Some(parts) = &plan.prepared.parts else {
        if write_settings(plan, services)? {
            warn!(
                "the worker's settings are others than before: one that runs must be started again to use them"
            );
        }
        let service = Service {
            url: loopback_url(services.worker.port),
            key: services.worker.key.clone(),
        };
        state.worker_url = Some(service.url.clone());
        let mut outside = Outside {
            plan,
            front,
            service,
        };
        return outside.serve(&mut state, stop, on_ready).await;
    };
    let mut keeper = keeper(plan, parts, front, services)?;
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

/// Keeps workers running that are started from `parts`.
fn keeper<'a>(
    plan: &'a NodePlan<'a>,
    parts: &Parts,
    front: &'a mut Front,
    services: &Services,
) -> Result<Keeper<'a>, NodeError> {
    let log = open_log(plan, plan.home.worker_log(), "worker")?;
    let worker = worker_child(plan, parts, services)?;
    info!("{}", confinement_line(plan, parts));
    Ok(Keeper {
        plan,
        front,
        worker,
        log,
        backoff: Backoff::default(),
    })
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
        worker_url: None,
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
