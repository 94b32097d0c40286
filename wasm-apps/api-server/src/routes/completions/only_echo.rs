//! Requests that want nothing but their prompt echoed, with the log-probabilities of its tokens: `echo` with
//! `max_tokens` of 0.

use gaia_openai::{FinishReason, Usage};

use crate::inference::Step;

/// What of a step is the prompt's: its tokens, of which so many are `untold`. The engine writes one more at least.
pub(super) fn without_answer(step: Step, untold: &mut usize) -> Step {
    match step {
        Step::Piece(mut piece) => {
            piece.text.clear();
            piece.events.truncate(*untold);
            *untold -= piece.events.len();
            Step::Piece(piece)
        }
        Step::End { usage, .. } => Step::End {
            reason: FinishReason::Length,
            usage: Usage::new(
                usage.prompt_tokens,
                0,
                usage.prompt_tokens_details.cached_tokens,
            ),
            stop: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Piece, TokenEvent};

    #[test]
    fn nothing_but_the_prompt_is_told() {
        let events = |count: usize| -> Vec<TokenEvent> {
            (0..count)
                .map(|_| serde_json::from_str("{}").unwrap())
                .collect()
        };
        let mut untold = 3;
        let mut piece = |count| {
            let text = "word".to_owned();
            let events = events(count);
            match without_answer(Step::Piece(Piece { text, events }), &mut untold) {
                Step::Piece(piece) => (piece.text, piece.events.len()),
                Step::End { .. } => panic!("an end"),
            }
        };
        assert_eq!(piece(2), (String::new(), 2));
        assert_eq!(piece(2), (String::new(), 1));
        assert_eq!(piece(1), (String::new(), 0));
        let end = Step::End {
            reason: FinishReason::Stop,
            usage: Usage::new(4, 1, 2),
            stop: None,
        };
        let Step::End { reason, usage, .. } = without_answer(end, &mut 0) else {
            panic!("no end");
        };
        assert_eq!((reason, usage), (FinishReason::Length, Usage::new(4, 0, 2)));
    }
}
