//! Some documents together: cut with one round of counting, embedded and written in equal portions.

use gaia_rag::{Chunk, Document, Payload, Segment, assemble, point_id, segment};

use super::{CONTEXT_TOKENS_DEFAULT, Changed, Ingest, IngestError, SPECIAL_TOKENS};
use crate::read;
use crate::store::Point;
use crate::worker::EMBED_TEXTS_MAX;

pub(super) struct Batch {
    pub(super) documents: Vec<Cut>,
}

/// A document and its chunks, each with what is embedded for it.
pub(super) struct Cut {
    pub(super) changed: Changed,
    pub(super) chunks: Vec<(Chunk, String)>,
}

impl Batch {
    pub(super) fn cut(ingest: &Ingest<'_>, documents: Vec<Changed>) -> Result<Self, IngestError> {
        let parsed: Vec<(Changed, Document, Vec<Segment>)> = documents
            .into_iter()
            .map(|changed| parse(ingest, changed))
            .collect();
        let texts: Vec<&str> = parsed
            .iter()
            .flat_map(|(_, _, segments)| segments)
            .map(|s| s.text.as_str())
            .collect();
        let counts = ingest.worker.count_tokens(&ingest.model, &texts)?;
        let mut counts = counts.as_slice();
        let mut cuts = Vec::new();
        for (changed, document, segments) in parsed {
            let (own, rest) = counts.split_at(segments.len());
            counts = rest;
            let chunks = assemble(&document.text, &segments, own, &ingest.limits);
            let chunks = chunks.map_err(|source| IngestError::Cut {
                name: changed.name.clone(),
                source,
            })?;
            let chunks = chunks
                .into_iter()
                .map(|chunk| (chunk.clone(), ingest.embedded_text(&chunk)))
                .collect();
            cuts.push(Cut { changed, chunks });
        }
        let mut batch = Self { documents: cuts };
        batch.shorten(ingest)?;
        Ok(batch)
    }

    /// Where the heading path makes a text longer than the model reads, the passage goes alone.
    fn shorten(&mut self, ingest: &Ingest<'_>) -> Result<(), IngestError> {
        let room = ingest
            .model
            .context
            .unwrap_or(CONTEXT_TOKENS_DEFAULT)
            .saturating_sub(SPECIAL_TOKENS);
        // A text has no more tokens than bytes, so most need no counting.
        let mut long: Vec<&mut (Chunk, String)> = self
            .documents
            .iter_mut()
            .flat_map(|cut| &mut cut.chunks)
            .filter(|(_, text)| text.len() > room)
            .collect();
        let texts: Vec<&str> = long.iter().map(|(_, text)| text.as_str()).collect();
        let counts = ingest.worker.count_tokens(&ingest.model, &texts)?;
        for (chunk, tokens) in long.iter_mut().zip(counts) {
            if tokens > room {
                chunk.1.clone_from(&chunk.0.text);
            }
        }
        Ok(())
    }

    /// Embeds and writes every chunk that is not in the store yet.
    pub(super) fn embed(&self, ingest: &mut Ingest<'_>) -> Result<(), IngestError> {
        let mut missing = Vec::new();
        for cut in &self.documents {
            let before = missing.len();
            missing.extend(
                cut.chunks
                    .iter()
                    .filter(|(chunk, _)| !ingest.has(&cut.changed, chunk))
                    .map(|chunk| (cut, chunk)),
            );
            if missing.len() == before {
                ingest.advance(cut.changed.bytes);
            }
        }
        for portion in missing.chunks(EMBED_TEXTS_MAX) {
            let texts: Vec<&str> = portion.iter().map(|(_, (_, text))| text.as_str()).collect();
            let vectors = ingest.worker.embed(&ingest.model, &texts)?;
            if let Some(vector) = vectors.first() {
                ingest.ready(vector.len())?;
            }
            let points = portion
                .iter()
                .zip(vectors)
                .map(|((cut, (chunk, _)), vector)| cut.point(chunk, vector, &ingest.origin));
            ingest.store.upsert(&points.collect::<Vec<_>>())?;
            ingest.report.passages += portion.len();
            ingest.advance(portion.iter().map(|(cut, _)| cut.share()).sum());
        }
        Ok(())
    }
}

impl Cut {
    /// A chunk's share of the document's bytes, for the progress.
    fn share(&self) -> u64 {
        self.changed.bytes / self.chunks.len().max(1) as u64
    }

    fn point(&self, chunk: &Chunk, vector: Vec<f32>, origin: &str) -> Point {
        let payload = Payload {
            source: chunk.text.clone(),
            document: self.changed.name.clone(),
            document_hash: self.changed.hash.clone(),
            chunk: chunk.index,
            chunks: u32::try_from(self.chunks.len()).unwrap_or(u32::MAX),
            heading: chunk.heading.clone(),
            start: chunk.start,
            end: chunk.end,
            origin: origin.to_owned(),
        };
        Point {
            id: point_id(&self.changed.name, chunk.index),
            vector,
            payload,
        }
    }
}

impl Ingest<'_> {
    fn embedded_text(&self, chunk: &Chunk) -> String {
        if self.options.heading_prefix {
            chunk.embedded_text()
        } else {
            chunk.text.clone()
        }
    }

    /// Whether an earlier run has written this chunk.
    fn has(&self, changed: &Changed, chunk: &Chunk) -> bool {
        let version = self
            .held
            .get(&changed.name)
            .and_then(|held| held.versions.get(&changed.hash));
        version.is_some_and(|version| version.present.contains(&chunk.index))
    }
}

fn parse(ingest: &Ingest<'_>, changed: Changed) -> (Changed, Document, Vec<Segment>) {
    let document = Document::parse(read::format(&changed.name, &changed.text), &changed.text);
    let segments = segment(&document, &ingest.limits);
    (changed, document, segments)
}
