//! The arithmetic of tokens: prompt, passages and answer share one context.

/// The tokens of a request do not fit the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the prompt has {prompt} tokens and the context {context}")]
pub struct ContextExceeded {
    /// Tokens of context a sequence has.
    pub context: u32,
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Tokens asked for as an answer, 1 where nothing was said.
    pub completion: u32,
}

/// How many tokens may be generated after a prompt.
///
/// `wanted` is what the request asks for, `cap` what the node allows at most. An answer that was
/// asked to be longer than what the context leaves is cut there and ends with `length`, because
/// clients send generous maxima; a prompt that leaves no room at all is an error.
///
/// # Errors
/// [`ContextExceeded`] with the numbers for the message.
pub fn completion_tokens(
    context: u32,
    prompt: u32,
    wanted: Option<u32>,
    cap: Option<u32>,
) -> Result<u32, ContextExceeded> {
    let room = context.saturating_sub(prompt);
    if room == 0 {
        return Err(ContextExceeded {
            context,
            prompt,
            completion: wanted.unwrap_or(1),
        });
    }
    let limit = wanted.unwrap_or(u32::MAX).min(cap.unwrap_or(u32::MAX));
    Ok(limit.clamp(1, room))
}

/// Tokens kept free for an answer when a request does not say how many it wants.
pub const ANSWER_TOKENS_RESERVED: u32 = 512;

/// How many tokens of passages a prompt may take up.
///
/// `prompt` is what the conversation takes without them, `wanted` the answer's maximum where the
/// request names one, `retrieval_tokens_max` the node's own bound. The answer's share is kept free,
/// but never more than half the context, so that a generous maximum does not drive out the passages.
pub fn retrieval_tokens(
    context: u32,
    prompt: u32,
    wanted: Option<u32>,
    retrieval_tokens_max: u32,
) -> u32 {
    let reserved = wanted.unwrap_or(ANSWER_TOKENS_RESERVED).min(context / 2);
    context
        .saturating_sub(prompt)
        .saturating_sub(reserved)
        .min(retrieval_tokens_max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(context: u32, prompt: u32, wanted: Option<u32>, expected: Option<u32>) {
        let got = completion_tokens(context, prompt, wanted, None);
        assert_eq!(got.ok(), expected);
    }

    #[test]
    fn the_answer_gets_what_is_left() {
        check(100, 60, None, Some(40));
        check(100, 60, Some(10), Some(10));
        check(100, 60, Some(1000), Some(40));
        check(100, 99, None, Some(1));
        check(100, 100, None, None);
        check(100, 200, Some(5), None);
        assert_eq!(completion_tokens(100, 60, None, Some(7)), Ok(7));
        assert_eq!(completion_tokens(100, 60, Some(3), Some(7)), Ok(3));
    }

    #[test]
    fn passages_leave_room_for_the_answer() {
        assert_eq!(retrieval_tokens(2048, 100, None, 4096), 1436);
        assert_eq!(retrieval_tokens(2048, 100, None, 600), 600);
        assert_eq!(retrieval_tokens(2048, 100, Some(100_000), 4096), 924);
        assert_eq!(retrieval_tokens(2048, 2000, None, 600), 0);
    }

    proptest! {
        #[test]
        fn the_sum_never_exceeds_the_context(
            context: u32, prompt: u32, wanted: Option<u32>, cap: Option<u32>, max: u32,
        ) {
            if let Ok(tokens) = completion_tokens(context, prompt, wanted, cap) {
                prop_assert!(u64::from(tokens) + u64::from(prompt) <= u64::from(context));
                prop_assert!(tokens >= 1);
                prop_assert!(tokens <= wanted.unwrap_or(u32::MAX).max(1));
            }
            let passages = retrieval_tokens(context, prompt, wanted, max);
            prop_assert!(passages <= max);
            prop_assert!(passages == 0 || u64::from(passages) + u64::from(prompt) <= u64::from(context));
        }
    }
}
