//! Some documents together: cut with one round of counting.

use gaia_rag::{Chunk, Document, Segment, assemble, segment};

use super::{Changed, Ingest, IngestError};
use crate::read;

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
        let counts = ingest.worker.count_tokens(ingest.model, &texts)?;
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
        let room = ingest.model.passage_tokens_max();
        // A text has no more tokens than bytes, so most need no counting.
        let mut long: Vec<&mut (Chunk, String)> = self
            .documents
            .iter_mut()
            .flat_map(|cut| &mut cut.chunks)
            .filter(|(_, text)| text.len() > room)
            .collect();
        let texts: Vec<&str> = long.iter().map(|(_, text)| text.as_str()).collect();
        let counts = ingest.worker.count_tokens(ingest.model, &texts)?;
        for (chunk, tokens) in long.iter_mut().zip(counts) {
            if tokens > room {
                chunk.1.clone_from(&chunk.0.text);
            }
        }
        Ok(())
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
}

fn parse(ingest: &Ingest<'_>, changed: Changed) -> (Changed, Document, Vec<Segment>) {
    let document = Document::parse(read::format(&changed.name, &changed.text), &changed.text);
    let segments = segment(&document, &ingest.limits);
    (changed, document, segments)
}
