//! `POST /v1/vector_stores/{id}/search`.

use serde_json::{Value, json};

use super::attributes::Attributes;
use super::filter::Filter;
use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// Results of a search.
pub const RESULTS_MAX: u32 = 50;
/// Results of a search that names no number.
const RESULTS_DEFAULT: u32 = 10;

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// In words; several are one question.
    pub query: String,
    /// Which files are looked at; all where nothing is said.
    pub filters: Option<Filter>,
    /// Most results.
    pub results_max: u32,
    /// Least similarity of a result.
    pub score_threshold: f32,
}

impl SearchRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong or not honoured.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        root.boolean("rewrite_query")?;
        root.refuse("rewrite_query", &[json!(false)])?;
        let mut score_threshold = None;
        if let Some(ranking) = root.object("ranking_options")? {
            ranking.refuse("ranker", &[json!("auto"), json!("none")])?;
            ranking.refuse("hybrid_search", &[])?;
            score_threshold = ranking.number("score_threshold", 0.0..=1.0)?;
        }
        let results_max = root.count("max_num_results", 1..=RESULTS_MAX)?;
        Ok(Self {
            query: query(&root, limits)?,
            filters: Filter::read(&root)?,
            results_max: results_max.unwrap_or(RESULTS_DEFAULT),
            score_threshold: score_threshold.unwrap_or(0.0),
        })
    }
}

fn query(root: &Fields<'_>, limits: &Limits) -> Result<String, ApiError> {
    const PARAM: &str = "query";
    let text = match root.require(PARAM)? {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            fields::too_long(PARAM, list.len(), limits.parts_max)?;
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            let expected = || ApiError::invalid_type(PARAM, "a string or a list of strings");
            texts.ok_or_else(expected)?.join("\n")
        }
        _ => {
            return Err(ApiError::invalid_type(
                PARAM,
                "a string or a list of strings",
            ));
        }
    };
    fields::too_large(PARAM, text.len(), limits.text_bytes_max)?;
    match text.trim() {
        "" => Err(ApiError::invalid_value(PARAM, "`query` must not be empty.")),
        _ => Ok(text),
    }
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The file it is from.
    pub file_id: String,
    /// What its sender called that.
    pub filename: String,
    /// How near it is to the question.
    pub score: f32,
    /// What its owner says of the file.
    pub attributes: Attributes,
    /// What it says.
    pub text: String,
}

/// The answer to a search.
pub fn search_reply(query: &str, found: &[Found]) -> Value {
    let results = found.iter().map(|found| {
        json!({
            "file_id": found.file_id,
            "filename": found.filename,
            "score": found.score,
            "attributes": found.attributes,
            "content": [{"type": "text", "text": found.text}],
        })
    });
    json!({
        "object": "vector_store.search_results.page",
        "search_query": [query],
        "data": results.collect::<Vec<_>>(),
        "has_more": false,
        "next_page": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: Value, expected: Result<SearchRequest, &str>) {
        let limits = Limits {
            text_bytes_max: 20,
            parts_max: 2,
            ..Limits::default()
        };
        let got = SearchRequest::parse(body.to_string().as_bytes(), &limits);
        let got = got.map_err(|error| error.param.unwrap_or_default());
        assert_eq!(got, expected.map_err(str::to_owned), "{body}");
    }

    #[test]
    fn searches_are_read() {
        let search = |query: &str, results_max, score_threshold| SearchRequest {
            query: query.to_owned(),
            filters: None,
            results_max,
            score_threshold,
        };
        check(json!({"query": "a"}), Ok(search("a", 10, 0.0)));
        check(
            json!({"query": ["a", "b"], "max_num_results": 50, "ranking_options": {"ranker": "auto", "score_threshold": 0.5}}),
            Ok(search("a\nb", 50, 0.5)),
        );
        check(json!({}), Err("query"));
        check(json!({"query": " "}), Err("query"));
        check(json!({"query": 7}), Err("query"));
        check(json!({"query": ["a", "b", "c"]}), Err("query"));
        check(json!({"query": "x".repeat(21)}), Err("query"));
        check(
            json!({"query": "a", "max_num_results": 51}),
            Err("max_num_results"),
        );
        check(json!({"query": "a", "filters": {}}), Err("filters.type"));
        check(
            json!({"query": "a", "rewrite_query": true}),
            Err("rewrite_query"),
        );
        check(
            json!({"query": "a", "ranking_options": {"ranker": "default-2024-11-15"}}),
            Err("ranking_options.ranker"),
        );
        check(
            json!({"query": "a", "ranking_options": {"hybrid_search": {}}}),
            Err("ranking_options.hybrid_search"),
        );
    }
}
