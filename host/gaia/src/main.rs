//! The command people type, and the supervisor of a node.
//!
//! This file only reads the command line and turns the outcome into an exit status; each verb is
//! one file in `commands/`.

mod cli;
mod client;
mod commands;
mod config;
mod doctor;
mod environment;
mod exit;
mod home;
mod import;
mod library;
mod logging;
mod membership;
mod password;
mod prompts;
mod supervisor;
mod telemetry;
mod terminal;
mod toolbox;
mod visit;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::exit::{Exit, exit_of};

fn main() -> ExitCode {
    end_quietly_with_the_reader();
    let cli = Cli::parse();
    let json = cli.global.json;
    match cli.run() {
        Ok(()) => Exit::Success.into(),
        Err(error) => {
            report(&error, json);
            exit_of(&error).into()
        }
    }
}

/// `gaia logs -f | head`: when nobody reads what is printed any more, printing panics. That is no error
/// of ours, and the command ends as one that SIGPIPE ended. The signal itself is not used, because it
/// would end a node whose client goes away as well.
fn end_quietly_with_the_reader() {
    const ENDED_BY_SIGPIPE: i32 = 128 + 13;
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        // What `print!` says, and what clap's completions say.
        let printing = text.starts_with("failed printing to stdout")
            || text.starts_with("failed to write completion file");
        if printing && (text.contains("Broken pipe") || text.contains("BrokenPipe")) {
            std::process::exit(ENDED_BY_SIGPIPE);
        }
        report(panic);
    }));
}

/// One line for a person, one object for a machine; both on standard error.
fn report(error: &anyhow::Error, json: bool) {
    let message = format!("{error:#}");
    if logging::end(&message) {
        return;
    }
    if json {
        let code = exit_of(error) as u8;
        eprintln!(
            "{}",
            serde_json::json!({"error": {"message": message, "exit": code}})
        );
    } else {
        eprintln!("gaia: {message}");
    }
}
