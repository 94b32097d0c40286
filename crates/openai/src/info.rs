//! `/v1/info`, `POST /v1/retrieve` and the citation both replies and chunks carry.

mod edge;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::Message;
use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

pub use edge::{EdgeCollection, EdgeInfo, EdgeModel, EdgeServer, ListedInfo};

/// A passage that went into the prompt, and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// Name of the document.
    pub document: String,
    /// Number of the chunk in the document, from 0.
    pub chunk: u32,
    /// Headings above the chunk, outermost first.
    #[serde(default)]
    pub heading: Vec<String>,
    /// Cosine similarity of the question and the chunk; none of what was not found by similarity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// First character of the chunk in the document.
    pub start: u64,
    /// The character after the chunk's last.
    pub end: u64,
    /// The passage itself.
    pub text: String,
}

/// Passages that may be asked for.
pub const HITS_MAX: u32 = 50;

/// What to look up, without asking the model.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrieveRequest {
    /// What is asked.
    pub question: Question,
    /// The most passages; the node's own number when absent.
    pub limit: Option<u32>,
    /// The least similarity of a passage; the node's own when absent.
    pub score_threshold: Option<f32>,
    /// The one collection it names, which has to be the node's own.
    pub collection: Option<String>,
}

/// What is asked of the node's knowledge.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// `query`: the text to look up as it is.
    Query(String),
    /// `messages`: a conversation from which the query is built, as for a chat.
    Messages(Vec<Message>),
}

impl RetrieveRequest {
    /// Reads a request. `limit`, `score_threshold` and `vdb_collection_name` may be lists of one entry, as clients of
    /// LlamaEdge send them: there it is one for each collection.
    ///
    /// # Errors
    /// 400 naming the field that is wrong, or asks for the store of somebody else.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let mut map = fields::body(bytes)?;
        for key in ["limit", "score_threshold", COLLECTION] {
            one_of_a_list(&mut map, key);
        }
        let root = Fields::root(&map);
        for key in ["vdb_server_url", "vdb_api_key"] {
            if root.get(key).is_some() {
                let message = "This node looks only into its own store.";
                return Err(ApiError::unsupported(key, message));
            }
        }
        Ok(Self {
            question: Question::parse(&root, limits)?,
            limit: root.count("limit", 1..=HITS_MAX)?,
            score_threshold: root.number("score_threshold", -1.0..=1.0)?,
            collection: root.name(COLLECTION, limits)?,
        })
    }

    /// Refuses a collection that is not the node's `own`.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn check_collection(&self, own: &str) -> Result<(), ApiError> {
        match self.collection.as_deref() {
            Some(wanted) if wanted != own => {
                let message = format!("This node's only collection is `{own}`.");
                Err(ApiError::invalid_value(COLLECTION, message))
            }
            _ => Ok(()),
        }
    }
}

const COLLECTION: &str = "vdb_collection_name";

/// Takes the only entry of a list in its place.
fn one_of_a_list(map: &mut Map<String, Value>, key: &str) {
    if let Some(Value::Array(list)) = map.get_mut(key)
        && list.len() == 1
        && let Some(only) = list.pop()
    {
        map.insert(key.to_owned(), only);
    }
}

impl Question {
    fn parse(root: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        let messages = match root.get("messages") {
            None => None,
            Some(_) => Some(Message::parse_list(root, limits)?),
        };
        match (root.text("query")?, messages) {
            (Some(query), _) => {
                fields::too_large("query", query.len(), limits.text_bytes_max)?;
                Ok(Self::Query(query.to_owned()))
            }
            (None, Some(messages)) => Ok(Self::Messages(messages)),
            (None, None) => Err(ApiError::missing("query")),
        }
    }
}

/// What the store has for a query, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrieveReply {
    /// The passages.
    pub hits: Vec<Citation>,
    /// The same, as LlamaEdge's rag-api-server tells them.
    pub points: Vec<ScoredPoint>,
    /// The most passages that were looked for.
    pub limit: usize,
    /// The least similarity of a passage.
    pub score_threshold: f32,
}

/// A passage, as LlamaEdge's rag-api-server tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredPoint {
    /// The passage itself.
    pub source: String,
    /// Cosine similarity of the question and the passage.
    pub score: f32,
}

impl RetrieveReply {
    /// The reply: `hits` are at most `limit`, none less similar than `score_threshold`.
    pub fn new(hits: Vec<Citation>, limit: usize, score_threshold: f32) -> Self {
        let points = hits.iter().map(|hit| ScoredPoint {
            source: hit.text.clone(),
            score: hit.score.unwrap_or_default(),
        });
        Self {
            points: points.collect(),
            hits,
            limit,
            score_threshold,
        }
    }
}

/// What the node is, for the page and for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The node's address, where it has one.
    pub node_id: Option<String>,
    /// What the owner calls it.
    pub node_name: Option<String>,
    /// Version of the node's software.
    pub version: String,
    /// The models it runs.
    pub models: NodeModels,
    /// The knowledge base, where it has one.
    pub knowledge: Option<Knowledge>,
    /// `gaia`, or `stock` on WasmEdge's own plugin.
    pub engine: String,
    /// What clients of LlamaEdge look for.
    #[serde(flatten)]
    pub edge: EdgeInfo,
}

/// The models a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeModels {
    /// The one that answers.
    pub chat: Option<NodeModel>,
    /// The one that embeds.
    pub embedding: Option<NodeModel>,
    /// The one that ranks; left out without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reranking: Option<NodeModel>,
}

/// A model a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeModel {
    /// The name requests use.
    pub id: String,
    /// Tokens of context, as far as the engine tells.
    pub context: Option<u32>,
    /// Architecture, as `llama`.
    pub architecture: Option<String>,
    /// Bytes of the model file.
    pub size_bytes: Option<u64>,
    /// Number of parameters.
    pub params: Option<u64>,
}

/// A node's knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knowledge {
    /// Name of the collection in the store.
    pub collection: String,
    /// Passages in it; `None` while the store does not answer.
    pub points: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: &str) -> Result<RetrieveRequest, ApiError> {
        RetrieveRequest::parse(body.as_bytes(), &Limits::default())
    }

    #[test]
    fn a_query_or_messages() {
        let question = |body: &str| parse(body).map(|request| request.question);
        assert_eq!(
            question(r#"{"query":"why"}"#),
            Ok(Question::Query("why".to_owned()))
        );
        assert!(matches!(
            question(r#"{"messages":[{"role":"user","content":"why"}]}"#),
            Ok(Question::Messages(messages)) if messages.len() == 1
        ));
        assert_eq!(parse("{}").unwrap_err().param.as_deref(), Some("query"));
        let both = parse(r#"{"query":"why","messages":7}"#);
        assert_eq!(both.unwrap_err().param.as_deref(), Some("messages"));
    }

    #[test]
    fn how_much_to_look_up_is_said_by_number_or_list_of_one() {
        let check = |limit: &str, score: &str| {
            let body = format!(r#"{{"query":"why","limit":{limit},"score_threshold":{score}}}"#);
            let request = parse(&body).unwrap();
            assert_eq!(
                (request.limit, request.score_threshold),
                (Some(7), Some(0.5))
            );
        };
        check("7", "0.5");
        check("[7]", "[0.5]");
        let plain = parse(r#"{"query":"why"}"#).unwrap();
        assert_eq!((plain.limit, plain.score_threshold), (None, None));
        assert!(parse(&format!(r#"{{"query":"why","limit":{HITS_MAX}}}"#)).is_ok());
        let refused = |field: &str, value: &str| {
            let error = parse(&format!(r#"{{"query":"why","{field}":{value}}}"#)).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(field)));
        };
        refused("limit", "0");
        refused("limit", &(HITS_MAX + 1).to_string());
        refused("limit", "[1, 2]");
        refused("limit", "[]");
        refused("score_threshold", "1.5");
        refused("score_threshold", "\"high\"");
    }

    #[test]
    fn another_store_is_never_looked_into() {
        let refused = |body: &str, param: &str| {
            assert_eq!(parse(body).unwrap_err().param.as_deref(), Some(param));
        };
        refused(
            r#"{"query":"why","vdb_server_url":"http://a"}"#,
            "vdb_server_url",
        );
        refused(r#"{"query":"why","vdb_api_key":"k"}"#, "vdb_api_key");
        refused(
            r#"{"query":"why","vdb_collection_name":["a","b"]}"#,
            "vdb_collection_name",
        );
        let named = parse(r#"{"query":"why","vdb_collection_name":["default"]}"#).unwrap();
        assert!(named.check_collection("default").is_ok());
        let refused = named.check_collection("paris").unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("vdb_collection_name"));
    }

    #[test]
    fn passages_are_told_twice() {
        let hit = Citation {
            document: "a.md".to_owned(),
            chunk: 0,
            heading: Vec::new(),
            score: Some(0.5),
            start: 0,
            end: 2,
            text: "hi".to_owned(),
        };
        let told = serde_json::to_value(RetrieveReply::new(vec![hit], 3, 0.25)).unwrap();
        assert_eq!(told["hits"][0]["document"], "a.md");
        assert_eq!(told["points"], json!([{"source": "hi", "score": 0.5}]));
        assert_eq!(
            (&told["limit"], &told["score_threshold"]),
            (&json!(3), &json!(0.25))
        );
    }
}
