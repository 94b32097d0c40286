//! Between the API's types and those of retrieval.

use gaia_openai::image::without_images;
use gaia_openai::{Citation, Message, Role};

/// What to search for: the last `context_window` user turns. `None` where they say nothing.
pub fn query_of(messages: &[Message], context_window: usize) -> Option<String> {
    let turns: Vec<String> = messages
        .iter()
        .filter(|message| message.role == Role::User)
        .map(|message| without_images(&message.content))
        .filter(|turn| !turn.trim().is_empty())
        .collect();
    let turns: Vec<&str> = turns.iter().map(String::as_str).collect();
    gaia_rag::query(&turns, context_window)
}

/// A citation as clients see it.
pub fn to_wire(citation: &gaia_rag::Citation) -> Citation {
    Citation {
        document: citation.document.clone(),
        chunk: citation.chunk,
        heading: citation.heading.clone(),
        score: Some(citation.score),
        start: citation.start as u64,
        end: citation.end as u64,
        text: citation.text.clone(),
    }
}
