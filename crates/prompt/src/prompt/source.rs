//! Where prompts come from.

use std::collections::BTreeMap;
use std::future::{Future, ready};

use super::{ModelFacts, Opening, Prompt, RenderPromptError};
use crate::Markers;
use crate::making::{CallMade, Said};

/// What a prompt is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The last turn of the one who asks.
    pub question: &'a str,
    /// The conversation up to it.
    pub messages: &'a [Said],
    /// Variables as the request has them.
    pub variables: &'a BTreeMap<String, String>,
    /// The model that will answer.
    pub model: ModelFacts<'a>,
    /// Its control markers, which no caller's text may hold.
    pub markers: &'a Markers,
    /// When it was asked.
    pub now_unix_seconds: i64,
}

/// A prompt for an occasion, and how it came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// What goes before the conversation.
    pub opening: Opening,
    /// What it was made by: names, each with `@` and a hash.
    pub versions: Vec<String>,
    /// The tools that were called for it.
    pub calls: Vec<CallMade>,
    /// What is missing, in a sentence.
    pub warning: Option<String>,
}

/// Something that prompts come from: a file, a program that makes one for each question, or code of
/// your own in their place. It may take its time; what bounds that is the source's own affair.
pub trait PromptSource {
    /// Why there is none.
    type Error;

    /// What goes before this conversation.
    fn make(
        &self,
        occasion: &Occasion<'_>,
    ) -> impl Future<Output = Result<Prepared, Self::Error>> + Send;
}

/// A file's prompt says the same whatever the question is.
impl PromptSource for Prompt {
    type Error = RenderPromptError;

    fn make(
        &self,
        occasion: &Occasion<'_>,
    ) -> impl Future<Output = Result<Prepared, RenderPromptError>> + Send {
        let text = self.render(
            occasion.variables,
            &occasion.model,
            occasion.markers,
            occasion.now_unix_seconds,
        );
        ready(text.map(|text| Prepared {
            opening: Opening {
                system: Some(text),
                examples: self.examples(),
                ..Opening::default()
            },
            versions: vec![self.version().to_owned()],
            ..Prepared::default()
        }))
    }
}
