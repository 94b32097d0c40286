//! Takes models out of memory that nobody uses, and brings them back when they are asked for.
//!
//! A graph for which that is wanted has a thread that does both, so no call of the guest waits for it. What
//! stays is the vocabulary: a guest counts tokens before it asks.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use gaia_engine::{MEMORY_LOG, Vocabulary};

use crate::call::contain;
use crate::config::Config;
use crate::errno::Errno;
use crate::footprint;
use crate::graph::chain;
use crate::loading::{Phase, Shared, Turn, take_turn};
use crate::residency::Next;

/// The models that may go when another one needs the room.
static MOVABLE: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Keeps the model of `shared`, which has been loaded with `orders`, until it is closed.
pub(crate) fn run(shared: &Arc<Shared>, orders: &Config) {
    let Some(limit) = orders.idle_unload else {
        return;
    };
    movable(|all| all.push(Arc::downgrade(shared)));
    while let Some(next) = next(shared, limit) {
        match next {
            Next::Unload => {
                let idle = |since: Instant| since.elapsed() >= limit;
                // A panic must not be met again at once.
                if contain(None, || Some(unload(shared, &take_turn(), idle))).is_none() {
                    put_off(shared);
                }
            }
            Next::Load => load(shared, orders),
            Next::Wait(_) => {}
        }
    }
}

/// Takes the model out of memory that has not been used for longest. False if each is in use, or out.
pub(crate) fn make_room(turn: &Turn) -> bool {
    let mut idle: Vec<_> = movable(|all| all.iter().filter_map(Weak::upgrade).collect::<Vec<_>>())
        .into_iter()
        .filter_map(|shared| Some((idle_since(&shared)?, shared)))
        .collect();
    idle.sort_by_key(|(since, _)| *since);
    idle.iter()
        .any(|(_, shared)| unload(shared, turn, |_| true))
}

fn movable<T>(action: impl FnOnce(&mut Vec<Weak<Shared>>) -> T) -> T {
    let mut all = MOVABLE.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|shared| shared.strong_count() > 0);
    action(&mut all)
}

/// Waits until there is something to do; `None` when the graph is closed.
fn next(shared: &Shared, limit: Duration) -> Option<Next> {
    let mut state = shared.lock();
    loop {
        let next = match &state.phase {
            Phase::Ready(residency) => residency.next(limit, Instant::now()),
            Phase::Unloaded | Phase::InProgress | Phase::Failed(_) => return None,
        };
        if state.closing {
            return None;
        }
        let Next::Wait(time) = next else {
            return Some(next);
        };
        state = match time {
            Some(time) => {
                let waited = shared.changed.wait_timeout(state, time);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = shared.changed.wait(state);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}

fn idle_since(shared: &Shared) -> Option<Instant> {
    match &shared.lock().phase {
        Phase::Ready(residency) => residency.idle_since(),
        Phase::Unloaded | Phase::InProgress | Phase::Failed(_) => None,
    }
}

/// Frees the model unless somebody uses it, or has used it too lately for `idle`. False if it stays.
fn unload(shared: &Shared, _turn: &Turn, idle: impl Fn(Instant) -> bool) -> bool {
    let vocabulary = match &shared.lock().phase {
        Phase::Ready(residency) if residency.idle_since().is_some_and(&idle) => {
            residency.either(|model| Some(model.vocabulary().clone()), |_| None)
        }
        _ => None,
    };
    let Some(vocabulary) = vocabulary else {
        return false;
    };
    // While this reads, requests may come: they find the model as it was.
    let kept = apart(shared, &vocabulary);
    drop(vocabulary);
    let Some(kept) = kept else {
        put_off(shared);
        return false;
    };
    let model = match &mut shared.lock().phase {
        Phase::Ready(residency) if residency.idle_since().is_some_and(&idle) => {
            residency.take_out(kept)
        }
        _ => None,
    };
    let Some(model) = model else { return false };
    let path = &shared.file.path;
    // Waits for the model's thread.
    drop(model);
    footprint::shrink();
    tracing::info!(target: MEMORY_LOG, "`{}` is out of memory until it is asked for", path.display());
    true
}

/// What stays of the model, from its file; `None` if that is another one by now.
fn apart(shared: &Shared, vocabulary: &Vocabulary) -> Option<Vocabulary> {
    shared.check_stamp().ok()?;
    match vocabulary.apart(&shared.file.path) {
        Ok(kept) => shared.check_stamp().ok().map(|()| kept),
        Err(error) => {
            tracing::warn!("a model that nobody uses stays: {}", chain(&error));
            None
        }
    }
}

/// Takes the model for one that was used just now.
fn put_off(shared: &Shared) {
    if let Phase::Ready(residency) = &mut shared.lock().phase {
        residency.put_off(Instant::now());
    }
}

/// Brings the model back for those who wait.
fn load(shared: &Shared, orders: &Config) {
    let loaded = contain(Err(Errno::RuntimeError), || shared.load(&orders.load));
    if let Phase::Ready(residency) = &mut shared.lock().phase {
        residency.brought(loaded.ok(), Instant::now());
    }
    shared.changed.notify_all();
    shared.ring();
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use gaia_engine::LoadOptions;

    use super::*;
    use crate::graph::ModelFile;
    use crate::loading::Loading;

    fn loading() -> Loading {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let cache = folder("GAIA_CACHE")
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("gaia")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/gaia")))
            .unwrap();
        let path = cache.join("models/all-MiniLM-L6-v2.f16.gguf");
        Loading::of(ModelFile::kept(path))
    }

    fn config(memory_bytes_max: Option<u64>) -> Config {
        Config {
            load: LoadOptions {
                threads: Some(1),
                memory_bytes_max,
                ..LoadOptions::default()
            },
            idle_unload: Some(Duration::from_secs(100_000)),
            ..Config::default()
        }
    }

    fn is_in(loading: &Loading) -> bool {
        loading.vocabulary(false).unwrap().unwrap().1
    }

    #[test]
    fn what_was_used_least_lately_makes_room_and_what_is_in_use_stays() {
        let all = [loading(), loading(), loading()];
        for loading in &all {
            loading.load(&config(None)).unwrap();
        }
        while movable(|all| all.len()) < all.len() {
            std::thread::yield_now();
        }
        let [old, used, new] = &all;
        let lease = used.lease(&mut None, false).unwrap();
        drop(new.lease(&mut None, false).unwrap());
        assert!(make_room(&take_turn()));
        assert_eq!(all.each_ref().map(is_in), [false, true, true]);
        // It does not fit, whoever makes room.
        let large = loading();
        assert!(large.load(&config(Some(1))).is_err());
        assert_eq!(all.each_ref().map(is_in), [false, true, false]);
        assert!(!make_room(&take_turn()));
        assert!(old.lease(&mut None, false).unwrap().is_some());
        assert!(is_in(old));
        drop(lease);
    }
}
