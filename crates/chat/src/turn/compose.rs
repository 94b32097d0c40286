//! The prompt of a turn: the conversation, with the passages that were found.

use gaia_openai::ApiError;
use gaia_prompt::RagPolicy;
use gaia_rag::{Citation, Order};

use super::Turn;

impl Turn {
    /// The prompt; `None` = without a word about a knowledge base.
    pub(super) fn prompt(&self, citations: Option<&[Citation]>) -> Result<String, ApiError> {
        let mut messages = self.node.conversation(&self.request, &self.offer);
        if let Some(citations) = citations {
            let markers = self.node.template.markers();
            let (citations, order) = self.shown(citations);
            let passages: Vec<_> = gaia_rag::citation::passages(&citations, order)
                .into_iter()
                .map(|passage| markers.neutralise_data(passage.trim()))
                .collect();
            let passages: Vec<&str> = passages.iter().map(AsRef::as_ref).collect();
            messages = self.node.rag_prompt.insert(messages, &passages);
        }
        let now = self.given.now_unix_seconds;
        self.node.render(&self.request, &self.offer, &messages, now)
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
                let place = |citation: &Citation| {
                    (citation.document.clone(), citation.chunk, citation.start)
                };
                citations.sort_by_cached_key(place);
                (citations, Order::BestFirst)
            }
        }
    }
}
