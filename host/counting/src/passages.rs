//! Passages in the order in which a prompt shows them, from that in which an answer cites them.

use gaia_metering::Cited;
use gaia_prompt::RagPolicy;

/// The texts as they stand in the prompt: beside the question the best comes last; before the conversation they stand
/// by their documents, so that prompts begin alike, and what a program gave stands behind them.
///
/// The same as `gaia-chat` does, which the tests hold it to.
pub(crate) fn shown(policy: RagPolicy, cited: &[Cited]) -> Vec<&str> {
    let mut cited: Vec<&Cited> = cited.iter().collect();
    match policy {
        RagPolicy::LastUserMessage => cited.reverse(),
        RagPolicy::SystemMessage => cited.sort_by_key(|one| match one.is_given {
            true => (true, "", 0, 0),
            false => (false, one.document.as_str(), one.chunk, one.start),
        }),
    }
    cited.into_iter().map(|one| one.text.as_str()).collect()
}
