//! `POST /v1/rerank`: texts in the order of how well they answer a query, as Jina's API and llama.cpp's server have it.
//!
//! A request that calls its texts `texts` is one as Hugging Face's server (TEI) takes it, and is answered in its form.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::fields::{self, Fields};
use crate::tokenize::text_list;
use crate::{ApiError, Limits};

/// What the texts are called in requests of Jina's form, and in those of Hugging Face's.
const DOCUMENTS: &str = "documents";
const TEXTS: &str = "texts";

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
    /// Whether the texts come back beside their scores.
    pub return_documents: bool,
    /// How it is asked, and so answered.
    pub form: RerankForm,
}

/// Whose words a request is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RerankForm {
    /// `documents`, answered with an object.
    Jina,
    /// `texts`, answered with a list.
    HuggingFace,
}

impl RerankForm {
    /// What the texts are called.
    pub fn key(self) -> &'static str {
        match self {
            Self::Jina => DOCUMENTS,
            Self::HuggingFace => TEXTS,
        }
    }
}

impl RerankRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong, or asks for what is not done: a text that is cut, a score that is not the
    /// model's own.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        let query = root.text("query")?.unwrap_or_default();
        if query.is_empty() {
            return Err(ApiError::missing("query"));
        }
        fields::too_large("query", query.len(), limits.text_bytes_max)?;
        let form = form(&root)?;
        refuse_other_scores(&root)?;
        let [jina, hugging_face] = [
            root.boolean("return_documents")?,
            root.boolean("return_text")?,
        ];
        Ok(Self {
            model: root.name("model", limits)?,
            query: query.to_owned(),
            documents: documents(&root, form.key(), limits)?,
            top_n: root.count("top_n", 1..=u32::MAX)?,
            return_documents: jina.or(hugging_face).unwrap_or(false),
            form,
        })
    }

    /// The reply of `model`, which gave the texts these `scores` and read `tokens`. Of equal scores the text that was
    /// named first comes first.
    pub fn reply(self, model: &str, scores: &[f32], tokens: u32) -> RerankReply {
        let mut order: Vec<usize> = (0..scores.len().min(self.documents.len())).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        order.truncate(self.top_n.map_or(usize::MAX, |count| count as usize));
        let mut texts: Vec<_> = self.documents.into_iter().map(Some).collect();
        let mut text = |index: usize| texts[index].take().filter(|_| self.return_documents);
        match self.form {
            RerankForm::Jina => RerankReply::Jina(Ranking {
                model: model.to_owned(),
                object: Cow::Borrowed("list"),
                usage: RerankUsage {
                    prompt_tokens: tokens,
                    total_tokens: tokens,
                },
                results: order
                    .into_iter()
                    .map(|index| Ranked {
                        index,
                        relevance_score: scores[index],
                        document: text(index).map(|text| RankedText { text }),
                    })
                    .collect(),
            }),
            RerankForm::HuggingFace => RerankReply::HuggingFace(
                order
                    .into_iter()
                    .map(|index| RankedShort {
                        index,
                        score: scores[index],
                        text: text(index),
                    })
                    .collect(),
            ),
        }
    }
}

/// A reply, in the words of its request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RerankReply {
    /// With the model and what it took.
    Jina(Ranking),
    /// The texts alone.
    HuggingFace(Vec<RankedShort>),
}

/// Texts by their scores, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The model that judged.
    pub model: String,
    /// Always `list`.
    pub object: Cow<'static, str>,
    /// What it took.
    pub usage: RerankUsage,
    /// The texts.
    pub results: Vec<Ranked>,
}

/// One text of a [`Ranking`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Its place in the request.
    pub index: usize,
    /// How well it answers, in numbers of the model's own: more is better, and only numbers of one model compare.
    pub relevance_score: f32,
    /// The text, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<RankedText>,
}

/// A text that comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankedText {
    /// As it was sent.
    pub text: String,
}

/// One text as Hugging Face's server writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedShort {
    /// Its place in the request.
    pub index: usize,
    /// As [`Ranked::relevance_score`].
    pub score: f32,
    /// The text, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Tokens of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RerankUsage {
    /// Of all pairs of the query and a text.
    pub prompt_tokens: u32,
    /// The same.
    pub total_tokens: u32,
}

fn form(root: &Fields<'_>) -> Result<RerankForm, ApiError> {
    match (root.get(DOCUMENTS), root.get(TEXTS)) {
        (Some(_), Some(_)) => {
            let message = "Texts are called `documents` or `texts`: send one of the two.";
            Err(ApiError::invalid_value(TEXTS, message))
        }
        (None, Some(_)) => Ok(RerankForm::HuggingFace),
        (_, None) => Ok(RerankForm::Jina),
    }
}

fn refuse_other_scores(root: &Fields<'_>) -> Result<(), ApiError> {
    if root.boolean("truncate")? == Some(true) {
        let message = "Texts are never cut: one that is too long for the model is refused by name.";
        return Err(ApiError::unsupported("truncate", message));
    }
    if root.boolean("raw_scores")? == Some(false) {
        let message = "Scores are the model's own: `raw_scores` can only be true.";
        return Err(ApiError::unsupported("raw_scores", message));
    }
    Ok(())
}

fn documents(
    root: &Fields<'_>,
    key: &'static str,
    limits: &Limits,
) -> Result<Vec<String>, ApiError> {
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
        assert_eq!(request.form, RerankForm::Jina);
        let request = parse(r#"{"query":"q","texts":["a"]}"#).unwrap();
        assert_eq!(request.documents, ["a"]);
        assert_eq!(request.form, RerankForm::HuggingFace);
    }

    /// What a request with these `fields` is answered when the first text scores 0.5 and the second 2.
    #[track_caller]
    fn check_reply(fields: &str, expected: &str) {
        let request = parse(&format!(r#"{{"query":"q",{fields}}}"#)).unwrap();
        let reply = serde_json::to_value(request.reply("m", &[0.5, 2.0], 9)).unwrap();
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(reply, expected);
    }

    #[test]
    fn replies_are_in_the_words_of_the_request() {
        let jina = |results: &str| {
            format!(
                r#"{{"model":"m","object":"list","usage":{{"prompt_tokens":9,"total_tokens":9}},"results":[{results}]}}"#
            )
        };
        let both = r#"{"index":1,"relevance_score":2.0},{"index":0,"relevance_score":0.5}"#;
        check_reply(r#""documents":["a","b"]"#, &jina(both));
        check_reply(r#""documents":["a","b"],"top_n":99"#, &jina(both));
        let best = r#"{"index":1,"relevance_score":2.0,"document":{"text":"b"}}"#;
        let wanted = r#""documents":["a","b"],"top_n":1,"return_documents":true"#;
        check_reply(wanted, &jina(best));
        let short = r#"[{"index":1,"score":2.0},{"index":0,"score":0.5}]"#;
        check_reply(r#""texts":["a","b"],"raw_scores":true"#, short);
        let short = r#"[{"index":1,"score":2.0,"text":"b"}]"#;
        check_reply(r#""texts":["a","b"],"top_n":1,"return_text":true"#, short);
    }

    #[test]
    fn of_equal_scores_the_first_text_comes_first() {
        let request = RerankRequest {
            model: None,
            query: "q".to_owned(),
            documents: vec!["x".to_owned(); 4],
            top_n: Some(3),
            return_documents: false,
            form: RerankForm::Jina,
        };
        let RerankReply::Jina(ranking) = request.reply("m", &[1.0, 3.0, 1.0, 3.0], 4) else {
            panic!("the form of the request");
        };
        let order: Vec<_> = ranking.results.iter().map(|text| text.index).collect();
        assert_eq!(order, [1, 3, 0]);
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
        check(r#"{"query":"q","texts":["a"],"truncate":true}"#, "truncate");
        check(
            r#"{"query":"q","texts":["a"],"raw_scores":false}"#,
            "raw_scores",
        );
        check(
            r#"{"query":"q","texts":["a"],"return_text":1}"#,
            "return_text",
        );
        check(r#"{"query":"q","texts":["a","b","c"]}"#, "texts");
        check(r#"{"query":"q","texts":["a"],"documents":["a"]}"#, "texts");
    }
}
