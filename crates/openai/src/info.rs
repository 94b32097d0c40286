//! `GET /v1/info`, `POST /v1/retrieve` and the citation both replies and chunks carry.

use serde::{Deserialize, Serialize};

use crate::chat::Message;
use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

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
    /// Cosine similarity of the question and the chunk.
    pub score: f32,
    /// First character of the chunk in the document.
    pub start: u64,
    /// The character after the chunk's last.
    pub end: u64,
    /// The passage itself.
    pub text: String,
}

/// What to look up, without asking the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetrieveRequest {
    /// `query`: the text to look up as it is.
    Query(String),
    /// `messages`: a conversation from which the query is built, as for a chat.
    Messages(Vec<Message>),
}

impl RetrieveRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        let messages = match root.get("messages") {
            None => None,
            Some(_) => Some(Message::parse_list(&root, limits)?),
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
}

/// What the node is, for the page and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// The models a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeModels {
    /// The one that answers.
    pub chat: Option<NodeModel>,
    /// The one that embeds.
    pub embedding: Option<NodeModel>,
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
    use super::*;

    #[test]
    fn a_query_or_messages() {
        let parse = |body: &str| RetrieveRequest::parse(body.as_bytes(), &Limits::default());
        assert_eq!(
            parse(r#"{"query":"why"}"#),
            Ok(RetrieveRequest::Query("why".to_owned()))
        );
        assert!(matches!(
            parse(r#"{"messages":[{"role":"user","content":"why"}]}"#),
            Ok(RetrieveRequest::Messages(messages)) if messages.len() == 1
        ));
        assert_eq!(parse("{}").unwrap_err().param.as_deref(), Some("query"));
        let both = parse(r#"{"query":"why","messages":7}"#);
        assert_eq!(both.unwrap_err().param.as_deref(), Some("messages"));
    }
}
