//! When the parts of an answer happened, for the metrics.

use std::sync::Arc;
use std::time::Instant;

use gaia_openai::Usage;

use crate::app::App;

/// The clock of one answer. Dropped before the end, it counts as aborted.
pub(crate) struct Timing {
    app: Arc<App>,
    started: Instant,
    entered: Option<Instant>,
    first: Option<Instant>,
    last: Instant,
    generating: bool,
}

impl Timing {
    pub(crate) fn start(app: &Arc<App>) -> Self {
        let now = Instant::now();
        Self {
            app: Arc::clone(app),
            started: now,
            entered: None,
            first: None,
            last: now,
            generating: false,
        }
    }

    /// The request got its place, for which it waited from `since` on.
    pub(crate) fn entered(&mut self, since: Instant) {
        let now = Instant::now();
        self.app.metrics.queue.observe(now - since);
        self.entered = Some(now);
    }

    /// The engine took the request.
    pub(crate) fn begun(&mut self) {
        self.generating = true;
    }

    /// The engine gave up.
    pub(crate) fn failed(&mut self) {
        self.generating = false;
    }

    /// A piece of an answer came. Of several answers to a request, the first stands for all.
    pub(crate) fn piece(&mut self, choice: u32) {
        if choice > 0 {
            return;
        }
        let now = Instant::now();
        let metrics = &self.app.metrics;
        match self.first {
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
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        if self.generating {
            self.app.metrics.aborted.add(1);
        }
    }
}
