//! Why a model was not loaded.

use std::io;
use std::path::PathBuf;

use gaia_gguf::{MemoryPlan, ReadHeaderError};

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be opened.
    #[error("failed to open model file `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is a folder or a device.
    #[error("`{path}` is not a file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is damaged or no GGUF.
    #[error("model file `{path}` is damaged or not a GGUF file")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ReadHeaderError,
    },
    /// An option is out of its range.
    #[error("{option} is {found}, it must be {range}")]
    Option {
        /// Its name.
        option: &'static str,
        /// The value.
        found: u64,
        /// What it may be.
        range: &'static str,
    },
    /// Two options exclude each other.
    #[error("{option} needs {needed}")]
    Contradiction {
        /// The one.
        option: &'static str,
        /// What the other must not be without.
        needed: &'static str,
    },
    /// It would not fit the memory.
    #[error(
        "model file `{path}` does not fit the memory: {plan}. It takes less with a smaller ctx-size \
         (ctx_size), n-seq-max (requests_running_max) or host-cache-mib (prompt_cache_mib), with \
         kv-type (kv_type) q8_0{}",
        without_draft(plan)
    )]
    Memory {
        /// The file.
        path: PathBuf,
        /// What it would take, and what there is.
        plan: Box<MemoryPlan>,
    },
    /// The draft model cannot guess for the model.
    #[error(
        "draft model `{path}` {reason}; name a smaller model of the same family as draft-model \
         (draft_model), or none"
    )]
    Draft {
        /// The draft model's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The projector cannot be used with the model.
    #[error(
        "projector `{path}` {reason}; name the one that was published with the model as mmproj, or none"
    )]
    Projector {
        /// The projector's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot rank texts.
    #[error(
        "ranking model `{path}` {reason}; name one that was converted for ranking, with the layer that scores, as \
         reranking_model, or none"
    )]
    Reranking {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The processor is too old for the compiled code.
    #[error("this processor lacks {missing}, which the engine was compiled for")]
    Processor {
        /// The missing features.
        missing: String,
    },
    /// llama.cpp refused it.
    #[error("llama.cpp refused model file `{path}`: {reason}")]
    Llama {
        /// The file.
        path: PathBuf,
        /// In its words.
        reason: String,
    },
}

fn without_draft(plan: &MemoryPlan) -> &'static str {
    match plan.draft {
        Some(_) => ", or without draft-model (draft_model)",
        None => "",
    }
}
