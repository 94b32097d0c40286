//! What an answer said, and how much of that is kept at most.

use gaia_statements::Claimed;

/// The most answers to one request: our nodes take 2,048 prompts and 8 answers to each.
pub const CHOICES_MAX: usize = 2048 * 8;

/// The most calls of tools in one answer, and of the node's own.
pub const CALLS_MAX: usize = 128;

/// The most passages: our nodes cite 50.
pub const CITATIONS_MAX: usize = 64;

/// The most named prompts of one answer.
pub const PROMPTS_MAX: usize = 16;

/// The most bytes that are kept of all that is written and cited.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What an answer's bytes said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metered {
    /// What the model wrote, a row for each answer to the request, by [`Written::index`].
    pub texts: Vec<Written>,
    /// What the node says it took: evidence, never money. `None`: it says nothing.
    pub claimed: Option<Claimed>,
    /// The passages that the node says it put into the prompt, the best first. `None`: nothing was looked up, which
    /// is not the same as nothing found.
    pub citations: Option<Vec<Cited>>,
    /// The node's named prompts that it was answered by, as `name@version`.
    pub prompts: Vec<String>,
    /// Calls that the node made of tools of its own. What those said, which the model read, is in no answer.
    pub own_calls: Vec<Call>,
    /// When the node says it began, in Unix seconds: templates show the date to the model.
    pub created: Option<u64>,
    /// The model that answered, as it is called there.
    pub model: Option<String>,
    /// Whether the answer is all there: each choice ended with a reason, and nothing went wrong.
    pub is_complete: bool,
    /// Whether something of the answer came, be it a token or the first byte of a whole reply.
    pub has_begun: bool,
    /// What went wrong, in the node's words; its beginning, where it is long.
    pub error: Option<String>,
    /// Events, or a body, that could not be read. More than none is worth a look at the node.
    pub unread: u32,
    /// The first maximum that was exceeded: what came after it is not in here.
    pub beyond: Option<Beyond>,
}

/// One answer to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Which, from 0.
    pub index: u32,
    /// What the caller reads.
    pub text: String,
    /// What the model thought before.
    pub reasoning: String,
    /// The tools that it calls.
    pub calls: Vec<Call>,
    /// Why it ended, in the API's words: `stop`, `length`, `tool_calls`, … `None`: it did not.
    pub ended: Option<String>,
    /// Whether the node ended the text itself, so that what was cut off is valid: those words the model never wrote.
    pub is_mended: bool,
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// Its arguments, as the model wrote them.
    pub arguments: String,
}

/// A passage in the prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cited {
    /// The passage.
    pub text: String,
    /// Where it is from.
    pub document: String,
    /// Which part of that, from 0.
    pub chunk: u32,
    /// Where it starts there, in characters.
    pub start: u64,
    /// Whether a prompt's program gave it, and not the knowledge base.
    pub is_given: bool,
}

/// A maximum that an answer exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    /// See [`crate::EVENT_BYTES_MAX`].
    #[error("an event has more than {} bytes", crate::EVENT_BYTES_MAX)]
    Event,
    /// See [`crate::BODY_BYTES_MAX`].
    #[error(
        "the reply has more than {} bytes besides vectors and probabilities",
        crate::BODY_BYTES_MAX
    )]
    Body,
    /// See [`crate::DEPTH_MAX`].
    #[error("the reply is nested deeper than {} values", crate::DEPTH_MAX)]
    Depth,
    /// See [`ANSWER_BYTES_MAX`].
    #[error("the answer has more than {ANSWER_BYTES_MAX} bytes")]
    Answer,
    /// See [`CHOICES_MAX`].
    #[error("there are more than {CHOICES_MAX} answers")]
    Choices,
    /// See [`CALLS_MAX`].
    #[error("an answer has more than {CALLS_MAX} calls")]
    Calls,
    /// See [`CITATIONS_MAX`].
    #[error("there are more than {CITATIONS_MAX} citations")]
    Citations,
    /// See [`PROMPTS_MAX`].
    #[error("there are more than {PROMPTS_MAX} named prompts")]
    Prompts,
}

impl Written {
    /// Bytes that the model wrote here, as far as the answer shows them: each is a token at most.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let calls: usize = self
            .calls
            .iter()
            .map(|call| call.name.len() + call.arguments.len())
            .sum();
        self.text.len() + self.reasoning.len() + calls
    }
}

impl Metered {
    /// All that the model wrote, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.texts.iter().map(Written::bytes).sum()
    }
}
