//! Prompts that plugins make: runs the program, and calls the tools that it asks for.
//!
//! Invariant: a prompt is made within [`TIME_MAX`], or there is none; what a call may cost is the same
//! as when the model asks for it, and counts for the same turn.

use std::time::{Duration, Instant};

use gaia_plugins::Plugin;
use gaia_prompt::making::{
    Call, CallMade, Effect, Event, Made, Making, MakingLimits, Report, Subject,
};
use tokio::time::timeout;
use tracing::info;

use super::{LiveTools, Plugins};

/// How long all steps together may take.
pub const TIME_MAX: Duration = Duration::from_secs(30);

impl LiveTools {
    /// Has the plugin `maker` make a prompt for `subject`, in the turn called `turn`.
    pub async fn make_prompt(&self, turn: &str, maker: &str, subject: Subject) -> Report {
        let started = Instant::now();
        let mut report = Report::default();
        let plugins = self.plugins();
        let made = match plugins.find_maker(maker) {
            None => Err(format!("there is no plugin `{maker}` that makes prompts")),
            Some((plugin, tools)) => {
                report.version = Some(plugin.version.clone());
                let making = Making::new(subject, tools.to_vec(), MakingLimits::default());
                let made = self.make(turn, &plugins, plugin, making, &mut report.calls);
                match timeout(TIME_MAX, made).await {
                    Ok(made) => made,
                    Err(_) => Err(format!("it took longer than {} s", TIME_MAX.as_secs())),
                }
            }
        };
        report.ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (ms, calls) = (report.ms, report.calls.len());
        match made {
            Ok(made) => {
                let sources = made.context.len();
                info!(maker, turn, ms, calls, sources, "made a prompt");
                report.made = Some(made);
            }
            Err(error) => {
                info!(maker, turn, ms, calls, %error, "made no prompt");
                report.failure = Some(error);
            }
        }
        report
    }

    async fn make(
        &self,
        turn: &str,
        plugins: &Plugins,
        plugin: &Plugin,
        mut making: Making,
        made: &mut Vec<CallMade>,
    ) -> Result<Made, String> {
        let mut event = Event::Start;
        loop {
            event = match making.step(event) {
                Effect::Run(input) => Event::Ran(plugins.run(plugin, input).await),
                Effect::Call(calls) => {
                    let mut results = Vec::with_capacity(calls.len());
                    for call in calls {
                        results.push(self.call_for_prompt(turn, &call, made).await);
                    }
                    Event::Called(results)
                }
                Effect::Made(prompt) => return Ok(prompt),
                Effect::Fail(error) => return Err(error.to_string()),
            };
        }
    }

    async fn call_for_prompt(
        &self,
        turn: &str,
        call: &Call,
        made: &mut Vec<CallMade>,
    ) -> Result<String, String> {
        let arguments = call.arguments_text();
        let outcome = self.call(turn, &call.tool, &arguments).await;
        made.push(CallMade {
            tool: call.tool.clone(),
            arguments,
            failed: outcome.result.is_err(),
            ms: outcome.ms,
            bytes: outcome.bytes,
        });
        outcome.result
    }
}
