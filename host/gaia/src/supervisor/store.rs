//! The vector store: the node's own, which is a child process, or a Qdrant somewhere else. The one
//! place that knows which.
//!
//! Without an embedding model nothing can be put into a store or found there, so the node's own is not
//! started then; what lies in its folder stays.

use std::convert::Infallible;
use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::{error, warn};

use super::backoff::Backoff;
use super::child::{Child, ChildLog, ChildPlan, ListenError};
use super::state::{Seat, Service};
use crate::config::Config;
use crate::environment::Environment;

/// The store must listen within this time; loading what was not flushed is in it.
const LISTEN_LIMIT: Duration = Duration::from_secs(300);
/// The store may take so long to bring everything to disk when it ends.
const CLOSE_GRACE: Duration = Duration::from_secs(20);

/// How often a store is tried that does not open at the node's start.
const START_ATTEMPTS_MAX: u32 = 3;
/// The time between these attempts.
const START_PAUSE: Duration = Duration::from_millis(300);

/// Why the node's own store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// Its program does not start.
    #[error("failed to start `{command}`")]
    Start {
        /// The program.
        command: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not come up.
    #[error("{why}; its last lines:\n{last_lines}")]
    Listen {
        /// How that showed.
        why: ListenError,
        /// The end of its output.
        last_lines: String,
    },
}

/// What the node's own store is made of.
#[derive(Debug)]
pub struct StorePlan<'a> {
    /// The program.
    pub program: &'a Path,
    /// Where its data is.
    pub folder: &'a Path,
    /// Where its output goes.
    pub log: &'a ChildLog,
    /// Whether there is a model that embeds.
    pub embeds: bool,
    /// Where it listens, and which key it asks for.
    pub seat: &'a Seat,
}

/// An open store, or none.
#[derive(Debug)]
pub struct Store {
    service: Option<Service>,
    own: Option<Own>,
}

/// The node's own store.
#[derive(Debug)]
struct Own {
    child: Child,
    plan: ChildPlan,
    log: ChildLog,
    since: Instant,
}

impl Store {
    /// Opens the node's own store if it can be of use, or takes the one that `config` names.
    pub async fn open(
        config: &Config,
        environment: &Environment,
        plan: &StorePlan<'_>,
    ) -> Result<Self, OpenStoreError> {
        if let Some(service) = Self::elsewhere(config) {
            return Ok(Self {
                service: Some(service),
                own: None,
            });
        }
        if !plan.embeds {
            return Ok(Self {
                service: None,
                own: None,
            });
        }
        let key = plan.seat.key.clone();
        let mut child_plan = child_plan(plan, environment, &key);
        let (child, url) = first_start(&child_plan, plan.log).await?;
        // The worker knows this address; a restarted store must be found there again.
        if let (Some(address), Some(port)) =
            (child_plan.arguments.last_mut(), url.rsplit(':').next())
        {
            *address = format!("127.0.0.1:{port}").into();
        }
        let log = plan.log.clone();
        let own = Own {
            child,
            plan: child_plan,
            log,
            since: Instant::now(),
        };
        Ok(Self {
            service: Some(Service { url, key }),
            own: Some(own),
        })
    }

    /// The one that `config` names, if it does.
    pub fn elsewhere(config: &Config) -> Option<Service> {
        (!config.store_url.is_empty()).then(|| Service {
            url: config.store_url.trim_end_matches('/').to_owned(),
            key: config.store_key.reveal().to_owned(),
        })
    }

    /// Where it answers; none where there is no store.
    pub fn service(&self) -> Option<&Service> {
        self.service.as_ref()
    }

    /// The process of the node's own store.
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.child.pid)
    }

    /// Keeps the node's own store running; a new process is told to `started`. Never ends; whoever has enough drops
    /// the future.
    pub async fn keep(&mut self, started: impl Fn(u32)) -> Infallible {
        let Some(own) = &mut self.own else {
            return pending().await;
        };
        let mut backoff = Backoff::default();
        loop {
            match own.child.ended().await {
                Ok(status) => error!("the vector store ended ({status}); see its log"),
                Err(error) => error!("failed to watch the vector store: {error}"),
            }
            let mut ready = own.since.elapsed();
            loop {
                let delay = backoff.failed(ready);
                warn!(
                    "starting the vector store again in {} ms",
                    delay.as_millis()
                );
                sleep(delay).await;
                match start(&own.plan, &own.log).await {
                    Ok((child, _)) => {
                        started(child.pid);
                        own.child = child;
                        own.since = Instant::now();
                        break;
                    }
                    Err(error) => error!("the vector store: {error}"),
                }
                ready = Duration::ZERO;
            }
        }
    }

    /// Lets the store bring everything to disk and end.
    pub async fn close(self) {
        if let Some(own) = self.own {
            own.child.stop(CLOSE_GRACE).await;
        }
    }
}

fn child_plan(plan: &StorePlan, environment: &Environment, key: &str) -> ChildPlan {
    let mut variables = environment.for_worker.clone();
    variables.push(("GAIA_STORE_KEY".to_owned(), OsString::from(key)));
    ChildPlan {
        command: plan.program.to_owned(),
        arguments: vec![
            plan.folder.to_owned().into_os_string(),
            format!("127.0.0.1:{}", plan.seat.port).into(),
        ],
        environment: variables,
        folder: plan.folder.to_owned(),
    }
}

/// As [`start`], tried a few times: the store of a node that was killed a moment ago may be about
/// to let go of the folder.
async fn first_start(plan: &ChildPlan, log: &ChildLog) -> Result<(Child, String), OpenStoreError> {
    for _ in 1..START_ATTEMPTS_MAX {
        match start(plan, log).await {
            Err(OpenStoreError::Listen { .. }) => sleep(START_PAUSE).await,
            outcome => return outcome,
        }
    }
    start(plan, log).await
}

async fn start(plan: &ChildPlan, log: &ChildLog) -> Result<(Child, String), OpenStoreError> {
    log.forget();
    let mut child = plan.spawn(log).map_err(|source| OpenStoreError::Start {
        command: plan.command.clone(),
        source,
    })?;
    match child.listening(LISTEN_LIMIT).await {
        Ok(url) => Ok((child, url)),
        Err(why) => {
            child.stop(CLOSE_GRACE).await;
            Err(OpenStoreError::Listen {
                why,
                last_lines: log.last_lines(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn environment() -> Environment {
        Environment {
            for_worker: vec![("PATH".into(), "/usr/bin:/bin".into())],
            ..Environment::default()
        }
    }

    fn program(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("store.sh");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn a_store_that_dies_comes_back_at_the_same_address() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo \"$2\" >> starts; echo listening on http://127.0.0.1:77; \
                      [ -n \"$GAIA_STORE_KEY\" ] && exec sleep 60";
        let program = program(folder.path(), script);
        let log = ChildLog::open(&folder.path().join("log")).unwrap();
        let plan = StorePlan {
            program: &program,
            folder: folder.path(),
            log: &log,
            embeds: true,
            seat: &Seat::any().unwrap(),
        };
        let mut store = Store::open(&Config::default(), &environment(), &plan)
            .await
            .unwrap();
        assert_eq!(store.service().unwrap().url, "http://127.0.0.1:77");
        let pid = |store: &Store| store.own.as_ref().unwrap().child.pid;
        let first = rustix::process::Pid::from_raw(i32::try_from(pid(&store)).unwrap()).unwrap();
        rustix::process::kill_process(first, rustix::process::Signal::KILL).unwrap();
        let starts = folder.path().join("starts");
        let came_back = async {
            while std::fs::read_to_string(&starts).unwrap().lines().count() < 2 {
                sleep(Duration::from_millis(10)).await;
            }
            sleep(Duration::from_millis(200)).await;
        };
        tokio::select! {
            never = store.keep(|_| ()) => match never {},
            () = came_back => {}
        }
        assert_eq!(
            std::fs::read_to_string(&starts).unwrap(),
            "127.0.0.1:0\n127.0.0.1:77\n"
        );
        store.close().await;
    }

    #[tokio::test]
    async fn a_store_that_does_not_open_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo x >> tries; echo in use by another process >&2; exit 1";
        let program = program(folder.path(), script);
        let log = ChildLog::open(&folder.path().join("log")).unwrap();
        let plan = StorePlan {
            program: &program,
            folder: folder.path(),
            log: &log,
            embeds: true,
            seat: &Seat::any().unwrap(),
        };
        let error = Store::open(&Config::default(), &environment(), &plan)
            .await
            .unwrap_err();
        assert!(matches!(error, OpenStoreError::Listen { .. }), "{error}");
        assert!(
            error.to_string().contains("in use by another process"),
            "{error}"
        );
        let tries = std::fs::read_to_string(folder.path().join("tries")).unwrap();
        assert_eq!(tries.lines().count(), START_ATTEMPTS_MAX as usize);
    }

    #[tokio::test]
    async fn another_store_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let log = ChildLog::open(&folder.path().join("log")).unwrap();
        let plan = StorePlan {
            program: Path::new("/nonexistent"),
            folder: folder.path(),
            log: &log,
            embeds: true,
            seat: &Seat::any().unwrap(),
        };
        let config = Config {
            store_url: "http://127.0.0.1:6333/".into(),
            ..Config::default()
        };
        let store = Store::open(&config, &environment(), &plan).await.unwrap();
        assert_eq!(store.service().unwrap().url, "http://127.0.0.1:6333");
    }

    #[tokio::test]
    async fn without_an_embedding_model_the_own_store_is_not_started() {
        let folder = tempfile::tempdir().unwrap();
        let log = ChildLog::open(&folder.path().join("log")).unwrap();
        let plan = StorePlan {
            program: Path::new("/nonexistent"),
            folder: folder.path(),
            log: &log,
            embeds: false,
            seat: &Seat::any().unwrap(),
        };
        let store = Store::open(&Config::default(), &environment(), &plan)
            .await
            .unwrap();
        assert!(store.service().is_none());
        assert_eq!(store.pid(), None);
        store.close().await;
    }
}
