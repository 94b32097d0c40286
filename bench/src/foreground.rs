//! A node of a test's home, started in the foreground: it ends with this program, as the programs it is measured against.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use e2e::node::Node;

use crate::child::Held;

/// Lines of a log that are shown when a node does not start.
const LAST_WORDS: usize = 5;

/// Starts the node of this home, and returns when it answers.
///
/// # Errors
/// It ends instead, and the error names its last words.
pub fn start(node: &Node) -> anyhow::Result<Held> {
    let log = node.home().join("foreground.log");
    let mut command = node.command(&["start", "--foreground"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log)?);
    let mut running = Held::start(&mut command).context("starting gaia")?;
    // The first thing that it says is that it answers. Its output stays open: it may say more.
    let mut line = String::new();
    if let Some(output) = running.process().stdout.as_mut() {
        BufReader::new(output).read_line(&mut line)?;
    }
    if line.is_empty() {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(LAST_WORDS).collect();
        bail!("the node did not start; newest line first: {last:#?}");
    }
    Ok(running)
}
