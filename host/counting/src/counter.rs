//! A model's tokenizer with what nodes put around requests for it.

use std::path::Path;
use std::sync::Arc;

use gaia_chat::{Engine, Node, OwnTools};
use gaia_engine::{LoadError, Vocabulary};
use gaia_metering::{Kind, Metered};
use gaia_prompt::prompt::PromptSet;
use gaia_prompt::{ChatTemplate, SpecialTokens, TemplateError, named_template};
use gaia_statements::{CountTolerance, Counted, TokenCounts};

use crate::count::Doubts;
use crate::words::{Reading, Words};
use crate::{Count, CountError, NodeTexts, NodeTextsError};

/// The template where a model brings none: what nodes fall back to.
const FALLBACK: &str = "chatml";

/// Counts for one model. Cheap to clone: clones share the vocabulary. Not for the thread of an event loop where texts
/// are long: a token takes about a microsecond.
#[derive(Debug, Clone)]
pub struct Counter {
    pub(crate) vocabulary: Vocabulary,
    words: Arc<Words>,
    pub(crate) nodes: Arc<Nodes>,
}

/// What nodes put around requests, ready to be used.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub node: Node,
    pub prompts: PromptSet,
    pub tools: OwnTools,
    pub image_tokens: Option<u64>,
    tolerance: CountTolerance,
}

/// Why a vocabulary cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read, or has none.
    #[error(transparent)]
    Vocabulary(#[from] LoadError),
    /// Its template is none.
    #[error("the chat template of the vocabulary cannot be used")]
    Template(#[from] TemplateError),
}

impl Counter {
    /// With the vocabulary of a GGUF file: a model, or what `gaia model vocabulary` made of one.
    /// Nodes are taken to be as they are set up; see [`Self::with_nodes`].
    ///
    /// # Errors
    /// It is no such file, or has no tokenizer or template that can be used.
    pub fn open(vocabulary: &Path) -> Result<Self, OpenError> {
        let vocabulary = Vocabulary::open(vocabulary)?;
        let nodes = Nodes::new(&vocabulary, &NodeTexts::default())?;
        Ok(Self {
            words: Arc::new(Words::new(&vocabulary)),
            vocabulary,
            nodes: Arc::new(nodes),
        })
    }

    /// With the same vocabulary, for nodes that put these texts in.
    ///
    /// # Errors
    /// A prompt or the template is none that a node would take.
    pub fn with_nodes(&self, texts: NodeTexts) -> Result<Self, NodeTextsError> {
        let mut nodes = Nodes::new(&self.vocabulary, &texts)?;
        if let Some(error) = nodes.prompts.update(texts.prompts).into_iter().next() {
            return Err(NodeTextsError::Prompt(error));
        }
        Ok(Self {
            vocabulary: self.vocabulary.clone(),
            words: Arc::clone(&self.words),
            nodes: Arc::new(nodes),
        })
    }

    /// The tokens of a text alone; what looks like a special token in it counts as the letters that it is.
    ///
    /// # Errors
    /// The text is too long for any model.
    pub fn text(&self, text: &str) -> Result<u64, CountError> {
        self.read(text, Reading::Plain)
    }

    pub(crate) fn read(&self, text: &str, reading: Reading) -> Result<u64, CountError> {
        Ok(self.words.count(&self.vocabulary, text, reading)?)
    }

    /// What a request took whose answer said this. `request` is the body that the node was sent.
    ///
    /// # Errors
    /// The request cannot be read as a node reads it, or is for a model of another use.
    pub fn count(
        &self,
        kind: Kind,
        request: &[u8],
        metered: &Metered,
    ) -> Result<Count, CountError> {
        let mut doubts = Doubts::new(self.nodes.tolerance);
        let (prompt, output) = self.both(kind, request, metered, &mut doubts)?;
        let claimed = metered.claimed.map_or(0, |claimed| claimed.0.cached);
        let cached = claimed.min(prompt);
        Ok(Count {
            counted: Counted(TokenCounts {
                input: prompt - cached,
                cached,
                output,
            }),
            certainty: doubts.certainty(),
        })
    }

    /// Tokens of the prompt, cached or not, and of the answer.
    fn both(
        &self,
        kind: Kind,
        request: &[u8],
        metered: &Metered,
        doubts: &mut Doubts,
    ) -> Result<(u64, u64), CountError> {
        let asked = self.asked(kind, request, metered, doubts)?;
        let output = match kind {
            Kind::Embeddings | Kind::Rerank => 0,
            _ => self.answer(&asked, metered, doubts)?,
        };
        Ok((asked.prompt, output))
    }
}

impl Nodes {
    fn new(vocabulary: &Vocabulary, texts: &NodeTexts) -> Result<Self, TemplateError> {
        let facts = vocabulary.facts();
        let tokens = SpecialTokens {
            bos: facts.bos_token.clone().unwrap_or_default(),
            eos: facts.eos_token.clone().unwrap_or_default(),
        };
        let source = texts
            .chat_template
            .as_deref()
            .or(facts.chat_template.as_deref());
        let source = source
            .or_else(|| named_template(FALLBACK))
            .unwrap_or_default();
        Ok(Self {
            node: Node {
                template: ChatTemplate::new(source, tokens)?,
                engine: Engine::Gaia,
                // What fits, and how it is sampled, was for the node to say.
                context_tokens: u32::MAX,
                vocabulary: None,
                completion_tokens_max: None,
                opening: texts.system.clone().into(),
                temperature: None,
                thinking: texts.thinking,
                rag_prompt: texts.passages.clone(),
                retrieval: None,
            },
            prompts: PromptSet::default(),
            tools: OwnTools {
                tools: texts.tools.clone(),
                ..OwnTools::default()
            },
            image_tokens: texts.image_tokens,
            tolerance: texts.tolerance,
        })
    }
}
