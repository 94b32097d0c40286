//! A vocabulary from a file, for who counts tokens and runs no model.
//!
//! The file is a model or one without its weights; llama.cpp reads no tensor of either. It has been read by us before,
//! but what it says of its tokenizer is llama.cpp's to judge, which ends the process where it is nonsense: such a file
//! comes from whoever runs the program.

use std::path::Path;
use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use super::Vocabulary;
use crate::backend;
use crate::facts::{ModelFacts, ModelKind};
use crate::load::{LoadError, read_header};
use crate::pairing::Pairing;

impl Vocabulary {
    /// The vocabulary of the GGUF file at `path`, with the facts that its header has. Those of a context are 0: there
    /// is none.
    ///
    /// # Errors
    /// It is no GGUF file, or has no vocabulary that llama.cpp knows.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let missing = backend::missing_cpu_features();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(LoadError::Processor { missing });
        }
        let said = read_header(path)?.facts();
        let source = load_alone(path)?;
        let facts = facts(&said, &source);
        let pairing = match facts.kind {
            ModelKind::Reranking => {
                let template = said.reranking_template.as_deref();
                let pairing = Pairing::of(&source.vocab(), template);
                Some(pairing.map_err(|reason| LoadError::Reranking {
                    path: path.to_owned(),
                    reason: reason.to_owned(),
                })?)
            }
            ModelKind::Chat | ModelKind::Embedding => None,
        };
        give_back_memory();
        Ok(Self::new(Arc::new(source), facts, pairing))
    }
}

/// The file was read twice, by us and by llama.cpp, and what that took lies free between what stays.
fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointers, and may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Without weights.
pub(super) fn load_alone(path: &Path) -> Result<LlamaModel, LoadError> {
    backend::clear_reason();
    let parameters = LlamaModelParams::default().with_vocab_only(true);
    let source = LlamaModel::load_from_file(backend::llama_backend(), path, &parameters);
    source.map_err(|_| LoadError::Llama {
        path: path.to_owned(),
        reason: backend::reason(),
    })
}

fn facts(said: &gaia_gguf::Facts, source: &LlamaModel) -> ModelFacts {
    let vocab = source.vocab();
    let named = |token: LlamaToken| {
        (token.0 >= 0).then(|| {
            let bytes = vocab.token_to_piece(token, true, None);
            (token.0, String::from_utf8_lossy(&bytes).into_owned())
        })
    };
    let (bos_id, bos_token) = named(vocab.bos()).unzip();
    let (eos_id, eos_token) = named(vocab.eos()).unzip();
    let infill = [vocab.fim_pre(), vocab.fim_suf(), vocab.fim_mid()].map(|token| token.0);
    let kind = match (said.is_reranking(), said.is_embedding()) {
        (true, _) => ModelKind::Reranking,
        (_, true) => ModelKind::Embedding,
        _ => ModelKind::Chat,
    };
    let number = |number: Option<u64>| number.and_then(|it| u32::try_from(it).ok()).unwrap_or(0);
    ModelFacts {
        kind,
        embedding: kind == ModelKind::Embedding,
        reranking: kind == ModelKind::Reranking,
        architecture: said.architecture.clone().unwrap_or_default(),
        name: said.name.clone(),
        n_ctx_train: number(said.context_length),
        n_ctx: 0,
        n_seq_max: 0,
        n_cells: 0,
        n_vocab: vocab.n_tokens().cast_unsigned(),
        n_embd: number(said.embedding_size),
        chat_template: said.chat_template.clone(),
        bos_token,
        bos_id,
        infill: infill.iter().all(|token| *token >= 0).then_some(infill),
        eos_token,
        eos_id,
        add_bos: vocab.should_add_bos(),
        vision: false,
        pooling: None,
        size_bytes: said.weights_bytes,
        params: said.parameter_count,
    }
}
