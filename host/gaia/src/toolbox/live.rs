//! The tools of a running node: read again when their file changes, their secrets opened when first used.
//!
//! What goes wrong is told in words for the model, which hold no secret; the whole of it is logged.
//!
//! Invariant: a turn makes at most so many calls as the way out allows it, whoever counts beside.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use gaia_egress::Turn;
use gaia_keystore::{Password, Secret, Secrets};
use gaia_outbound::HttpsTool;
use serde_json::Value;
use tracing::{info, warn};

use super::{CallToolError, Called, ReadToolsError, Toolbox, secrets_of};
use crate::commands::chain;
use crate::config::Config;
use crate::environment::Environment;
use crate::home::Home;
use crate::password::{PasswordSources, generated_file, own_password};

/// Turns whose calls are counted at the same time; of more, the oldest is forgotten.
pub const TURNS_MAX: usize = 256;

/// What a call of a tool came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What the model is told: the answer, or why there is none.
    pub result: Result<String, String>,
    /// How long it took.
    pub ms: u64,
    /// How long the tool's reply was.
    pub bytes: u64,
}

/// The tools of a running node.
#[derive(Debug)]
pub struct LiveTools {
    home: Home,
    config: Config,
    sealing: Sealing,
    read: Mutex<Read>,
    turns: Mutex<Turns>,
    /// Locked while one is opened, which takes the memory and time of a password's check.
    opened: tokio::sync::Mutex<Opened>,
}

/// Where the password of the secrets comes from: nobody can be asked here.
#[derive(Debug, Clone)]
struct Sealing {
    environment: Option<Password>,
    generated: PathBuf,
}

/// The table as it was read, and the file that it was read from.
#[derive(Debug)]
struct Read {
    stamp: Option<Stamp>,
    toolbox: Arc<Toolbox>,
}

/// The secrets that were opened, and the folder that they lay in.
#[derive(Debug, Default)]
struct Opened {
    stamp: Option<Stamp>,
    secrets: BTreeMap<String, Secret>,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: SystemTime,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let facts = fs::metadata(path).ok()?;
        Some(Self {
            changed: facts.modified().ok()?,
            bytes: facts.len(),
            inode: facts.ino(),
        })
    }
}

impl LiveTools {
    /// The tools of the node in `home`. A table that cannot be read is as good as none until it is mended.
    pub fn open(home: &Home, config: &Config, environment: &Environment) -> Self {
        let stamp = Stamp::of(&home.tools());
        let toolbox = Toolbox::open(home, config).unwrap_or_else(|error| {
            not_read(&error);
            Toolbox::empty(config)
        });
        report_problems(&toolbox);
        Self {
            home: home.clone(),
            config: config.clone(),
            sealing: Sealing {
                environment: environment.password.clone(),
                generated: generated_file(&environment.user_config, home.root()),
            },
            read: Mutex::new(Read {
                stamp,
                toolbox: Arc::new(toolbox),
            }),
            turns: Mutex::default(),
            opened: tokio::sync::Mutex::default(),
        }
    }

    /// The tools as they are now. A table that cannot be read any more changes nothing.
    pub fn toolbox(&self) -> Arc<Toolbox> {
        let mut read = lock(&self.read);
        let stamp = Stamp::of(&self.home.tools());
        if stamp != read.stamp {
            read.stamp = stamp;
            match Toolbox::open(&self.home, &self.config) {
                Ok(toolbox) => {
                    info!(tools = toolbox.table.tools.len(), "read the tools again");
                    report_problems(&toolbox);
                    read.toolbox = Arc::new(toolbox);
                }
                Err(error) => not_read(&error),
            }
        }
        Arc::clone(&read.toolbox)
    }

    /// Calls the tool `name` with `arguments`, the text of a JSON object, for the turn called `turn`.
    pub async fn call(&self, turn: &str, name: &str, arguments: &str) -> Outcome {
        let started = Instant::now();
        let called = self.called(turn, name, arguments).await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (result, bytes) = match called {
            Err(said) => (Err(said), 0),
            Ok(Called { got, answer }) => {
                let said = answer.map_err(|error| error.to_string());
                (said, got.body.len() as u64)
            }
        };
        match &result {
            Ok(_) => info!(tool = name, turn, ms, bytes, "called a tool"),
            Err(error) => info!(tool = name, turn, ms, bytes, %error, "called a tool in vain"),
        }
        Outcome { result, ms, bytes }
    }

    async fn called(&self, turn: &str, name: &str, arguments: &str) -> Result<Called, String> {
        let toolbox = self.toolbox();
        let Some(tool) = toolbox.table.find(name) else {
            return Err(format!("there is no tool `{name}`"));
        };
        let arguments: Value = serde_json::from_str(arguments)
            .map_err(|error| format!("the arguments are not JSON: {error}"))?;
        let secrets = self.secrets(tool).await?;
        let turn = lock(&self.turns).of(turn, || toolbox.turn());
        let called = toolbox.call(&turn, tool, &arguments, &secrets).await;
        called.map_err(|error: CallToolError| chain(&error))
    }

    /// The secrets that `tool` sends along, opened.
    async fn secrets(&self, tool: &HttpsTool) -> Result<BTreeMap<String, Secret>, String> {
        let names = secrets_of(tool);
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut opened = self.opened.lock().await;
        let stamp = Stamp::of(&self.home.secrets());
        if opened.stamp != stamp {
            *opened = Opened {
                stamp,
                secrets: BTreeMap::new(),
            };
        }
        for name in &names {
            if !opened.secrets.contains_key(name) {
                let secret = self.open_secret(name.clone()).await?;
                opened.secrets.insert(name.clone(), secret);
            }
        }
        let known = |name: String| Some((name.clone(), opened.secrets.get(&name)?.clone()));
        Ok(names.into_iter().filter_map(known).collect())
    }

    async fn open_secret(&self, name: String) -> Result<Secret, String> {
        let closed = format!("the secret `{name}` of this tool cannot be opened");
        let sealing = self.sealing.clone();
        let secrets = Secrets::new(&self.home.secrets());
        let open = move || {
            let password = sealing.password().map_err(|error| chain(&error))?;
            let secret = secrets.open(&name, &password);
            secret.map_err(|error| chain(&error))
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let opened = opened.unwrap_or_else(|error| Err(error.to_string()));
        opened.map_err(|error| {
            warn!(error, "a tool's secret cannot be opened");
            closed
        })
    }
}

impl Sealing {
    fn password(&self) -> Result<Password, crate::password::PasswordError> {
        own_password(&PasswordSources {
            file: None,
            environment: self.environment.as_ref(),
            interactive: false,
            generated: self.generated.clone(),
        })
    }
}

/// The turns that call tools now, the oldest first.
#[derive(Debug, Default)]
struct Turns(VecDeque<(String, Arc<Turn>)>);

impl Turns {
    fn of(&mut self, id: &str, new: impl FnOnce() -> Turn) -> Arc<Turn> {
        if let Some((_, turn)) = self.0.iter().find(|(known, _)| known == id) {
            return Arc::clone(turn);
        }
        if self.0.len() >= TURNS_MAX {
            self.0.pop_front();
        }
        let turn = Arc::new(new());
        self.0.push_back((id.to_owned(), Arc::clone(&turn)));
        turn
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_read(error: &ReadToolsError) {
    warn!(error = chain(error), "the tools cannot be read");
}

fn report_problems(toolbox: &Toolbox) {
    for problem in &toolbox.table.problems {
        warn!(problem = chain(problem), "a tool is left out");
    }
}

#[cfg(test)]
mod tests;
