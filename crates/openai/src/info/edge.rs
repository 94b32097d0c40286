//! What clients of LlamaEdge and GaiaNet read of `/v1/info`, under the names it has there.

use serde::{Deserialize, Serialize};

use super::NodeInfo;

/// What LlamaEdge's rag-api-server tells of itself, as far as it is so of this node. Where its store is, is not told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeInfo {
    /// The server.
    pub api_server: EdgeServer,
    /// The model that answers.
    pub chat_model: Option<EdgeModel>,
    /// The model that embeds.
    pub embedding_model: Option<EdgeModel>,
    /// What is looked up, one entry a collection.
    pub qdrant_config: Vec<EdgeCollection>,
}

/// The server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeServer {
    /// `rag` where something is looked up, else `llama`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Version of the node's software.
    pub version: String,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeModel {
    /// The name requests use.
    pub name: String,
    /// `chat` or `embedding`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Tokens of context.
    pub ctx_size: u32,
    /// The most tokens of an answer, where the node sets a maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_predict: Option<u32>,
    /// The node's own temperature, where it sets one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
}

/// A collection, and how it is searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeCollection {
    /// Its name.
    pub collection_name: String,
    /// The most passages.
    pub limit: usize,
    /// The least similarity of a passage.
    pub score_threshold: f32,
}

/// `POST /v1/info`: the same, but for `models`, which was a list in LlamaEdge's first versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedInfo {
    /// Version of the node's software.
    pub version: String,
    /// The models.
    pub models: Vec<EdgeModel>,
    /// The rest.
    #[serde(flatten)]
    pub edge: EdgeInfo,
}

impl From<NodeInfo> for ListedInfo {
    fn from(info: NodeInfo) -> Self {
        let models = [&info.edge.chat_model, &info.edge.embedding_model];
        Self {
            version: info.version,
            models: models.into_iter().flatten().cloned().collect(),
            edge: info.edge,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::info::NodeModels;

    #[test]
    fn models_are_an_object_and_for_others_a_list() {
        let info = NodeInfo {
            node_id: None,
            node_name: None,
            version: "1".to_owned(),
            models: NodeModels {
                chat: None,
                embedding: None,
                reranking: None,
            },
            knowledge: None,
            engine: "gaia".to_owned(),
            edge: EdgeInfo {
                api_server: EdgeServer {
                    kind: "llama".to_owned(),
                    version: "1".to_owned(),
                },
                chat_model: Some(EdgeModel {
                    name: "m".to_owned(),
                    kind: "chat".to_owned(),
                    ctx_size: 7,
                    n_predict: None,
                    temperature: None,
                }),
                embedding_model: None,
                qdrant_config: Vec::new(),
            },
        };
        let ours = serde_json::to_value(&info).unwrap();
        assert!(ours["models"].is_object());
        assert_eq!(ours["chat_model"]["name"], "m");
        let theirs = serde_json::to_value(ListedInfo::from(info)).unwrap();
        let model = json!({"name": "m", "type": "chat", "ctx_size": 7});
        assert_eq!(
            (&theirs["models"], &theirs["version"]),
            (&json!([model]), &json!("1"))
        );
        assert_eq!(theirs["api_server"]["type"], "llama");
    }
}
