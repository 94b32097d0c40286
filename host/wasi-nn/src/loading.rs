//! From a file to a model: at once, at its first use, or behind the guest's back.
//!
//! Invariant: a file is loaded once, however many contexts ask for it at the same time. The process forks only
//! inside a call of the guest, because a guest that closes a socket meanwhile would be told of it later, and
//! WasmEdge does not survive that.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use gaia_engine::{LoadOptions, Model, Trial};

use crate::call::contain;
use crate::config::Config;
use crate::doorbell::{Doorbell, Wake};
use crate::errno::Errno;
use crate::footprint;
use crate::graph::{ModelFile, refuse};
use crate::verdict::Verdict;

/// Loading asks how much memory is left and forks a child to try the file in: one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A file and what has become of it.
#[derive(Debug)]
pub(crate) struct Loading {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    file: ModelFile,
    bell: OnceLock<Arc<Doorbell>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
enum State {
    Unloaded,
    InProgress,
    Loaded(Model),
    Failed(Errno),
}

impl Loading {
    /// A file that nobody has looked at.
    pub fn of(file: ModelFile) -> Self {
        Self {
            shared: Arc::new(Shared {
                file,
                bell: OnceLock::new(),
                state: Mutex::new(State::Unloaded),
                changed: Condvar::new(),
            }),
            thread: Mutex::default(),
        }
    }

    /// Whether the file can be loaded. Takes about as long as loading it.
    pub fn check(&self, options: &LoadOptions) -> Result<(), Errno> {
        let path = &self.shared.file.path;
        let verdict = Verdict::of(path, options.embedding);
        let options = with_verdict(options, verdict.as_ref());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        gaia_engine::check(path, &options).map_err(|error| refuse(&error))?;
        keep(verdict);
        Ok(())
    }

    /// Loads a file that was checked; waits for it.
    pub fn load(&self, orders: &Config) -> Result<Model, Errno> {
        let mut state = self.shared.lock();
        if let State::Loaded(model) = &*state {
            return Ok(model.clone());
        }
        self.shared.hang(&orders.wake);
        // What fails may be tried again: memory may be free then, or the options others.
        let model = self.shared.load(&orders.load)?;
        *state = State::Loaded(model.clone());
        Ok(model)
    }

    /// Checks and loads the file on a thread of its own, once. Only the header is read here; and what another
    /// graph is loading is waited for.
    pub fn begin(&self, orders: Config) -> Result<(), Errno> {
        self.shared.hang(&orders.wake);
        let path = &self.shared.file.path;
        let verdict = Verdict::of(path, orders.load.embedding);
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let options = with_verdict(&orders.load, verdict.as_ref());
        let trial = Trial::begin(path, &options).map_err(|error| refuse(&error))?;
        drop(turn);
        *self.shared.lock() = State::InProgress;
        let shared = Arc::clone(&self.shared);
        let body = move || {
            let loaded = contain(Err(Errno::RuntimeError), || {
                trial.end().map_err(|error| refuse(&error))?;
                keep(verdict);
                shared.load(&orders.load)
            });
            *shared.lock() = match loaded {
                Ok(model) => State::Loaded(model),
                Err(errno) => State::Failed(errno),
            };
            shared.changed.notify_all();
            if let Some(bell) = shared.bell.get() {
                bell.ring();
            }
        };
        let thread = thread::Builder::new().name("gaia-load".to_owned());
        let thread = thread.spawn(body).map_err(|error| {
            tracing::error!("failed to start a thread: {error}");
            *self.shared.lock() = State::Failed(Errno::RuntimeError);
            Errno::RuntimeError
        })?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// The model; `None` if nobody has begun to load it.
    pub fn loaded(&self, non_blocking: bool) -> Result<Option<Model>, Errno> {
        let mut state = self.shared.lock();
        loop {
            match &*state {
                State::Unloaded => return Ok(None),
                State::Loaded(model) => return Ok(Some(model.clone())),
                State::Failed(errno) => return Err(*errno),
                State::InProgress if non_blocking => return Err(Errno::Busy),
                State::InProgress => {
                    let waited = self.shared.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// The guest is about to look for what is new.
    pub fn heard(&self) {
        if let Some(bell) = self.shared.bell.get() {
            bell.heard();
        }
    }
}

/// `options`, with the word that the file need not be tried if it was found good before.
fn with_verdict(options: &LoadOptions, verdict: Option<&Verdict>) -> LoadOptions {
    LoadOptions {
        checked: verdict.is_some_and(Verdict::is_good),
        ..options.clone()
    }
}

fn keep(verdict: Option<Verdict>) {
    if let Some(verdict) = verdict.filter(|verdict| !verdict.is_good()) {
        verdict.keep();
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        let thread = self.thread.get_mut();
        if let Some(thread) = thread.unwrap_or_else(PoisonError::into_inner).take() {
            // Its panics were contained; what it is loading is in use until it ends.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Loads the file, which has been tried.
    fn load(&self, options: &LoadOptions) -> Result<Model, Errno> {
        let options = LoadOptions {
            checked: true,
            ..options.clone()
        };
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let path = &self.file.path;
        let model = Model::load(path, &options).map_err(|error| refuse(&error))?;
        footprint::shrink();
        drop(turn);
        if let Some(bell) = self.bell.get().cloned() {
            model.set_bell(Some(Arc::new(move || bell.ring())));
        }
        let facts = model.facts();
        tracing::info!(
            path = %path.display(),
            architecture = facts.architecture,
            context = facts.n_ctx,
            requests = facts.n_seq_max,
            "model loaded"
        );
        Ok(model)
    }

    /// Connects to the guest's bell, if it told one. A guest that is not reached looks by itself.
    fn hang(&self, wake: &Wake) {
        let Some(port) = wake.port else { return };
        match Doorbell::connect(port, &wake.secret) {
            Ok(bell) => _ = self.bell.set(Arc::new(bell)),
            Err(error) => tracing::warn!("failed to reach the guest's bell: {error}"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
