//! A sample of a prompt made at run time: looks the question up on the web, and puts the best hits into
//! the context as sources.
//!
//! The node calls its tool `web_search` for it, whatever search service that is: of its reply, the first
//! list of things with a title, an address and a text is taken for the hits.

mod hits;

use std::process::ExitCode;

use gaia_plugin::prompt::{Asked, Call, Made, Step};
use serde_json::json;

/// The tool that is called.
const SEARCH: &str = "web_search";
/// Characters of a question that are looked up.
const QUERY_CHARS_MAX: usize = 300;
/// Hits that go into the context where the prompt's variable `hits` does not say.
const HITS_DEFAULT: usize = 5;
/// The most that it may say.
const HITS_MAX: usize = 10;

fn main() -> ExitCode {
    gaia_plugin::run(make)
}

fn make(asked: Asked) -> Result<Step, String> {
    let Some(found) = asked.results.first() else {
        let query = query(&asked.question);
        return Ok(match query.is_empty() {
            true => Made::default().into(),
            false => Call::new(SEARCH, json!({"query": query})).into(),
        });
    };
    let text = found
        .outcome()
        .map_err(|error| format!("{SEARCH}: {error}"))?;
    let most = asked
        .variables
        .get("hits")
        .and_then(|text| text.parse().ok());
    let most = most.unwrap_or(HITS_DEFAULT).min(HITS_MAX);
    let hits = hits::read(text, most);
    match hits.is_empty() {
        true => Err("the search found nothing".to_owned()),
        false => Ok(Made {
            context: hits,
            ..Made::default()
        }
        .into()),
    }
}

/// The question in one line, its beginning where it is long.
fn query(question: &str) -> String {
    let words: Vec<&str> = question.split_whitespace().collect();
    words.join(" ").chars().take(QUERY_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use gaia_plugin::prompt::CallResult;

    use super::*;

    fn asked(results: Vec<CallResult>) -> Asked {
        Asked {
            question: "  Who keeps\nthe lighthouse? ".to_owned(),
            results,
            ..Asked::default()
        }
    }

    #[test]
    fn it_searches_first_and_gives_what_was_found() {
        let first = serde_json::to_value(make(asked(Vec::new())).unwrap()).unwrap();
        let call =
            json!({"tool": "web_search", "arguments": {"query": "Who keeps the lighthouse?"}});
        assert_eq!(first, json!({"call": [call]}));
        let reply = r#"[{"title": "Lighthouse", "url": "https://l", "content": "Ada keeps it."}]"#;
        let second = make(asked(vec![CallResult::new(SEARCH, Ok(reply))])).unwrap();
        let second = serde_json::to_value(second).unwrap();
        let source = json!({"title": "Lighthouse", "url": "https://l", "text": "Ada keeps it."});
        assert_eq!(second["context"], json!([source]));
    }

    #[test]
    fn a_search_without_hits_is_said() {
        let failed = make(asked(vec![CallResult::new(SEARCH, Err("no reply"))])).unwrap_err();
        assert_eq!(failed, "web_search: no reply");
        let empty = make(asked(vec![CallResult::new(SEARCH, Ok("{}"))])).unwrap_err();
        assert_eq!(empty, "the search found nothing");
    }

    #[test]
    fn a_query_is_one_short_line() {
        assert_eq!(query(" a \n b "), "a b");
        assert_eq!(query(&"ä".repeat(999)).chars().count(), QUERY_CHARS_MAX);
        assert!(
            matches!(make(Asked::default()), Ok(Step::Made(_))),
            "nothing to look up"
        );
    }
}
