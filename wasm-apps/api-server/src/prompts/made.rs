//! Prompts that a plugin makes for each question: the host runs it, for it may call tools.
//!
//! Invariant: a plugin that fails costs no answer; what it would have added is missing, and that is said.

use std::time::Duration;

use gaia_openai::chat::{CallStatus, NodeCall};
use gaia_prompt::making::{CallMade, MakingLimits, Report, Subject};
use gaia_prompt::prompt::{Occasion, Prepared, Prompt, PromptSource, RenderPromptError};
use serde::Deserialize as _;
use serde_json::json;

use crate::app::App;
use crate::back::{Back, BackError, Question};

/// The host ends it before this.
const TIME_MAX: Duration = Duration::from_secs(40);
/// The longest report, escaped.
const REPORT_BYTES_MAX: usize = 8 << 20;

/// A prompt whose file names a plugin that makes the rest of it.
pub(super) struct Maker<'a> {
    app: &'a App,
    prompt: &'a Prompt,
    plugin: &'a str,
    turn: &'a str,
}

impl<'a> Maker<'a> {
    /// The `plugin` of `prompt`, its calls counted for `turn`.
    pub(super) fn new(app: &'a App, prompt: &'a Prompt, plugin: &'a str, turn: &'a str) -> Self {
        Self {
            app,
            prompt,
            plugin,
            turn,
        }
    }

    async fn ask(&self, subject: &Subject) -> Report {
        let body = json!({"turn": self.turn, "maker": self.plugin, "subject": subject});
        let asked = match self.app.tools.back() {
            Some(back) => ask(back, body.to_string()).await,
            None => Err(BackError::Unreachable("there is none".to_owned())),
        };
        asked.unwrap_or_else(|error| Report {
            failure: Some(error.to_string()),
            ..Report::default()
        })
    }

    fn count(&self, calls: &[CallMade]) {
        for call in calls {
            let took = Duration::from_millis(call.ms);
            let tools = &self.app.metrics.tools;
            tools.called(&call.tool, call.failed, took);
        }
    }
}

impl PromptSource for Maker<'_> {
    type Error = RenderPromptError;

    /// What the file says, with what the plugin makes behind it.
    async fn make(&self, occasion: &Occasion<'_>) -> Result<Prepared, RenderPromptError> {
        let mut prepared = self.prompt.make(occasion).await?;
        let subject = Subject {
            question: occasion.question.to_owned(),
            messages: occasion.messages.to_vec(),
            variables: self.prompt.values(occasion.variables, occasion.markers)?,
            model: occasion.model.name.to_owned(),
        };
        let report = self.ask(&subject.bounded(&MakingLimits::default())).await;
        self.count(&report.calls);
        prepared.versions.extend(report.version);
        prepared.calls = report.calls;
        match report.made {
            Some(made) => prepared.opening = prepared.opening.and_made(made, occasion.markers),
            None => prepared.warning = Some(warning(self.prompt.name(), report.failure)),
        }
        Ok(prepared)
    }
}

async fn ask(back: &Back, body: String) -> Result<Report, BackError> {
    let reply = back.ask(Question {
        method: "POST",
        path: "/prompt",
        body,
        reply_bytes_max: REPORT_BYTES_MAX,
        time_max: TIME_MAX,
    });
    Report::deserialize(reply.await?).map_err(|_| BackError::NotJson)
}

fn warning(prompt: &str, failure: Option<String>) -> String {
    let why = failure.unwrap_or_else(|| "nobody says why".to_owned());
    format!("Answered without what the prompt `{prompt}` looks up: {why}.")
}

/// As the caller sees it.
pub(super) fn node_call(call: CallMade) -> NodeCall {
    NodeCall {
        name: call.tool,
        arguments: call.arguments,
        status: match call.failed {
            true => CallStatus::Failed,
            false => CallStatus::Completed,
        },
        ms: call.ms,
        bytes: call.bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let said = warning("web", Some("it took too long".to_owned()));
        let expected = "Answered without what the prompt `web` looks up: it took too long.";
        assert_eq!(said, expected);
    }

    #[test]
    fn calls_are_shown_as_the_models_own() {
        let call = |failed| CallMade {
            tool: "web_search".to_owned(),
            arguments: "{}".to_owned(),
            failed,
            ms: 3,
            bytes: 7,
        };
        let shown = node_call(call(false));
        assert_eq!(
            (shown.name.as_str(), shown.status),
            ("web_search", CallStatus::Completed)
        );
        assert_eq!(node_call(call(true)).status, CallStatus::Failed);
    }
}
