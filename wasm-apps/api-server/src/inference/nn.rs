//! The calls of WASI-NN, as values that own what they open.
//!
//! A context is never closed, because a module that imports the call for it does not start under every WasmEdge: it
//! is reset and used again. A reset ends its sequence at once.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use wasmedge_wasi_nn::{
    BackendError, Error, ExecutionTarget, Graph, GraphBuilder, GraphEncoding,
    GraphExecutionContext, TensorType,
};

use super::InferenceError;
use super::bell::{Bell, Watcher};
use super::model::read_numbers;
use crate::pictures::Pixels;

// The stock plugin copies without looking at the size of the buffer.
const OUTPUT_BYTES: usize = 256 << 10;
const OUTPUT_BYTES_MAX: usize = 64 << 20;

pub(crate) const INPUT_TEXT: usize = 0;
pub(crate) const INPUT_METADATA: usize = 1;
pub(crate) const INPUT_TOKENS: usize = 2;
pub(crate) const INPUT_MANY: usize = 3;
pub(crate) const INPUT_IMAGE: usize = 4;
pub(crate) const OUTPUT_TEXT: usize = 0;
pub(crate) const OUTPUT_METADATA: usize = 1;
pub(crate) const OUTPUT_FACTS: usize = 2;
pub(crate) const OUTPUT_TOKENS: usize = 3;
pub(crate) const OUTPUT_EMBEDDINGS: usize = 4;
pub(crate) const OUTPUT_EVENTS: usize = 5;
pub(crate) const OUTPUT_EMBEDDING_TOKENS: usize = 6;
pub(crate) const OUTPUT_COUNTS: usize = 7;
pub(crate) const OUTPUT_DETOKENIZED: usize = 8;
pub(crate) const OUTPUT_IMAGE: usize = 10;
pub(crate) const OUTPUT_CELLS: usize = 9;

thread_local! {
    // Outputs are read for every token; a fresh buffer each time would cost more than the text.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The contexts of one graph.
pub(crate) struct Contexts {
    graph: Graph,
    bell: Arc<Bell>,
    idle: Mutex<Vec<GraphExecutionContext>>,
}

impl Contexts {
    /// Opens the graph preloaded as `name`; `None` when there is none. A plugin that knows how loads it with
    /// `settings` behind our back, and rings `bell`.
    pub(crate) fn open(
        name: &str,
        settings: &Value,
        bell: Bell,
    ) -> Result<Option<Arc<Self>>, InferenceError> {
        let builder = || GraphBuilder::new(GraphEncoding::Ggml, ExecutionTarget::AUTO);
        let opened = builder()
            .config(settings.to_string())
            .build_from_cache(name)
            // Who does not take the settings now gets them with the first context.
            .or_else(|_| builder().build_from_cache(name));
        match opened {
            Ok(graph) => Ok(Some(Arc::new(Self {
                graph,
                bell: Arc::new(bell),
                idle: Mutex::default(),
            }))),
            Err(Error::BackendError(
                BackendError::NotFound | BackendError::UnsupportedOperation,
            )) => Ok(None),
            Err(error) => Err(failed("open the model", &error)),
        }
    }

    /// A context to work with, until it is dropped.
    pub(crate) fn lease(self: &Arc<Self>) -> Result<Lease, InferenceError> {
        let known = self.lock().pop();
        let context = match known {
            Some(context) => context,
            None => self
                .graph
                .init_execution_context()
                .map_err(|error| failed("open a context", &error))?,
        };
        Ok(Lease {
            context: Some(context),
            home: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<GraphExecutionContext>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A context in use. Dropping it ends what it computes.
pub(crate) struct Lease {
    context: Option<GraphExecutionContext>,
    home: Arc<Contexts>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut context) = self.context.take()
            // The stock plugin has nothing to reset before the first token; the context is as good as new then.
            && (context.fini_single().is_ok() || self.home.lock().is_empty())
        {
            self.home.lock().push(context);
        }
    }
}

/// How a step of computing went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Computed {
    /// There is something to read.
    Some,
    /// Nothing new yet.
    Busy,
    /// The text ended.
    End,
    /// The context is full.
    Full,
    /// The prompt does not fit the context.
    PromptTooLong,
}

impl Lease {
    fn context(&mut self) -> Result<&mut GraphExecutionContext, InferenceError> {
        self.context.as_mut().ok_or(InferenceError::Refused)
    }

    /// Someone who waits for what this context computes; to be made before the first step.
    pub(crate) fn watcher(&self) -> Watcher {
        Watcher::new(Arc::clone(&self.home.bell))
    }

    /// What the model says about itself: `Ok(None)` from a plugin that tells nothing, and an error when the model
    /// could not be loaded.
    pub(crate) async fn facts(&mut self) -> Result<Option<Vec<u8>>, InferenceError> {
        let mut watcher = self.watcher();
        let mut loads = false;
        loop {
            match self.raw(|context, buffer| context.get_output(OUTPUT_FACTS, buffer))? {
                Ok(facts) => return Ok(Some(facts)),
                Err(Error::BackendError(BackendError::Busy)) => {
                    loads = true;
                    watcher.wait().await;
                }
                Err(Error::BackendError(BackendError::InvalidArgument)) if !loads => {
                    return Ok(None);
                }
                Err(error) => return Err(failed("load the model", &error)),
            }
        }
    }

    pub(crate) fn set_metadata(&mut self, metadata: &Value) -> Result<(), InferenceError> {
        self.set_bytes(INPUT_METADATA, metadata.to_string().as_bytes())
    }

    /// Shows the model an image; gives what stands for it in a prompt as long as this context is in use. Waits while the
    /// model is brought back into memory.
    pub(crate) async fn show(&mut self, pixels: &Pixels) -> Result<Vec<u32>, InferenceError> {
        let mut watcher = self.watcher();
        let shape = [pixels.height as usize, pixels.width as usize, 3];
        loop {
            let context = self.context()?;
            match context.set_input(INPUT_IMAGE, TensorType::U8, &shape, &pixels.rgb) {
                Ok(()) => return Ok(read_numbers(&self.output(OUTPUT_IMAGE)?)),
                Err(Error::BackendError(BackendError::Busy)) => watcher.wait().await,
                Err(Error::BackendError(BackendError::TooLarge)) => {
                    return Err(InferenceError::ImagesFull);
                }
                Err(error) => return Err(refused_or_failed("look at an image", &error)),
            }
        }
    }

    pub(crate) fn set_text(&mut self, text: &str) -> Result<(), InferenceError> {
        self.set_bytes(INPUT_TEXT, text.as_bytes())
    }

    pub(crate) fn set_many(&mut self, json: &str) -> Result<(), InferenceError> {
        self.set_bytes(INPUT_MANY, json.as_bytes())
    }

    pub(crate) fn set_tokens(&mut self, tokens: &[u32]) -> Result<(), InferenceError> {
        self.context()?
            .set_input(INPUT_TOKENS, TensorType::I32, &[tokens.len()], tokens)
            .map_err(|error| refused_or_failed("take the prompt", &error))
    }

    fn set_bytes(&mut self, index: usize, bytes: &[u8]) -> Result<(), InferenceError> {
        self.context()?
            .set_input(index, TensorType::U8, &[bytes.len()], bytes)
            .map_err(|error| refused_or_failed("take its input", &error))
    }

    /// One step; with Gaia's plugin it never waits.
    pub(crate) fn step(&mut self) -> Result<Computed, InferenceError> {
        computed(self.context()?.compute_single())
    }

    /// Everything at once, waiting for it.
    pub(crate) fn compute(&mut self) -> Result<Computed, InferenceError> {
        computed(self.context()?.compute())
    }

    /// What is new in `index` since it was read last.
    pub(crate) fn output_single(&mut self, index: usize) -> Result<Vec<u8>, InferenceError> {
        self.read(|context, buffer| context.get_output_single(index, buffer))
    }

    /// The whole of output `index`.
    pub(crate) fn output(&mut self, index: usize) -> Result<Vec<u8>, InferenceError> {
        self.read(|context, buffer| context.get_output(index, buffer))
    }

    fn read(
        &mut self,
        get: impl Fn(&GraphExecutionContext, &mut [u8]) -> Result<usize, Error>,
    ) -> Result<Vec<u8>, InferenceError> {
        self.raw(get)?
            .map_err(|error| refused_or_failed("give its output", &error))
    }

    fn raw(
        &mut self,
        get: impl Fn(&GraphExecutionContext, &mut [u8]) -> Result<usize, Error>,
    ) -> Result<Result<Vec<u8>, Error>, InferenceError> {
        let context = self.context()?;
        SCRATCH.with_borrow_mut(|buffer| {
            buffer.resize(OUTPUT_BYTES.max(buffer.len()), 0);
            loop {
                match get(context, buffer) {
                    Ok(len) => return Ok(Ok(buffer.get(..len).unwrap_or_default().to_vec())),
                    Err(Error::BackendError(BackendError::TooLarge))
                        if buffer.len() < OUTPUT_BYTES_MAX =>
                    {
                        buffer.resize(buffer.len() * 4, 0);
                    }
                    Err(error) => return Ok(Err(error)),
                }
            }
        })
    }
}

fn computed(result: Result<(), Error>) -> Result<Computed, InferenceError> {
    match result {
        Ok(()) => Ok(Computed::Some),
        Err(Error::BackendError(BackendError::Busy)) => Ok(Computed::Busy),
        Err(Error::BackendError(BackendError::EndOfSequence)) => Ok(Computed::End),
        Err(Error::BackendError(BackendError::ContextFull)) => Ok(Computed::Full),
        Err(Error::BackendError(BackendError::PromptTooLong)) => Ok(Computed::PromptTooLong),
        Err(error) => Err(refused_or_failed("compute", &error)),
    }
}

fn refused_or_failed(doing: &'static str, error: &Error) -> InferenceError {
    match error {
        Error::BackendError(BackendError::InvalidArgument | BackendError::TooLarge) => {
            InferenceError::Refused
        }
        error => failed(doing, error),
    }
}

fn failed(doing: &'static str, error: &Error) -> InferenceError {
    InferenceError::Engine {
        doing,
        reason: error.to_string(),
    }
}
