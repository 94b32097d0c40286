//! `gaia chat`: a conversation in the terminal.

use std::io::{self, BufRead, Write};

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::ask::{ask_failure, client, is_interactive, request, show_answer};
use crate::client::AskError;
use crate::terminal::Tint;

const COMMANDS: &str = "/new begins a new conversation, /quit (or ctrl-D) ends";

/// Arguments of `gaia chat`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gaia chat -s \"You are a patient teacher.\"")]
pub struct Arguments {
    /// Tell the model this first
    #[arg(short, long, value_name = "TEXT")]
    system: Option<String>,
    /// Answer by this prompt of the node (`gaia prompt list`)
    #[arg(short, long, value_name = "NAME")]
    prompt: Option<String>,
}

/// Runs `gaia chat`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let client = client(context)?;
    let terminal = context.terminal;
    let interactive = is_interactive();
    if interactive {
        terminal.note(&terminal.err(Tint::Dim, COMMANDS));
    }
    let beginning: Vec<Value> = arguments
        .system
        .iter()
        .map(|system| json!({"role": "system", "content": system}))
        .collect();
    let mut messages = beginning.clone();
    let mut lines = io::stdin().lock().lines();
    loop {
        if interactive {
            print!("{} ", terminal.out(Tint::Bold, ">"));
            io::stdout().flush()?;
        }
        let Some(line) = lines.next().transpose()? else {
            return Ok(());
        };
        match line.trim() {
            "" => continue,
            "/quit" | "/exit" => return Ok(()),
            "/new" => {
                messages.clone_from(&beginning);
                continue;
            }
            command if command.starts_with('/') => {
                terminal.note(COMMANDS);
                continue;
            }
            question => messages.push(json!({"role": "user", "content": question})),
        }
        let request = request(&messages, arguments.prompt.as_deref());
        match show_answer(&terminal, &client, request) {
            Ok(answer) => messages.push(json!({"role": "assistant", "content": answer})),
            Err(error) if interactive && !matches!(error, AskError::Reach { .. }) => {
                messages.pop();
                terminal.note(&terminal.err(Tint::Red, &format!("{:#}", ask_failure(error))));
            }
            Err(error) => return Err(ask_failure(error)),
        }
        println!();
    }
}
