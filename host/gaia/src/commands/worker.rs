//! `gaia worker`: how somebody else starts this node's worker: a pod, a unit, another terminal.
//!
//! It writes the worker's settings and prints one command line; it starts nothing.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{Context, init, start};
use crate::config::Config;
use crate::exit::{Exit, failure};
use crate::supervisor::child::ChildPlan;
use crate::supervisor::node::{self, NodePlan, Services, WorkerChild};
use crate::supervisor::outside::Seats;
use crate::supervisor::prepare;
use crate::supervisor::worker::SETTINGS_FILE;

/// Arguments of `gaia worker`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia config set worker_url http://127.0.0.1:9080
  eval \"$(gaia worker)\"        in another terminal: the worker; then `gaia start`
  gaia worker --settings       only its settings, for who has a command line already, such as a pod")]
pub struct Arguments {
    /// Where the worker will be, instead of `worker_url`
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Only write its settings, and print where they are
    #[arg(long)]
    settings: bool,
}

/// Runs `gaia worker`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let done = init::initialise(context, &init::Arguments::default(), false)?;
    let config = start::with_worker(context.config()?, arguments.url.as_deref())?;
    let Some(ports) = config.outside_ports() else {
        let message = "this node starts its worker itself; name a place for another one: \
                       `gaia config set worker_url http://127.0.0.1:9080`";
        return Err(failure(Exit::Usage, message));
    };
    node::check(&context.home, &config).map_err(start::node_failure)?;
    let prepared = start::prepare_parts(context, &config)?;
    let plan = NodePlan {
        home: &context.home,
        config: &config,
        environment: &context.environment,
        prepared: &prepared,
        node_id: &done.address,
    };
    let seats = Seats::outside(ports, &context.home);
    let seats = seats.map_err(|error| start::node_failure(error.into()))?;
    let services = Services::outside(&plan, &seats);
    if arguments.settings {
        node::write_settings(&plan, &services).map_err(start::node_failure)?;
        show_settings(context, &config);
        return Ok(());
    }
    let say = |line: &str| context.terminal.note(line);
    let parts = prepare::parts(&context.environment, &say);
    let parts = parts.map_err(|error| start::prepare_failure(&error))?;
    let child = node::worker_child(&plan, &parts, &services).map_err(start::node_failure)?;
    show_command(context, &child);
    Ok(())
}

fn show_settings(context: &Context, config: &Config) {
    let file = context.home.worker().join(SETTINGS_FILE);
    context.terminal.answer(
        || json!({"settings": file, "prompts": context.home.prompts(), "worker_url": config.worker_url}),
        |_| file.display().to_string(),
    );
}

fn show_command(context: &Context, child: &WorkerChild) {
    let line = command_line(&child.plan);
    context
        .terminal
        .answer(|| json!({"command": line}), |_| line.clone());
}

/// What a shell starts `child` by: with its environment alone.
fn command_line(child: &ChildPlan) -> String {
    let mut line = "env -i".to_owned();
    for (name, value) in &child.environment {
        // Writing to a text cannot fail.
        let _never = write!(line, " {name}={}", quoted(value));
    }
    let command = match child.command == Path::new("/proc/self/exe") {
        // That would be the shell.
        true => std::env::current_exe().unwrap_or_else(|_| "gaia".into()),
        false => child.command.clone(),
    };
    line.push(' ');
    line.push_str(&quoted(command.as_os_str()));
    for argument in &child.arguments {
        line.push(' ');
        line.push_str(&quoted(argument));
    }
    line
}

/// One word for a shell.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_takes_the_line_word_by_word() {
        let child = ChildPlan {
            command: "/usr/bin/printf".into(),
            arguments: [r"%s\n", "it's", "{\"a b\":1}", "", "$HOME"]
                .map(Into::into)
                .to_vec(),
            environment: vec![("A".into(), "b c".into())],
            folder: "/".into(),
        };
        let line = command_line(&child);
        assert!(
            line.starts_with("env -i A='b c' /usr/bin/printf "),
            "{line}"
        );
        let said = Command::new("sh").args(["-c", &line]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said, "it's\n{\"a b\":1}\n\n$HOME\n");
    }
}
