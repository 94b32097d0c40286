//! The terminal while `gaia top` has it.
//!
//! Invariant: however this ends, by a key, a signal, an error or a panic, the terminal is as it was before.

use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};

use super::INTERVAL;
use super::facts::Facts;
use super::history::History;
use super::sighting::Sighting;
use super::source::Source;
use super::view::{self, Wishes};

/// How long a sighting may lie before it is drawn; keys are heard at once.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long the display may take to end by itself when a signal asks it to.
const END_PATIENCE: Duration = Duration::from_secs(1);
/// What shells say of a program that SIGHUP ended.
const ENDED_BY_SIGNAL: i32 = 128 + 1;

enum Message {
    Seen(Box<Sighting>),
    End,
}

/// Gives the terminal back when it is dropped. A panic gives it back before it is reported.
struct Borrowed(DefaultTerminal);

impl Borrowed {
    fn take() -> anyhow::Result<Self> {
        let terminal = ratatui::try_init().inspect_err(|_| give_back());
        Ok(Self(terminal.context("failed to take the terminal")?))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        give_back();
    }
}

/// Says nothing when it fails: then there is no terminal any more, and nobody to say it to.
fn give_back() {
    let _gone = ratatui::try_restore();
}

/// Shows what `source` sees until somebody wants to leave.
pub fn run(source: Source, wishes: Wishes) -> anyhow::Result<()> {
    let (sender, messages) = mpsc::channel();
    end_on_signals(sender.clone())?;
    thread::spawn(move || keep_looking(source, &sender));
    let mut terminal = Borrowed::take()?;
    show(&mut terminal.0, &messages, wishes)
}

/// On a thread of its own, because a node that computes may take its time to answer, and keys may not.
fn keep_looking(mut source: Source, sender: &Sender<Message>) {
    loop {
        let began = Instant::now();
        let sighting = Box::new(source.look());
        if sender.send(Message::Seen(sighting)).is_err() {
            return;
        }
        thread::sleep(INTERVAL.saturating_sub(began.elapsed()));
    }
}

fn end_on_signals(sender: Sender<Message>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("failed to watch for signals")?;
    let inside = runtime.enter();
    let mut asked = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    drop(inside);
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = asked.recv() => {}
                _ = interrupted.recv() => {}
                _ = hung_up.recv() => {}
            }
        });
        // If nobody receives it, there is nothing left to end.
        let _ = sender.send(Message::End);
        // Where the terminal is gone, waiting for its next key never ends (and computes all the while).
        thread::sleep(END_PATIENCE);
        give_back();
        std::process::exit(ENDED_BY_SIGNAL);
    });
    Ok(())
}

fn show(
    terminal: &mut DefaultTerminal,
    messages: &Receiver<Message>,
    mut wishes: Wishes,
) -> anyhow::Result<()> {
    let mut history = History::default();
    let mut facts: Option<Facts> = None;
    loop {
        match messages.try_recv() {
            Ok(Message::End) => return Ok(()),
            Ok(Message::Seen(sighting)) => history.push(*sighting),
            Err(TryRecvError::Disconnected) => bail!("looking at the node ended"),
            Err(TryRecvError::Empty) => {}
        }
        if !wishes.is_paused && !history.is_empty() {
            facts = Some(history.facts());
        }
        if let Some(facts) = &facts {
            terminal
                .draw(|frame| view::draw(frame, facts, wishes))
                .context("failed to draw")?;
        }
        if event::poll(PATIENCE).context("failed to wait for a key")?
            && let Event::Key(key) = event::read().context("failed to read a key")?
            && press(key, &mut wishes)
        {
            return Ok(());
        }
    }
}

/// What a key changes; whether it is the end.
fn press(key: KeyEvent, wishes: &mut Wishes) -> bool {
    if key.kind == KeyEventKind::Release {
        return false;
    }
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if with_control => return true,
        KeyCode::Esc if wishes.helps => wishes.helps = false,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => return true,
        KeyCode::Char('p' | ' ') => wishes.is_paused = !wishes.is_paused,
        KeyCode::Char('?' | 'h') => wishes.helps = !wishes.helps,
        _ => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let mut wishes = Wishes::on_a_screen(true);
        let mut press = |code, modifiers| press(KeyEvent::new(code, modifiers), &mut wishes);
        assert!(!press(KeyCode::Char('?'), KeyModifiers::NONE));
        assert!(!press(KeyCode::Esc, KeyModifiers::NONE), "closes the help");
        assert!(press(KeyCode::Esc, KeyModifiers::NONE));
        assert!(press(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(press(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!press(KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!press(KeyCode::Char('p'), KeyModifiers::NONE));
        assert!(wishes.is_paused);
    }
}
