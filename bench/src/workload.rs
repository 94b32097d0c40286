//! The questions. Each names its round, stream and turn, so that nothing is known from before unless it should be.

use crate::chat::Ask;

/// What every plain question is introduced with.
const SYSTEM: &str = "You are a helpful assistant.";

/// Sentences of which passages are made; about a thousand tokens take 54 of them.
const SENTENCES: [&str; 6] = [
    "The harbour master keeps a book in which every ship is entered with its length, its cargo and the hour of its arrival.",
    "Boats under eight metres pay no fee in winter, but they must leave the northern quay when a storm is announced.",
    "The ferry to the island leaves at seven, at noon and at five in the afternoon, except on the first Monday of a month.",
    "Whoever finds a lost net brings it to the office, where it is kept for thirty days and then given to the school.",
    "Fresh water is to be had at the third pier, and the tap is closed from November until the end of March.",
    "The lighthouse may be visited on Saturdays, in groups of ten at most, and children go up only with a grown person.",
];

/// Sentences in a text of about a thousand tokens.
const SENTENCES_1K: usize = 39;

/// A question of about forty tokens that shares nothing but the first line with any other.
pub fn plain(round: usize, stream: usize, turn: usize, tokens: u32) -> Ask {
    Ask {
        system: SYSTEM.to_owned(),
        user: format!(
            "{round}, {stream}, {turn}: write about the sea, the wind and the town at its shore, in plain words, for a reader of ten years."
        ),
        tokens,
        grammar: None,
    }
}

/// A short question about a document of about a thousand tokens. Questions with the same `document` share it.
pub fn retrieval(document: &str, stream: usize, turn: usize, tokens: u32) -> Ask {
    Ask {
        system: passages(document, SENTENCES_1K),
        user: format!(
            "Question {stream}-{turn}: when does the ferry leave, and who may visit the lighthouse?"
        ),
        tokens,
        grammar: None,
    }
}

/// Sentences that an answer may quote.
const SENTENCES_QUOTED: usize = 6;

/// A request to repeat passages word for word: what an answer out of passages does at its best. All of a `round` have
/// the same passages.
pub fn quoting(round: usize, stream: usize, tokens: u32) -> Ask {
    Ask {
        system: passages(&format!("quoted {round}"), SENTENCES_QUOTED),
        user: format!("{stream}. Repeat the passages word for word."),
        tokens,
        grammar: None,
    }
}

/// A prompt of about four thousand tokens that nobody has asked before.
pub fn long(round: usize, tokens: u32) -> Ask {
    Ask {
        system: passages(&format!("long {round}"), 4 * SENTENCES_1K),
        user: "Sum it up.".to_owned(),
        tokens,
        grammar: None,
    }
}

/// A question whose answer can only be `nonce`.
pub fn forced(nonce: &str) -> Ask {
    Ask {
        system: SYSTEM.to_owned(),
        user: format!("Say {nonce}."),
        tokens: 64,
        grammar: Some(format!("root ::= \"{nonce}\"")),
    }
}

fn passages(document: &str, sentences: usize) -> String {
    let mut text = format!("Answer from the passages of document {document} alone.\n");
    for number in 0..sentences {
        text.push_str(SENTENCES[number % SENTENCES.len()]);
        text.push_str(if number % 6 == 5 { "\n" } else { " " });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_differ_and_documents_are_shared() {
        assert_ne!(plain(0, 0, 0, 1).user, plain(0, 1, 0, 1).user);
        let (one, other) = (retrieval("a", 0, 0, 1), retrieval("a", 1, 0, 1));
        assert_eq!(one.system, other.system);
        assert_ne!(one.user, other.user);
        assert_ne!(one.system, retrieval("b", 0, 0, 1).system);
        assert!(quoting(0, 0, 1).system.contains(SENTENCES[5]));
        assert_ne!(quoting(0, 0, 1).system, quoting(1, 0, 1).system);
    }

    #[test]
    fn a_forced_answer_has_one_way() {
        assert_eq!(forced("ab12").grammar.as_deref(), Some("root ::= \"ab12\""));
    }
}
