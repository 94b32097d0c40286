//! What to ask the store for: the last user turns, as one text.
//!
//! Invariant: the latest turn is never cut before an older one.

/// The longest query that is embedded, in bytes. Longer ones lose their beginning: an embedding model reads a few
/// hundred tokens at most, and the end of a long turn holds the question more often than its start.
pub const QUERY_BYTES_MAX: usize = 2_000;

/// Joins the last `context_window` user turns, oldest first, one a line.
///
/// Takes the texts of all user turns in the order they were said. Gives `None` where there is nothing to search for
/// (no turn, a window of zero, or only white space).
pub fn query<S: AsRef<str>>(user_turns: &[S], context_window: usize) -> Option<String> {
    let first = user_turns.len().saturating_sub(context_window);
    let mut joined = String::new();
    for turn in user_turns.iter().skip(first) {
        let turn = turn.as_ref().trim();
        if turn.is_empty() {
            continue;
        }
        if !joined.is_empty() {
            joined.push('\n');
        }
        joined.push_str(turn);
    }
    (!joined.is_empty()).then(|| keep_end(&joined, QUERY_BYTES_MAX).to_owned())
}

fn keep_end(text: &str, bytes_max: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes_max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default().trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(turns: &[&str], window: usize, expected: Option<&str>) {
        assert_eq!(query(turns, window).as_deref(), expected);
    }

    #[test]
    fn joins_the_last_turns() {
        check(&[], 1, None);
        check(&["a"], 0, None);
        check(&["  "], 1, None);
        check(&["a", "b"], 1, Some("b"));
        check(&["a", "b"], 2, Some("a\nb"));
        check(&["a", "b"], 9, Some("a\nb"));
        check(&["a", " ", " b "], 3, Some("a\nb"));
    }

    #[test]
    fn a_long_turn_keeps_its_end() {
        let long = format!("{}é the question?", "ü".repeat(QUERY_BYTES_MAX));
        let query = query(&[long], 1).unwrap();
        assert!(query.len() <= QUERY_BYTES_MAX, "{}", query.len());
        assert!(query.ends_with("the question?"));
    }
}
