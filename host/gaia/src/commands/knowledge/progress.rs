//! The bar of `gaia knowledge add`: how far, how fast, how long still.

use gaia_ingest::Event;
use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::{Terminal, Tint};

const TEMPLATE: &str =
    "{bar:32} {percent:>3}%  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";

/// A bar on standard error; none where that is not a terminal, or for machines.
pub struct Progress {
    terminal: Terminal,
    bar: ProgressBar,
}

impl Progress {
    /// An empty bar that is not shown yet.
    pub fn new(terminal: Terminal) -> Self {
        Self {
            terminal,
            bar: ProgressBar::hidden(),
        }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { bytes } if !self.terminal.json => {
                self.bar = ProgressBar::new(*bytes);
                if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                    self.bar.set_style(style);
                }
            }
            Event::Started { .. } => {}
            Event::Advanced { bytes } => self.bar.inc(*bytes),
            Event::Skipped(skipped) => {
                let line = format!("skipped {}: {}", skipped.name, skipped.reason);
                self.bar
                    .suspend(|| self.terminal.note(&self.terminal.err(Tint::Yellow, &line)));
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
