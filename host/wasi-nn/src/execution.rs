//! One execution context: an input, what is computed from it, and the outputs.
//!
//! A context is one sequence of the engine. Its sequence is free again as soon as the context gets a
//! new input, is reset or closed.

use std::io::{self, Write};
use std::sync::Arc;

use gaia_engine::{
    EmbedError, Embedding, Embeddings, FinishReason, GenerateError, Generation, Image, Input,
    LookError, ModelKind, Piece, Progress, Prompt, Request, TokenEvent, TokenId, Usage, Vocabulary,
};

use crate::config::{Config, Speaker};
use crate::errno::Errno;
use crate::graph::{self, Graph};
use crate::guest::Tensor;
use crate::inputs::{self, Inputs};
use crate::loading::Lease;
use crate::output;
use crate::residency::Attempt;

/// WASI-NN's number for 32-bit integers in a tensor.
const KIND_I32: u8 = 4;

/// What `set_input` takes.
const INPUT_TEXT: u32 = 0;
const INPUT_METADATA: u32 = 1;
const INPUT_TOKENS: u32 = 2;
const INPUT_MANY: u32 = 3;
const INPUT_IMAGE: u32 = 4;

/// How many images a context holds.
const IMAGES_MAX: usize = 16;

/// The state of one context.
#[derive(Debug)]
pub(crate) struct Execution {
    graph: Arc<Graph>,
    config: Config,
    inputs: Option<Inputs>,
    run: Run,
    /// The attempt to load the model that this waits for.
    waiting: Attempt,
    text: String,
    unread: String,
    events: Vec<TokenEvent>,
    usage: Usage,
    embeddings: Option<Embeddings>,
    /// What the model was shown, with the lease that keeps it in memory.
    images: Vec<(Image, Lease)>,
}

#[derive(Debug)]
enum Run {
    Idle,
    Generating(Running<Generation>),
    Embedding(Running<Embedding>),
    Done(Option<FinishReason>),
}

/// What is being computed; the model stays in memory as long.
#[derive(Debug)]
struct Running<T> {
    // Cancelled before the model may go.
    work: T,
    _lease: Lease,
}

impl Execution {
    pub fn new(graph: Arc<Graph>) -> Self {
        Self {
            config: graph.config().clone(),
            graph,
            inputs: None,
            run: Run::Idle,
            waiting: None,
            text: String::new(),
            unread: String::new(),
            events: Vec::new(),
            usage: Usage::default(),
            embeddings: None,
            images: Vec::new(),
        }
    }

    /// Takes an input; one that is not metadata ends what was being computed.
    pub fn set_input(&mut self, index: u32, tensor: Tensor) -> Result<(), Errno> {
        let inputs = match index {
            INPUT_METADATA => {
                let metadata = graph::parse(&text(tensor.data)?)?;
                return graph::apply(&mut self.config, &metadata, Speaker::Guest);
            }
            INPUT_TEXT => Inputs::One(Input::Text(text(tensor.data)?)),
            INPUT_TOKENS if tensor.kind == KIND_I32 => {
                Inputs::One(Input::Tokens(inputs::token_ids(&tensor.data)?))
            }
            INPUT_IMAGE => return self.show(tensor),
            INPUT_MANY => inputs::several(graph::parse(&text(tensor.data)?)?)?,
            _ => return Err(Errno::InvalidArgument),
        };
        self.reset();
        self.inputs = Some(inputs);
        Ok(())
    }

    /// Shows the model an image: bytes of red, green and blue, in rows, as many as the dimensions say. Numbers for it stay
    /// valid until the context is finalised or reset.
    fn show(&mut self, tensor: Tensor) -> Result<(), Errno> {
        let [height, width, 3] = tensor.dimensions[..] else {
            return Err(Errno::InvalidArgument);
        };
        if self.images.len() == IMAGES_MAX {
            return Err(Errno::TooLarge);
        }
        let lease = self.graph.lease(&self.config, &mut self.waiting)?;
        let image = lease.model.look(width, height, tensor.data);
        let image = image.map_err(|error| refuse_image(&error))?;
        self.images.push((image, lease));
        Ok(())
    }

    /// Ends what is being computed and forgets all but what belongs to the next use of the context.
    pub fn finish_use(&mut self) {
        self.reset();
        self.images.clear();
    }

    /// Ends what is being computed and forgets the outputs; the input stays.
    pub fn reset(&mut self) {
        self.run = Run::Idle;
        self.waiting = None;
        self.text.clear();
        self.unread.clear();
        self.events.clear();
        self.usage = Usage::default();
        self.embeddings = None;
    }

    /// Computes to the end.
    pub fn compute(&mut self) -> Result<(), Errno> {
        self.reset();
        self.start()?;
        loop {
            match self.advance(true) {
                Ok(()) if matches!(self.run, Run::Generating(..)) => {}
                Ok(()) | Err(Errno::EndOfSequence) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Computes until there is something to read; when told to be non-blocking, only looks.
    pub fn compute_single(&mut self) -> Result<(), Errno> {
        self.graph.heard();
        if matches!(self.run, Run::Idle) {
            self.start()?;
        }
        self.advance(!self.config.request.non_blocking)
    }

    /// Gives the output `index` to `sink`. Output 0 of a `single` step is what has not been read.
    pub fn get_output(
        &mut self,
        index: u32,
        single: bool,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        match index {
            0 => self.output_text(single, sink),
            1 => sink(&output::metadata(self.current_usage(), self.finish())),
            2 => {
                let (vocabulary, loaded) = self.graph.vocabulary(&self.config)?;
                sink(&output::facts(vocabulary.facts(), loaded))
            }
            3 => sink(&output::numbers(&self.input_tokens()?)),
            4 => sink(&output::floats(&self.computed_embeddings()?.values)),
            5 => {
                sink(&output::events(&self.events))?;
                self.events.clear();
                Ok(())
            }
            6 => sink(&output::counts(&self.computed_embeddings()?.tokens)),
            7 => sink(&output::json(&self.token_counts()?)),
            8 => sink(&self.detokenized()?),
            9 => {
                let (vocabulary, loaded) = self.graph.vocabulary(&self.config)?;
                let used = if loaded { vocabulary.cells_used() } else { 0 };
                sink(&output::cells(used, vocabulary.facts()))
            }
            10 => {
                let (image, _) = self.images.last().ok_or(Errno::InvalidArgument)?;
                sink(&output::numbers(image.tokens()))
            }
            _ => Err(Errno::InvalidArgument),
        }
    }

    fn start(&mut self) -> Result<(), Errno> {
        let lease = self.graph.lease(&self.config, &mut self.waiting)?;
        let model = &lease.model;
        self.run = match model.facts().kind {
            ModelKind::Chat => {
                let generation = model
                    .generate(self.request()?)
                    .map_err(|error| refuse(&error))?;
                Run::Generating(Running {
                    work: generation,
                    _lease: lease,
                })
            }
            ModelKind::Embedding => {
                let inputs = match self.inputs.as_ref().ok_or(Errno::InvalidArgument)? {
                    Inputs::One(input) => vec![input.clone()],
                    Inputs::Many(inputs) => inputs.clone(),
                    Inputs::Pairs(_) => return Err(wrong_input("vectors of texts")),
                };
                let embedding = model.embed(inputs).map_err(|error| refuse_inputs(&error))?;
                Run::Embedding(Running {
                    work: embedding,
                    _lease: lease,
                })
            }
            ModelKind::Reranking => {
                let Some(Inputs::Pairs(pairs)) = &self.inputs else {
                    return Err(wrong_input("scores for a query and documents"));
                };
                let scores = model.rank(&pairs.query, &pairs.documents);
                Run::Embedding(Running {
                    work: scores.map_err(|error| refuse_inputs(&error))?,
                    _lease: lease,
                })
            }
        };
        Ok(())
    }

    fn advance(&mut self, wait: bool) -> Result<(), Errno> {
        match &mut self.run {
            Run::Idle => Err(Errno::InvalidArgument),
            Run::Done(Some(reason)) => Err(end(reason)),
            Run::Done(None) => Ok(()),
            Run::Generating(Running {
                work: generation, ..
            }) => {
                if wait {
                    let progress = generation.wait();
                    return self.take(progress);
                }
                self.look()
            }
            Run::Embedding(Running {
                work: embedding, ..
            }) => {
                let outcome = if wait {
                    Some(embedding.wait())
                } else {
                    embedding.poll()
                };
                let outcome = outcome.ok_or(Errno::Busy)?;
                self.run = Run::Done(None);
                self.embeddings = Some(outcome.map_err(|reason| {
                    tracing::error!("failed to read the inputs: {reason}");
                    Errno::RuntimeError
                })?);
                Ok(())
            }
        }
    }

    /// Takes all there is: who has read a piece need not look again to see that it was the last.
    fn look(&mut self) -> Result<(), Errno> {
        let mut found = Err(Errno::Busy);
        while let Run::Generating(Running {
            work: generation, ..
        }) = &mut self.run
        {
            let progress = generation.poll();
            match self.take(progress) {
                Ok(()) => found = Ok(()),
                Err(Errno::Busy) => return found,
                Err(end) => return Err(end),
            }
        }
        found
    }

    fn take(&mut self, progress: Progress) -> Result<(), Errno> {
        match progress {
            Progress::Busy => Err(Errno::Busy),
            Progress::Piece(piece) => {
                self.append(piece);
                Ok(())
            }
            Progress::Finished(finish) => {
                self.usage = finish.usage;
                let errno = end(&finish.reason);
                if let FinishReason::Failed(reason) = &finish.reason {
                    tracing::error!("failed to generate: {reason}");
                }
                self.run = Run::Done(Some(finish.reason));
                Err(errno)
            }
        }
    }

    fn append(&mut self, piece: Piece) {
        if self.config.request.stream_stdout {
            // Where nobody listens there is nobody to tell.
            let _ = io::stdout().write_all(piece.text.as_bytes());
            let _ = io::stdout().flush();
        }
        self.text.push_str(&piece.text);
        self.unread.push_str(&piece.text);
        self.events.extend(piece.events);
    }

    fn request(&self) -> Result<Request, Errno> {
        let prompt = match &self.inputs {
            Some(Inputs::One(Input::Text(text))) => Prompt::Text(text.clone()),
            Some(Inputs::One(Input::Tokens(ids))) => Prompt::Tokens(ids.clone()),
            Some(Inputs::Many(_) | Inputs::Pairs(_)) | None => return Err(Errno::InvalidArgument),
        };
        let options = self.config.request.clone();
        Ok(Request {
            prompt,
            sampling: options.sampling,
            grammar: options.grammar,
            stop: options.stop,
            tokens_max: options.tokens_max,
            ignore_eos: options.ignore_eos,
            logprobs: options.logprobs,
            cache_prompt: !options.read_afresh,
            shown_tokens: options.shown_tokens,
            score_prompt: options.score_prompt,
        })
    }

    fn vocabulary(&self) -> Result<Vocabulary, Errno> {
        let (vocabulary, _) = self.graph.vocabulary(&self.config)?;
        Ok(vocabulary)
    }

    fn finish(&self) -> Option<&FinishReason> {
        match &self.run {
            Run::Done(reason) => reason.as_ref(),
            Run::Idle | Run::Generating(..) | Run::Embedding(..) => None,
        }
    }

    /// Before anything has been computed, the input's tokens are counted as the stock plugin does.
    fn current_usage(&self) -> Usage {
        match (&self.run, &self.embeddings) {
            (_, Some(embeddings)) => Usage {
                prompt: embeddings.tokens.iter().sum(),
                ..Usage::default()
            },
            (Run::Idle, None) => Usage {
                prompt: self.input_tokens().map_or(0, |tokens| tokens.len()),
                ..Usage::default()
            },
            (
                Run::Generating(Running {
                    work: generation, ..
                }),
                None,
            ) => generation.usage(),
            (Run::Embedding(..) | Run::Done(_), None) => self.usage,
        }
    }

    fn output_text(
        &mut self,
        single: bool,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if let Some(embeddings) = &self.embeddings {
            return sink(&output::first_embedding(embeddings));
        }
        if !single {
            return sink(self.text.as_bytes());
        }
        sink(self.unread.as_bytes())?;
        self.unread.clear();
        Ok(())
    }

    fn computed_embeddings(&self) -> Result<&Embeddings, Errno> {
        self.embeddings.as_ref().ok_or(Errno::InvalidArgument)
    }

    fn input_tokens(&self) -> Result<Vec<TokenId>, Errno> {
        match &self.inputs {
            Some(Inputs::One(input)) => inputs::tokens_of(&self.vocabulary()?, input),
            Some(Inputs::Many(_) | Inputs::Pairs(_)) | None => Err(Errno::InvalidArgument),
        }
    }

    fn token_counts(&self) -> Result<Vec<usize>, Errno> {
        let vocabulary = self.vocabulary()?;
        let inputs = match &self.inputs {
            Some(Inputs::Many(inputs)) => inputs,
            Some(Inputs::Pairs(pairs)) => return inputs::pair_lengths(&vocabulary, pairs),
            Some(Inputs::One(_)) | None => return Err(Errno::InvalidArgument),
        };
        let lengths = inputs
            .iter()
            .map(|input| Ok(inputs::tokens_of(&vocabulary, input)?.len()));
        lengths.collect()
    }

    fn detokenized(&self) -> Result<Vec<u8>, Errno> {
        match &self.inputs {
            Some(Inputs::One(Input::Tokens(ids))) => {
                let bytes = self.vocabulary()?.bytes(ids);
                bytes.map_err(|_| Errno::InvalidArgument)
            }
            _ => Err(Errno::InvalidArgument),
        }
    }
}

fn text(bytes: Vec<u8>) -> Result<String, Errno> {
    String::from_utf8(bytes).map_err(|_| Errno::InvalidEncoding)
}

fn wrong_input(makes: &str) -> Errno {
    tracing::error!("the model makes {makes}, and the input is for something else");
    Errno::UnsupportedOperation
}

fn end(reason: &FinishReason) -> Errno {
    match reason {
        FinishReason::Stop | FinishReason::StopString(_) | FinishReason::Length => {
            Errno::EndOfSequence
        }
        FinishReason::ContextFull => Errno::ContextFull,
        FinishReason::Aborted | FinishReason::Failed(_) => Errno::RuntimeError,
    }
}

fn refuse(error: &GenerateError) -> Errno {
    let errno = match error {
        // Worth another try, as with any other wait.
        GenerateError::QueueFull { .. } => return Errno::Busy,
        GenerateError::PromptTooLong { .. } => Errno::PromptTooLong,
        GenerateError::WrongKind { .. } => Errno::UnsupportedOperation,
        GenerateError::Unloaded => Errno::RuntimeError,
        GenerateError::Tokenize(_) => Errno::TooLarge,
        GenerateError::PromptEmpty
        | GenerateError::Image { .. }
        | GenerateError::Token { .. }
        | GenerateError::Setting { .. }
        | GenerateError::Grammar(_) => Errno::InvalidArgument,
    };
    tracing::error!("{}", graph::chain(error));
    errno
}

fn refuse_image(error: &LookError) -> Errno {
    let errno = match error {
        LookError::Full => Errno::TooLarge,
        LookError::Blind { .. } => Errno::UnsupportedOperation,
        LookError::Size { .. } | LookError::Projector(_) => Errno::InvalidArgument,
    };
    tracing::error!("{error}");
    errno
}

fn refuse_inputs(error: &EmbedError) -> Errno {
    let errno = match error {
        EmbedError::QueueFull { .. } => return Errno::Busy,
        EmbedError::InputLength { tokens: 0, .. } => Errno::InvalidArgument,
        EmbedError::InputLength { .. } => Errno::PromptTooLong,
        EmbedError::WrongKind { .. } => Errno::UnsupportedOperation,
        EmbedError::Unloaded => Errno::RuntimeError,
        EmbedError::Tokenize { .. } => Errno::TooLarge,
        EmbedError::InputCount { .. } | EmbedError::Token { .. } => Errno::InvalidArgument,
    };
    tracing::error!("{}", graph::chain(error));
    errno
}
