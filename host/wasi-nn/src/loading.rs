//! From a file to a model: at once, at its first use, or behind the guest's back; and out of memory and back
//! where nobody uses it.
//!
//! Invariant: a file is loaded once, however many contexts ask for it at the same time. The process forks only
//! inside a call of the guest, because a guest that closes a socket meanwhile would be told of it later, and
//! WasmEdge does not survive that; so what comes back into memory must be the file that was tried.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use gaia_engine::{LoadError, LoadOptions, Model, Trial, Vocabulary};

use crate::call::contain;
use crate::config::Config;
use crate::doorbell::{Doorbell, Wake};
use crate::errno::Errno;
use crate::footprint;
use crate::graph::{ModelFile, refuse};
use crate::keeper;
use crate::residency::{Attempt, Residency};
use crate::verdict::{Stamp, Verdicts};

/// Loading asks how much memory is left and forks a child to try the file in: one at a time. Freeing, too.
static TURN: Mutex<()> = Mutex::new(());

/// Whoever holds it loads or frees a model.
pub(crate) type Turn = MutexGuard<'static, ()>;

/// A file and what has become of it.
#[derive(Debug)]
pub(crate) struct Loading {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub file: ModelFile,
    bell: OnceLock<Arc<Doorbell>>,
    /// The files as they were when they were tried: the model's, and that of one that guesses for it.
    tried: Mutex<Vec<(PathBuf, Stamp)>>,
    state: Mutex<State>,
    pub changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct State {
    pub phase: Phase,
    /// Nobody needs the model any more.
    pub closing: bool,
}

#[derive(Debug)]
pub(crate) enum Phase {
    Unloaded,
    InProgress,
    Ready(Residency<Model, Vocabulary>),
    Failed(Errno),
}

/// A model that stays in memory until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    // Dropped before the use ends, so that the model goes where it is freed on purpose.
    pub model: Model,
    _used: Use,
}

#[derive(Debug)]
struct Use(Arc<Shared>);

impl Drop for Use {
    fn drop(&mut self) {
        if let Phase::Ready(residency) = &mut self.0.lock().phase {
            residency.release(Instant::now());
        }
        self.0.changed.notify_all();
    }
}

impl Loading {
    /// A file that nobody has looked at.
    pub fn of(file: ModelFile) -> Self {
        let state = State {
            phase: Phase::Unloaded,
            closing: false,
        };
        Self {
            shared: Arc::new(Shared {
                file,
                bell: OnceLock::new(),
                tried: Mutex::default(),
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
            thread: Mutex::default(),
        }
    }

    /// Whether the file can be loaded. Takes about as long as loading it.
    pub fn check(&self, options: &LoadOptions) -> Result<(), Errno> {
        let path = &self.shared.file.path;
        let verdicts = Verdicts::of(path, options);
        self.shared.note_stamps(options);
        let options = verdicts.with(options);
        let turn = take_turn();
        with_room(&turn, || gaia_engine::check(path, &options)).map_err(|error| refuse(&error))?;
        verdicts.keep();
        Ok(())
    }

    /// Loads a file that was checked, unless somebody has or does; waits for it.
    pub fn load(&self, orders: &Config) -> Result<(), Errno> {
        {
            let mut state = self.shared.lock();
            if !matches!(state.phase, Phase::Unloaded) {
                return Ok(());
            }
            state.phase = Phase::InProgress;
        }
        self.shared.hang(&orders.wake);
        let loaded = contain(Err(Errno::RuntimeError), || self.shared.load(&orders.load));
        // What fails may be tried again: memory may be free then, or the options others.
        let (phase, outcome) = match loaded {
            Ok(model) => (Phase::Ready(Residency::new(model, Instant::now())), Ok(())),
            Err(errno) => (Phase::Unloaded, Err(errno)),
        };
        self.shared.enter(phase);
        outcome?;
        let shared = Arc::clone(&self.shared);
        let orders = orders.clone();
        match orders.idle_unload {
            Some(_) => self.spawn(move || keeper::run(&shared, &orders)),
            None => Ok(()),
        }
    }

    /// Checks and loads the file on a thread of its own, once. Only the header is read here; and what another
    /// graph is loading is waited for.
    pub fn begin(&self, orders: Config) -> Result<(), Errno> {
        self.shared.hang(&orders.wake);
        let path = &self.shared.file.path;
        let verdicts = Verdicts::of(path, &orders.load);
        self.shared.note_stamps(&orders.load);
        let turn = take_turn();
        let options = verdicts.with(&orders.load);
        let trial = with_room(&turn, || Trial::begin(path, &options));
        let trial = trial.map_err(|error| refuse(&error))?;
        drop(turn);
        self.shared.enter(Phase::InProgress);
        let shared = Arc::clone(&self.shared);
        self.spawn(move || {
            let loaded = contain(Err(Errno::RuntimeError), || {
                trial.end().map_err(|error| refuse(&error))?;
                verdicts.keep();
                shared.load(&orders.load)
            });
            let is_loaded = loaded.is_ok();
            shared.enter(match loaded {
                Ok(model) => Phase::Ready(Residency::new(model, Instant::now())),
                Err(errno) => Phase::Failed(errno),
            });
            shared.ring();
            if is_loaded && orders.idle_unload.is_some() {
                keeper::run(&shared, &orders);
            }
        })
    }

    fn spawn(&self, body: impl FnOnce() + Send + 'static) -> Result<(), Errno> {
        let thread = thread::Builder::new().name("gaia-load".to_owned());
        let thread = thread.spawn(body).map_err(|error| {
            tracing::error!("failed to start a thread: {error}");
            self.shared.enter(Phase::Failed(Errno::RuntimeError));
            Errno::RuntimeError
        })?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// The model, for a request; `None` if nobody has begun to load it. One that is out of memory comes back
    /// for it: who must not wait is [`Errno::Busy`] until then, and asks again with the same `waiting`.
    pub fn lease(&self, waiting: &mut Attempt, non_blocking: bool) -> Result<Option<Lease>, Errno> {
        let lease = |residency: &mut Residency<Model, Vocabulary>| residency.lease(waiting);
        let model = self.shared.ready(non_blocking, lease)?;
        Ok(model.map(|model| Lease {
            model,
            _used: Use(Arc::clone(&self.shared)),
        }))
    }

    /// The model's tokens and facts, and whether it is in memory; `None` if nobody has begun to load it.
    pub fn vocabulary(&self, non_blocking: bool) -> Result<Option<(Vocabulary, bool)>, Errno> {
        self.shared.ready(non_blocking, |residency| {
            let vocabulary = residency.either(|model| model.vocabulary().clone(), Clone::clone);
            Ok(Some((vocabulary, residency.is_in())))
        })
    }

    /// The guest is about to look for what is new.
    pub fn heard(&self) {
        if let Some(bell) = self.shared.bell.get() {
            bell.heard();
        }
    }
}

/// Waits until nobody else loads or frees a model.
pub(crate) fn take_turn() -> Turn {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Repeats `attempt` as long as it lacks memory and an idle model can go.
fn with_room<T>(
    turn: &Turn,
    mut attempt: impl FnMut() -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    loop {
        match attempt() {
            Err(LoadError::Memory { .. }) if keeper::make_room(turn) => {}
            outcome => return outcome,
        }
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        let thread = self.thread.get_mut();
        if let Some(thread) = thread.unwrap_or_else(PoisonError::into_inner).take() {
            // Its panics were contained; what it is loading is in use until it ends.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// What `take` gives of a model that has been loaded; waits while it gives nothing, unless
    /// `non_blocking`.
    fn ready<T>(
        &self,
        non_blocking: bool,
        mut take: impl FnMut(&mut Residency<Model, Vocabulary>) -> Result<Option<T>, Errno>,
    ) -> Result<Option<T>, Errno> {
        let mut state = self.lock();
        let mut has_told = false;
        loop {
            match &mut state.phase {
                Phase::Unloaded => return Ok(None),
                Phase::Failed(errno) => return Err(*errno),
                Phase::InProgress => {}
                Phase::Ready(residency) => {
                    if let Some(taken) = take(residency)? {
                        return Ok(Some(taken));
                    }
                    // Once: several who wait would wake each other for ever.
                    if !has_told {
                        has_told = true;
                        self.changed.notify_all();
                    }
                }
            }
            if non_blocking {
                return Err(Errno::Busy);
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn enter(&self, phase: Phase) {
        self.lock().phase = phase;
        self.changed.notify_all();
    }

    /// Tells the guest that there is something new.
    pub fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
    }

    /// Loads the file, which has been tried. Without the one that guesses for it if that is not there any
    /// more as it was tried: answers stay the same.
    pub fn load(&self, options: &LoadOptions) -> Result<Model, Errno> {
        let path = &self.file.path;
        let turn = take_turn();
        self.check_stamp()?;
        if let Some(projector) = &options.projector {
            self.check_stamp_of(projector)?;
        }
        let options = LoadOptions {
            checked: true,
            draft_checked: true,
            projector_checked: true,
            draft_model: options
                .draft_model
                .clone()
                .filter(|draft| self.can_guess(draft)),
            ..options.clone()
        };
        let model = with_room(&turn, || Model::load(path, &options));
        let model = model.map_err(|error| refuse(&error))?;
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

    /// Remembers the files as they are now, before they are tried.
    fn note_stamps(&self, options: &LoadOptions) {
        if matches!(self.lock().phase, Phase::Unloaded) {
            let beside = options.draft_model.iter().chain(&options.projector);
            let files = [&self.file.path].into_iter().chain(beside);
            let stamped = files.filter_map(|path| Some((path.clone(), Stamp::of(path).ok()?)));
            *self.tried() = stamped.collect();
        }
    }

    fn tried(&self) -> MutexGuard<'_, Vec<(PathBuf, Stamp)>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the model's file is still the one that was tried.
    pub fn check_stamp(&self) -> Result<(), Errno> {
        self.check_stamp_of(&self.file.path)
    }

    fn check_stamp_of(&self, path: &Path) -> Result<(), Errno> {
        self.is_as_tried(path).map_err(|(errno, why)| {
            tracing::error!("{why}; put the file back, or restart the node");
            errno
        })
    }

    fn can_guess(&self, draft: &Path) -> bool {
        let as_tried = self.is_as_tried(draft);
        if let Err((_, why)) = &as_tried {
            let path = self.file.path.display();
            tracing::warn!(
                "`{path}` goes without its draft model: {why}; put the file back, or restart the node"
            );
        }
        as_tried.is_ok()
    }

    fn is_as_tried(&self, path: &Path) -> Result<(), (Errno, String)> {
        let shown = path.display();
        let now = Stamp::of(path).map_err(|error| {
            let why = format!("failed to look at `{shown}`: {error}");
            (Errno::ModelNotFound, why)
        })?;
        match self.tried().iter().find(|(tried, _)| tried == path) {
            Some((_, tried)) if *tried != now => {
                let why = format!("`{shown}` is not the file that was tried");
                Err((Errno::InvalidEncoding, why))
            }
            _ => Ok(()),
        }
    }

    /// Connects to the guest's bell, if it told one. A guest that is not reached looks by itself.
    fn hang(&self, wake: &Wake) {
        let Some(port) = wake.port else { return };
        match Doorbell::connect(port, &wake.secret) {
            Ok(bell) => _ = self.bell.set(Arc::new(bell)),
            Err(error) => tracing::warn!("failed to reach the guest's bell: {error}"),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
