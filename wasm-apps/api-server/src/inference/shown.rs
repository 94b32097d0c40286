//! What a model is shown beside text: the images of a request, and the tokens that stand for them.

use gaia_openai::image::{Fragment, fragments};
use gaia_openai::{ApiError, Limits, Message};

use super::nn::Lease;
use super::{InferenceError, Model};
use crate::failure::from_inference;
use crate::pictures;

/// The images of a request as its model has them. Dropped, they are gone there.
#[derive(Default)]
pub(crate) struct Shown {
    /// The tokens of each image, by its hash.
    images: Vec<(String, Vec<u32>)>,
    _context: Option<Lease>,
}

impl Shown {
    /// Shows `model` the images of `messages`.
    ///
    /// # Errors
    /// 400 where it sees none, or one cannot be used; 429 where too many are held already.
    pub(crate) async fn to(
        model: &Model,
        messages: &[Message],
        limits: &Limits,
    ) -> Result<Self, ApiError> {
        let files: Vec<_> = messages
            .iter()
            .flat_map(|message| &message.images)
            .collect();
        if files.is_empty() {
            return Ok(Self::default());
        }
        if !model.facts.vision {
            return Err(blind(&model.id));
        }
        if files.len() > limits.images_max {
            let max = limits.images_max;
            let message = format!("A conversation may carry {max} images, and this one has more.");
            return Err(ApiError::invalid_value("messages", message));
        }
        let failed = |error| from_inference(error, "messages", None);
        let mut context = model.contexts.lease().map_err(failed)?;
        let mut images: Vec<(String, Vec<u32>)> = Vec::new();
        for file in files {
            if images.iter().all(|(hash, _)| hash != file.hash()) {
                let pixels = pictures::decode(file)?;
                let tokens = context.show(&pixels).await.map_err(failed)?;
                images.push((file.hash().to_owned(), tokens));
            }
        }
        Ok(Self {
            images,
            _context: Some(context),
        })
    }

    /// The tokens of `text`, with those of the images where it names them.
    pub(crate) fn tokenize(&self, model: &Model, text: &str) -> Result<Vec<u32>, InferenceError> {
        if self.images.is_empty() {
            return model.tokenize(text);
        }
        let mut tokens = Vec::new();
        let mut words = String::new();
        let mut is_first = true;
        for fragment in fragments(text) {
            match fragment {
                Fragment::Text(text) => words.push_str(text),
                Fragment::Image(hash) => match self.tokens_of(hash) {
                    Some(image) => {
                        tokens.extend(said(model, &words, is_first)?);
                        tokens.extend(image);
                        words.clear();
                        is_first = false;
                    }
                    // The name of an image that is not there is what somebody wrote.
                    None => words.push_str(&format!("[image:{hash}]")),
                },
            }
        }
        tokens.extend(said(model, &words, is_first)?);
        Ok(tokens)
    }

    fn tokens_of(&self, hash: &str) -> Option<&[u32]> {
        let mut images = self.images.iter();
        let found = images.find(|(other, _)| other == hash);
        found.map(|(_, tokens)| tokens.as_slice())
    }
}

/// What belongs at the start of a text stands before the first words only.
fn said(model: &Model, words: &str, is_first: bool) -> Result<Vec<u32>, InferenceError> {
    match (is_first, words.is_empty()) {
        (true, _) => model.tokenize(words),
        (false, true) => Ok(Vec::new()),
        (false, false) => model.tokenize_plain(words),
    }
}

fn blind(model: &str) -> ApiError {
    let message = format!(
        "`{model}` sees no images: leave them out, or ask a model with a projector (`GET /props` says \
         `modalities.vision`; on a node of your own set `projector`)."
    );
    ApiError::unsupported("messages", message)
}
