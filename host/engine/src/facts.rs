//! What a loaded model says about itself.

use llama_cpp_sys_2 as sys;
use serde::Serialize;

use crate::TokenId;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// It continues text.
    Chat,
    /// It turns text into vectors.
    Embedding,
    /// It scores how well a text answers a query.
    Reranking,
}

impl ModelKind {
    /// With which pooling its file is tried; `None` for one that writes text. Every model can give a mean, and only a
    /// ranking one scores.
    pub(crate) fn trial_pooling(self) -> Option<sys::llama_pooling_type> {
        match self {
            Self::Chat => None,
            Self::Embedding => Some(sys::LLAMA_POOLING_TYPE_MEAN),
            Self::Reranking => Some(sys::LLAMA_POOLING_TYPE_RANK),
        }
    }
}

/// Facts of a loaded model and of the context it runs in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelFacts {
    /// What the model is for; reports write the flags `embedding` and `reranking` instead.
    #[serde(skip)]
    pub kind: ModelKind,
    /// Whether `kind` is [`ModelKind::Embedding`].
    pub embedding: bool,
    /// Whether `kind` is [`ModelKind::Reranking`].
    pub reranking: bool,
    /// llama.cpp's name of the architecture.
    pub architecture: String,
    /// The model's own name.
    pub name: Option<String>,
    /// The context it was trained for, in tokens.
    pub n_ctx_train: u32,
    /// The context one request can use, in tokens. For an embedding model the longest input, for a ranking
    /// one the longest query and text together.
    pub n_ctx: u32,
    /// How many requests run at the same time.
    pub n_seq_max: u32,
    /// Cells of the KV cache, for the contexts of all requests together. 0 where there is no
    /// conversation to keep.
    pub n_cells: u32,
    /// Tokens in the vocabulary.
    pub n_vocab: u32,
    /// Numbers in an embedding.
    pub n_embd: u32,
    /// The Jinja template from the file.
    pub chat_template: Option<String>,
    /// The text of the token that starts a text.
    pub bos_token: Option<String>,
    /// Its number.
    pub bos_id: Option<TokenId>,
    /// The tokens before a prefix, before a suffix and before what belongs between them, where it knows how to fill
    /// in what is missing.
    pub infill: Option<[TokenId; 3]>,
    /// The text of the token that ends a text.
    pub eos_token: Option<String>,
    /// Its number.
    pub eos_id: Option<TokenId>,
    /// Whether the starting token belongs before every text.
    pub add_bos: bool,
    /// Whether it sees images.
    pub vision: bool,
    /// How a model that writes no text makes one vector of many.
    pub pooling: Option<&'static str>,
    /// The size of the weights in bytes.
    pub size_bytes: u64,
    /// The number of weights.
    pub params: u64,
}
