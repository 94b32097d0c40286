//! The plugins in the node's folder, ready to be called.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gaia_plugins::{Accepted, Failure, Found, Look, Plugin, Role, Runtime, find_again, find_all};
use serde_json::Value;
use tracing::{info, warn};

use crate::commands::chain;
use crate::config::{Config, Confine};
use crate::environment::Environment;
use crate::home::Home;
use crate::supervisor::confinement::start_of_plugins;
use crate::supervisor::wasmedge::find_wasmedge;

/// The plugins that were found, and what runs them.
#[derive(Debug)]
pub struct Plugins {
    /// Those that can be called.
    pub found: Vec<Plugin>,
    runtime: Arc<PluginRuntime>,
}

/// What runs plugins: looked for when one is called for the first time.
#[derive(Debug)]
pub struct PluginRuntime {
    home: Home,
    environment: Environment,
    confine: Confine,
    found: OnceLock<Runtime>,
}

impl PluginRuntime {
    /// Nothing is looked for yet.
    pub fn new(home: &Home, config: &Config, environment: &Environment) -> Self {
        Self {
            home: home.clone(),
            environment: environment.clone(),
            confine: config.confine,
            found: OnceLock::new(),
        }
    }

    fn get(&self) -> Result<&Runtime, String> {
        if let Some(runtime) = self.found.get() {
            return Ok(runtime);
        }
        let wasmedge = find_wasmedge(&self.environment).map_err(|error| chain(&error))?;
        let command = wasmedge.command;
        let confined = self.confine == Confine::Auto && cfg!(target_os = "linux");
        Ok(self.found.get_or_init(|| match confined {
            true => Runtime::started_by(start_of_plugins(&command, &self.home)),
            false => Runtime::new(command),
        }))
    }
}

/// The plugins of a running node: read again when something in their folder changes.
#[derive(Debug)]
pub struct LivePlugins {
    folder: PathBuf,
    runtime: Arc<PluginRuntime>,
    held: Mutex<Held>,
}

/// The folder as it was read last, and what lay in it.
#[derive(Debug, Default)]
struct Held {
    look: Look,
    accepted: Accepted,
    plugins: Option<Arc<Plugins>>,
}

impl LivePlugins {
    /// Those of the node in `home`. Nothing is read yet.
    pub fn new(home: &Home, config: &Config, environment: &Environment) -> Self {
        Self {
            folder: home.plugins(),
            runtime: Arc::new(PluginRuntime::new(home, config, environment)),
            held: Mutex::default(),
        }
    }

    /// As they are now.
    pub fn now(&self) -> Arc<Plugins> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let look = Look::at(&self.folder);
        match &held.plugins {
            Some(plugins) if held.look == look => Arc::clone(plugins),
            _ => {
                let found = find_again(&self.folder, &mut held.accepted);
                let plugins = Arc::new(Plugins::of(found, &self.runtime));
                info!(plugins = plugins.found.len(), "read the plugins");
                held.look = look;
                held.plugins = Some(Arc::clone(&plugins));
                plugins
            }
        }
    }
}

impl Plugins {
    /// Those of the node in `home`. One that cannot be used is left out, and the log says why.
    pub fn open(home: &Home, runtime: &Arc<PluginRuntime>) -> Self {
        Self::of(find_all(&home.plugins()), runtime)
    }

    fn of(found: Found, runtime: &Arc<PluginRuntime>) -> Self {
        for (folder, problem) in &found.problems {
            warn!(folder = %folder.display(), problem = chain(problem), "a plugin is left out");
        }
        Self {
            found: found.plugins,
            runtime: Arc::clone(runtime),
        }
    }

    /// The plugin that the model calls `name`.
    pub fn find(&self, name: &str) -> Option<&Plugin> {
        let named = |plugin: &&Plugin| plugin.manifest.name == name;
        let is_tool = |plugin: &&Plugin| plugin.manifest.parameters().is_some();
        self.found.iter().filter(is_tool).find(named)
    }

    /// The plugin of that name that makes prompts, and the tools that it may use.
    pub fn find_maker(&self, name: &str) -> Option<(&Plugin, &[String])> {
        self.found
            .iter()
            .find_map(|plugin| match &plugin.manifest.role {
                Role::Prompt(tools) if plugin.manifest.name == name => Some((plugin, &tools[..])),
                _ => None,
            })
    }

    /// Runs `plugin` once. The error is for the model to read.
    ///
    /// # Errors
    /// It gave no answer.
    pub async fn call(&self, plugin: &Plugin, arguments: &Value) -> Result<String, String> {
        let runtime = self.runtime.get()?;
        let called = runtime.call(plugin, arguments).await;
        called.map_err(|error: Failure| chain(&error))
    }

    /// Runs `plugin` once with `input`.
    ///
    /// # Errors
    /// It gave no answer.
    pub async fn run(&self, plugin: &Plugin, input: String) -> Result<String, String> {
        let ran = self.runtime.get()?.run(plugin, input).await;
        ran.map_err(|error: Failure| chain(&error))
    }
}
