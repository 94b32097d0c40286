//! A loaded model: its facts, its vocabulary, and the way to its thread.

mod inputs;

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;

use crate::TokenId;
use crate::bell::{Bell, Ring};
use crate::context::{Context, Interrupt};
use crate::drafting::Drafting;
use crate::embedding::{Embedder, EmbeddingJob};
use crate::facts::{ModelFacts, ModelKind};
use crate::grammar;
use crate::images::{Eye, Gallery, Image, LookError, Placed};
use crate::load::{self, LoadError, LoadOptions, Plan};
use crate::outbox::{Generation, Outbox};
use crate::pairing::Pairing;
use crate::projector::{Projector, ProjectorOptions};
use crate::request::{self, GenerateError, Prompt, Request};
use crate::sampler::Sampler;
use crate::scheduler::{Queue, Scheduler, SchedulerLimits};
use crate::sequence::Job;
use crate::text::Assembler;
use crate::trial::Trial;
use crate::vocabulary::{CellsUsed, TokenizeError, Vocabulary};

/// Where the log says what models take of the memory.
pub const MEMORY_LOG: &str = "gaia::memory";

/// llama.cpp compiles grammars and schemas by recursion on the thread that asks; this is for its own
/// work, which is flat.
const THREAD_STACK_BYTES: usize = 8 << 20;

/// Whether the file at `path` could be loaded with `options`. It is tried in a process of its own,
/// which takes about as long as loading it and ends with nothing loaded.
pub fn check(path: &Path, options: &LoadOptions) -> Result<(), LoadError> {
    Trial::begin(path, options)?.end()
}

/// A loaded model. Cheap to clone; the last clone that is dropped ends the running requests, waits
/// for the current step and frees the memory.
#[derive(Debug, Clone)]
pub struct Model {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    weights: Arc<LlamaModel>,
    vocabulary: Vocabulary,
    end_tokens: Vec<LlamaToken>,
    queue: Arc<Queue>,
    bell: Arc<Bell>,
    queue_len_max: usize,
    gallery: Option<Gallery>,
    worker: Worker,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the model's thread takes. `None` only while the model is being dropped.
#[derive(Debug)]
enum Worker {
    Text {
        jobs: Option<Sender<Job>>,
        interrupt: Arc<Interrupt>,
    },
    Embedding {
        jobs: Option<Sender<EmbeddingJob>>,
    },
}

impl Drop for Shared {
    fn drop(&mut self) {
        match &mut self.worker {
            Worker::Text { jobs, interrupt } => {
                *jobs = None;
                interrupt.request();
            }
            Worker::Embedding { jobs } => *jobs = None,
        }
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // Its panic has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Model {
    /// Loads the GGUF file at `path`.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, LoadError> {
        let plan = load::plan(path.as_ref(), options)?;
        Trial::of(&plan, options)?.end()?;
        tracing::info!(target: MEMORY_LOG, "{}: {}", plan.display_name(), plan.memory);
        if let Some(projector) = &plan.projector {
            let mib = projector.memory_bytes() >> 20;
            tracing::info!(target: MEMORY_LOG, "{}: {mib} MiB more for images", plan.display_name());
        }
        let weights = Arc::new(load::weights(&plan, options)?);
        let context = Context::new(Arc::clone(&weights), &plan.context).map_err(|error| {
            LoadError::Llama {
                path: plan.path.clone(),
                reason: error.to_string(),
            }
        })?;
        let draft = plan.draft.as_ref();
        let drafter = draft
            .map(|draft| draft.load(&weights, &context, options))
            .transpose()?;
        let projector = projector(&plan, &weights, options)?;
        let facts = facts(&plan, &weights);
        let pairing = pairing(&plan, &weights)?;
        let queue = Arc::new(Queue::default());
        let bell = Arc::new(Bell::default());
        let vocabulary = Vocabulary::new(Arc::clone(&weights), facts, pairing);
        let cells_used = vocabulary.cells_counter();
        let eye = projector.clone().map(Eye::new);
        let drafting = Drafting::new(plan.speculation, drafter);
        let (worker, thread) = start(
            &plan,
            (context, drafting, eye),
            &weights,
            &queue,
            &bell,
            cells_used,
        );
        Ok(Self {
            shared: Arc::new(Shared {
                end_tokens: end_tokens(&weights),
                vocabulary,
                weights,
                queue,
                bell,
                queue_len_max: plan.queue_len_max,
                gallery: projector.map(Gallery::new),
                worker,
                thread: Mutex::new(Some(thread)),
            }),
        })
    }

    /// What the model says about itself.
    pub fn facts(&self) -> &ModelFacts {
        self.shared.vocabulary.facts()
    }

    /// Its tokens and facts.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.shared.vocabulary
    }

    /// As [`Vocabulary::tokenize`].
    pub fn tokenize(&self, text: &str, add_special: bool) -> Result<Vec<TokenId>, TokenizeError> {
        self.vocabulary().tokenize(text, add_special)
    }

    /// As [`Vocabulary::tokenize_prompt`].
    pub fn tokenize_prompt(&self, text: &str) -> Result<Vec<TokenId>, TokenizeError> {
        self.vocabulary().tokenize_prompt(text)
    }

    /// As [`Vocabulary::tokenize_input`].
    pub fn tokenize_input(&self, text: &str) -> Result<Vec<TokenId>, TokenizeError> {
        self.vocabulary().tokenize_input(text)
    }

    /// As [`Vocabulary::detokenize`].
    pub fn detokenize(&self, tokens: &[TokenId]) -> Result<String, TokenizeError> {
        self.vocabulary().detokenize(tokens)
    }

    /// Looks at an image of `width` × `height` pixels of red, green and blue bytes, row by row. What stands for it in
    /// prompts is valid as long as the image, or a copy of it, is kept.
    pub fn look(&self, width: u32, height: u32, rgb: Vec<u8>) -> Result<Image, LookError> {
        let gallery = self.shared.gallery.as_ref();
        let gallery = gallery.ok_or_else(|| LookError::Blind {
            model: self.display_name(),
        })?;
        gallery.look(width, height, rgb)
    }

    /// Starts to answer `request`. Never waits.
    pub fn generate(&self, request: Request) -> Result<Generation, GenerateError> {
        let Worker::Text { jobs, interrupt } = &self.shared.worker else {
            let model = self.display_name();
            return Err(GenerateError::WrongKind { model });
        };
        let outbox_for = |len| Arc::new(Outbox::new(len, Arc::clone(interrupt)));
        let job = self.job(request, outbox_for)?;
        let generation = Generation::new(Arc::clone(&job.outbox));
        let max = self.shared.queue_len_max;
        if !self.shared.queue.enter(max) {
            return Err(GenerateError::QueueFull { max });
        }
        let jobs = jobs.as_ref().ok_or(GenerateError::Unloaded)?;
        jobs.send(job).map_err(|_| GenerateError::Unloaded)?;
        Ok(generation)
    }

    /// Calls `ring` after every step of this model that gave some reader something, and after every
    /// step of an embedding model, in place of what was called before. It runs on the model's thread
    /// and must not wait.
    pub fn set_bell(&self, ring: Option<Ring>) {
        self.shared.bell.set(ring);
    }

    fn job(
        &self,
        request: Request,
        outbox: impl FnOnce(usize) -> Arc<Outbox>,
    ) -> Result<Job, GenerateError> {
        let facts = self.facts();
        request::check(&request, facts.n_vocab)?;
        let mut prompt = self.prompt(&request.prompt)?;
        let images = self.images(&prompt)?;
        if request.score_prompt && !images.is_empty() {
            return Err(GenerateError::Setting {
                setting: "score-prompt",
                found: "true".to_owned(),
                range: "false for a prompt with images",
            });
        }
        let outbox = outbox(prompt.len());
        let mut scored = match request.score_prompt {
            true => prompt.split_off(1),
            false => Vec::new(),
        };
        scored.reverse();
        let grammar = request
            .grammar
            .as_ref()
            .map(|grammar| grammar::compile(&self.shared.weights, grammar))
            .transpose()
            .map_err(GenerateError::Grammar)?;
        let banned: &[LlamaToken] = match request.ignore_eos {
            true => &self.shared.end_tokens,
            false => &[],
        };
        Ok(Job {
            sampler: Sampler::new(
                &self.shared.weights,
                &request.sampling,
                banned,
                grammar,
                facts.n_ctx,
            ),
            text: Assembler::new(request.stop),
            tokens_max: request
                .tokens_max
                .map_or(usize::MAX, |max| max.max(1) as usize + scored.len()),
            scored,
            logprobs: request.logprobs,
            cache_prompt: request.cache_prompt,
            shown: self.vocabulary().control_tokens(&request.shown_tokens),
            outbox,
            images,
            prompt,
        })
    }

    fn prompt(&self, prompt: &Prompt) -> Result<Vec<LlamaToken>, GenerateError> {
        let facts = self.facts();
        let tokens = match prompt {
            Prompt::Text(text) => self
                .vocabulary()
                .prompt_tokens(text)
                .map_err(GenerateError::Tokenize)?,
            Prompt::Tokens(ids) => {
                // Negative ones stand for images.
                for id in ids.iter().filter(|id| **id >= 0 || !facts.vision) {
                    request::check_token(*id, facts.n_vocab)?;
                }
                ids.iter().copied().map(LlamaToken::new).collect()
            }
        };
        // One place is left for what is generated.
        let max = facts.n_ctx as usize - 1;
        match tokens.len() {
            0 => Err(GenerateError::PromptEmpty),
            len if len > max => Err(GenerateError::PromptTooLong { tokens: len, max }),
            _ => Ok(tokens),
        }
    }

    fn images(&self, prompt: &[LlamaToken]) -> Result<Vec<Placed>, GenerateError> {
        let Some(gallery) = &self.shared.gallery else {
            return Ok(Vec::new());
        };
        let placed = gallery.place(prompt);
        placed.map_err(|token| GenerateError::Image { token })
    }

    fn display_name(&self) -> String {
        let facts = self.facts();
        facts
            .name
            .clone()
            .unwrap_or_else(|| facts.architecture.clone())
    }
}

fn projector(
    plan: &Plan,
    weights: &Arc<LlamaModel>,
    options: &LoadOptions,
) -> Result<Option<Arc<Projector>>, LoadError> {
    let Some(file) = &plan.projector else {
        return Ok(None);
    };
    let computing = ProjectorOptions {
        threads: plan.context.threads_batch,
        gpu: options.gpu_layers != Some(0),
        rows_max: plan.context.ubatch.min(plan.context.batch) as usize,
    };
    Projector::load(file, weights, computing).map(|projector| Some(Arc::new(projector)))
}

/// How a ranking model wants a query and a text put together.
fn pairing(plan: &Plan, weights: &LlamaModel) -> Result<Option<Pairing>, LoadError> {
    if plan.kind != ModelKind::Reranking {
        return Ok(None);
    }
    let template = plan.facts.reranking_template.as_deref();
    let pairing = Pairing::of(&weights.vocab(), template);
    pairing.map(Some).map_err(|reason| LoadError::Reranking {
        path: plan.path.clone(),
        reason: reason.to_owned(),
    })
}

/// Starts the model's thread.
fn start(
    plan: &Plan,
    (context, drafting, eye): (Context, Drafting, Option<Eye>),
    weights: &Arc<LlamaModel>,
    queue: &Arc<Queue>,
    bell: &Arc<Bell>,
    cells_used: CellsUsed,
) -> (Worker, JoinHandle<()>) {
    let queue = Arc::clone(queue);
    let bell = Arc::clone(bell);
    match plan.kind {
        ModelKind::Chat => {
            let (jobs, receiver) = channel();
            let interrupt = context.interrupt();
            let limits = SchedulerLimits {
                context_len: plan.context_size as usize,
                cells: plan.context.cells as usize,
                requests: plan.requests,
                sequences: plan.context.sequences,
                host_bytes: usize::try_from(plan.memory.prompt_cache_bytes).unwrap_or(usize::MAX),
                speculation: plan.speculation,
                prompt_chunk: plan.prompt_chunk as usize,
                reading_time: plan.reading_time,
            };
            let computing = (drafting, eye);
            let weights = Arc::clone(weights);
            let scheduler =
                Scheduler::new(context, computing, weights, limits, receiver, queue, bell);
            let thread = spawn("gaia-decode", move || scheduler.run(&cells_used));
            let jobs = Some(jobs);
            (Worker::Text { jobs, interrupt }, thread)
        }
        ModelKind::Embedding | ModelKind::Reranking => {
            let (jobs, receiver) = channel();
            let embedder = Embedder::new(context, plan.requests, receiver, queue, bell);
            let thread = spawn("gaia-embed", || embedder.run());
            (Worker::Embedding { jobs: Some(jobs) }, thread)
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(THREAD_STACK_BYTES)
        .spawn(run)
        .expect("the system has room for one more thread")
}

fn facts(plan: &Plan, weights: &LlamaModel) -> ModelFacts {
    let vocab = weights.vocab();
    let named = |token: LlamaToken| {
        (token.0 >= 0).then(|| {
            let bytes = vocab.token_to_piece(token, true, None);
            (token.0, String::from_utf8_lossy(&bytes).into_owned())
        })
    };
    let (bos_id, bos_token) = named(vocab.bos()).unzip();
    let (eos_id, eos_token) = named(vocab.eos()).unzip();
    let embedding = plan.kind == ModelKind::Embedding;
    let writes = plan.kind == ModelKind::Chat;
    let dimensions = if embedding {
        weights.n_embd_out()
    } else {
        weights.n_embd()
    };
    ModelFacts {
        kind: plan.kind,
        embedding,
        reranking: plan.kind == ModelKind::Reranking,
        architecture: plan.facts.architecture.clone().unwrap_or_default(),
        name: plan.facts.name.clone(),
        n_ctx_train: weights.n_ctx_train(),
        n_ctx: plan.context_size,
        n_seq_max: plan.requests,
        n_cells: if writes { plan.context.cells } else { 0 },
        n_vocab: weights.n_vocab().cast_unsigned(),
        n_embd: dimensions.cast_unsigned(),
        chat_template: plan.facts.chat_template.clone(),
        bos_token,
        bos_id,
        infill: infill(weights),
        eos_token,
        eos_id,
        add_bos: vocab.should_add_bos(),
        vision: plan.projector.is_some(),
        pooling: (!writes).then(|| pooling_name(plan)),
        size_bytes: weights.size(),
        params: weights.n_params(),
    }
}

/// The tokens around the parts of a gap, where the model has all three.
fn infill(weights: &LlamaModel) -> Option<[TokenId; 3]> {
    let vocab = weights.vocab();
    let tokens = [vocab.fim_pre(), vocab.fim_suf(), vocab.fim_mid()].map(|token| token.0);
    tokens.iter().all(|token| *token >= 0).then_some(tokens)
}

fn pooling_name(plan: &Plan) -> &'static str {
    use gaia_gguf::Pooling;
    match (plan.context.pooling, plan.facts.pooling) {
        (sys::LLAMA_POOLING_TYPE_RANK, _) => "rank",
        (sys::LLAMA_POOLING_TYPE_MEAN, _) | (_, Some(Pooling::Mean)) => "mean",
        (_, Some(Pooling::Cls)) => "cls",
        (_, Some(Pooling::Last)) => "last",
        (_, Some(Pooling::Rank)) => "rank",
        (_, Some(Pooling::None) | None) => "none",
    }
}

fn end_tokens(weights: &LlamaModel) -> Vec<LlamaToken> {
    let vocab = weights.vocab();
    vocab
        .tokens()
        .filter(|token| vocab.is_eog(*token))
        .collect()
}
