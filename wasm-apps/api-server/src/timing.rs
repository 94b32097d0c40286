//! When the parts of an answer happened, for the metrics.

use std::sync::Arc;
use std::time::Instant;

use gaia_openai::{Timings, Usage};

use crate::app::App;
use crate::meter::Meter;

/// The clock of one answer. Dropped before the end, it counts as aborted.
pub(crate) struct Timing {
    app: Arc<App>,
    /// Counts for the caller's key, if somebody asks for that.
    meter: Option<Arc<Meter>>,
    /// Tokens that are taken even if the answer is broken off here.
    tokens: u64,
    started: Instant,
    entered: Option<Instant>,
    first: Option<Instant>,
    last: Instant,
    /// Whether the next piece does not follow upon the last: tools were called in between.
    resumed: bool,
    generating: bool,
}

impl Timing {
    pub(crate) fn start(app: &Arc<App>) -> Self {
        let now = Instant::now();
        Self {
            app: Arc::clone(app),
            meter: Meter::current(),
            tokens: 0,
            started: now,
            entered: None,
            first: None,
            last: now,
            resumed: false,
            generating: false,
        }
    }

    /// The request got its place, for which it waited from `since` on.
    pub(crate) fn entered(&mut self, since: Instant) {
        let now = Instant::now();
        self.app.metrics.queue.observe(now - since);
        self.entered = Some(now);
    }

    /// The engine took the request, with a prompt of so many tokens.
    pub(crate) fn begun(&mut self, prompt_tokens: usize) {
        self.tokens += prompt_tokens as u64;
        self.resumed = self.first.is_some();
        self.generating = true;
    }

    /// The engine gave up.
    pub(crate) fn failed(&mut self) {
        self.generating = false;
    }

    /// A piece of an answer came. Of several answers to a request, the first stands for all.
    pub(crate) fn piece(&mut self, choice: u32) {
        // Guessed words come several in a piece; the end brings the true number.
        self.tokens += 1;
        if choice > 0 {
            return;
        }
        let now = Instant::now();
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
        let metrics = &self.app.metrics;
        metrics.prompt_tokens.add(usage.prompt_tokens.into());
        metrics
            .cached_tokens
            .add(usage.prompt_tokens_details.cached_tokens.into());
        metrics
            .generation_tokens
            .add(usage.completion_tokens.into());
        metrics.end_to_end.observe(self.started.elapsed());
        if let Some(first) = self.first {
            metrics.decode.observe(self.last - first);
        }
        self.generating = false;
        self.charge(u64::from(usage.prompt_tokens) + u64::from(usage.completion_tokens));
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

    fn charge(&self, tokens: u64) {
        if let Some(meter) = &self.meter {
            meter.add(tokens);
        }
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        if self.generating {
            self.app.metrics.aborted.add(1);
            self.charge(self.tokens);
        }
    }
}
