//! Adds documents: read, compare, cut, count, embed, write, and at last remove what is no longer theirs.
//!
//! The order makes it safe to stop anywhere: new points are written before old ones go, and a document counts as
//! there only when all its chunks of one version are, and no other. What an interrupted run has written is not
//! embedded again.

mod batch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use gaia_rag::{AssembleError, ChunkLimits, document_hash};

use crate::http::HttpError;
use crate::read::{self, ReadError, Skipped};
use crate::store::{Held, Store};
use crate::walk::{Source, Sources};
use crate::worker::{EmbeddingModel, Worker, WorkerError};
use batch::Batch;

/// Text collected before it is counted and embedded together.
const BATCH_BYTES: usize = 64 << 10;
/// What a model reads where the worker does not say.
const CONTEXT_TOKENS_DEFAULT: usize = 256;
/// Tokens a model puts around a text.
const SPECIAL_TOKENS: usize = 2;
/// Changes with the way documents are cut, so that they are cut again.
const RECIPE_VERSION: u32 = 1;

/// How documents are cut.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Sizes of chunks. Cut down to the model's context.
    pub limits: ChunkLimits,
    /// Whether the heading path is embedded with a passage.
    pub heading_prefix: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: ChunkLimits::default(),
            heading_prefix: true,
        }
    }
}

/// Why adding stopped. What was written until then stays and is not done again.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The worker failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] HttpError),
    /// Another embedding model made what is there.
    #[error(
        "collection `{collection}` holds vectors of {held} numbers, the embedding model `{model}` makes {made}: \
         choose another collection, or the model it was made with"
    )]
    Dimensions {
        /// The collection.
        collection: String,
        /// Numbers in a vector there.
        held: usize,
        /// The model.
        model: String,
        /// Numbers in its vectors.
        made: usize,
    },
    /// Two places, one name.
    #[error(
        "there is already a document `{name}` from another place: give this one a name of its own with --name, or \
         the same name with --name to replace it"
    )]
    OtherOrigin {
        /// The name.
        name: String,
    },
    /// A document could not be cut.
    #[error("cannot cut `{name}`")]
    Cut {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: AssembleError,
    },
    /// The embedding model reads next to nothing.
    #[error("the embedding model `{model}` reads only {context} tokens")]
    Context {
        /// The model.
        model: String,
        /// Its context.
        context: usize,
    },
}

/// What happens, as it happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// How much there is to do, in bytes of documents.
    Started {
        /// All documents together.
        bytes: u64,
    },
    /// More of it is done.
    Advanced {
        /// Bytes done since the last time.
        bytes: u64,
    },
    /// A file was left out.
    Skipped(&'a Skipped),
}

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    /// New documents.
    pub added: usize,
    /// Documents that were there in another version, or not completely.
    pub replaced: usize,
    /// Documents that were there just so.
    pub unchanged: usize,
    /// Documents without text.
    pub empty: usize,
    /// Documents of the folder that are no longer in it.
    pub dropped: usize,
    /// Passages embedded and written.
    pub passages: usize,
    /// Files left out.
    pub skipped: Vec<Skipped>,
}

/// Adds what [`find`](crate::find) found.
///
/// Takes standard input for a source without a path. Calls `on_event` often, for progress.
///
/// # Errors
/// At the first thing the worker or the store refuses; see [`IngestError`].
pub fn ingest(
    worker: &Worker,
    store: &Store,
    sources: Sources,
    options: Options,
    stdin: &mut dyn io::Read,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Report, IngestError> {
    let model = worker.embedding_model()?;
    let limits = fitting(options.limits, &model)?;
    let held = store.documents()?;
    check_origin(&held, &sources)?;
    on_event(Event::Started {
        bytes: sources.documents.iter().map(|source| source.bytes).sum(),
    });
    let recipe = recipe(&model, &limits, options.heading_prefix);
    let mut ingest = Ingest {
        worker,
        store,
        model,
        limits,
        options,
        recipe,
        held,
        origin: sources.origin,
        on_event,
        report: Report::default(),
        is_ready: false,
    };
    for skipped in sources.skipped {
        ingest.skip(skipped);
    }
    ingest.documents(&sources.documents, stdin)?;
    if let Some(prefix) = &sources.prefix {
        ingest.drop_removed(prefix, &sources.documents)?;
    }
    Ok(ingest.report)
}

/// Limits no larger than what the model reads.
fn fitting(limits: ChunkLimits, model: &EmbeddingModel) -> Result<ChunkLimits, IngestError> {
    let context = model.context.unwrap_or(CONTEXT_TOKENS_DEFAULT);
    let tokens_max = limits
        .tokens_max
        .min(context.saturating_sub(SPECIAL_TOKENS));
    if tokens_max < 8 {
        return Err(IngestError::Context {
            model: model.id.clone(),
            context,
        });
    }
    Ok(ChunkLimits {
        tokens_max,
        ..limits
    })
}

/// Everything beside a document's bytes that shapes its points.
fn recipe(model: &EmbeddingModel, limits: &ChunkLimits, heading_prefix: bool) -> String {
    let ChunkLimits {
        tokens_max,
        tokens_target,
        tokens_min,
        tokens_overlap,
    } = limits;
    let id = &model.id;
    format!(
        "{RECIPE_VERSION} {id} {tokens_max} {tokens_target} {tokens_min} {tokens_overlap} {heading_prefix}"
    )
}

fn check_origin(held: &BTreeMap<String, Held>, sources: &Sources) -> Result<(), IngestError> {
    if sources.is_named {
        return Ok(());
    }
    let prefix = sources.prefix.as_deref();
    let ours = |name: &str| match prefix {
        Some(prefix) => name.starts_with(prefix),
        None => sources.documents.iter().any(|source| source.name == name),
    };
    match held
        .iter()
        .find(|(name, held)| ours(name) && held.origin != sources.origin)
    {
        Some((name, _)) => Err(IngestError::OtherOrigin { name: name.clone() }),
        None => Ok(()),
    }
}

struct Ingest<'a> {
    worker: &'a Worker,
    store: &'a Store,
    model: EmbeddingModel,
    limits: ChunkLimits,
    options: Options,
    recipe: String,
    held: BTreeMap<String, Held>,
    origin: String,
    on_event: &'a mut dyn FnMut(Event<'_>),
    report: Report,
    /// Whether the collection is known to take this model's vectors.
    is_ready: bool,
}

/// A document that must be embedded.
struct Changed {
    name: String,
    hash: String,
    bytes: u64,
    text: String,
}

impl Ingest<'_> {
    fn documents(
        &mut self,
        sources: &[Source],
        stdin: &mut dyn io::Read,
    ) -> Result<(), IngestError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for source in sources {
            match self.read(source, stdin) {
                Ok(Some(changed)) => {
                    bytes += changed.text.len();
                    batch.push(changed);
                }
                Ok(None) => self.advance(source.bytes),
                Err(reason) => {
                    self.skip(Skipped {
                        name: source.name.clone(),
                        reason,
                    });
                    self.advance(source.bytes);
                }
            }
            if bytes >= BATCH_BYTES {
                self.write(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        self.write(batch)
    }

    /// The document, unless it is in the store just so.
    fn read(
        &mut self,
        source: &Source,
        stdin: &mut dyn io::Read,
    ) -> Result<Option<Changed>, ReadError> {
        let bytes = match &source.path {
            Some(path) => read::read_file(path)?,
            None => read::read_all(stdin)?,
        };
        let hash = document_hash(&self.recipe, &bytes);
        if self
            .held
            .get(&source.name)
            .is_some_and(|held| held.is_exactly(&hash))
        {
            self.report.unchanged += 1;
            return Ok(None);
        }
        let text = read::decode(&bytes)?;
        Ok(Some(Changed {
            name: source.name.clone(),
            hash,
            bytes: source.bytes,
            text,
        }))
    }

    fn write(&mut self, documents: Vec<Changed>) -> Result<(), IngestError> {
        if documents.is_empty() {
            return Ok(());
        }
        let batch = Batch::cut(self, documents)?;
        batch.embed(self)?;
        for cut in &batch.documents {
            self.finish(&cut.changed, cut.chunks.is_empty())?;
        }
        Ok(())
    }

    /// Removes older versions and counts the document.
    fn finish(&mut self, changed: &Changed, is_empty: bool) -> Result<(), IngestError> {
        let held = self.held.get(&changed.name);
        if held.is_some_and(|held| held.versions.keys().any(|hash| *hash != changed.hash)) {
            self.store.remove(&changed.name, Some(&changed.hash))?;
        }
        match held {
            _ if is_empty => self.report.empty += 1,
            Some(_) => self.report.replaced += 1,
            None => self.report.added += 1,
        }
        Ok(())
    }

    /// Removes documents of a folder that it no longer has. A file that is there but was skipped keeps what it had.
    fn drop_removed(&mut self, prefix: &str, sources: &[Source]) -> Result<(), IngestError> {
        let mut present: BTreeSet<&str> =
            sources.iter().map(|source| source.name.as_str()).collect();
        present.extend(
            self.report
                .skipped
                .iter()
                .map(|skipped| skipped.name.as_str()),
        );
        let gone = self
            .held
            .keys()
            .filter(|name| name.starts_with(prefix) && !present.contains(name.as_str()));
        for name in gone {
            self.store.remove(name, None)?;
            self.report.dropped += 1;
        }
        Ok(())
    }

    /// Makes the collection before the first write, or makes sure that the vectors fit the one that is there.
    fn ready(&mut self, made: usize) -> Result<(), IngestError> {
        if self.is_ready {
            return Ok(());
        }
        match self.store.dimensions()? {
            None => self.store.create(made)?,
            Some(held) if held == made => {}
            Some(held) => {
                let (collection, model) =
                    (self.store.collection().to_owned(), self.model.id.clone());
                return Err(IngestError::Dimensions {
                    collection,
                    held,
                    model,
                    made,
                });
            }
        }
        self.is_ready = true;
        Ok(())
    }

    fn skip(&mut self, skipped: Skipped) {
        (self.on_event)(Event::Skipped(&skipped));
        self.report.skipped.push(skipped);
    }

    fn advance(&mut self, bytes: u64) {
        (self.on_event)(Event::Advanced { bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(context: Option<usize>) -> EmbeddingModel {
        EmbeddingModel {
            id: "m".into(),
            context,
        }
    }

    #[test]
    fn limits_fit_the_model() {
        let check = |context, expected: Option<usize>| {
            let limits = ChunkLimits {
                tokens_max: 300,
                ..ChunkLimits::default()
            };
            assert_eq!(
                fitting(limits, &model(context))
                    .ok()
                    .map(|limits| limits.tokens_max),
                expected
            );
        };
        check(Some(512), Some(300));
        check(Some(128), Some(126));
        check(None, Some(CONTEXT_TOKENS_DEFAULT - SPECIAL_TOKENS));
        check(Some(9), None);
        check(Some(0), None);
    }

    #[test]
    fn the_same_name_from_another_place_is_noticed() {
        let held = |origin: &str| {
            BTreeMap::from([(
                "k/a.md".to_owned(),
                Held {
                    origin: origin.into(),
                    ..Held::default()
                },
            )])
        };
        let check = |origin: &str, prefix: &str, is_named, expected: bool| {
            let sources = Sources {
                prefix: Some(prefix.into()),
                origin: "here".into(),
                is_named,
                ..Sources::default()
            };
            assert_eq!(check_origin(&held(origin), &sources).is_ok(), expected);
        };
        check("here", "k/", false, true);
        check("there", "k/", false, false);
        check("there", "k/", true, true);
        check("there", "other/", false, true);
    }
}
