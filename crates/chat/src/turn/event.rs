//! What a turn is told, and what it wants done.

use gaia_openai::chat::{CallStatus, NodeCall, TokenLogProb, ToolCall};
use gaia_openai::{ApiError, Citation, FinishReason, Usage};
use gaia_rag::Hit;

use crate::Generation;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The turn may begin.
    Start,
    /// The query's embedding.
    Embedded(Vec<f32>),
    /// What the store found.
    Found(Vec<Hit>),
    /// The store has no knowledge base for this node yet: nothing to search, and nothing to warn of.
    NoKnowledge,
    /// Embedding or searching failed; `reason` is shown to the caller.
    RetrievalFailed {
        /// A short clause, such as "the knowledge store did not answer".
        reason: String,
    },
    /// Tokens of each of the texts asked for, in their order.
    Counted(Vec<u32>),
    /// New text, whole characters.
    Generated {
        /// Of which answer.
        choice: u32,
        /// The text; may be empty.
        text: String,
        /// Its tokens, where asked for.
        logprobs: Vec<TokenLogProb>,
    },
    /// The engine is done with an answer.
    Ended {
        /// With which.
        choice: u32,
        /// Why.
        reason: FinishReason,
        /// What it took.
        usage: Usage,
    },
    /// What came of the calls that [`Effect::Call`] asked for. Those that are missing were not made.
    Called(Vec<Outcome>),
    /// The engine says that the prompt does not fit.
    PromptTooLong,
    /// The engine failed.
    Failed(ApiError),
    /// The caller is gone.
    Cancelled,
}

/// What came of a call of one of the node's tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which call.
    pub id: String,
    /// What the model is told: the answer, or why there is none.
    pub result: Result<String, String>,
    /// How long it took.
    pub ms: u64,
    /// How long the tool's reply was.
    pub bytes: u64,
}

impl Outcome {
    /// The call that this came of, in short.
    pub(crate) fn of(&self, call: &ToolCall) -> NodeCall {
        NodeCall {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            status: match self.result {
                Ok(_) => CallStatus::Completed,
                Err(_) => CallStatus::Failed,
            },
            ms: self.ms,
            bytes: self.bytes,
        }
    }
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What the reader sees.
    Text(String),
    /// What the model thinks before it answers.
    Reasoning(String),
    /// A call begins; its arguments follow.
    CallBegins {
        /// Which of the answer's calls, from 0.
        index: u32,
        /// What the message with the result will refer to.
        id: String,
        /// The tool.
        name: String,
    },
    /// More of a call's arguments.
    Arguments {
        /// Which call: the one that began last.
        index: u32,
        /// Some of the text of a JSON object.
        piece: String,
    },
    /// Nothing more comes of this call.
    CallEnds {
        /// Which call.
        index: u32,
    },
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Embed this text; answer with [`Event::Embedded`] or [`Event::RetrievalFailed`].
    Embed {
        /// The query.
        query: String,
    },
    /// Ask the store; answer with [`Event::Found`] or [`Event::RetrievalFailed`].
    Search {
        /// The query's embedding.
        vector: Vec<f32>,
        /// Most hits wanted.
        limit: usize,
        /// Least score wanted.
        score_threshold: f32,
    },
    /// Count the chat model's tokens in each text; answer with [`Event::Counted`]. The whole prompt
    /// is among the texts, so markers count as one token.
    Count {
        /// The texts.
        texts: Vec<String>,
    },
    /// The answer begins: what goes on the first chunk.
    Begin {
        /// The passages in the prompt; `None` where nothing was looked up.
        citations: Option<Vec<Citation>>,
        /// Why nothing was looked up although the node has a knowledge base.
        warning: Option<String>,
    },
    /// Generate as many answers as the request wants, [`Generation::choice`] each; answer with
    /// [`Event::Generated`] and one [`Event::Ended`] for each, or with a failure.
    Generate(Generation),
    /// Send a piece of an answer to the caller.
    Part {
        /// Of which answer.
        choice: u32,
        /// The piece.
        part: Part,
        /// The tokens of a text, where asked for.
        logprobs: Vec<TokenLogProb>,
    },
    /// Call these tools of the node's own, all at once; answer with [`Event::Called`].
    Call(Vec<ToolCall>),
    /// Tools were called: for the caller to see, no part of the answer.
    Called(Vec<NodeCall>),
    /// One answer is complete.
    End {
        /// Which.
        choice: u32,
        /// Why it ended.
        reason: FinishReason,
    },
    /// All answers are complete.
    Finish {
        /// What they took.
        usage: Usage,
    },
    /// The turn failed: a reply with this error, or an event where the stream has begun.
    Fail(ApiError),
    /// Stop generating and free the sequence.
    Stop,
}
