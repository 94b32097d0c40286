//! What the worker is told: its settings file, and how to load each model.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde_json::{Map, json};
use toml_edit::{DocumentMut, value};

use crate::config::{Config, Value as _};
use crate::supervisor::state::Service;
use crate::supervisor::worker::PROMPTS_VIEW;

/// `gpu_layers` from here on means "as many as fit", which is the engine's own choice where it has a GPU.
const GPU_LAYERS_ALL: u32 = 999;

/// How to load one model. 0 or none: the engine's choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphOptions {
    /// Tokens of one conversation.
    pub ctx_size: u32,
    /// Prompt tokens in one go.
    pub batch_size: u32,
    /// Threads that compute.
    pub threads: u32,
    /// Layers on the GPU.
    pub gpu_layers: Option<u32>,
    /// Requests at the same time.
    pub sequences_max: u32,
    /// Memory for prompts that were read before, in MiB, if it is not the engine's choice.
    pub host_cache_mib: Option<u32>,
    /// Seconds without a request after which it leaves the memory; 0: never.
    pub idle_unload_seconds: u32,
    /// The file of a model that guesses for it.
    pub draft_model: Option<PathBuf>,
    /// The file with which it sees images.
    pub projector: Option<PathBuf>,
    /// What else differs from the engine's choice: names and words.
    pub words: Vec<(&'static str, &'static str)>,
}

impl GraphOptions {
    /// For the chat model, with the file of a model that guesses for it.
    pub fn chat(config: &Config, draft_model: Option<PathBuf>) -> Self {
        let defaults = Config::default();
        Self {
            ctx_size: config.ctx_size,
            batch_size: config.batch_size,
            sequences_max: config.requests_running_max,
            host_cache_mib: (config.prompt_cache_mib != defaults.prompt_cache_mib)
                .then_some(config.prompt_cache_mib),
            words: [
                (
                    "kv-type",
                    config.kv_type.as_str(),
                    defaults.kv_type.as_str(),
                ),
                (
                    "speculation",
                    config.speculation.as_str(),
                    defaults.speculation.as_str(),
                ),
            ]
            .into_iter()
            .filter(|(_, word, default)| word != default)
            .map(|(name, word, _)| (name, word))
            .collect(),
            draft_model,
            ..Self::embedding(config)
        }
    }

    /// For a model that writes no text: the embedding model, the ranking model.
    pub fn embedding(config: &Config) -> Self {
        Self {
            threads: config.threads,
            idle_unload_seconds: config.idle_unload_seconds,
            gpu_layers: (config.gpu_layers < GPU_LAYERS_ALL).then_some(config.gpu_layers),
            ..Self::default()
        }
    }

    /// As the plugin reads it.
    pub fn to_json(&self) -> String {
        let mut object = Map::new();
        let mut put = |name: &str, number: u32| {
            if number > 0 {
                object.insert(name.to_owned(), json!(number));
            }
        };
        put("ctx-size", self.ctx_size);
        put("batch-size", self.batch_size);
        put("threads", self.threads);
        put("n-seq-max", self.sequences_max);
        put("idle-unload-seconds", self.idle_unload_seconds);
        if let Some(layers) = self.gpu_layers {
            object.insert("n-gpu-layers".to_owned(), json!(layers));
        }
        if let Some(mib) = self.host_cache_mib {
            object.insert("host-cache-mib".to_owned(), json!(mib));
        }
        if let Some(file) = &self.draft_model {
            object.insert("draft-model".to_owned(), json!(file));
        }
        if let Some(file) = &self.projector {
            object.insert("mmproj".to_owned(), json!(file));
        }
        for (name, word) in &self.words {
            object.insert((*name).to_owned(), json!(word));
        }
        serde_json::Value::Object(object).to_string()
    }
}

/// What only the supervisor knows.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The vector store, where there is one.
    pub store: Option<&'a Service>,
    /// What the worker asks its host for.
    pub back: &'a Service,
    /// The port on which the worker listens; 0: any that is free.
    pub port: u16,
    /// The port on which the worker wakes itself.
    pub bell_port: u16,
    /// The key that the worker asks for.
    pub worker_key: &'a str,
    /// The node's address.
    pub node_id: &'a str,
    /// The chat model's name in the API.
    pub chat_name: &'a str,
    /// The embedding model's name in the API; none without one.
    pub embedding_name: Option<&'a str>,
    /// The ranking model's name in the API; none without one.
    pub reranking_name: Option<&'a str>,
    /// The chat template's file as the worker sees it.
    pub chat_template: Option<&'a str>,
    /// Whether there are named keys of the API.
    pub has_named_keys: bool,
}

/// The worker's settings file. Empty and zero values are left out: the worker's defaults hold.
pub fn worker_settings(config: &Config, around: &Surroundings) -> String {
    let mut file = DocumentMut::new();
    let mut text = |key: &str, text: &str| {
        if !text.is_empty() {
            file[key] = value(text);
        }
    };
    text("host", &Ipv4Addr::LOCALHOST.to_string());
    text("chat_name", around.chat_name);
    text("embedding_name", around.embedding_name.unwrap_or_default());
    text("reranking_name", around.reranking_name.unwrap_or_default());
    text("chat_template", around.chat_template.unwrap_or_default());
    text("system_prompt", &config.system_prompt);
    text("rag_prompt", &config.rag_prompt);
    text("prompt", &config.prompt);
    text("prompts", PROMPTS_VIEW);
    text("thinking", config.thinking.as_str());
    text("rag_policy", config.rag_policy.as_str());
    if let Some(store) = around.store {
        text("store_url", &store.url);
        text("store_key", &store.key);
    }
    text("back_url", &around.back.url);
    text("back_key", &around.back.key);
    text("collection", &config.collection);
    text("worker_key", around.worker_key);
    text("node_id", around.node_id);
    text("node_name", &config.node_name);
    let mut number = |key: &str, number: u64| {
        if number > 0 {
            file[key] = value(i64::try_from(number).unwrap_or(i64::MAX));
        }
    };
    number("ctx_size", config.ctx_size.into());
    number("n_predict_max", config.n_predict_max.into());
    number("context_window", config.context_window.into());
    number("limit", config.retrieval_limit.into());
    number("retrieval_tokens_max", config.retrieval_tokens_max.into());
    number("bell_port", around.bell_port.into());
    number("body_bytes_max", config.body_bytes_max);
    number("requests_running_max", config.requests_running_max.into());
    file["port"] = value(i64::from(around.port));
    file["tool_rounds_max"] = value(i64::from(config.tool_rounds_max));
    file["queue_len_max"] = value(i64::from(config.queue_len_max));
    file["priority_allowed"] = value(config.priority_allowed(around.has_named_keys));
    file["temperature"] = config.temperature.to_toml().into();
    file["score_threshold"] = config.retrieval_threshold.to_toml().into();
    file["store_required"] = value(config.store_required);
    file["embedding_dimensions"] = config.embedding_dimensions.to_toml().into();
    file["cors_origins"] = config.cors_origins.to_toml().into();
    file.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KvType;

    #[test]
    fn graph_options() {
        // As values: the order of keys depends on who else uses serde_json.
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let check = |options: GraphOptions, expected| {
            assert_eq!(parse(&options.to_json()), parse(expected));
        };
        check(GraphOptions::default(), "{}");
        check(GraphOptions::embedding(&Config::default()), "{}");
        check(
            GraphOptions::chat(&Config::default(), None),
            "{\"n-seq-max\":8}",
        );
        check(
            GraphOptions::chat(&Config::default(), Some("/m/small.gguf".into())),
            "{\"n-seq-max\":8,\"draft-model\":\"/m/small.gguf\"}",
        );
        let config = Config {
            ctx_size: 512,
            threads: 2,
            gpu_layers: 0,
            idle_unload_seconds: 300,
            ..Config::default()
        };
        check(
            GraphOptions::embedding(&config),
            "{\"n-gpu-layers\":0,\"threads\":2,\"idle-unload-seconds\":300}",
        );
        let config = Config {
            prompt_cache_mib: 0,
            kv_type: KvType::Q8_0,
            ..config
        };
        let json = GraphOptions::chat(&config, None).to_json();
        assert!(json.contains("\"host-cache-mib\":0") && json.contains("\"kv-type\":\"q8_0\""));
        assert!(!json.contains("speculation"));
        assert!(
            GraphOptions::chat(&config, None)
                .to_json()
                .contains("\"ctx-size\":512")
        );
    }

    #[test]
    fn settings_hold_the_keys_and_leave_defaults_out() {
        let store = Service {
            url: "http://127.0.0.1:5".into(),
            key: "sk".into(),
        };
        let back = Service {
            url: "http://127.0.0.1:6".into(),
            key: "bk".into(),
        };
        let around = Surroundings {
            store: Some(&store),
            back: &back,
            port: 0,
            bell_port: 7,
            worker_key: "wk",
            node_id: "0xabc",
            chat_name: "m",
            embedding_name: None,
            reranking_name: Some("judge"),
            chat_template: None,
            has_named_keys: false,
        };
        let text = worker_settings(&Config::default(), &around);
        let file: DocumentMut = text.parse().unwrap();
        assert_eq!(file["port"].as_integer(), Some(0));
        assert_eq!(file["worker_key"].as_str(), Some("wk"));
        assert_eq!(file["bell_port"].as_integer(), Some(7));
        assert_eq!(file["reranking_name"].as_str(), Some("judge"));
        assert_eq!(file["store_key"].as_str(), Some("sk"));
        assert_eq!(file["back_url"].as_str(), Some("http://127.0.0.1:6"));
        assert_eq!(file["back_key"].as_str(), Some("bk"));
        assert_eq!(file["tool_rounds_max"].as_integer(), Some(4));
        assert_eq!(file["score_threshold"].as_float(), Some(0.25));
        assert_eq!(file["prompts"].as_str(), Some("prompts"));
        assert_eq!(file["n_predict_max"].as_integer(), Some(1024));
        assert_eq!(file["priority_allowed"].as_bool(), Some(false));
        for absent in ["ctx_size", "embedding_name", "prompt"] {
            assert!(!file.contains_key(absent), "{absent}");
        }
        let without = Surroundings {
            store: None,
            ..around
        };
        let text = worker_settings(&Config::default(), &without);
        assert!(!text.contains("store_url") && !text.contains("store_key"));
    }
}
