//! Our engine bare, in this process: what a node could be at most.

use std::time::Instant;

use anyhow::Context as _;
use gaia_engine::{
    FinishReason, Grammar, LoadOptions, Model, Progress, Prompt, Request, Speculation,
};

use super::Setting;
use crate::chat::{Answer, Ask, Chat, Outcome};

/// The engine with a model in it.
pub struct Engine {
    model: Model,
}

impl Engine {
    /// Loads the model as the plugin does.
    ///
    /// # Errors
    /// The model cannot be loaded.
    pub fn load(setting: &Setting) -> anyhow::Result<Self> {
        Self::guessing(setting, Speculation::default())
    }

    /// As [`Engine::load`], with tokens guessed or not.
    ///
    /// # Errors
    /// The model cannot be loaded.
    pub fn guessing(setting: &Setting, speculation: Speculation) -> anyhow::Result<Self> {
        let options = LoadOptions {
            context_size: Some(setting.context),
            cells: Some(setting.cells),
            sequences_max: Some(setting.sequences),
            threads: Some(setting.threads),
            speculation,
            ..LoadOptions::default()
        };
        let model = Model::load(&setting.model, &options)
            .with_context(|| format!("loading {}", setting.model.display()))?;
        Ok(Self { model })
    }

    fn read(&self, request: Request, answer: &mut Answer) -> Option<()> {
        let mut generation = self.model.generate(request).ok()?;
        loop {
            match generation.wait() {
                Progress::Busy => (),
                Progress::Piece(piece) => {
                    answer.arrivals.push(Instant::now());
                    answer.text.push_str(&piece.text);
                }
                Progress::Finished(finish) => {
                    answer.tokens = u32::try_from(finish.usage.generated).ok()?;
                    answer.prompt_tokens = u32::try_from(finish.usage.prompt).ok()?;
                    answer.cached_tokens = u32::try_from(finish.usage.cached).ok()?;
                    let good = matches!(finish.reason, FinishReason::Stop | FinishReason::Length);
                    return good.then_some(());
                }
            }
        }
    }
}

impl Chat for Engine {
    fn name(&self) -> &str {
        "engine bare"
    }

    fn answer(&self, ask: &Ask) -> Answer {
        let mut answer = Answer::begun();
        if let Some(request) = request(ask)
            && self.read(request, &mut answer).is_some()
        {
            answer.outcome = Outcome::Done;
        }
        answer.ended = Instant::now();
        answer
    }
}

/// The prompt that ChatML makes of the question, which is the template of all models here.
fn request(ask: &Ask) -> Option<Request> {
    let prompt = format!(
        "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        ask.system, ask.user
    );
    let mut request = Request::new(Prompt::Text(prompt));
    request.sampling.temperature = 0.0;
    request.tokens_max = Some(ask.tokens);
    match &ask.grammar {
        Some(grammar) => request.grammar = Some(Grammar::Gbnf(grammar.clone())),
        None => request.ignore_eos = true,
    }
    Some(request)
}
