//! Loads a model file: looks at it first, decides sizes, then hands it to llama.cpp.

mod error;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gaia_gguf::{
    Facts, Header, KvType, MemoryPlan, MemoryWishes, Pooling, default_cells, default_context,
    in_units,
};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::{LlamaModelParams, LlamaSplitMode};
use llama_cpp_sys_2 as sys;

use crate::backend;
use crate::context::ContextOptions;
use crate::draft_plan::{DraftFile, DraftPlan};
use crate::facts::ModelKind;
use crate::memory;
use crate::prefix::KEPT_MAX;
use crate::projector::ProjectorFile;
use crate::threads::physical_cores;

pub use error::LoadError;

/// The most requests that can run at the same time.
pub const SEQUENCES_MAX: u32 = 64;

/// The most requests that can wait, whatever the options say.
pub const QUEUE_LEN_MAX: usize = 4096;

const CONTEXT_DEFAULT: u32 = 4096;
const SEQUENCES_DEFAULT: u32 = 8;
const BATCH_DEFAULT: u32 = 512;
const PROMPT_CHUNK_DEFAULT: u32 = 512;
const QUEUE_LEN_DEFAULT: usize = 256;
const CONTEXT_MAX: u32 = 1 << 24;
const BATCH_MAX: u32 = 1 << 16;
const THREADS_MAX: u32 = 512;
const TEXT_CONTEXT_MIN: u32 = 16;

/// How a model is spread over several GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// One GPU only.
    None,
    /// By layers.
    Layer,
    /// By rows.
    Row,
}

/// When to guess tokens and check them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speculation {
    /// Never.
    #[default]
    Off,
    /// Where it pays by what steps took on this machine.
    Auto,
    /// Whenever there is something to guess from.
    Always,
}

/// How to load a model. `None` stands for a default that fits the model and the machine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadOptions {
    /// Context of one request, in tokens; 4096 or what the model was trained for if that is less.
    pub context_size: Option<u32>,
    /// Requests that run at the same time; 8.
    pub sequences_max: Option<u32>,
    /// Room for the contexts of all requests together, in tokens. As much as all can need, but no
    /// more than 16,384 or one context.
    pub cells: Option<u32>,
    /// Host memory for what was read before and is not in use, in bytes; a quarter of what is left
    /// beside the model, at most 512 MiB. 0: none.
    pub host_cache_bytes: Option<u64>,
    /// Whether to guess what an answer quotes and to check several tokens in one step. It changes no
    /// answer's distribution.
    pub speculation: Speculation,
    /// The GGUF file of a second, smaller model with the same tokens, which guesses where nothing is
    /// quoted. It makes [`Speculation::Auto`] of [`Speculation::Off`].
    pub draft_model: Option<PathBuf>,
    /// Whether [`check`](crate::check) has tried that file already.
    pub draft_checked: bool,
    /// The GGUF file of the model's projector, with which it sees images.
    pub projector: Option<PathBuf>,
    /// Whether [`check`](crate::check) has tried that file already.
    pub projector_checked: bool,
    /// How the KV cache is kept; in 16 bits.
    pub kv_type: KvType,
    /// Tokens in a step; 512. For an embedding model the longest input.
    pub batch_size: Option<u32>,
    /// Tokens computed at once; the batch size.
    pub ubatch_size: Option<u32>,
    /// The longest piece of prompts in a step while another request writes, in tokens; what the
    /// machine reads in a fifth of a second, at most 512. Mostly it fills whole tiles of attention,
    /// 64 rows with those who write, which may take up to two seconds on a slow machine.
    pub prompt_chunk: Option<u32>,
    /// How long a step may read prompts; a fifth of a second, a quarter where nobody writes. With time for a whole
    /// batch, steps do not depend on how fast the machine just is, and a request alone has the same answer to the bit.
    pub reading_time: Option<Duration>,
    /// Threads for writing; the physical cores.
    pub threads: Option<u32>,
    /// Threads for reading prompts; as `threads`.
    pub threads_batch: Option<u32>,
    /// Layers on the GPU; as many as fit where the build has one.
    pub gpu_layers: Option<u32>,
    /// The GPU to use where only one is used.
    pub main_gpu: Option<i32>,
    /// How to use several GPUs.
    pub split: Option<Split>,
    /// Whether to map the file instead of reading it; yes.
    pub mmap: Option<bool>,
    /// Whether to keep the weights from being swapped out; no.
    pub mlock: Option<bool>,
    /// Whether to use flash attention; where llama.cpp finds it useful.
    pub flash_attention: Option<bool>,
    /// Whether to use the model for embeddings; what its file says.
    pub embedding: Option<bool>,
    /// Whether to use the model for ranking texts; what its file says.
    pub reranking: Option<bool>,
    /// Requests that may wait; 256.
    pub queue_len_max: Option<usize>,
    /// Whether [`check`](crate::check) has tried this file already, so that it need not be tried again.
    pub checked: bool,
    /// The memory it may take, in bytes; what the system has to give.
    pub memory_bytes_max: Option<u64>,
}

/// A file that has been found fit to be loaded, and the sizes it will have.
#[derive(Debug)]
pub(crate) struct Plan {
    pub path: PathBuf,
    pub facts: Facts,
    pub kind: ModelKind,
    pub file_bytes: u64,
    pub context_size: u32,
    /// Requests that run at a time.
    pub requests: u32,
    pub prompt_chunk: u32,
    pub reading_time: Option<Duration>,
    pub queue_len_max: usize,
    /// What it takes.
    pub memory: MemoryPlan,
    pub speculation: Speculation,
    pub context: ContextOptions,
    /// The model that guesses for it.
    pub draft: Option<DraftPlan>,
    /// With which it sees.
    pub projector: Option<ProjectorFile>,
}

impl Plan {
    /// The model's own name, or at least its file's.
    pub fn display_name(&self) -> String {
        let file = || {
            let stem = self.path.file_stem().unwrap_or_default();
            stem.to_string_lossy().into_owned()
        };
        self.facts.name.clone().unwrap_or_else(file)
    }
}

/// Decides how to load `path`, or why not to.
pub(crate) fn plan(path: &Path, options: &LoadOptions) -> Result<Plan, LoadError> {
    let missing = backend::missing_cpu_features();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(LoadError::Processor { missing });
    }
    let header = read_header(path)?;
    let facts = header.facts();
    let kind = kind(path, &header, &facts, options)?;
    let sizes = match kind {
        ModelKind::Chat => text_sizes(&facts, options)?,
        ModelKind::Embedding | ModelKind::Reranking => embedding_sizes(&facts, options)?,
    };
    let draft = DraftFile::read(kind, options)?;
    let projector = projector(kind, options)?;
    let mut wishes = memory_wishes(kind, &sizes, options);
    let taken = projector.as_ref().map_or(0, ProjectorFile::memory_bytes);
    wishes.available_bytes = wishes
        .available_bytes
        .map(|bytes| bytes.saturating_sub(taken));
    wishes.draft = draft
        .as_ref()
        .map(|draft| draft.memory(sizes.context_size, sizes.sequences));
    let memory = MemoryPlan::of(&facts, &wishes).map_err(|plan| {
        let path = path.to_owned();
        LoadError::Memory { path, plan }
    })?;
    let context = context_options(&facts, kind, &sizes, tokens(memory.cells), options)?;
    Ok(Plan {
        path: path.to_owned(),
        kind,
        file_bytes: header.file_bytes(),
        context_size: sizes.context_size,
        requests: sizes.sequences,
        prompt_chunk: in_range(
            "prompt-chunk",
            options.prompt_chunk,
            PROMPT_CHUNK_DEFAULT,
            1,
            BATCH_MAX,
        )?,
        reading_time: options.reading_time,
        queue_len_max: options
            .queue_len_max
            .unwrap_or(QUEUE_LEN_DEFAULT)
            .clamp(1, QUEUE_LEN_MAX),
        speculation: match (options.speculation, &draft) {
            (Speculation::Off, Some(_)) => Speculation::Auto,
            (wanted, _) => wanted,
        },
        draft: draft.map(|draft| draft.plan(&memory, &context)),
        projector,
        context,
        memory,
        facts,
    })
}

fn projector(kind: ModelKind, options: &LoadOptions) -> Result<Option<ProjectorFile>, LoadError> {
    match (&options.projector, kind) {
        (None, _) => Ok(None),
        (Some(path), ModelKind::Chat) => ProjectorFile::read(path).map(Some),
        (Some(_), ModelKind::Embedding | ModelKind::Reranking) => Err(LoadError::Contradiction {
            option: "mmproj",
            needed: "a model that writes text",
        }),
    }
}

fn memory_wishes(kind: ModelKind, sizes: &Sizes, options: &LoadOptions) -> MemoryWishes {
    MemoryWishes {
        context_size: Some(sizes.context_size.into()),
        requests: sizes.sequences.into(),
        cells: sizes.cells.map(u64::from),
        kv_type: match kind {
            ModelKind::Chat => options.kv_type,
            ModelKind::Embedding | ModelKind::Reranking => KvType::F16,
        },
        prompt_cache_bytes: match kind {
            ModelKind::Chat => options.host_cache_bytes,
            ModelKind::Embedding | ModelKind::Reranking => Some(0),
        },
        available_bytes: options.memory_bytes_max.or_else(memory::available_bytes),
        gpu: memory::gpu(options),
        draft: None,
    }
}

pub(crate) fn tokens(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(CONTEXT_MAX)
}

/// Hands the planned file to llama.cpp.
pub(crate) fn weights(plan: &Plan, options: &LoadOptions) -> Result<LlamaModel, LoadError> {
    let planned = plan.memory.gpu.map(|gpu| tokens(gpu.layers));
    weights_of(&plan.path, options.gpu_layers.or(planned), options)
}

/// Hands the file at `path` to llama.cpp, with so many layers for the GPU.
pub(crate) fn weights_of(
    path: &Path,
    gpu_layers: Option<u32>,
    options: &LoadOptions,
) -> Result<LlamaModel, LoadError> {
    let backend = backend::llama_backend();
    backend::clear_reason();
    let parameters = model_parameters(gpu_layers, options);
    LlamaModel::load_from_file(backend, path, &parameters).map_err(|_| LoadError::Llama {
        path: path.to_owned(),
        reason: backend::reason(),
    })
}

pub(crate) fn read_header(path: &Path) -> Result<Header, LoadError> {
    let open = |source| LoadError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(open)?;
    if !file.metadata().map_err(open)?.is_file() {
        let path = path.to_owned();
        return Err(LoadError::NotAFile { path });
    }
    Header::read(&mut BufReader::new(file)).map_err(|source| LoadError::Header {
        path: path.to_owned(),
        source,
    })
}

/// What the model is used for. What llama.cpp would read beyond a model's numbers is refused: scores of one that gives
/// none.
fn kind(
    path: &Path,
    header: &Header,
    facts: &Facts,
    options: &LoadOptions,
) -> Result<ModelKind, LoadError> {
    let wants = |option: Option<bool>| option == Some(true);
    if wants(options.embedding) && facts.pooling == Some(Pooling::Rank) {
        return Err(LoadError::Contradiction {
            option: "embedding",
            needed: "a model that makes vectors; this one ranks texts, so it is one for reranking (reranking_model)",
        });
    }
    let ranks = facts.is_reranking() && !wants(options.embedding);
    if wants(options.reranking) || ranks {
        return match header.reranking_misfit() {
            None => Ok(ModelKind::Reranking),
            Some(misfit) => Err(LoadError::Reranking {
                path: path.to_owned(),
                reason: misfit.to_string(),
            }),
        };
    }
    match wants(options.embedding) || facts.is_embedding() {
        true => Ok(ModelKind::Embedding),
        false => Ok(ModelKind::Chat),
    }
}

struct Sizes {
    context_size: u32,
    /// `None`: as the memory allows.
    cells: Option<u32>,
    sequences: u32,
    batch: u32,
    ubatch: u32,
}

fn text_sizes(facts: &Facts, options: &LoadOptions) -> Result<Sizes, LoadError> {
    let context_size = in_range(
        "ctx-size",
        options.context_size.filter(|size| *size > 0),
        tokens(default_context(facts)),
        TEXT_CONTEXT_MIN,
        CONTEXT_MAX,
    )?;
    let sequences = in_range(
        "n-seq-max",
        options.sequences_max,
        SEQUENCES_DEFAULT,
        1,
        SEQUENCES_MAX,
    )?;
    let cells = in_range(
        "n-cells",
        options.cells,
        tokens(default_cells(context_size.into(), sequences.into())),
        context_size,
        CONTEXT_MAX,
    )?;
    let cells = options.cells.map(|_| tokens(in_units(cells.into())));
    // llama.cpp ends the process when a batch is shorter than there are sequences.
    let batch = in_range(
        "batch-size",
        options.batch_size,
        BATCH_DEFAULT,
        1,
        BATCH_MAX,
    )?
    .max(sequences + KEPT_MAX + 1);
    let ubatch = in_range("ubatch-size", options.ubatch_size, batch, 1, BATCH_MAX)?.min(batch);
    Ok(Sizes {
        context_size,
        cells,
        sequences,
        batch,
        ubatch,
    })
}

/// An embedding is computed in one piece: context, batch and ubatch are the same.
fn embedding_sizes(facts: &Facts, options: &LoadOptions) -> Result<Sizes, LoadError> {
    let trained = trained_context(facts);
    let wanted = options.context_size.filter(|size| *size > 0);
    // Beyond the trained length a model of this kind has no positions, and llama.cpp would abort.
    let context_size = in_range(
        "ctx-size",
        wanted,
        trained.min(CONTEXT_DEFAULT),
        1,
        CONTEXT_MAX,
    )?
    .min(trained);
    let batch = in_range(
        "batch-size",
        options.batch_size,
        context_size.max(BATCH_DEFAULT),
        1,
        BATCH_MAX,
    )?;
    let context_size = context_size.min(batch);
    let sequences = in_range(
        "n-seq-max",
        options.sequences_max,
        SEQUENCES_MAX,
        1,
        SEQUENCES_MAX,
    )?;
    Ok(Sizes {
        context_size,
        cells: Some(tokens(in_units(batch.into()))),
        sequences,
        batch,
        ubatch: batch,
    })
}

fn trained_context(facts: &Facts) -> u32 {
    let trained = facts.context_length.unwrap_or(u64::from(CONTEXT_DEFAULT));
    u32::try_from(trained)
        .unwrap_or(CONTEXT_MAX)
        .clamp(1, CONTEXT_MAX)
}

fn context_options(
    facts: &Facts,
    kind: ModelKind,
    sizes: &Sizes,
    cells: u32,
    options: &LoadOptions,
) -> Result<ContextOptions, LoadError> {
    let cores = u32::try_from(physical_cores()).unwrap_or(1);
    let threads = in_range("threads", options.threads, cores, 1, THREADS_MAX)?;
    let threads_batch = in_range(
        "threads-batch",
        options.threads_batch,
        threads,
        1,
        THREADS_MAX,
    )?;
    let quantised = options.kv_type != KvType::F16 && kind == ModelKind::Chat;
    if quantised && options.flash_attention == Some(false) {
        return Err(LoadError::Contradiction {
            option: "kv-type `q8_0`",
            needed: "flash-attn",
        });
    }
    if quantised && !options.kv_type.suits(facts) {
        return Err(LoadError::Contradiction {
            option: "kv-type `q8_0`",
            needed: "heads whose sizes 32 divides, which this model has not; leave it at `f16`",
        });
    }
    let named = facts
        .pooling
        .is_some_and(|pooling| pooling != Pooling::None);
    Ok(ContextOptions {
        cells,
        sequences: match kind {
            // One for copies on their way to host memory and back.
            ModelKind::Chat => sizes.sequences + KEPT_MAX + 1,
            ModelKind::Embedding | ModelKind::Reranking => sizes.sequences,
        },
        batch: sizes.batch,
        ubatch: sizes.ubatch,
        threads: threads.cast_signed(),
        threads_batch: threads_batch.cast_signed(),
        flash_attention: options.flash_attention.or(quantised.then_some(true)),
        kv_type: match quantised {
            true => sys::GGML_TYPE_Q8_0,
            false => sys::GGML_TYPE_F16,
        },
        embeddings: kind != ModelKind::Chat,
        pooling: match (kind, named) {
            (ModelKind::Reranking, _) => sys::LLAMA_POOLING_TYPE_RANK,
            (ModelKind::Embedding, false) => sys::LLAMA_POOLING_TYPE_MEAN,
            _ => sys::LLAMA_POOLING_TYPE_UNSPECIFIED,
        },
    })
}

fn model_parameters(gpu_layers: Option<u32>, options: &LoadOptions) -> LlamaModelParams {
    let mut parameters = LlamaModelParams::default()
        .with_use_mmap(options.mmap.unwrap_or(true))
        .with_use_mlock(options.mlock.unwrap_or(false));
    if let Some(layers) = gpu_layers {
        parameters = parameters.with_n_gpu_layers(layers);
    }
    if let Some(gpu) = options.main_gpu {
        parameters = parameters.with_main_gpu(gpu);
    }
    match options.split {
        Some(Split::None) => parameters.with_split_mode(LlamaSplitMode::None),
        Some(Split::Layer) => parameters.with_split_mode(LlamaSplitMode::Layer),
        Some(Split::Row) => parameters.with_split_mode(LlamaSplitMode::Row),
        None => parameters,
    }
}

fn in_range(
    option: &'static str,
    value: Option<u32>,
    default: u32,
    min: u32,
    max: u32,
) -> Result<u32, LoadError> {
    let value = value.unwrap_or(default);
    match (min..=max).contains(&value) {
        true => Ok(value),
        false => Err(LoadError::Option {
            option,
            found: u64::from(value),
            range: match min {
                0 | 1 => "above 0 and not absurdly large",
                _ => "at least the smallest useful size and not absurdly large",
            },
        }),
    }
}
