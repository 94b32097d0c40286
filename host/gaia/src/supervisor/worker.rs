//! How a worker is started: `wasmedge` with the plugin and the application.
//!
//! It sees two folders and may write in none: its own, with its keys in a 0600 file, and the node's
//! prompts. It finds a free loopback port by itself.

mod settings;

use std::ffi::OsString;
use std::path::PathBuf;

pub use settings::{GraphOptions, Surroundings, worker_settings};

use super::child::ChildPlan;

/// The name of the settings file in the worker's folder.
pub const SETTINGS_FILE: &str = "worker.toml";

/// What the folder of prompts is called in the worker's eyes.
pub const PROMPTS_VIEW: &str = "prompts";

/// A model to load under a name.
#[derive(Debug, Clone)]
pub struct Preload {
    /// The graph's name: `default`, `embedding` or `reranking`.
    pub graph: &'static str,
    /// The GGUF file.
    pub file: PathBuf,
    /// How to load it.
    pub options: GraphOptions,
}

/// Everything that makes a worker.
#[derive(Debug, Clone)]
pub struct WorkerPlan {
    /// The `wasmedge` command.
    pub command: PathBuf,
    /// Options that come first, such as the run mode.
    pub options: Vec<String>,
    /// The application, compiled or not.
    pub module: PathBuf,
    /// The WASI-NN plugin.
    pub plugin: PathBuf,
    /// The worker's own folder; its settings lie there.
    pub folder: PathBuf,
    /// The node's prompts.
    pub prompts: PathBuf,
    /// The models.
    pub preloads: Vec<Preload>,
    /// The environment it gets beside the plugin's variables.
    pub environment: Vec<(String, OsString)>,
}

impl WorkerPlan {
    /// The child to start.
    pub fn child(self) -> ChildPlan {
        ChildPlan {
            arguments: self.arguments(),
            environment: self.variables(),
            command: self.command,
            folder: self.folder,
        }
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = self.options.iter().map(OsString::from).collect();
        let mut push = |name: &str, value: OsString| {
            arguments.push(name.into());
            arguments.push(value);
        };
        for (name, folder) in [(".", &self.folder), (PROMPTS_VIEW, &self.prompts)] {
            let mut view = OsString::from(format!("{name}:"));
            view.push(folder);
            view.push(":readonly");
            push("--dir", view);
        }
        for preload in &self.preloads {
            let mut value = OsString::from(format!("{}:GGML:AUTO:", preload.graph));
            value.push(&preload.file);
            push("--nn-preload", value);
        }
        arguments.push(self.module.clone().into_os_string());
        arguments.extend(["--config", SETTINGS_FILE].map(OsString::from));
        arguments
    }

    fn variables(&self) -> Vec<(String, OsString)> {
        let mut variables = self.environment.clone();
        variables.push((
            "WASMEDGE_PLUGIN_PATH".to_owned(),
            self.plugin.clone().into_os_string(),
        ));
        variables.extend(self.preloads.iter().map(|preload| {
            let name = format!("GAIA_NN_{}", preload.graph.to_uppercase());
            (name, preload.options.to_json().into())
        }));
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line() {
        let preload = |graph, file: &str, threads| Preload {
            graph,
            file: file.into(),
            options: GraphOptions {
                threads,
                ..GraphOptions::default()
            },
        };
        let plan = WorkerPlan {
            command: "/w/wasmedge".into(),
            options: vec!["--run-mode=aot".into()],
            module: "/m.wasm".into(),
            plugin: "/p.so".into(),
            folder: "/home/run/worker".into(),
            prompts: "/home/prompts".into(),
            preloads: vec![
                preload("default", "/c.gguf", 2),
                preload("embedding", "/e.gguf", 0),
            ],
            environment: vec![("PATH".into(), "/bin".into())],
        };
        let child = plan.child();
        assert_eq!(
            child.arguments.join(" ".as_ref()),
            "--run-mode=aot --dir .:/home/run/worker:readonly --dir prompts:/home/prompts:readonly \
             --nn-preload default:GGML:AUTO:/c.gguf --nn-preload embedding:GGML:AUTO:/e.gguf \
             /m.wasm --config worker.toml"
        );
        let variables: Vec<_> = child
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={}", value.display()))
            .collect();
        assert_eq!(
            variables,
            [
                "PATH=/bin",
                "WASMEDGE_PLUGIN_PATH=/p.so",
                "GAIA_NN_DEFAULT={\"threads\":2}",
                "GAIA_NN_EMBEDDING={}",
            ]
        );
    }
}
