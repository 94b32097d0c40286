//! The tools of a running node: read again when their file changes, their secrets opened when first used,
//! MCP servers asked when somebody first wants to know.
//!
//! What goes wrong is told in words for the model, which hold no secret; the whole of it is logged.
//!
//! Invariant: a turn makes at most so many calls as the way out allows it, whoever counts beside.

mod opener;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gaia_egress::Turn;
use gaia_keystore::Secret;
use gaia_mcp::{Answer, Credentials, Servers};
use gaia_outbound::{HttpsTool, McpServer};
use gaia_plugins::Stamp;
use serde_json::Value;
use tracing::{info, warn};

pub use self::opener::Opener;
use super::{
    CallToolError, Called, LivePlugins, Plugins, ReadToolsError, Toolbox, header_texts,
    secret_names, secrets_of,
};
use crate::commands::chain;
use crate::config::Config;
use crate::environment::Environment;
use crate::home::Home;

/// Turns whose calls are counted at the same time; of more, the oldest is forgotten.
pub const TURNS_MAX: usize = 256;

/// The most tools that a model is offered, as many as a request may bring; the rest is left out.
pub const OFFERED_MAX: usize = 128;
/// How long a list of tools waits for an MCP server that was never reached.
const SERVER_PATIENCE: Duration = Duration::from_secs(1);

/// A tool as the model is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Offered {
    /// What it is called by.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The schema of its arguments.
    pub parameters: Value,
}

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
    opener: Arc<Opener>,
    plugins: LivePlugins,
    read: Mutex<Read>,
    turns: Mutex<Turns>,
}

/// The table as it was read, and the file that it was read from.
#[derive(Debug)]
struct Read {
    stamp: Option<Stamp>,
    toolbox: Arc<Toolbox>,
    /// The servers of that table, and the connections to them.
    servers: Arc<Servers>,
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
        let opener = Arc::new(Opener::of(home, environment));
        Self {
            home: home.clone(),
            config: config.clone(),
            read: Mutex::new(Read {
                stamp,
                servers: servers(&toolbox, &opener),
                toolbox: Arc::new(toolbox),
            }),
            opener,
            plugins: LivePlugins::new(home, config, environment),
            turns: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub fn toolbox(&self) -> Arc<Toolbox> {
        self.now().0
    }

    /// What the model may call now: the tools of the table, and those of the servers in it.
    pub async fn offered(&self) -> Vec<Offered> {
        let (toolbox, servers) = self.now();
        let own = toolbox.table.tools.iter().map(|tool| Offered {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool.parameters.schema().clone(),
        });
        let mut offered: Vec<_> = own.collect();
        for plugin in &self.plugins().found {
            let manifest = &plugin.manifest;
            let Some(parameters) = manifest.parameters() else {
                continue;
            };
            if toolbox.table.find(&manifest.name).is_none() && offered.len() < OFFERED_MAX {
                offered.push(Offered {
                    name: manifest.name.clone(),
                    description: manifest.description.clone(),
                    parameters: parameters.schema().clone(),
                });
            }
        }
        for tool in servers.offered(SERVER_PATIENCE).await {
            if toolbox.table.find(&tool.name).is_none() && offered.len() < OFFERED_MAX {
                offered.push(Offered {
                    name: tool.name,
                    description: tool.description,
                    parameters: tool.parameters,
                });
            }
        }
        offered
    }

    /// The tools and the servers as they are now. A table that cannot be read any more changes nothing.
    fn now(&self) -> (Arc<Toolbox>, Arc<Servers>) {
        let mut read = lock(&self.read);
        let stamp = Stamp::of(&self.home.tools());
        if stamp != read.stamp {
            read.stamp = stamp;
            match Toolbox::open(&self.home, &self.config) {
                Ok(toolbox) => {
                    info!(tools = toolbox.table.tools.len(), "read the tools again");
                    report_problems(&toolbox);
                    read.servers = servers(&toolbox, &self.opener);
                    read.toolbox = Arc::new(toolbox);
                }
                Err(error) => not_read(&error),
            }
        }
        (Arc::clone(&read.toolbox), Arc::clone(&read.servers))
    }

    /// The plugins as they are now.
    pub(super) fn plugins(&self) -> Arc<Plugins> {
        self.plugins.now()
    }

    /// Calls the tool `name` with `arguments`, the text of a JSON object, for the turn called `turn`.
    pub async fn call(&self, turn: &str, name: &str, arguments: &str) -> Outcome {
        let started = Instant::now();
        let called = self.called(turn, name, arguments).await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (result, bytes) = match called {
            Err(said) => (Err(said), 0),
            Ok(said) => said,
        };
        match &result {
            Ok(_) => info!(tool = name, turn, ms, bytes, "called a tool"),
            Err(error) => info!(tool = name, turn, ms, bytes, %error, "called a tool in vain"),
        }
        Outcome { result, ms, bytes }
    }

    /// What the tool said, and how long that was; or why it said nothing.
    async fn called(&self, turn: &str, name: &str, arguments: &str) -> Result<Said, String> {
        let (toolbox, servers) = self.now();
        let arguments: Value = serde_json::from_str(arguments)
            .map_err(|error| format!("the arguments are not JSON: {error}"))?;
        let turn = lock(&self.turns).of(turn, || toolbox.turn());
        let Some(tool) = toolbox.table.find(name) else {
            let plugins = self.plugins();
            if let Some(plugin) = plugins.find(name) {
                if !turn.take() {
                    return Err("this turn has made all the calls that it may".to_owned());
                }
                let answer = plugins.call(plugin, &arguments).await?;
                let bytes = answer.len() as u64;
                return Ok((Ok(answer), bytes));
            }
            let called = servers.call(&turn, name, &arguments).await;
            return called.map(said).map_err(|error| chain(&error));
        };
        let secrets = self.secrets(tool).await?;
        let called = toolbox.call(&turn, tool, &arguments, &secrets).await;
        let Called { got, answer } = called.map_err(|error: CallToolError| chain(&error))?;
        let answer = answer.map_err(|error| error.to_string());
        Ok((answer, got.body.len() as u64))
    }

    /// The secrets that `tool` sends along, opened.
    async fn secrets(&self, tool: &HttpsTool) -> Result<BTreeMap<String, Secret>, String> {
        self.opener.open(&secrets_of(tool)).await
    }
}

/// A tool's answer or its failure, and how long that was.
type Said = (Result<String, String>, u64);

fn said(answer: Answer) -> Said {
    let bytes = answer.text.len() as u64;
    match answer.failed {
        false => (Ok(answer.text), bytes),
        true => (Err(answer.text), bytes),
    }
}

/// The servers of `toolbox`, whose secrets are opened when they are first connected to.
fn servers(toolbox: &Toolbox, opener: &Arc<Opener>) -> Arc<Servers> {
    let credentials = |server: &McpServer| {
        let (opener, headers) = (Arc::clone(opener), server.headers.clone());
        Credentials::new(move || {
            let (opener, headers) = (Arc::clone(&opener), headers.clone());
            async move {
                let secrets = opener.open(&secret_names(&headers)).await?;
                header_texts(&headers, &secrets).map_err(|error| error.to_string())
            }
        })
    };
    Arc::new(toolbox.servers(credentials))
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
