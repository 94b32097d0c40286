//! The prompt of a turn: the conversation, with what its opening rests on and the passages that were found.

use gaia_openai::ApiError;
use gaia_prompt::RagPolicy;
use gaia_prompt::making::Source;
use gaia_rag::{Citation, Order};

use super::Turn;
use crate::retrieval::to_wire;

/// As near to the question as can be, for the order: they were looked up for it. Clients are told of none.
const SOURCE_SCORE: f32 = 1.0;

impl Turn {
    /// What the opening rests on, in the form of passages.
    pub(super) fn sources(&self) -> Vec<Citation> {
        let passages = self.node.opening.passages().zip(0..);
        let citation = |((source, text), number): ((&Source, String), u32)| Citation {
            document: source.url.clone(),
            chunk: number,
            heading: vec![source.title.clone()],
            score: SOURCE_SCORE,
            // Where in the document is not known.
            start: 0,
            end: 0,
            text,
        };
        passages.map(citation).collect()
    }

    /// The citations as clients see them: nothing says how similar to the question a source is.
    pub(super) fn told(&self, citations: &[Citation]) -> Vec<gaia_openai::Citation> {
        let sources = self.sources();
        let told = |citation| {
            let told = to_wire(citation);
            let score = told.score.filter(|_| !sources.contains(citation));
            gaia_openai::Citation { score, ..told }
        };
        citations.iter().map(told).collect()
    }

    /// The prompt; `None` = without a word about a knowledge base.
    pub(super) fn prompt(&self, citations: Option<&[Citation]>) -> Result<String, ApiError> {
        let shown = citations.map(|citations| self.shown(citations));
        let passages = shown
            .as_ref()
            .map(|(citations, order)| gaia_rag::citation::passages(citations, *order));
        let now = self.given.now_unix_seconds;
        self.node
            .prompt_of(&self.request, &self.offer, passages.as_deref(), now)
    }

    /// The citations as the prompt shows them. Before the conversation they stand in an order of their
    /// own: the next turn, or somebody else's question, then begins with the same text and is read from
    /// the cache, although the scores are others. Beside the question the best one is nearest to it, for
    /// small models look there; nothing that could be shared follows.
    fn shown(&self, citations: &[Citation]) -> (Vec<Citation>, Order) {
        let mut citations = citations.to_vec();
        match self.node.rag_prompt.policy {
            RagPolicy::LastUserMessage => (citations, Order::BestLast),
            RagPolicy::SystemMessage => {
                let sources = self.sources();
                let place = |citation: &Citation| {
                    // Others will not have these: behind what they may share, in their own order.
                    match sources.iter().position(|source| source == citation) {
                        Some(number) => (true, String::new(), 0, number),
                        None => {
                            let document = citation.document.clone();
                            (false, document, citation.chunk, citation.start)
                        }
                    }
                };
                citations.sort_by_cached_key(place);
                (citations, Order::BestFirst)
            }
        }
    }
}
