//! When the parts of an answer happened, for the metrics and for whoever traces the request.

use std::sync::Arc;
use std::time::Instant;

use gaia_openai::{FinishReason, Timings, Usage};
use gaia_trace::{Generated, What};

use crate::app::App;
use crate::meter::Meter;

/// The clock of one answer. Dropped before the end, it counts as aborted.
pub(crate) struct Timing {
    app: Arc<App>,
    /// Counts for the caller's key, if somebody asks for that.
    meter: Option<Arc<Meter>>,
    /// Tokens that are taken even if the answer is broken off here: read and written.
    prompt: u64,
    written: u64,
    started: Instant,
    entered: Option<Instant>,
    first: Option<Instant>,
    last: Instant,
    /// Whether the next piece does not follow upon the last: tools were called in between.
    resumed: bool,
    generating: bool,
    /// Whether the prompt of the generation that runs is being read.
    reading: bool,
    /// What of prompts is counted already.
    counted: Usage,
    /// The id of the reply.
    response: String,
    /// The generation that runs or has just ended.
    round: Option<Round>,
}

/// One generation.
struct Round {
    since: Instant,
    generated: Generated,
}

impl Timing {
    pub(crate) fn start(app: &Arc<App>) -> Self {
        let now = Instant::now();
        Self {
            app: Arc::clone(app),
            meter: Meter::current(),
            prompt: 0,
            written: 0,
            started: now,
            entered: None,
            first: None,
            last: now,
            resumed: false,
            generating: false,
            reading: false,
            counted: Usage::default(),
            response: String::new(),
            round: None,
        }
    }

    /// The reply has this id.
    pub(crate) fn answers(&mut self, response: &str) {
        response.clone_into(&mut self.response);
    }

    /// The request got its place, for which it waited from `since` on, to write at most so many tokens.
    pub(crate) fn entered(&mut self, since: Instant, tokens_max: u32) {
        let now = Instant::now();
        self.app.metrics.queue.observe(now - since);
        // Of several rounds the first.
        self.entered.get_or_insert(now);
        let model = self.app.chat(None).map(|chat| chat.model.id.clone());
        let entered = self.meter.as_ref().map(|meter| meter.micros(now));
        self.round = Some(Round {
            since,
            generated: Generated {
                model: model.unwrap_or_default(),
                tokens_max: Some(tokens_max.into()),
                entered,
                ..Generated::default()
            },
        });
    }

    /// The engine took the request, with a prompt of so many tokens.
    pub(crate) fn begun(&mut self, prompt_tokens: usize) {
        self.prompt += prompt_tokens as u64;
        self.resumed = self.first.is_some();
        self.generating = true;
        self.reading = true;
    }

    /// The prompt of this generation has been read if a piece of an answer is there, and is counted then: at the end
    /// of a long answer it would be news of long ago. `usage` is asked once.
    pub(crate) fn read(&mut self, choice: u32, usage: impl FnOnce() -> Option<Usage>) {
        if !self.reading || choice > 0 {
            return;
        }
        self.reading = false;
        if let Some(usage) = usage() {
            self.count_prompt(usage);
            self.counted = self.counted.and_prompt(usage);
        }
    }

    fn count_prompt(&self, usage: Usage) {
        let metrics = &self.app.metrics;
        metrics.prompt_tokens.add(usage.prompt_tokens.into());
        let cached = usage.prompt_tokens_details.cached_tokens;
        metrics.cached_tokens.add(cached.into());
    }

    /// The engine gave up.
    pub(crate) fn failed(&mut self) {
        self.generating = false;
        self.told(Some("engine_error"));
    }

    /// One of the answers of this generation took so much.
    pub(crate) fn took(&mut self, usage: Usage) {
        if let Some(Round { generated, .. }) = &mut self.round {
            generated.prompt_tokens = generated.prompt_tokens.max(usage.prompt_tokens.into());
            generated.cached_tokens = usage.prompt_tokens_details.cached_tokens.into();
            generated.completion_tokens += u64::from(usage.completion_tokens);
        }
    }

    /// An answer ended, for this reason.
    pub(crate) fn finished(&mut self, reason: FinishReason) {
        if let Some(Round { generated, .. }) = &mut self.round {
            generated.finish.push(reason_name(reason).to_owned());
        }
    }

    /// The generation is over; tools of the node are called now.
    pub(crate) fn calls(&mut self) {
        self.finished(FinishReason::ToolCalls);
        self.told(None);
    }

    /// The generation is over: who traces the request is told.
    fn told(&mut self, failed: Option<&str>) {
        let Some(Round { since, generated }) = self.round.take() else {
            return;
        };
        if let Some(meter) = &self.meter {
            let generated = Generated {
                response: self.response.clone(),
                ..generated
            };
            meter.phase(since, What::Chat(Box::new(generated)), None, failed);
        }
    }

    /// A piece of an answer came. Of several answers to a request, the first stands for all.
    pub(crate) fn piece(&mut self, choice: u32) {
        // Guessed words come several in a piece; the end brings the true number.
        self.written += 1;
        if choice > 0 {
            return;
        }
        let now = Instant::now();
        if let (Some(round), Some(meter)) = (&mut self.round, &self.meter) {
            round
                .generated
                .first
                .get_or_insert_with(|| meter.micros(now));
        }
        let metrics = &self.app.metrics;
        match self.first {
            Some(_) if self.resumed => self.resumed = false,
            Some(_) => metrics.inter_token.observe(now - self.last),
            None => {
                metrics.time_to_first_token.observe(now - self.started);
                metrics
                    .prefill
                    .observe(now - self.entered.unwrap_or(self.started));
                self.first = Some(now);
            }
        }
        self.last = now;
    }

    /// The answers ended by themselves.
    pub(crate) fn end(&mut self, usage: Usage) {
        self.count_prompt(without(usage, self.counted));
        self.counted = usage;
        let metrics = &self.app.metrics;
        metrics
            .generation_tokens
            .add(usage.completion_tokens.into());
        metrics.end_to_end.observe(self.started.elapsed());
        if let Some(first) = self.first {
            metrics.decode.observe(self.last - first);
        }
        self.generating = false;
        self.told(None);
        self.charge(usage.prompt_tokens.into(), usage.completion_tokens.into());
    }

    /// How long reading the prompt and writing the answers took.
    pub(crate) fn timings(&self, usage: Usage) -> Timings {
        let cached = usage.prompt_tokens_details.cached_tokens;
        let first = self.first.unwrap_or(self.last);
        let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1000.0;
        let read = ms(self.entered.unwrap_or(self.started), first);
        let prompt = usage.prompt_tokens.saturating_sub(cached);
        let written = (usage.completion_tokens, ms(first, self.last));
        Timings::new(cached, (prompt, read), written)
    }

    fn charge(&self, prompt: u64, completion: u64) {
        if let Some(meter) = &self.meter {
            meter.add(prompt, completion);
        }
    }
}

/// What of the prompts is not among what is `counted`.
fn without(usage: Usage, counted: Usage) -> Usage {
    let cached = |usage: Usage| usage.prompt_tokens_details.cached_tokens;
    Usage::new(
        usage.prompt_tokens.saturating_sub(counted.prompt_tokens),
        0,
        cached(usage).saturating_sub(cached(counted)),
    )
}

/// As the API writes it.
fn reason_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        if self.generating {
            self.app.metrics.aborted.add(1);
            self.charge(self.prompt, self.written);
            self.told(Some("aborted"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn a_prompt_counts_when_it_has_been_read_and_once() {
        let app = Arc::new(App::new(Options::default()));
        let check = |expected: (u64, u64, u64)| {
            let metrics = &app.metrics;
            let counts = (
                metrics.prompt_tokens.get(),
                metrics.cached_tokens.get(),
                metrics.generation_tokens.get(),
            );
            assert_eq!(counts, expected);
        };
        let mut timing = Timing::start(&app);
        timing.begun(10);
        timing.read(1, || panic!("the first answer stands for all"));
        timing.read(0, || Some(Usage::new(10, 1, 4)));
        check((10, 4, 0));
        timing.read(0, || panic!("asked twice"));
        // Another round, of which nothing is told before the end.
        timing.begun(15);
        timing.read(0, || None);
        timing.end(Usage::new(25, 7, 14));
        check((25, 14, 7));
        // Of an answer that is broken off, what was read stays counted.
        let mut timing = Timing::start(&app);
        timing.begun(5);
        timing.read(0, || Some(Usage::new(5, 1, 0)));
        drop(timing);
        check((30, 14, 7));
        assert_eq!(app.metrics.aborted.get(), 1);
    }
}
