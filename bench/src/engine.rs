//! The bare engine: what a node could be at most.

use std::path::Path;
use std::time::Instant;

use gaia_engine::{LoadOptions, Model, Progress, Prompt, Request};

use crate::sample::Stream;
use crate::{at_once, prompt};

/// Loads the model as the plugin does.
pub fn load(path: &Path) -> Model {
    Model::load(path, &LoadOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// So many answers at once.
pub fn streams(model: &Model, count: usize, tokens: u32, seed: u32) -> Vec<Stream> {
    at_once(count, |stream| one(model, tokens, &prompt(seed, stream)))
}

fn one(model: &Model, tokens: u32, text: &str) -> Stream {
    let chat = format!("<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n");
    let mut request = Request::new(Prompt::Text(chat));
    request.sampling.temperature = 0.0;
    request.tokens_max = Some(tokens);
    request.ignore_eos = true;
    let asked = Instant::now();
    let mut generation = model
        .generate(request)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut first = None;
    loop {
        match generation.wait() {
            Progress::Finished(finish) => {
                let ended = Instant::now();
                let tokens = u32::try_from(finish.usage.generated).unwrap_or(u32::MAX);
                return Stream {
                    asked,
                    first: first.unwrap_or(ended),
                    ended,
                    tokens,
                };
            }
            Progress::Piece(_) | Progress::Busy => {
                first.get_or_insert_with(Instant::now);
            }
        }
    }
}
