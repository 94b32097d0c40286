//! What a domain's nodes put into prompts: told to the gateway by the domain's configuration.

use gaia_openai::Tool;
use gaia_prompt::RagPrompt;
use gaia_prompt::prompt::PromptFile;
use gaia_statements::CountTolerance;

/// What nodes of a domain put into the prompts of one model. The default is a node as it is set up.
#[derive(Debug, Clone, Default)]
pub struct NodeTexts {
    /// The system prompt of conversations that bring none (`system_prompt`).
    pub system: Option<String>,
    /// How passages are put in (`rag_prompt`, `rag_policy`).
    pub passages: RagPrompt,
    /// The named prompts, as their files are: an answer says the version, which is a hash of the file.
    pub prompts: Vec<PromptFile>,
    /// The tools that nodes offer to the model by themselves, as far as they are all the same.
    pub tools: Vec<Tool>,
    /// Whether a model thinks that can be told so (`thinking`).
    pub thinking: Option<bool>,
    /// The template, where nodes use another than the model's own.
    pub chat_template: Option<String>,
    /// The tokens of one image, where they are always as many.
    pub image_tokens: Option<u64>,
    /// How far an honest claim may be off where everything was seen.
    pub tolerance: CountTolerance,
}

/// Why these texts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeTextsError {
    /// A prompt's file is none.
    #[error("{0}: nodes refuse it too")]
    Prompt(gaia_prompt::prompt::PromptError),
    /// The template is none.
    #[error("the chat template cannot be used")]
    Template(#[from] gaia_prompt::TemplateError),
}
