//! Adds documents: read, compare, cut, count, embed, write, and at last remove what is no longer theirs.
//!
//! The order makes it safe to stop anywhere: new points are written before old ones go, and a document counts as
//! there only when all its chunks of one version are, and no other. What an interrupted run has written is not
//! embedded again. This thread reads and cuts ahead of what `lanes` embed and write.

mod batch;
mod lanes;
mod outcome;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::{io, thread};

use gaia_rag::{ChunkLimits, document_hash};

use crate::read::{self, ReadError, Skipped};
use crate::store::{Held, Store};
use crate::walk::{Source, Sources};
use crate::worker::{CONTEXT_TOKENS_DEFAULT, EMBED_TEXTS_MAX, EmbeddingModel, Worker};
use batch::{Batch, Cut};
use lanes::{AHEAD, Entry, Lanes, Piece, Portion, Services};
pub use outcome::{Event, IngestError, Report};

/// Text collected before it is counted and embedded together.
const BATCH_BYTES: usize = 64 << 10;
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
        model: &model,
        limits,
        options,
        recipe,
        held,
        on_event,
        report: Report::default(),
        unsent: Vec::new(),
        unfinished: BTreeMap::new(),
    };
    for skipped in sources.skipped {
        ingest.skip(skipped);
    }
    let services = Services {
        worker,
        store,
        model: &model,
        origin: &sources.origin,
    };
    thread::scope(|scope| {
        ingest.documents(&sources.documents, stdin, Lanes::open(scope, services))
    })?;
    if let Some(prefix) = &sources.prefix {
        ingest.drop_removed(prefix, &sources.documents)?;
    }
    Ok(ingest.report)
}

/// Limits no larger than what the model reads.
pub(crate) fn fitting(
    limits: ChunkLimits,
    model: &EmbeddingModel,
) -> Result<ChunkLimits, IngestError> {
    let tokens_max = limits.tokens_max.min(model.passage_tokens_max());
    if tokens_max < 8 {
        return Err(IngestError::Context {
            model: model.id.clone(),
            context: model.context.unwrap_or(CONTEXT_TOKENS_DEFAULT),
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
    model: &'a EmbeddingModel,
    limits: ChunkLimits,
    options: Options,
    recipe: String,
    held: BTreeMap<String, Held>,
    on_event: &'a mut dyn FnMut(Event<'_>),
    report: Report,
    /// Less than a portion.
    unsent: Portion,
    /// Chunks that are not written yet, by document.
    unfinished: BTreeMap<String, usize>,
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
        mut lanes: Lanes,
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
                self.cut(std::mem::take(&mut batch), &mut lanes)?;
                bytes = 0;
            }
        }
        self.cut(batch, &mut lanes)?;
        if !self.unsent.is_empty() {
            lanes.send(std::mem::take(&mut self.unsent));
        }
        self.wait(&mut lanes, 0)
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

    /// Cuts the documents and sends what fills portions on its way.
    fn cut(&mut self, documents: Vec<Changed>, lanes: &mut Lanes) -> Result<(), IngestError> {
        if documents.is_empty() {
            return Ok(());
        }
        for cut in Batch::cut(self, documents)?.documents {
            self.queue(cut)?;
            while self.unsent.len() >= EMBED_TEXTS_MAX {
                let rest = self.unsent.split_off(EMBED_TEXTS_MAX);
                lanes.send(std::mem::replace(&mut self.unsent, rest));
            }
        }
        self.wait(lanes, AHEAD)
    }

    /// Queues the chunks that an earlier run has not written.
    fn queue(&mut self, cut: Cut) -> Result<(), IngestError> {
        let entry = Arc::new(Entry {
            chunks: u32::try_from(cut.chunks.len()).unwrap_or(u32::MAX),
            changed: cut.changed,
        });
        let changed = &entry.changed;
        let version = self.held.get(&changed.name);
        let version = version.and_then(|held| held.versions.get(&changed.hash));
        let is_new = |chunk: &u32| version.is_none_or(|held| !held.present.contains(chunk));
        let before = self.unsent.len();
        let new = cut
            .chunks
            .into_iter()
            .filter(|(chunk, _)| is_new(&chunk.index));
        self.unsent.extend(new.map(|(chunk, text)| Piece {
            entry: Arc::clone(&entry),
            chunk,
            text,
        }));
        let missing = self.unsent.len() - before;
        if missing == 0 {
            self.advance(entry.changed.bytes);
            return self.finish(&entry);
        }
        self.unfinished.insert(entry.changed.name.clone(), missing);
        Ok(())
    }

    /// Takes what is done until no more than `under_way` portions are left.
    fn wait(&mut self, lanes: &mut Lanes, under_way: usize) -> Result<(), IngestError> {
        while lanes.under_way() > under_way {
            let portion = lanes.next()?;
            self.report.passages += portion.len();
            self.advance(portion.iter().map(|piece| piece.entry.share()).sum());
            for piece in &portion {
                let left = self.unfinished.get_mut(&piece.entry.changed.name);
                let left = left.map_or(0, |left| {
                    *left -= 1;
                    *left
                });
                if left == 0 {
                    self.finish(&piece.entry)?;
                }
            }
        }
        Ok(())
    }

    /// Removes older versions and counts the document.
    fn finish(&mut self, entry: &Entry) -> Result<(), IngestError> {
        let Entry { changed, chunks } = entry;
        let held = self.held.get(&changed.name);
        if held.is_some_and(|held| held.versions.keys().any(|hash| *hash != changed.hash)) {
            self.store.remove(&changed.name, Some(&changed.hash))?;
        }
        match held {
            _ if *chunks == 0 => self.report.empty += 1,
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
    use crate::worker::SPECIAL_TOKENS;

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
