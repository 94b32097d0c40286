//! `gaia top`: a running node, live.
//!
//! It looks once a second at what the node offers anyway, and asks its models nothing. Reading (`source`), thinking
//! (`exposition`, `quantile`, `history`) and drawing (`view`) know nothing of each other; values go from one to the
//! next.

mod exposition;
mod facts;
mod history;
mod quantile;
mod screen;
mod sighting;
mod source;
mod view;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use clap::Args;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use self::facts::Facts;
use self::history::History;
use self::source::Source;
use self::view::Wishes;
use super::Context;
use crate::exit::{Exit, failure};

/// How often the node is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// The columns of a printed picture.
const PRINTED_COLUMNS: u16 = 100;
/// The most rows of a printed picture.
const PRINTED_ROWS: u16 = 36;

/// Arguments of `gaia top`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia top                        q quits, p pauses, ? explains
  gaia top --once                 one picture, as plain text
  gaia --json top | jq .speed     the same numbers for a program

Where standard output is no terminal, one picture is printed.
Exits with 3 when a picture is wanted and no node is running.")]
pub struct Arguments {
    /// Print one picture and end
    #[arg(long)]
    once: bool,
}

/// Runs `gaia top`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let source = Source::new(&context.home);
    let is_live = !arguments.once && !context.terminal.json && io::stdout().is_terminal();
    match is_live {
        true => screen::run(source, Wishes::on_a_screen(!context.terminal.has_colour())),
        false => print(context, source),
    }
}

/// Two looks, because a speed takes two.
fn print(context: &Context, mut source: Source) -> anyhow::Result<()> {
    let mut history = History::default();
    history.push(source.look());
    thread::sleep(INTERVAL);
    history.push(source.look());
    let facts = history.facts();
    if facts.node.is_none() && !facts.is_beginning {
        return Err(failure(Exit::NotRunning, "no node is running in this home"));
    }
    context.terminal.answer(
        || serde_json::to_value(&facts).unwrap_or_default(),
        |_| picture(&facts, PRINTED_COLUMNS, PRINTED_ROWS),
    );
    Ok(())
}

/// The screen as plain text, without what is empty at its ends.
fn picture(facts: &Facts, columns: u16, rows: u16) -> String {
    // This backend draws into memory, and cannot fail.
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, rows));
    let Ok(_) = terminal.draw(|frame| view::draw(frame, facts, Wishes::PRINTED));
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(usize::from(columns)).map(|cells| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}
