//! The file of a model that guesses for another: whether it suits, what it takes, and how it is loaded.

use std::path::PathBuf;
use std::sync::Arc;

use gaia_gguf::{DRAFT_PADDING_MAX, DraftMemory, Facts, MemoryPlan};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;

use crate::context::{Context, ContextOptions};
use crate::draft_model::{Drafter, PIECE_MAX};
use crate::facts::ModelKind;
use crate::load::{self, LoadError, LoadOptions, read_header, tokens};

/// All layers.
const GPU_LAYERS_ALL: u32 = 999;

/// A file that may be one for guesses.
#[derive(Debug)]
pub(crate) struct DraftFile {
    path: PathBuf,
    facts: Facts,
    file_bytes: u64,
}

/// How a file is loaded that was found to be one.
#[derive(Debug)]
pub(crate) struct DraftPlan {
    pub path: PathBuf,
    pub file_bytes: u64,
    memory: DraftMemory,
    gpu_layers: Option<u32>,
    context: ContextOptions,
}

impl DraftFile {
    /// What `options` name to guess for a model of `kind`, if anything.
    pub fn read(kind: ModelKind, options: &LoadOptions) -> Result<Option<Self>, LoadError> {
        let Some(path) = options.draft_model.clone() else {
            return Ok(None);
        };
        if kind != ModelKind::Chat {
            return Err(LoadError::Contradiction {
                option: "draft-model",
                needed: "a model that writes text, to guess for",
            });
        }
        let header = read_header(&path)?;
        let facts = header.facts();
        let makes = match (facts.is_embedding(), facts.is_reranking()) {
            (true, _) => "makes embeddings of texts",
            (_, true) => "ranks texts",
            (false, false) => {
                return Ok(Some(Self {
                    path,
                    facts,
                    file_bytes: header.file_bytes(),
                }));
            }
        };
        Err(LoadError::Draft {
            path,
            reason: format!("{makes} and writes none"),
        })
    }

    /// What it takes beside a model that has `sequences` requests of `context_size` tokens.
    pub fn memory(&self, context_size: u32, sequences: u32) -> DraftMemory {
        DraftMemory::of(&self.facts, context_size.into(), sequences.into())
    }

    /// How it is loaded by `plan`, beside a model with `context`.
    pub fn plan(self, plan: &MemoryPlan, context: &ContextOptions) -> DraftPlan {
        let memory = plan
            .draft
            .unwrap_or_else(|| DraftMemory::of(&self.facts, plan.context_size, plan.requests));
        DraftPlan {
            path: self.path,
            file_bytes: self.file_bytes,
            gpu_layers: plan.gpu.map(|gpu| match gpu.has_draft {
                true => GPU_LAYERS_ALL,
                false => 0,
            }),
            context: ContextOptions {
                cells: tokens(memory.cells),
                batch: PIECE_MAX,
                ubatch: PIECE_MAX,
                kv_type: sys::GGML_TYPE_F16,
                ..context.clone()
            },
            memory,
        }
    }
}

impl DraftPlan {
    /// Loads it, to guess for the model of `weights` and `context`.
    pub fn load(
        &self,
        weights: &LlamaModel,
        context: &Context,
        options: &LoadOptions,
    ) -> Result<Drafter, LoadError> {
        let refused = |reason: &str| LoadError::Draft {
            path: self.path.clone(),
            reason: reason.to_owned(),
        };
        if !context.can_share() {
            return Err(refused(
                "cannot guess for this model, whose state cannot go back before a wrong guess",
            ));
        }
        let own = Arc::new(load::weights_of(&self.path, self.gpu_layers, options)?);
        let vocabulary = common_vocabulary(&own, weights).map_err(|reason| refused(&reason))?;
        let sequences = self.context.sequences;
        let own = context
            .beside(own, &self.context)
            .map_err(|error| LoadError::Llama {
                path: self.path.clone(),
                reason: error.to_string(),
            })?;
        if !own.can_share() {
            return Err(refused(
                "has a recurrent state, which cannot go back before a wrong guess",
            ));
        }
        let window = usize::try_from(self.memory.window).unwrap_or(0);
        Ok(Drafter::new(own, sequences, window, vocabulary))
    }
}

/// How many tokens both have, which must be the same; else what differs.
fn common_vocabulary(draft: &LlamaModel, model: &LlamaModel) -> Result<usize, String> {
    let [drafts, models] = [draft, model].map(|one| usize::try_from(one.n_vocab()).unwrap_or(0));
    if drafts.abs_diff(models) > DRAFT_PADDING_MAX {
        return Err(format!(
            "has {drafts} tokens, and the model has {models}: they must be the same"
        ));
    }
    let (own, others) = (draft.vocab(), model.vocab());
    for (what, own, other) in [
        ("starts a text", own.bos(), others.bos()),
        ("ends a text", own.eos(), others.eos()),
    ] {
        if own != other {
            return Err(format!(
                "has {own} as the token that {what}, and the model has {other}: they must be the same"
            ));
        }
    }
    let count = drafts.min(models);
    let mut pieces = [Vec::new(), Vec::new()];
    for token in (0..i32::try_from(count).unwrap_or(0)).map(LlamaToken::new) {
        for (piece, vocab) in pieces.iter_mut().zip([&own, &others]) {
            piece.clear();
            vocab.token_to_piece_into(token, piece, true, None);
        }
        let [own, other] = &pieces;
        if own != other {
            let [own, other] = [own, other].map(|piece| String::from_utf8_lossy(piece));
            return Err(format!(
                "has {own:?} as token {token}, and the model has {other:?}: they must be the same"
            ));
        }
    }
    Ok(count)
}
