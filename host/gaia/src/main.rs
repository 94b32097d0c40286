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
mod password;
mod supervisor;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::exit::{Exit, exit_of};

fn main() -> ExitCode {
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

/// One line for a person, one object for a machine; both on standard error.
fn report(error: &anyhow::Error, json: bool) {
    let message = format!("{error:#}");
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
