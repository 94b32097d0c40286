//! The graphs and execution contexts of one module instance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::errno::Errno;
use crate::execution::Execution;
use crate::graph::Graph;
use crate::guest::Guest;
use crate::preload::{self, Preload};

/// The most models a guest can have open.
pub(crate) const GRAPHS_MAX: usize = 64;

/// The most execution contexts a guest can have open.
pub(crate) const CONTEXTS_MAX: usize = 4096;

/// WASI-NN's numbers for how a model is encoded.
const ENCODING_AUTODETECT: u32 = 5;
const ENCODING_GGML: u32 = 6;
const ENCODING_LAST: u32 = 11;
/// CPU, GPU, TPU, AUTO: where it runs is a matter of the options here.
const TARGET_LAST: u32 = 3;

/// Everything a guest has opened.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    preloads: Vec<Preload>,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    graphs: HashMap<u32, Arc<Graph>>,
    contexts: HashMap<u32, Slot>,
    next_graph: u32,
    next_context: u32,
}

#[derive(Debug)]
struct Slot {
    graph: u32,
    execution: Arc<Mutex<Execution>>,
}

impl Environment {
    /// An environment that offers what this process's command line names.
    pub fn from_process() -> Self {
        Self {
            preloads: preload::from_process(),
            tables: Mutex::default(),
        }
    }

    /// Opens a model whose bytes are in the guest's memory, or `preload:FILE` for one that the
    /// command line offers. Builders are pointers and lengths; a second one holds a configuration.
    pub fn load(
        &self,
        guest: &Guest,
        builders: u32,
        count: u32,
        encoding: u32,
        target: u32,
    ) -> Result<u32, Errno> {
        if encoding > ENCODING_LAST || target > TARGET_LAST || !(1..=2).contains(&count) {
            return Err(Errno::InvalidArgument);
        }
        if encoding != ENCODING_GGML && encoding != ENCODING_AUTODETECT {
            return Err(Errno::InvalidEncoding);
        }
        let [address, len] = guest.read_u32s(builders)?;
        let config = match count {
            1 => None,
            _ => {
                let second = builders.checked_add(8).ok_or(Errno::InvalidArgument)?;
                let [address, len] = guest.read_u32s(second)?;
                Some(guest.read_text(address, len)?).filter(|config| !config.is_empty())
            }
        };
        let bytes = guest.read_unbounded(address, len)?;
        let graph = match bytes.strip_prefix(b"preload:") {
            Some(path) => Graph::offered(self.offered_at(path)?, config.as_deref())?,
            None => Graph::from_bytes(&bytes, config.as_deref())?,
        };
        self.insert_graph(graph)
    }

    /// Opens the model offered as `name`. Asked for again, it is the same graph.
    pub fn load_by_name(&self, name: &str, config: Option<&str>) -> Result<u32, Errno> {
        let config = config.filter(|config| !config.is_empty());
        if let Some(id) = self.graph_named(name).filter(|_| config.is_none()) {
            return Ok(id);
        }
        let Some(preload) = self.preloads.iter().find(|preload| preload.name == name) else {
            tracing::debug!("no preload offers `{name}`");
            return Err(Errno::NotFound);
        };
        self.insert_graph(Graph::offered(preload, config)?)
    }

    /// Opens an execution context on `graph`.
    pub fn init_execution_context(&self, graph: u32) -> Result<u32, Errno> {
        let mut tables = self.lock();
        let Tables {
            graphs,
            contexts,
            next_context,
            ..
        } = &mut *tables;
        let opened = graphs.get(&graph).ok_or(Errno::InvalidArgument)?;
        if contexts.len() >= CONTEXTS_MAX {
            return Err(Errno::TooLarge);
        }
        let execution = Arc::new(Mutex::new(Execution::new(Arc::clone(opened))));
        let id = free_id(next_context, contexts);
        contexts.insert(id, Slot { graph, execution });
        Ok(id)
    }

    /// Lets `action` work on `context`. Other contexts can be used meanwhile.
    pub fn with(
        &self,
        context: u32,
        action: impl FnOnce(&mut Execution) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let execution = {
            let tables = self.lock();
            let slot = tables
                .contexts
                .get(&context)
                .ok_or(Errno::InvalidArgument)?;
            Arc::clone(&slot.execution)
        };
        // Poisoned by a panic: that context is lost, the others are not.
        let mut execution = execution.lock().map_err(|_| Errno::RuntimeError)?;
        action(&mut execution)
    }

    /// Closes `context`; what it was computing is cancelled.
    pub fn finalize_execution_context(&self, context: u32) -> Result<(), Errno> {
        let slot = self.lock().contexts.remove(&context);
        slot.map(drop).ok_or(Errno::InvalidArgument)
    }

    /// Closes `graph` and its contexts, and frees the model.
    pub fn unload(&self, graph: u32) -> Result<(), Errno> {
        let mut tables = self.lock();
        let closed = tables.graphs.remove(&graph).ok_or(Errno::InvalidArgument)?;
        let (gone, kept) = std::mem::take(&mut tables.contexts)
            .into_iter()
            .partition(|(_, slot)| slot.graph == graph);
        tables.contexts = kept;
        drop(tables);
        // Outside the lock: freeing waits for the current step.
        let gone: HashMap<u32, Slot> = gone;
        drop((gone, closed));
        Ok(())
    }

    fn offered_at(&self, path: &[u8]) -> Result<&Preload, Errno> {
        let is_at = |preload: &&Preload| preload.path.as_os_str().as_encoded_bytes() == path;
        // The guest may not name files that the command line does not offer.
        self.preloads.iter().find(is_at).ok_or(Errno::NotFound)
    }

    fn graph_named(&self, name: &str) -> Option<u32> {
        let tables = self.lock();
        let named = tables.graphs.iter().find(|(_, graph)| graph.is_named(name));
        named.map(|(id, _)| *id)
    }

    fn insert_graph(&self, graph: Graph) -> Result<u32, Errno> {
        let mut tables = self.lock();
        let Tables {
            graphs, next_graph, ..
        } = &mut *tables;
        if graphs.len() >= GRAPHS_MAX {
            return Err(Errno::TooLarge);
        }
        let id = free_id(next_graph, graphs);
        graphs.insert(id, Arc::new(graph));
        Ok(id)
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next number that nobody has. There are more numbers than entries.
fn free_id<T>(next: &mut u32, taken: &HashMap<u32, T>) -> u32 {
    loop {
        let id = *next;
        *next = next.wrapping_add(1);
        if !taken.contains_key(&id) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_refused() {
        let environment = Environment::default();
        assert_eq!(
            environment.load_by_name("default", None),
            Err(Errno::NotFound)
        );
        assert_eq!(
            environment.init_execution_context(0),
            Err(Errno::InvalidArgument)
        );
        assert_eq!(environment.with(0, |_| Ok(())), Err(Errno::InvalidArgument));
        assert_eq!(
            environment.finalize_execution_context(0),
            Err(Errno::InvalidArgument)
        );
        assert_eq!(environment.unload(0), Err(Errno::InvalidArgument));
    }

    #[test]
    fn numbers_in_use_are_skipped() {
        let taken = HashMap::from([(u32::MAX, ()), (0, ())]);
        let mut next = u32::MAX;
        assert_eq!(free_id(&mut next, &taken), 1);
    }

    #[test]
    fn a_guest_names_only_what_is_offered() {
        let environment = Environment::default();
        let outcome = environment.offered_at(b"/etc/passwd");
        assert_eq!(outcome.err(), Some(Errno::NotFound));
    }
}
