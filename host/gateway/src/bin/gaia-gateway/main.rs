//! The gateway of a domain, as a process: `gaia domain start` starts it.
//!
//! ```text
//! gaia-gateway FOLDER < the gateway's key, 32 bytes
//! ```
//!
//! It reads what `gaia-domain` describes, puts the parts together, and writes `gateway.json` once it answers. The key
//! comes by standard input, so that it stands in no argument, variable or file.

mod counters;
mod end;
mod key;
mod parts;
mod place;

use std::path::PathBuf;
use std::process::ExitCode;

use gaia_domain::{Deployment, DomainFile, Folder};
use rustix::fs::Mode;
use tracing_subscriber::EnvFilter;

use self::end::End;

/// What is logged unless `GAIA_LOG` says otherwise.
const LOG: &str = "info";

fn main() -> ExitCode {
    let filter = std::env::var("GAIA_LOG").unwrap_or_else(|_| LOG.to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    // The ledger's files, too, are nobody else's.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(end) => end.tell(),
    }
}

fn run() -> Result<(), End> {
    let root = std::env::args_os().nth(1).map(PathBuf::from);
    let root = root.ok_or_else(|| End::usage("gaia-gateway FOLDER: name the domain's folder"))?;
    let folder = Folder::at_root(root);
    let file = DomainFile::read(&folder.file()).map_err(|error| End::config(&error))?;
    let deployment = Deployment::read(&folder.deployment()).map_err(|error| End::config(&error))?;
    let key = key::read()?;
    let _lock = place::take(&folder.lock())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| End::failure(&error))?;
    runtime.block_on(parts::run(&folder, file, deployment, key))
}
