//! `POST /v1/rerank`: texts in the order of how well they answer a query, as Jina's API and llama.cpp's server have it.

use crate::fields::{self, Fields};
use crate::tokenize::text_list;
use crate::{ApiError, Limits};

/// A request, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankRequest {
    /// The model asked for.
    pub model: Option<String>,
    /// What the texts are to answer; never empty.
    pub query: String,
    /// The texts; at least one.
    pub documents: Vec<String>,
    /// How many of the best are wanted; all of them when absent.
    pub top_n: Option<u32>,
}

impl RerankRequest {
    /// Reads a request. The texts may be called `texts`, as Hugging Face's server does.
    ///
    /// # Errors
    /// 400 naming the field that is wrong.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        let query = root.text("query")?.unwrap_or_default();
        if query.is_empty() {
            return Err(ApiError::missing("query"));
        }
        fields::too_large("query", query.len(), limits.text_bytes_max)?;
        Ok(Self {
            model: root.name("model", limits)?,
            query: query.to_owned(),
            documents: documents(&root, limits)?,
            top_n: root.count("top_n", 1..=u32::MAX)?,
        })
    }
}

fn documents(root: &Fields<'_>, limits: &Limits) -> Result<Vec<String>, ApiError> {
    let key = match root.get("documents") {
        None if root.get("texts").is_some() => "texts",
        _ => "documents",
    };
    let list = root
        .list(key, limits.inputs_max)?
        .ok_or_else(|| ApiError::missing(key))?;
    let texts = text_list(list, key, limits)?;
    if texts.is_empty() {
        return Err(ApiError::invalid_value(key, format!("`{key}` is empty.")));
    }
    let bytes = texts.iter().map(String::len).sum();
    fields::too_large(key, bytes, limits.text_bytes_max)?;
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<RerankRequest, ApiError> {
        let limits = Limits {
            inputs_max: 2,
            text_bytes_max: 8,
            ..Limits::default()
        };
        RerankRequest::parse(body.as_bytes(), &limits)
    }

    #[test]
    fn both_names_of_the_texts_are_read() {
        let request = parse(r#"{"query":"q","documents":["a","b"],"top_n":1}"#).unwrap();
        assert_eq!(request.documents, ["a", "b"]);
        assert_eq!(request.top_n, Some(1));
        assert_eq!(
            parse(r#"{"query":"q","texts":["a"]}"#).unwrap().documents,
            ["a"]
        );
    }

    #[test]
    fn bad_fields_are_named() {
        let check = |body: &str, param: &str| {
            let error = parse(body).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{body}");
        };
        check("{}", "query");
        check(r#"{"query":"","documents":["a"]}"#, "query");
        check(r#"{"query":1,"documents":["a"]}"#, "query");
        check(r#"{"query":"123456789","documents":["a"]}"#, "query");
        check(r#"{"query":"q"}"#, "documents");
        check(r#"{"query":"q","documents":[]}"#, "documents");
        check(r#"{"query":"q","documents":"a"}"#, "documents");
        check(r#"{"query":"q","documents":[1]}"#, "documents[0]");
        check(r#"{"query":"q","documents":["a","b","c"]}"#, "documents");
        check(r#"{"query":"q","documents":["12345","6789"]}"#, "documents");
        check(r#"{"query":"q","documents":["a"],"top_n":0}"#, "top_n");
    }
}
