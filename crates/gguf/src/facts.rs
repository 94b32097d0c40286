//! What people and programs ask about a model, from its header.

use crate::{Array, Header, Value};

/// How an embedding model makes one vector of a text's many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// It does not: one vector a token.
    None,
    /// The mean over the tokens.
    Mean,
    /// The first token's vector.
    Cls,
    /// The last token's vector.
    Last,
    /// A score for a pair of texts instead of a vector.
    Rank,
}

impl Pooling {
    /// The pooling with llama.cpp's number `id`.
    pub fn from_id(id: u64) -> Option<Self> {
        Some(match id {
            0 => Self::None,
            1 => Self::Mean,
            2 => Self::Cls,
            3 => Self::Last,
            4 => Self::Rank,
            _ => return None,
        })
    }

    /// llama.cpp's number.
    pub fn id(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Mean => 1,
            Self::Cls => 2,
            Self::Last => 3,
            Self::Rank => 4,
        }
    }
}

/// A model's facts. What the header does not say is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// The architecture llama.cpp selects its code by, such as `llama` or `bert`.
    pub architecture: Option<String>,
    /// The model's name.
    pub name: Option<String>,
    /// The Jinja template that turns a conversation into a prompt.
    pub chat_template: Option<String>,
    /// The longest context the model was trained for, in tokens.
    pub context_length: Option<u64>,
    /// The number of tokens in the vocabulary.
    pub vocab_size: Option<u64>,
    /// The length of the vectors between layers, and of an embedding.
    pub embedding_size: Option<u64>,
    /// The number of layers.
    pub layer_count: Option<u64>,
    /// Given only by models that make embeddings or rank.
    pub pooling: Option<Pooling>,
    /// Numbers that the last layer makes of a text, where it has one that judges texts.
    pub classes: Option<u64>,
    /// How a query and a text are put to a model that ranks, with `{query}` and `{document}` in their places.
    pub reranking_template: Option<String>,
    /// The token that starts a text.
    pub bos_token: Option<u64>,
    /// The token that ends a text.
    pub eos_token: Option<u64>,
    /// Whether [`Facts::bos_token`] belongs before every text.
    pub add_bos: Option<bool>,
    /// The quantisation of most tensors, such as `Q4_K_M`.
    pub file_type: Option<&'static str>,
    /// The number of weights.
    pub parameter_count: u64,
    /// The size of all weights in bytes, as stored.
    pub weights_bytes: u64,
    /// An upper estimate of what one token of context costs in a 16-bit KV cache, in bytes; zero
    /// for models that keep none.
    pub kv_bytes_per_token: Option<u64>,
    /// Numbers in one head's key and in its value.
    pub head_sizes: Option<[u64; 2]>,
}

impl Facts {
    /// Whether the model makes embeddings rather than text.
    pub fn is_embedding(&self) -> bool {
        let is_encoder = self
            .architecture
            .as_deref()
            .is_some_and(|name| name.contains("bert"));
        match self.pooling {
            _ if self.is_reranking() => false,
            Some(_) => true,
            None => is_encoder,
        }
    }

    /// Whether the model scores a query and a text rather than making vectors or text. Many such files do not say so
    /// and only have the layer for it.
    pub fn is_reranking(&self) -> bool {
        match self.pooling {
            Some(Pooling::Rank) => true,
            Some(Pooling::None) | None => self.classes.is_some(),
            Some(Pooling::Mean | Pooling::Cls | Pooling::Last) => false,
        }
    }

    /// An estimate of the memory that running the model takes, in bytes: weights, the KV cache for
    /// `context` tokens in all, and a share for what is computed in between.
    pub fn memory_bytes(&self, context: u64) -> u64 {
        let cache = self.kv_bytes_per_token.unwrap_or(0).saturating_mul(context);
        let compute = COMPUTE_BYTES_MIN.max(self.weights_bytes / COMPUTE_SHARE);
        self.weights_bytes
            .saturating_add(cache)
            .saturating_add(compute)
    }
}

/// llama.cpp's name for the template of a query and a document.
const RERANKING_TEMPLATE: &str = "tokenizer.chat_template.rerank";

/// Buffers for a batch and its logits, seen with models of 0.1 to 8 B.
const COMPUTE_BYTES_MIN: u64 = 128 << 20;
const COMPUTE_SHARE: u64 = 16;

impl Header {
    /// The model's facts. Values of a wrong type count as missing.
    pub fn facts(&self) -> Facts {
        let architecture = self.text("general.architecture").ok();
        let of = |key: &str| self.number(&format!("{}.{key}", architecture?)).ok();
        Facts {
            architecture: architecture.map(str::to_owned),
            name: self.text("general.name").ok().map(str::to_owned),
            chat_template: self.text("tokenizer.chat_template").ok().map(str::to_owned),
            context_length: of("context_length"),
            vocab_size: self.vocab_size().or_else(|| of("vocab_size")),
            embedding_size: of("embedding_length"),
            layer_count: of("block_count"),
            pooling: of("pooling_type").and_then(Pooling::from_id),
            classes: self.classes(),
            reranking_template: self.text(RERANKING_TEMPLATE).ok().map(str::to_owned),
            bos_token: self.number("tokenizer.ggml.bos_token_id").ok(),
            eos_token: self.number("tokenizer.ggml.eos_token_id").ok(),
            add_bos: self.flag("tokenizer.ggml.add_bos_token").ok(),
            file_type: self
                .number("general.file_type")
                .ok()
                .and_then(file_type_name),
            parameter_count: sum(self.tensors().iter().map(|tensor| tensor.elements)),
            weights_bytes: sum(self.tensors().iter().map(|tensor| tensor.bytes)),
            kv_bytes_per_token: architecture.and_then(|name| self.kv_bytes_per_token(name)),
            head_sizes: architecture.and_then(|name| self.head_sizes(name)),
        }
    }

    fn vocab_size(&self) -> Option<u64> {
        let tokens = self.texts("tokenizer.ggml.tokens").ok()?;
        Some(tokens.len() as u64)
    }

    fn kv_bytes_per_token(&self, architecture: &str) -> Option<u64> {
        if architecture.contains("bert") {
            return Some(0);
        }
        let of = |key: &str| self.number(&format!("{architecture}.{key}")).ok();
        let layers = of("block_count")?;
        let heads = self.per_layer(&format!("{architecture}.attention.head_count"), layers)?;
        let kv_heads = self
            .per_layer(&format!("{architecture}.attention.head_count_kv"), layers)
            .unwrap_or(heads);
        let [key, value] = self.head_sizes(architecture)?;
        key.checked_add(value)?
            .checked_mul(kv_heads)?
            .checked_mul(F16_BYTES)
    }

    fn head_sizes(&self, architecture: &str) -> Option<[u64; 2]> {
        let of = |key: &str| self.number(&format!("{architecture}.{key}")).ok();
        let one_head = || {
            let layers = of("block_count")?;
            let key = format!("{architecture}.attention.head_count");
            let heads = self.per_layer(&key, layers)?;
            of("embedding_length")?.checked_div(heads.checked_div(layers)?)
        };
        let key = of("attention.key_length").or_else(one_head)?;
        let value = of("attention.value_length").or_else(one_head)?;
        Some([key, value])
    }

    /// The sum over all layers of a number that is given once for all or once a layer.
    fn per_layer(&self, key: &str, layers: u64) -> Option<u64> {
        match self.get(key)? {
            Value::Array(array) => sum_of_array(array),
            value => value.as_u64()?.checked_mul(layers),
        }
    }
}

const F16_BYTES: u64 = 2;

fn sum_of_array(array: &Array) -> Option<u64> {
    array.to_u64s().map(|numbers| sum(numbers.into_iter()))
}

fn sum(mut numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.try_fold(0u64, u64::checked_add).unwrap_or(u64::MAX)
}

/// llama.cpp's names for `general.file_type`.
fn file_type_name(id: u64) -> Option<&'static str> {
    Some(match id {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4_MOE",
        39 => "NVFP4",
        40 => "Q1_0",
        41 => "Q2_0",
        _ => return None,
    })
}
