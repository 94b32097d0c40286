//! One file per verb. Each takes the context and its own arguments; `anyhow` ends here.

pub mod ask;
pub mod chat;
pub mod claim;
pub mod completions;
pub mod config;
pub mod confine;
pub mod deposit;
pub mod doctor;
pub mod domain;
pub mod eval;
pub mod init;
pub mod join;
pub mod key;
pub mod knowledge;
pub mod leave;
pub mod logs;
pub mod model;
pub mod prompt;
pub mod receipt;
pub mod refund;
pub mod restart;
pub mod settle;
pub mod start;
pub mod status;
pub mod stop;
pub mod token;
pub mod tools;
pub mod top;
pub mod wallet;
pub mod worker;

use anyhow::Context as _;

use crate::config::{Config, ConfigFile, ReadConfigError};
use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::terminal::Terminal;

/// What every verb gets.
#[derive(Debug)]
pub struct Context {
    /// The node's folder.
    pub home: Home,
    /// What the environment says.
    pub environment: Environment,
    /// How to show things.
    pub terminal: Terminal,
}

impl Context {
    /// The checked configuration; defaults where there is no file yet.
    pub fn config(&self) -> anyhow::Result<Config> {
        let read = || -> Result<Config, ReadConfigError> {
            ConfigFile::read(&self.home.config())?.config()
        };
        read().map_err(|error| config_failure(&error))
    }
}

/// `error` with everything it says, and the exit status for a wrong configuration.
pub fn config_failure(error: &ReadConfigError) -> anyhow::Error {
    let message = match std::error::Error::source(error) {
        Some(source) => format!("{error}:\n{}", indent(&source.to_string())),
        None => error.to_string(),
    };
    anyhow::Error::new(Failure {
        exit: Exit::Config,
        message,
    })
}

fn indent(text: &str) -> String {
    let lines: Vec<_> = text
        .trim_end()
        .lines()
        .map(|line| format!("  {line}"))
        .collect();
    lines.join("\n")
}

/// A tokio runtime for the verbs that serve; the calling thread runs the root task.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the async runtime")
}

/// An error with all its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// `message`, and below it what to do about it.
pub fn with_mend(message: String, mend: Option<&str>) -> String {
    match mend {
        Some(mend) => format!("{message}\n  to mend: {mend}"),
        None => message,
    }
}
