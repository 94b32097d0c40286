//! What a search service found, whichever it is.

use gaia_plugin::prompt::Source;
use serde_json::{Map, Value};

/// Characters of a hit that go into the context.
const TEXT_CHARS_MAX: usize = 1200;

const TITLES: &[&str] = &["title", "name"];
const ADDRESSES: &[&str] = &["url", "link", "href"];
const TEXTS: &[&str] = &["content", "snippet", "description", "text", "body"];

/// The best `most` hits in a reply.
pub fn read(reply: &str, most: usize) -> Vec<Source> {
    let reply: Value = serde_json::from_str(reply).unwrap_or_default();
    find(&reply)
        .unwrap_or_default()
        .into_iter()
        .take(most)
        .collect()
}

/// The first list with hits in it.
fn find(value: &Value) -> Option<Vec<Source>> {
    match value {
        Value::Array(list) => {
            let hits: Vec<Source> = list.iter().filter_map(hit).collect();
            match hits.is_empty() {
                false => Some(hits),
                true => list.iter().find_map(find),
            }
        }
        Value::Object(fields) => fields.values().find_map(find),
        _ => None,
    }
}

fn hit(value: &Value) -> Option<Source> {
    let fields = value.as_object()?;
    Some(Source {
        title: plain(first(fields, TITLES)?),
        url: first(fields, ADDRESSES)?.to_owned(),
        text: plain(first(fields, TEXTS)?),
    })
}

fn first<'a>(fields: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    let mut texts = names.iter().filter_map(|name| fields.get(*name)?.as_str());
    texts.find(|text| !text.trim().is_empty())
}

/// In one line, without the tags that some services set the query's words in.
fn plain(text: &str) -> String {
    let mut words = String::new();
    let mut is_tag = false;
    for (at, letter) in text.char_indices() {
        let opens = |rest: &str| rest.starts_with(|next: char| next == '/' || next.is_alphabetic());
        match letter {
            '<' if opens(&text[at + 1..]) && text[at..].contains('>') => is_tag = true,
            '>' if is_tag => is_tag = false,
            _ if is_tag => {}
            _ => words.push(letter),
        }
    }
    let words: Vec<&str> = words.split_whitespace().collect();
    words.join(" ").chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(reply: &Value, expected: &[(&str, &str, &str)]) {
        let hits = read(&reply.to_string(), 2);
        let got: Vec<_> = hits
            .iter()
            .map(|hit| (hit.title.as_str(), hit.url.as_str(), hit.text.as_str()))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn services_are_understood() {
        let hit = json!({"title": "T", "url": "u", "content": "c"});
        let three = json!({"query": "q", "results": [hit, hit, hit]});
        check(&three, &[("T", "u", "c"), ("T", "u", "c")]);
        let nested = json!({"mixed": {"main": [{"type": "web"}]}, "web": {"results": [
            {"title": "T", "url": "u", "description": "a <strong>b</strong> 1 < 2"}]}});
        check(&nested, &[("T", "u", "a b 1 < 2")]);
        let other = json!({"organic": [{"title": "T", "link": "u", "snippet": "a\n b"}]});
        check(&other, &[("T", "u", "a b")]);
        let pages = json!({"webPages": {"value": [{"name": "T", "url": "u", "snippet": " "},
            {"name": "N", "url": "v", "snippet": "s"}]}});
        check(&pages, &[("N", "v", "s")]);
    }

    #[test]
    fn what_holds_no_hits_gives_none() {
        check(&json!({"results": [], "n": 1, "x": [[1, "a"]]}), &[]);
        assert!(read("<html>", 2).is_empty());
        let long = json!([{"title": "T", "url": "u", "text": "ä".repeat(9999)}]);
        assert_eq!(
            read(&long.to_string(), 1)[0].text.chars().count(),
            TEXT_CHARS_MAX
        );
    }
}
