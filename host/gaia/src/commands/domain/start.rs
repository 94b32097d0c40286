//! `gaia domain start`: unlocks the gateway's key and hands it to the gateway, in the background or here.
//!
//! The gateway is a program of its own, `gaia-gateway`: a node needs none of its parts, and a gateway no node. The key
//! goes to it through a pipe, so that it stands in no argument, variable or file.

use std::io::{self, IsTerminal, PipeReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use gaia_domain::{Folder, Gateway};
use gaia_keystore::{NodeKey, load_key};
use serde_json::json;

use super::{deployment, folder, passwords, read};
use crate::commands::{Context, chain};
use crate::exit::{Exit, failure};
use crate::password::own_password;
use crate::supervisor::daemon::{self, DaemonError};
use crate::supervisor::lock;
use crate::terminal::Tint;

/// The program, beside this one.
const PROGRAM: &str = "gaia-gateway";

/// Arguments of `gaia domain start`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Stay in this terminal (or under this service manager) until told to stop
    #[arg(long)]
    foreground: bool,
    /// The password of the gateway's key is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs `gaia domain start`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = folder(context);
    read(&folder)?;
    if let Some(pid) = lock::holder(&folder.lock()) {
        let words = format!("this domain's gateway is running already (process {pid})");
        return Err(failure(Exit::AlreadyRunning, words));
    }
    let key = key(context, &folder, arguments)?;
    check_signer(&folder, &key)?;
    let mut command = Command::new(program()?);
    command
        .arg(folder.root())
        .current_dir(folder.root())
        .stdin(sealed_pipe(&key)?);
    if arguments.foreground {
        let error = command.exec();
        return Err(failure(
            Exit::Failure,
            format!("failed to start {PROGRAM}: {error}"),
        ));
    }
    let found = daemon::launch(command, &folder.log(), |pid| {
        Gateway::read(&folder.state()).filter(|gateway| gateway.pid == pid)
    });
    show(context, &found.map_err(ended)?);
    Ok(())
}

fn ended(error: DaemonError) -> anyhow::Error {
    match error {
        DaemonError::Ended { reason, status } => failure(Exit::from_status(status.code()), reason),
        other => failure(Exit::Failure, chain(&other)),
    }
}

fn key(context: &Context, folder: &Folder, arguments: &Arguments) -> anyhow::Result<NodeKey> {
    let may_ask = io::stdin().is_terminal() && io::stderr().is_terminal() && !context.terminal.json;
    let password = own_password(&passwords(
        context,
        folder,
        arguments.password_file.as_deref(),
        may_ask,
    ))?;
    load_key(&folder.keystore(), &password).map_err(|error| failure(Exit::Failure, chain(&error)))
}

/// The chain must know the key, or every receipt would be worth nothing.
fn check_signer(folder: &Folder, key: &NodeKey) -> anyhow::Result<()> {
    let deployment = deployment(folder)?;
    if deployment.gateway == key.address() {
        return Ok(());
    }
    let words = format!(
        "on the chain {} signs for this domain, but this gateway's key is {}: the domain's owner has to name it there, or deploy with GAIA_GATEWAY={1}",
        deployment.gateway,
        key.address()
    );
    Err(failure(Exit::Config, words))
}

fn program() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(PROGRAM);
    match path.exists() {
        true => Ok(path),
        false => Err(failure(
            Exit::Missing,
            format!(
                "`{}` is missing: it belongs beside gaia; `make build` makes it",
                path.display()
            ),
        )),
    }
}

/// A pipe with the key in it, to be read once.
fn sealed_pipe(key: &NodeKey) -> io::Result<PipeReader> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(key.reveal().as_slice())?;
    Ok(reader)
}

fn show(context: &Context, gateway: &Gateway) {
    context.terminal.answer(
        || json!({"url": gateway.url, "own_url": gateway.own_url, "pid": gateway.pid}),
        |terminal| {
            format!(
                "The gateway answers at {}\nNodes join with: gaia join {}\nLook at it: gaia domain status",
                terminal.out(Tint::Bold, gateway.asked_at()),
                gateway.url
            )
        },
    );
}
