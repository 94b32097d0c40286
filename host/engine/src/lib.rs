//! Runs language models with llama.cpp: many requests at once on one context, embeddings, and scores of texts.
//!
//! Knows nothing of WebAssembly, HTTP or prompts: text and tokens go in, text and tokens come out.
//!
//! A [`Model`] owns its weights and one thread. The thread decodes every running request in one
//! batch and feeds prompts in chunks between those steps (see `scheduler`), so a long prompt never
//! silences the others. Callers hold handles that they poll or wait on; dropping a handle cancels.
//!
//! llama.cpp ends the process when it is asked for something it does not expect. Invariant: nothing
//! reaches it that has not been checked here first — file, sizes, token numbers, sampling values,
//! grammars.

mod attention;
mod backend;
mod bell;
mod cells;
mod context;
mod draft_model;
mod draft_plan;
mod drafting;
mod embedding;
mod facts;
mod grammar;
mod host_cache;
mod images;
mod load;
mod memory;
mod model;
mod outbox;
mod pace;
mod pairing;
mod pool;
mod prefix;
mod probe;
mod projector;
mod request;
mod sampler;
mod scheduler;
mod sequence;
mod speculation;
mod step_costs;
mod text;
mod threadpool;
mod threads;
mod trial;
mod turn;
mod vocabulary;

pub use backend::{EngineBuild, engine_build, llama_backend};
pub use bell::Ring;
pub use embedding::{EmbedError, Embedding, EmbeddingOutcome, Embeddings, Input, Limits};
pub use facts::{ModelFacts, ModelKind};
pub use gaia_gguf::{KvType, MemoryPlan};
pub use grammar::{
    GRAMMAR_BYTES_MAX, GRAMMAR_DEPTH_MAX, GRAMMAR_WRITTEN_OUT_MAX, Grammar, GrammarError,
    SCHEMA_BYTES_MAX,
};
pub use images::{
    IMAGE_ASPECT_MAX, IMAGE_PIXELS_MAX, IMAGE_SIDE_MAX, IMAGES_BYTES_MAX, Image, LookError,
};
pub use load::{LoadError, LoadOptions, QUEUE_LEN_MAX, SEQUENCES_MAX, Speculation, Split};
pub use model::{MEMORY_LOG, Model, check};
pub use outbox::{Finish, FinishReason, Generation, Piece, Progress, TokenEvent, TopToken, Usage};
pub use request::{
    GenerateError, LOGIT_BIAS_MAX, LOGPROBS_MAX, Prompt, Request, SHOWN_TOKEN_BYTES_MAX,
    SHOWN_TOKENS_MAX, STOP_BYTES_MAX, STOP_COUNT_MAX, Sampling,
};
pub use trial::Trial;
pub use vocabulary::{TEXT_BYTES_MAX, TokenizeError, Vocabulary};

/// A token's number in its model's vocabulary.
pub type TokenId = i32;
