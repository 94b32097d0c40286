//! What happens during a pull, and a progress bar that shows it.

use std::time::Duration;

use gaia_manifest::Source;
use indicatif::{ProgressBar, ProgressStyle};

/// News from [`Library::pull`](crate::Library::pull).
#[derive(Debug)]
pub enum Event<'a> {
    /// Another process pulls the same model; this one waits for it.
    Waiting,
    /// A source is being tried.
    Trying {
        /// Which one.
        source: &'a Source,
    },
    /// So much is there.
    Bytes {
        /// Bytes here, including those from before a break.
        done: u64,
        /// Bytes in all, where the server or the manifest says.
        total: Option<u64>,
    },
    /// The connection broke and is being made anew.
    Retrying {
        /// What broke it.
        why: String,
    },
    /// Something without a measure goes on, such as `checking the sum`.
    Working {
        /// What.
        what: &'static str,
    },
    /// A source did not give the file; the next one is tried.
    Failed {
        /// Which one.
        source: &'a Source,
        /// Why.
        why: String,
    },
}

/// A callback for [`Library::pull`](crate::Library::pull) that shows a bar with rate and time left
/// on a terminal. `say` gets what is worth a line of its own; where standard error is no terminal,
/// that is all there is to see.
pub fn report(name: &str, mut say: impl FnMut(&str)) -> impl FnMut(Event<'_>) {
    let bar = ProgressBar::no_length().with_prefix(name.to_owned());
    let known = style("{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left {msg}");
    let unknown = style("{prefix} {spinner} {bytes} {bytes_per_sec} {msg}");
    bar.set_style(unknown);
    bar.enable_steady_tick(Duration::from_millis(200));
    let name = name.to_owned();
    let mut has_total = false;
    move |event| match event {
        Event::Waiting => say(&format!("{name}: another process is fetching it; waiting")),
        Event::Trying { source } => say(&format!("{name}: trying {}", source.describe())),
        Event::Retrying { why } => bar.set_message(format!("({why}; trying again)")),
        Event::Working { what } => bar.set_message(format!("({what})")),
        Event::Failed { source, why } => {
            bar.suspend(|| {
                say(&format!(
                    "{name}: {} did not work: {why}",
                    source.describe()
                ))
            });
        }
        Event::Bytes { done, total } => {
            if let (Some(total), false) = (total, has_total) {
                has_total = true;
                bar.set_style(known.clone());
                bar.set_length(total);
                // What was here before is no speed.
                bar.set_position(done);
                bar.reset_eta();
            }
            bar.set_message("");
            bar.set_position(done);
            if total == Some(done) {
                bar.finish_and_clear();
            }
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
