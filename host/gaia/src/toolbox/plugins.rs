//! The plugins in the node's folder, ready to be called.

use std::sync::{Arc, OnceLock};

use gaia_plugins::{Failure, Plugin, Runtime, find_all};
use serde_json::Value;
use tracing::warn;

use crate::commands::chain;
use crate::environment::Environment;
use crate::home::Home;
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
    environment: Environment,
    found: OnceLock<Runtime>,
}

impl PluginRuntime {
    /// Nothing is looked for yet.
    pub fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            found: OnceLock::new(),
        }
    }

    fn get(&self) -> Result<&Runtime, String> {
        if let Some(runtime) = self.found.get() {
            return Ok(runtime);
        }
        let wasmedge = find_wasmedge(&self.environment).map_err(|error| chain(&error))?;
        Ok(self.found.get_or_init(|| Runtime::new(wasmedge.command)))
    }
}

impl Plugins {
    /// Those of the node in `home`. One that cannot be used is left out, and the log says why.
    pub fn open(home: &Home, runtime: &Arc<PluginRuntime>) -> Self {
        let found = find_all(&home.plugins());
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
        self.found
            .iter()
            .find(|plugin| plugin.manifest.name == name)
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
}
