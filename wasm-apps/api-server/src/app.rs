//! Everything the handlers share, and how it comes to be.

mod naming;

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use gaia_chat::{Node, Retrieval};
use gaia_openai::{ApiError, Limits, info};
use gaia_prompt::{ChatTemplate, RagPrompt, SpecialTokens, TemplateError, named_template};
use gaia_rag::SelectLimits;

use crate::background::Background;
use crate::inference::{Engine, LoadSettings, Model, OpenModelError, Opening, Purpose};
use crate::log;
use crate::meter::Ledger;
use crate::metrics::{Gauges, Metrics};
use crate::options::Options;
use crate::prompts::Prompts;
use crate::records::Records;
use crate::store::Store;
use crate::tools::NodeTools;

use self::naming::Named;

/// Seconds a client should wait while the models load.
const LOADING_RETRY_SECONDS: u32 = 2;

/// Seconds a client should wait where no model embeds: its owner has to do something first.
const EMBEDDING_RETRY_SECONDS: u32 = 60;

/// The server.
pub(crate) struct App {
    pub(crate) options: Options,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) store: Option<Store>,
    pub(crate) prompts: Prompts,
    pub(crate) tools: NodeTools,
    pub(crate) records: Records,
    pub(crate) background: Background,
    models: OnceLock<Result<Models, String>>,
    started: Instant,
    created: u64,
}

/// What the node runs; each may be missing.
pub(crate) struct Models {
    pub(crate) chat: Option<Chat>,
    pub(crate) embedding: Option<Model>,
    pub(crate) reranking: Option<Model>,
}

/// The model that answers and the way it is spoken to.
pub(crate) struct Chat {
    pub(crate) model: Model,
    pub(crate) node: Arc<Node>,
}

/// Why the models could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadModelsError {
    #[error(transparent)]
    Open(#[from] OpenModelError),
    #[error("failed to read the chat template `{path}`")]
    ReadTemplate {
        path: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the model has no usable chat template; give one with --chat-template")]
    Template(#[source] TemplateError),
}

impl App {
    pub(crate) fn new(options: Options) -> Self {
        let store = options.store_url.clone().map(|address| {
            Store::new(
                address,
                options.store_key.clone(),
                options.collection.clone(),
            )
        });
        Self {
            limits: Limits::default(),
            metrics: Metrics::default(),
            ledger: Arc::default(),
            store,
            prompts: Prompts::new(options.prompts.clone()),
            tools: NodeTools::new(&options),
            records: Records::new(&options),
            background: Background::default(),
            models: OnceLock::new(),
            started: Instant::now(),
            created: unix_seconds(),
            options,
        }
    }

    /// Loads the models, which takes its time. What went wrong is kept for `/ready` and returned for the log.
    pub(crate) async fn load_models(&self) -> Result<(), LoadModelsError> {
        let loaded = Models::load(&self.options).await;
        match loaded {
            Ok(models) => {
                let _first = self.models.set(Ok(models));
                Ok(())
            }
            Err(error) => {
                let _first = self.models.set(Err(error.to_string()));
                Err(error)
            }
        }
    }

    /// The models, once they are loaded.
    pub(crate) fn models(&self) -> Result<&Models, ApiError> {
        match self.models.get() {
            Some(Ok(models)) => Ok(models),
            Some(Err(reason)) => Err(ApiError::model_unavailable(reason, LOADING_RETRY_SECONDS)),
            None => Err(ApiError::model_unavailable(
                "The models are being loaded.",
                LOADING_RETRY_SECONDS,
            )),
        }
    }

    /// The chat model, if `wanted` is its name or nothing.
    pub(crate) fn chat(&self, wanted: Option<&str>) -> Result<&Chat, ApiError> {
        let chat = self.models()?.chat.as_ref();
        let chat = chat.ok_or_else(|| no_chat_model(&self.options.chat_graph))?;
        naming::check(wanted, Purpose::Chat, self.named()?)?;
        Ok(chat)
    }

    /// The embedding model, if `wanted` is its name or nothing.
    pub(crate) fn embedding(&self, wanted: Option<&str>) -> Result<&Model, ApiError> {
        let model = self.models()?.embedding.as_ref();
        let model = model.ok_or_else(|| no_embedding_model(&self.options.embedding_graph))?;
        naming::check(wanted, Purpose::Embedding, self.named()?)?;
        Ok(model)
    }

    /// The ranking model, if `wanted` is its name or nothing.
    pub(crate) fn reranking(&self, wanted: Option<&str>) -> Result<&Model, ApiError> {
        let model = self.models()?.reranking.as_ref();
        let model = model.ok_or_else(|| no_ranking_model(&self.options.reranking_graph))?;
        naming::check(wanted, Purpose::Reranking, self.named()?)?;
        Ok(model)
    }

    fn named(&self) -> Result<Named<'_>, ApiError> {
        let models = self.models()?;
        let chat = models.chat.as_ref();
        Ok(Named {
            chat: chat.map(|chat| chat.model.id.as_str()),
            embedding: models.embedding.as_ref().map(|model| model.id.as_str()),
            reranking: models.reranking.as_ref().map(|model| model.id.as_str()),
        })
    }

    /// The models as the API lists them.
    pub(crate) fn list(&self) -> Vec<gaia_openai::Model> {
        let Ok(models) = self.models() else {
            return Vec::new();
        };
        let listed = models.all().map(|(model, purpose)| gaia_openai::Model {
            context_length: Some(model.facts.n_ctx),
            kind: Some(purpose.name().to_owned()),
            ..gaia_openai::Model::new(model.id.clone(), self.created)
        });
        listed.collect()
    }

    /// What the node is.
    pub(crate) async fn info(&self) -> info::NodeInfo {
        let models = self.models().ok();
        let chat = models.and_then(|models| models.chat.as_ref());
        let embedding = models.and_then(|models| models.embedding.as_ref());
        let knowledge = match &self.store {
            Some(store) => Some(info::Knowledge {
                collection: self.options.collection.clone(),
                points: store.count().await.ok(),
            }),
            None => None,
        };
        let engine = chat
            .map(|chat| chat.model.engine)
            .or(embedding.map(|model| model.engine));
        info::NodeInfo {
            node_id: self.options.node_id.clone(),
            node_name: self.options.node_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            models: info::NodeModels {
                chat: chat.map(|chat| node_model(&chat.model)),
                embedding: embedding.map(node_model),
                reranking: models
                    .and_then(|models| models.reranking.as_ref())
                    .map(node_model),
            },
            knowledge,
            engine: engine.map_or("none", Engine::as_str).to_owned(),
            edge: self.edge_info(chat.map(|chat| &chat.model), embedding),
        }
    }

    /// The same for clients of LlamaEdge.
    fn edge_info(&self, chat: Option<&Model>, embedding: Option<&Model>) -> info::EdgeInfo {
        let options = &self.options;
        let is_asked = self.store.is_some() && options.limit > 0;
        let collection = is_asked.then(|| info::EdgeCollection {
            collection_name: options.collection.clone(),
            limit: options.limit,
            score_threshold: options.score_threshold,
        });
        info::EdgeInfo {
            api_server: info::EdgeServer {
                kind: if is_asked { "rag" } else { "llama" }.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            chat_model: chat.map(|model| info::EdgeModel {
                n_predict: options.n_predict_max,
                temperature: options.temperature,
                ..edge_model(model, "chat")
            }),
            embedding_model: embedding.map(|model| edge_model(model, "embedding")),
            qdrant_config: collection.into_iter().collect(),
        }
    }

    pub(crate) fn gauges(&self) -> Gauges {
        let models = self.models().ok();
        let model = models.and_then(|models| models.chat.as_ref());
        let model = model.map(|chat| &chat.model);
        let all = || models.into_iter().flat_map(Models::all);
        let gates = || all().map(|(model, _)| &model.gate);
        Gauges {
            running: gates().map(|gate| gate.running()).sum(),
            waiting: gates().map(|gate| gate.waiting()).sum(),
            ready: model.is_some(),
            cells: model.and_then(Model::cells),
            uptime: self.started.elapsed(),
        }
    }
}

impl Models {
    /// Those that are there, and what each is for.
    fn all(&self) -> impl Iterator<Item = (&Model, Purpose)> {
        let chat = self.chat.as_ref().map(|chat| &chat.model);
        let all = [
            (chat, Purpose::Chat),
            (self.embedding.as_ref(), Purpose::Embedding),
            (self.reranking.as_ref(), Purpose::Reranking),
        ];
        all.into_iter()
            .filter_map(|(model, purpose)| Some((model?, purpose)))
    }

    // One after the other: the plugin would wait for the one before.
    async fn load(options: &Options) -> Result<Self, LoadModelsError> {
        let chat = match load(options, Purpose::Chat).await? {
            Some(model) => {
                let node = Arc::new(node(options, &model)?);
                Some(Chat { model, node })
            }
            None => None,
        };
        Ok(Self {
            chat,
            embedding: load(options, Purpose::Embedding).await?,
            reranking: load(options, Purpose::Reranking).await?,
        })
    }
}

/// Loads what is preloaded for `purpose`, if anything is.
async fn load(options: &Options, purpose: Purpose) -> Result<Option<Model>, OpenModelError> {
    let (graph, id) = match purpose {
        Purpose::Chat => (&options.chat_graph, &options.chat_name),
        Purpose::Embedding => (&options.embedding_graph, &options.embedding_name),
        Purpose::Reranking => (&options.reranking_graph, &options.reranking_name),
    };
    let opening = Opening::begin(LoadSettings {
        graph,
        id: id.as_deref(),
        ctx_size: options.ctx_size.filter(|_| purpose == Purpose::Chat),
        running_max: options.requests_running_max,
        queue_len_max: options.queue_len_max,
        purpose,
        as_stock: options.stock_engine,
        bell_port: options.bell_port,
    })?;
    match opening {
        Some(opening) => opening.loaded().await.map(Some),
        None => Ok(None),
    }
}

/// What all turns have in common.
fn node(options: &Options, model: &Model) -> Result<Node, LoadModelsError> {
    let mut rag_prompt = RagPrompt {
        policy: options.rag_policy,
        ..RagPrompt::default()
    };
    if let Some(text) = &options.rag_prompt {
        rag_prompt.text.clone_from(text);
    }
    let wanted = options.store_url.is_some() && options.limit > 0;
    let retrieval = wanted.then(|| Retrieval {
        context_window: options.context_window,
        select: SelectLimits {
            score_threshold: options.score_threshold,
            limit: options.limit,
        },
        tokens_max: options
            .retrieval_tokens_max
            .unwrap_or(model.facts.n_ctx / 2),
        required: options.store_required,
    });
    Ok(Node {
        template: template(options, model)?,
        engine: model.engine.into(),
        context_tokens: model.facts.n_ctx,
        vocabulary: model.vocabulary(),
        completion_tokens_max: options.n_predict_max,
        opening: options.system_prompt.clone().into(),
        temperature: options.temperature,
        thinking: options.thinking,
        rag_prompt,
        retrieval,
    })
}

/// The owner's template, else the model's own, else the most common one.
fn template(options: &Options, model: &Model) -> Result<ChatTemplate, LoadModelsError> {
    const FALLBACK: &str = "chatml";
    let tokens = SpecialTokens {
        bos: model.facts.bos_token.clone().unwrap_or_default(),
        eos: model.facts.eos_token.clone().unwrap_or_default(),
    };
    let source = match (&options.chat_template, &model.facts.chat_template) {
        (Some(wanted), _) => chosen_template(wanted)?,
        (None, Some(own)) => own.clone(),
        (None, None) => {
            log::warn(format_args!(
                "the engine tells no chat template: using `{FALLBACK}` (see --chat-template)"
            ));
            named_template(FALLBACK).unwrap_or_default().to_owned()
        }
    };
    ChatTemplate::new(&source, tokens).map_err(LoadModelsError::Template)
}

fn chosen_template(wanted: &std::path::Path) -> Result<String, LoadModelsError> {
    if let Some(named) = wanted.to_str().and_then(named_template) {
        return Ok(named.to_owned());
    }
    let read = || -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        if wanted
            .extension()
            .is_none_or(|extension| extension != "gguf")
        {
            return Ok(std::fs::read_to_string(wanted)?);
        }
        let mut file = std::io::BufReader::new(std::fs::File::open(wanted)?);
        let header = gaia_gguf::Header::read(&mut file)?;
        let own = header.facts().chat_template;
        own.ok_or_else(|| "the file has no chat template".into())
    };
    read().map_err(|source| LoadModelsError::ReadTemplate {
        path: wanted.display().to_string(),
        source,
    })
}

fn no_chat_model(graph: &str) -> ApiError {
    ApiError::model_unavailable(
        format!("This node has no model that answers: nothing is preloaded as `{graph}`."),
        LOADING_RETRY_SECONDS,
    )
}

fn no_embedding_model(graph: &str) -> ApiError {
    let message = format!(
        "This node has no embedding model (nothing is preloaded as `{graph}`), so it embeds nothing and knows no \
         documents; its owner gives it one with `gaia config set embedding_model NAME` and `gaia restart`."
    );
    ApiError::model_unavailable(message, EMBEDDING_RETRY_SECONDS)
}

/// 400 and not 503: this does not pass by itself.
fn no_ranking_model(graph: &str) -> ApiError {
    ApiError::unsupported(
        "model",
        format!(
            "This node has no model that ranks texts: nothing is preloaded as `{graph}`. On a node of your own name one \
             with `gaia config set reranking_model FILE.gguf` and restart."
        ),
    )
}

fn node_model(model: &Model) -> info::NodeModel {
    info::NodeModel {
        id: model.id.clone(),
        context: Some(model.facts.n_ctx),
        architecture: model.facts.architecture.clone(),
        size_bytes: model.facts.size_bytes,
        params: model.facts.params,
    }
}

fn edge_model(model: &Model, kind: &str) -> info::EdgeModel {
    info::EdgeModel {
        name: model.id.clone(),
        kind: kind.to_owned(),
        ctx_size: model.facts.n_ctx,
        n_predict: None,
        temperature: None,
    }
}

/// Seconds since 1970, for `created`.
pub(crate) fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
