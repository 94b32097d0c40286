//! Every key, with its type, default and comment.

use std::net::{IpAddr, Ipv4Addr};

use toml_edit::{Item, Value as Toml};

use super::value::{Confine, KvType, LogFormat, RagPolicy, Secret, Speculation, Thinking, Value};

/// What `gaia config` knows of one key.
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// The heading it stands under in the default file.
    pub section: &'static str,
    /// Its comment, one line each.
    pub doc: &'static [&'static str],
    /// What its value should look like.
    pub kind: &'static str,
    /// Reads a command-line argument; `None` if it is not of that kind.
    pub parse: fn(&str) -> Option<Toml>,
    /// Puts the value of a TOML item into `config`; false if it is not of that kind.
    pub read: fn(&mut Config, &Item) -> bool,
    /// The value as TOML.
    pub get: fn(&Config) -> Toml,
    /// The value as shown in listings.
    pub shown: fn(&Config) -> String,
}

macro_rules! keys {
    ($($section:literal { $($(#[doc = $doc:literal])+ $name:ident : $kind:ty = $default:expr,)+ })+) => {
        /// The configuration of a node, checked. No behaviour.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($($(#[doc = $doc])+ pub $name: $kind,)+)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($($name: $default,)+)+ }
            }
        }

        /// All keys, in the order of the default file.
        pub const KEYS: &[Key] = &[$($(Key {
            name: stringify!($name),
            section: $section,
            doc: &[$($doc),+],
            kind: <$kind as Value>::KIND,
            parse: |text| <$kind as Value>::from_text(text).map(|value| value.to_toml()),
            read: |config, item| match <$kind as Value>::from_item(item) {
                Some(value) => {
                    config.$name = value;
                    true
                }
                None => false,
            },
            get: |config| config.$name.to_toml(),
            shown: |config| config.$name.shown(),
        },)+)+];
    };
}

keys! {
    "The address" {
        /// The port the node answers on. 0: any free one.
        port: u16 = 8080,
        /// The address it listens on. Another one than loopback needs a key: `gaia key api create NAME`.
        host: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST),
        /// Keys that clients send as `Authorization: Bearer KEY`, and that open everything. Keys with names,
        /// scopes, limits and an end are better: `gaia key api`. None of either: no key is asked for.
        api_keys: Vec<Secret> = Vec::new(),
        /// PEM files of a certificate chain and its key. Both empty: plain HTTP. New files in their place
        /// are used without a restart.
        tls_cert: String = String::new(),
        /// See tls_cert.
        tls_key: String = String::new(),
        /// Host names clients may use beside the address itself, such as "node.example.org".
        hosts_allowed: Vec<String> = Vec::new(),
        /// Web pages elsewhere that may call the node, such as "https://chat.example.org".
        cors_origins: Vec<String> = Vec::new(),
        /// The port on loopback where the operator reads /metrics without a key. 0: any free one, see
        /// `gaia status`.
        admin_port: u16 = 0,
        /// What the node calls itself. Empty: "gaia".
        node_name: String = String::new(),
    }
    "The models" {
        /// "auto" (the best one that fits this machine and can be had when the node first starts),
        /// a name from `gaia model list`, or the path or URL of a .gguf file.
        chat_model: String = "auto".to_owned(),
        /// The model's name in the API. Empty: the name of the manifest or file.
        chat_name: String = String::new(),
        /// A name from `gaia model list`, or the path or URL of a .gguf file. Empty: no embeddings,
        /// and so no knowledge and no process for its store. Changing it means adding the knowledge again.
        embedding_model: String = "all-minilm-l6-v2".to_owned(),
        /// The model's name in the API. Empty: the name of the manifest or file.
        embedding_name: String = String::new(),
        /// A model that orders texts by how well they answer a query, for /v1/rerank: a name from `gaia model
        /// list`, or the path or URL of a .gguf file. Empty: none, and /v1/rerank is refused.
        reranking_model: String = String::new(),
        /// The model's name in the API. Empty: the name of the manifest or file.
        reranking_name: String = String::new(),
        /// Shorter lengths that clients may have the embedding model's vectors cut to (`dimensions`), such as
        /// [256, 128]. Only for models that were trained for it: of others, what is left means little.
        embedding_dimensions: Vec<u32> = Vec::new(),
        /// Tokens that one conversation may have, question and answer together. 0: 4096, or what
        /// the model was trained for if that is less.
        ctx_size: u32 = 0,
        /// Prompt tokens read in one go. 0: the engine's choice.
        batch_size: u32 = 0,
        /// Threads that compute. 0: one for each physical core.
        threads: u32 = 0,
        /// Layers computed on the GPU, where the plugin was built for one. 0: none; 999: as many as fit.
        gpu_layers: u32 = 999,
        /// Memory for prompts that were read before, so that they need not be read again, in MiB. 512:
        /// a quarter of what the model leaves, if that is less. 0: none.
        prompt_cache_mib: u32 = 512,
        /// "f16", or "q8_0": conversations take half the memory, for a little precision.
        kv_type: KvType = KvType::F16,
        /// Seconds without a request after which a model leaves the memory; the next request waits
        /// until it is back. 0: never.
        idle_unload_seconds: u32 = 0,
        /// Whether words that stand in the passages already are guessed, and several tokens checked in
        /// one step: "off", "auto" (where it pays on this machine) or "always". Answers stay the same.
        speculation: Speculation = Speculation::Off,
        /// A smaller model of the chat model's family, which guesses what the chat model will say: a name
        /// from `gaia model list`, or the path or URL of a .gguf file. Empty: none. With one,
        /// speculation is at least "auto".
        draft_model: String = String::new(),
        /// With which the chat model sees images: the path or URL of the .gguf file that was published
        /// beside it, mostly with mmproj in its name. Empty: images are refused.
        projector: String = String::new(),
        /// The most tokens in one answer, so that a small model that repeats itself comes to an end.
        /// 0: as many as fit.
        n_predict_max: u32 = 1024,
        /// What the model is told first, unless the client tells it something.
        system_prompt: String = "You are a helpful assistant.".to_owned(),
        /// The named prompt (a file in the folder "prompts", see `gaia prompt`) of requests that name none
        /// and fit no prompt's rule. It goes before system_prompt and rag_prompt. Empty: only those.
        prompt: String = String::new(),
        /// How freely the model chooses its words where the client does not say: 0 to 2, low keeps
        /// to the passages.
        temperature: f32 = 0.3,
        /// Whether a model that can think does so before it answers, where the client does not say:
        /// "auto" (as its template has it), "on" or "off".
        thinking: Thinking = Thinking::Auto,
        /// A file with a chat template (Jinja) instead of the model's own. Empty: the model's own.
        chat_template: String = String::new(),
    }
    "Knowledge" {
        /// How passages are put to the model; "{context}" stands for them. Empty: built in.
        rag_prompt: String = String::new(),
        /// Where passages go: "system-message" or "last-user-message".
        rag_policy: RagPolicy = RagPolicy::SystemMessage,
        /// How many of the user's last messages make the search query.
        context_window: u32 = 1,
        /// The most passages for one answer.
        retrieval_limit: u32 = 3,
        /// Passages less similar than this (0 to 1) are left out.
        retrieval_threshold: f32 = 0.25,
        /// The most tokens of passages for one answer. 0: half the context.
        retrieval_tokens_max: u32 = 0,
        /// The collection that holds the knowledge.
        collection: String = "default".to_owned(),
        /// A Qdrant server on this machine, such as "http://127.0.0.1:6333". Empty: the node's own
        /// store.
        store_url: String = String::new(),
        /// The key of that server. Empty: none.
        store_key: Secret = Secret::default(),
        /// true: no answer while the store is down. false: an answer without knowledge.
        store_required: bool = false,
    }
    "The worker" {
        /// A worker that the node does not start, such as "http://127.0.0.1:9080": somebody else keeps it there, as a
        /// pod, a unit or another terminal does. `gaia worker` says how; the three ports behind that one are
        /// taken for it. Empty: the node starts its worker and confines it.
        worker_url: String = String::new(),
    }
    "Tools" {
        /// Places that tools may reach although they are plain HTTP or in a private network, such as
        /// "http://127.0.0.1:8000". All others are reached over HTTPS at public addresses only.
        egress_origins: Vec<String> = Vec::new(),
        /// How often one answer may wait for calls of the node's tools. 0: the model is offered none.
        tool_rounds_max: u32 = 4,
    }
    "Limits" {
        /// "auto": the worker gives up the files, programs, connections and system calls that it does not need,
        /// as far as this machine grants that (see `gaia doctor`). "off": it may do what your user may.
        confine: Confine = Confine::Auto,
        /// Bytes in one request.
        body_bytes_max: u64 = 10 * 1024 * 1024,
        /// Seconds a client may take to send a request's head, or leave a connection unused.
        header_timeout_seconds: u32 = 30,
        /// Seconds a client may stop in the middle of a request.
        idle_timeout_seconds: u32 = 30,
        /// Answers computed at the same time.
        requests_running_max: u32 = 8,
        /// Requests that wait; more are told to come back later.
        queue_len_max: u32 = 64,
        /// Seconds that running answers may take to finish when the node stops.
        drain_timeout_seconds: u32 = 30,
    }
    "Watching" {
        /// "text", or "json": every line of the logs is an object with time, level, target, message, fields.
        log_format: LogFormat = LogFormat::Text,
        /// Where spans of requests are sent as OTLP over HTTP, such as "http://127.0.0.1:4318". What is said is in
        /// none of them. Empty: nothing is traced.
        otlp_endpoint: String = String::new(),
        /// Headers for that endpoint, such as "authorization: Bearer {secret:otlp}"; `gaia tools secret set otlp`
        /// keeps the secret.
        otlp_headers: Vec<String> = Vec::new(),
        /// How many of the requests that bring no trace of their own are traced: 0 (none) to 1 (all).
        otlp_sample: f32 = 1.0,
    }
}
