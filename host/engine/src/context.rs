//! A llama.cpp context and the batches that go into it.
//!
//! `llama-cpp-2` hides the context's pointer, and without it there is no abort callback, no thread
//! pool and no checking what it asserts; so the context is driven through the sys crate here.
//! The rest of the engine's `unsafe` is in `attention`, `projector`, `threadpool`, `probe` and the log's callback.
//!
//! Invariant: a [`Batch`] is never longer than the context's, and names only its sequences.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;

use crate::attention;
use crate::backend;
use crate::threadpool::ThreadPool;
use crate::turn::{self, TURNS_PAY};

/// The number of a sequence in its context.
pub(crate) type SequenceId = i32;

/// What a context is made for. Sizes in tokens.
#[derive(Debug, Clone)]
pub(crate) struct ContextOptions {
    /// Room in the KV cache for all sequences together.
    pub cells: u32,
    pub sequences: u32,
    pub batch: u32,
    pub ubatch: u32,
    pub threads: i32,
    pub threads_batch: i32,
    /// `None`: where llama.cpp finds it useful.
    pub flash_attention: Option<bool>,
    /// What the KV cache holds.
    pub kv_type: sys::ggml_type,
    /// Vectors instead of logits, with this pooling if the model names none.
    pub embeddings: bool,
    pub pooling: sys::llama_pooling_type,
}

/// The context could not be made; the text is llama.cpp's.
#[derive(Debug, thiserror::Error)]
#[error("failed to create the context: {0}")]
pub(crate) struct CreateContextError(pub String);

/// A batch could not be computed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// [`Interrupt::request`] came in between.
    #[error("the computation was interrupted")]
    Interrupted,
    /// No room in the KV cache.
    #[error("the KV cache is full")]
    Full,
    /// llama.cpp failed; the number is its own.
    #[error("llama.cpp failed to compute (code {0})")]
    Failed(i32),
}

/// Stops a computation that has become useless. llama.cpp looks at it between the nodes of its
/// graph, on the CPU only.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    requested: AtomicBool,
    permitted: AtomicBool,
}

impl Interrupt {
    /// Asks the running computation to stop, if it permits that.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    /// Forgets what was requested.
    pub fn reset(&self) {
        self.requested.store(false, Ordering::Release);
    }

    /// Says whether the next computation may be stopped.
    pub fn permit(&self, permitted: bool) {
        self.permitted.store(permitted, Ordering::Release);
    }
}

unsafe extern "C" fn must_stop(interrupt: *mut c_void) -> bool {
    // SAFETY: `Context::new` passes a pointer to what its own `Arc` keeps alive.
    let interrupt = unsafe { &*interrupt.cast::<Interrupt>() };
    interrupt.requested.load(Ordering::Acquire) && interrupt.permitted.load(Ordering::Acquire)
}

/// A context with its weights.
pub(crate) struct Context {
    raw: NonNull<sys::llama_context>,
    interrupt: Arc<Interrupt>,
    vocabulary: usize,
    /// Numbers that pooling makes of a sequence.
    dimensions: usize,
    batch_len: usize,
    // Freed after the context, which computes with them.
    threads: Option<Arc<ThreadPool>>,
    // Freed after the context, which points into it.
    weights: Arc<LlamaModel>,
}

// SAFETY: llama.cpp binds a context to no thread; this type is not `Sync`. Contexts that share threads
// (see `beside`) belong to one owner and move together.
unsafe impl Send for Context {}

impl Context {
    pub fn new(
        weights: Arc<LlamaModel>,
        options: &ContextOptions,
    ) -> Result<Self, CreateContextError> {
        let threads = ThreadPool::new(options.threads.max(options.threads_batch));
        Self::with_threads(weights, options, threads.map(Arc::new))
    }

    /// A context of another model for the thread that computes with this one. It has the same threads,
    /// of which two sets would spin against each other.
    pub fn beside(
        &self,
        weights: Arc<LlamaModel>,
        options: &ContextOptions,
    ) -> Result<Self, CreateContextError> {
        Self::with_threads(weights, options, self.threads.clone())
    }

    fn with_threads(
        weights: Arc<LlamaModel>,
        options: &ContextOptions,
        threads: Option<Arc<ThreadPool>>,
    ) -> Result<Self, CreateContextError> {
        let model = model_pointer(&weights);
        backend::clear_reason();
        // SAFETY: the model lives as long as `weights`, and no other context is made from it.
        let raw = unsafe { sys::llama_init_from_model(model, parameters(options)) };
        let raw = NonNull::new(raw).ok_or_else(|| CreateContextError(backend::reason()))?;
        let interrupt = Arc::new(Interrupt::default());
        let data = Arc::as_ptr(&interrupt).cast_mut().cast();
        // SAFETY: `raw` is a live context; `interrupt` and `threads` live as long as it.
        let (batch_len, ranks) = unsafe {
            if let Some(threads) = &threads {
                sys::llama_attach_threadpool(raw.as_ptr(), threads.as_ptr(), threads.as_ptr());
            }
            sys::llama_set_abort_callback(raw.as_ptr(), Some(must_stop), data);
            let pooling = sys::llama_pooling_type(raw.as_ptr());
            let ranks = pooling == sys::LLAMA_POOLING_TYPE_RANK;
            (sys::llama_n_batch(raw.as_ptr()), ranks)
        };
        let dimensions = match ranks {
            // SAFETY: the model lives as long as `weights`.
            true => usize::try_from(unsafe { sys::llama_model_n_cls_out(model) }),
            false => usize::try_from(weights.n_embd_out()),
        };
        Ok(Self {
            raw,
            interrupt,
            vocabulary: usize::try_from(weights.n_vocab()).unwrap_or(0),
            dimensions: dimensions.unwrap_or(0),
            batch_len: batch_len as usize,
            threads,
            weights,
        })
    }

    /// What stops this context's computations.
    pub fn interrupt(&self) -> Arc<Interrupt> {
        Arc::clone(&self.interrupt)
    }

    /// An empty batch of the length this context takes.
    pub fn batch(&self) -> Batch {
        Batch::new(self.batch_len)
    }

    /// Computes all tokens of `batch`. After an error the sequences in it are in an unknown state.
    pub fn decode(&mut self, batch: &mut Batch) -> Result<(), DecodeError> {
        debug_assert!(batch.len() <= self.batch_len && !batch.is_empty());
        let _turn = TURNS_PAY.then(turn::take);
        // SAFETY: the batch's arrays are as long as it says, and its length is within the context's.
        decoded(unsafe { sys::llama_decode(self.raw.as_ptr(), batch.raw()) })
    }

    /// Computes `rows` of numbers, which stand in the place of tokens at the positions from `start` on, with logits for
    /// the last of them. `whole`: they all look at each other; then no more than the context computes at once.
    pub fn decode_rows(
        &mut self,
        rows: &[f32],
        len: usize,
        (sequence, start): (SequenceId, usize),
        whole: bool,
    ) -> Result<(), DecodeError> {
        debug_assert!(len > 0 && len <= self.batch_len && rows.len().is_multiple_of(len));
        let first = i32::try_from(start).unwrap_or(i32::MAX);
        let mut positions: Vec<_> = (first..).take(len).collect();
        let mut wanted = vec![0; len];
        wanted[len - 1] = 1;
        let mut counts = vec![1; len];
        let mut sequence = sequence;
        let mut sequences = vec![&raw mut sequence; len];
        let batch = sys::llama_batch {
            n_tokens: i32::try_from(len).expect("a batch is shorter than 2^31"),
            token: std::ptr::null_mut(),
            embd: rows.as_ptr().cast_mut(),
            pos: positions.as_mut_ptr(),
            n_seq_id: counts.as_mut_ptr(),
            seq_id: sequences.as_mut_ptr(),
            logits: wanted.as_mut_ptr(),
        };
        let _turn = TURNS_PAY.then(turn::take);
        self.interrupt.permit(false);
        // SAFETY: all arrays are as long as the batch says, which llama.cpp only reads, and its length is within the
        // context's.
        let code = unsafe {
            sys::llama_set_causal_attn(self.raw.as_ptr(), !whole);
            let code = sys::llama_decode(self.raw.as_ptr(), batch);
            sys::llama_set_causal_attn(self.raw.as_ptr(), true);
            code
        };
        decoded(code)
    }

    /// The logits that the last batch computed for its entry `index`, which asked for them.
    pub fn logits(&self, index: i32) -> Option<&[f32]> {
        // SAFETY: llama.cpp answers null for an entry without logits, and else a row of the
        // vocabulary's length that lives until the next decode, which takes `&mut self`.
        unsafe {
            let row = sys::llama_get_logits_ith(self.raw.as_ptr(), index);
            (!row.is_null()).then(|| slice::from_raw_parts(row, self.vocabulary))
        }
    }

    /// The pooled vector, or the scores, that the last batch computed for `sequence`.
    pub fn embedding(&self, sequence: SequenceId) -> Option<&[f32]> {
        // SAFETY: as in `logits`, with a row of `dimensions`.
        unsafe {
            let row = sys::llama_get_embeddings_seq(self.raw.as_ptr(), sequence);
            (!row.is_null()).then(|| slice::from_raw_parts(row, self.dimensions))
        }
    }

    /// Frees what is kept of `sequence` from `position` on. False if only all of it could be freed,
    /// which some models without a KV cache are like.
    pub fn forget_from(&mut self, sequence: SequenceId, position: usize) -> bool {
        let first = i32::try_from(position).unwrap_or(i32::MAX);
        // SAFETY: the memory belongs to the live context; -1 stands for the last position.
        unsafe {
            let memory = sys::llama_get_memory(self.raw.as_ptr());
            memory.is_null() || sys::llama_memory_seq_rm(memory, sequence, first, -1)
        }
    }

    /// `to` comes to hold the cells of `from` at `positions` as well. Nothing is copied.
    pub fn share(&mut self, from: SequenceId, to: SequenceId, positions: Range<usize>) {
        let [start, end] = [positions.start, positions.end]
            .map(|position| i32::try_from(position).unwrap_or(i32::MAX));
        // SAFETY: as in `forget_from`; both are sequences of this context.
        unsafe {
            let memory = sys::llama_get_memory(self.raw.as_ptr());
            if !memory.is_null() {
                sys::llama_memory_seq_cp(memory, from, to, start, end);
            }
        }
    }

    /// A copy of the cells that `from` has at `positions`; `None` if it would be larger than
    /// `bytes_max`. `through` is a sequence without cells.
    pub fn copy_out(
        &mut self,
        from: SequenceId,
        through: SequenceId,
        positions: Range<usize>,
        bytes_max: usize,
    ) -> Option<Vec<u8>> {
        self.share(from, through, positions);
        // SAFETY: the buffer is as long as llama.cpp is told, which is as long as it asked for.
        let cells = unsafe {
            let size = sys::llama_state_seq_get_size(self.raw.as_ptr(), through);
            (size <= bytes_max).then(|| {
                let mut cells = vec![0; size];
                let written = sys::llama_state_seq_get_data(
                    self.raw.as_ptr(),
                    cells.as_mut_ptr(),
                    cells.len(),
                    through,
                );
                cells.truncate(written);
                cells
            })
        };
        self.forget_from(through, 0);
        cells
    }

    /// Puts a copy back as cells of `to`, those at `positions` only. `through` is a sequence without
    /// cells. False if llama.cpp finds no room or does not accept the copy; nothing has changed then.
    pub fn copy_in(
        &mut self,
        cells: &[u8],
        through: SequenceId,
        to: SequenceId,
        positions: Range<usize>,
    ) -> bool {
        let context = self.raw.as_ptr();
        // SAFETY: llama.cpp reads no further than the length it is told.
        let read =
            unsafe { sys::llama_state_seq_set_data(context, cells.as_ptr(), cells.len(), through) };
        if read > 0 {
            self.share(through, to, positions);
        }
        self.forget_from(through, 0);
        read > 0
    }

    /// Whether sequences can share cells and be cut at any place: not where a state stands for all
    /// that was read.
    pub fn can_share(&self) -> bool {
        let model = model_pointer(&self.weights);
        // SAFETY: the model lives as long as this.
        unsafe { !sys::llama_model_is_recurrent(model) && !sys::llama_model_is_hybrid(model) }
    }

    /// Frees everything that is kept of any sequence.
    pub fn forget_all(&mut self) {
        // SAFETY: as in `forget`.
        unsafe {
            let memory = sys::llama_get_memory(self.raw.as_ptr());
            if !memory.is_null() {
                sys::llama_memory_clear(memory, false);
            }
        }
    }
}

fn decoded(code: i32) -> Result<(), DecodeError> {
    match code {
        0 => Ok(()),
        1 => Err(DecodeError::Full),
        2 => Err(DecodeError::Interrupted),
        code => Err(DecodeError::Failed(code)),
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made in `new`, freed once, before the weights.
        unsafe { sys::llama_free(self.raw.as_ptr()) }
    }
}

fn parameters(options: &ContextOptions) -> sys::llama_context_params {
    // SAFETY: returns a plain struct.
    let mut parameters = unsafe { sys::llama_context_default_params() };
    parameters.n_ctx = options.cells;
    parameters.n_seq_max = options.sequences;
    parameters.n_batch = options.batch;
    parameters.n_ubatch = options.ubatch;
    parameters.n_threads = options.threads;
    parameters.n_threads_batch = options.threads_batch;
    parameters.flash_attn_type = match options.flash_attention {
        None => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
        Some(true) => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
        Some(false) => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
    };
    parameters.type_k = options.kv_type;
    parameters.type_v = options.kv_type;
    parameters.embeddings = options.embeddings;
    parameters.pooling_type = options.pooling;
    // One pool of cells for all sequences: a long request may use what short ones leave, one batch
    // stays one computation whatever the mix of prompts and single tokens in it, and sequences can
    // share a prefix without copying it.
    parameters.kv_unified = true;
    parameters.cb_eval = attention::callback();
    parameters.no_perf = true;
    parameters
}

/// `LlamaModel` is declared `repr(transparent)` over a non-null pointer to the model and its version
/// is pinned in the workspace; the assertion catches a change of its size.
pub(crate) fn model_pointer(model: &LlamaModel) -> *mut sys::llama_model {
    const {
        assert!(size_of::<LlamaModel>() == size_of::<*mut sys::llama_model>());
    }
    // SAFETY: see above.
    unsafe { *std::ptr::from_ref(model).cast::<*mut sys::llama_model>() }
}

/// Tokens to compute together, each with its sequence and position.
pub(crate) struct Batch {
    capacity: usize,
    tokens: Vec<sys::llama_token>,
    positions: Vec<sys::llama_pos>,
    sequences: Vec<SequenceId>,
    sequence_counts: Vec<i32>,
    sequence_pointers: Vec<*mut SequenceId>,
    wanted: Vec<i8>,
}

// SAFETY: the pointers are written by `raw` before each use and point into `sequences`.
unsafe impl Send for Batch {}

impl Batch {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            tokens: Vec::with_capacity(capacity),
            positions: Vec::with_capacity(capacity),
            sequences: Vec::with_capacity(capacity),
            sequence_counts: vec![1; capacity],
            sequence_pointers: Vec::with_capacity(capacity),
            wanted: Vec::with_capacity(capacity),
        }
    }

    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// How many tokens it takes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many more tokens it takes.
    pub fn room(&self) -> usize {
        self.capacity - self.len()
    }

    pub fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.sequences.clear();
        self.wanted.clear();
    }

    /// Adds a token; gives its index for [`Context::logits`], which has an answer if it is `wanted`.
    ///
    /// # Panics
    /// When there is no [`Self::room`].
    pub fn push(
        &mut self,
        token: LlamaToken,
        position: usize,
        sequence: SequenceId,
        wanted: bool,
    ) -> i32 {
        assert!(self.room() > 0, "the batch is full");
        let index = self.len();
        self.tokens.push(token.0);
        self.positions
            .push(i32::try_from(position).expect("positions are below the context's size"));
        self.sequences.push(sequence);
        self.wanted.push(i8::from(wanted));
        i32::try_from(index).expect("a batch is shorter than 2^31")
    }

    fn raw(&mut self) -> sys::llama_batch {
        self.sequence_pointers.clear();
        let pointers = self.sequences.iter_mut().map(std::ptr::from_mut);
        self.sequence_pointers.extend(pointers);
        sys::llama_batch {
            n_tokens: i32::try_from(self.len()).expect("a batch is shorter than 2^31"),
            token: self.tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: self.positions.as_mut_ptr(),
            n_seq_id: self.sequence_counts.as_mut_ptr(),
            seq_id: self.sequence_pointers.as_mut_ptr(),
            logits: self.wanted.as_mut_ptr(),
        }
    }
}
