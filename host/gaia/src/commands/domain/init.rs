//! `gaia domain init`: the folder, the gateway's key, the commented file and policy.
//!
//! Each part is made only where it is missing, so that an interrupted run is finished by the next, and the second run
//! brings what the first could not know: where the contracts are. What a second run's options name is changed in the
//! file, and nothing else is.

mod file;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use clap::Args;
use gaia_domain::{Deployment, Folder};
use gaia_keystore::{NodeKey, read_address, save_key};
use serde_json::json;

use super::{folder, passwords};
use crate::commands::{Context, chain};
use crate::exit::{Exit, failure};
use crate::home::{make_private_folder, write_private};
use crate::password::{Origin, new_password};
use crate::terminal::Tint;

/// Arguments of `gaia domain init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Run again, it changes in domain.toml what its options name, and leaves the rest as it is.")]
pub struct Arguments {
    /// What people call the domain [default: my domain]
    #[arg(long)]
    name: Option<String>,
    /// Where the contracts are: the file that scripts/contracts.sh deploy --out FILE wrote
    #[arg(long, value_name = "FILE")]
    deployment: Option<PathBuf>,
    /// Where the chain is asked [default: http://127.0.0.1:8545]
    #[arg(long, value_name = "URL")]
    rpc: Option<String>,
    /// Where the gateway listens [default: 127.0.0.1:8090]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where users and nodes reach it [default: http:// and the address it listens on]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Who draws the domain's part [default: the gateway's own address]
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<Address>,
    /// The key's password is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs `gaia domain init`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = folder(context);
    // Before anything is made: a wrong file makes no half of a domain.
    let deployment = arguments.deployment.as_deref().map(read).transpose()?;
    make_private_folder(folder.root())?;
    let gateway = key(context, &folder, arguments)?;
    if let Some(deployment) = &deployment {
        keep(&folder, deployment)?;
    }
    if !folder.policy().exists() {
        write_private(&folder.policy(), file::POLICY.as_bytes())?;
    }
    let text = match folder.file().exists() {
        true => file::changed(&folder.file(), arguments)?,
        false => Some(file::text(arguments, gateway)),
    };
    if let Some(text) = text {
        file::check(&text).map_err(|why| failure(Exit::Usage, why))?;
        write_private(&folder.file(), text.as_bytes())?;
    }
    show(context, &folder, gateway, deployment.as_ref());
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Deployment> {
    Deployment::read(path).map_err(|error| failure(Exit::Usage, chain(&error)))
}

/// The gateway's address; its key is made where there is none.
fn key(context: &Context, folder: &Folder, arguments: &Arguments) -> anyhow::Result<Address> {
    if folder.keystore().exists() {
        return Ok(read_address(&folder.keystore())?);
    }
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let may_ask = is_terminal && !context.terminal.json;
    let sources = passwords(context, folder, arguments.password_file.as_deref(), may_ask);
    let (password, origin) = new_password(&sources)?;
    let key = NodeKey::generate();
    save_key(&folder.keystore(), &key, &password)?;
    if let Origin::Generated(path) = origin {
        context.terminal.note(&format!(
            "The password of the gateway's key was generated and lies in {}; keep a copy of both files.",
            path.display()
        ));
    }
    Ok(key.address())
}

/// Puts the deployment into the folder; another one that is there stays.
fn keep(folder: &Folder, deployment: &Deployment) -> anyhow::Result<()> {
    let path = folder.deployment();
    if path.exists() {
        let before = read(&path)?;
        if before != *deployment {
            let words = format!(
                "this domain is {} on chain {} already: a domain does not move; use another --home for another domain",
                before.domain_id, before.chain_id
            );
            return Err(failure(Exit::Usage, words));
        }
        return Ok(());
    }
    let text = serde_json::to_string_pretty(deployment)?;
    Ok(write_private(&path, format!("{text}\n").as_bytes())?)
}

fn show(context: &Context, folder: &Folder, gateway: Address, deployment: Option<&Deployment>) {
    let known = deployment
        .cloned()
        .or_else(|| Deployment::read(&folder.deployment()).ok());
    context.terminal.answer(
        || {
            json!({
                "folder": folder.root(),
                "gateway": gateway,
                "domain": known.as_ref().map(|one| one.domain_id),
            })
        },
        |terminal| {
            let next = match &known {
                None => format!(
                    "Next: put its contracts on a chain, with this key as the one that signs receipts:\n  \
                     GAIA_GATEWAY={gateway} scripts/contracts.sh deploy --rpc URL --out deployment.json\n  \
                     gaia domain init --deployment deployment.json"
                ),
                Some(one) if one.gateway != gateway => format!(
                    "{}: on the chain {} signs for this domain, not this gateway; the domain's owner has to name it there",
                    terminal.out(Tint::Yellow, "Not yet"),
                    one.gateway
                ),
                Some(_) => format!(
                    "Next: write down what is offered and who may join, then gaia domain start\n  {}\n  {}",
                    folder.file().display(),
                    folder.policy().display()
                ),
            };
            format!(
                "A domain in {}\nIts gateway: {}\n{next}",
                folder.root().display(),
                terminal.out(Tint::Bold, &gateway.to_string())
            )
        },
    );
}
