//! `gaia doctor`: checks everything a node needs and says how to mend what is wrong.

use clap::Args;
use serde_json::json;

use super::Context;
use crate::doctor::{self, Finding, Verdict};
use crate::exit::{Exit, failure};
use crate::terminal::{Terminal, Tint};

/// Arguments of `gaia doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gaia doctor\n  gaia --json doctor | jq '.findings[] | select(.verdict == \"fail\")'"
)]
pub struct Arguments {}

/// Runs `gaia doctor`; fails when a check does.
pub fn run(context: &Context, _arguments: &Arguments) -> anyhow::Result<()> {
    let findings = doctor::examine(&context.home, &context.environment);
    context.terminal.answer(
        || json!({"findings": findings}),
        |terminal| {
            findings
                .iter()
                .map(|finding| show(terminal, finding))
                .collect::<Vec<_>>()
                .join("\n")
        },
    );
    let failed = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
        .count();
    match failed {
        0 => Ok(()),
        1 => Err(failure(Exit::Failure, "1 check failed")),
        _ => Err(failure(Exit::Failure, format!("{failed} checks failed"))),
    }
}

fn show(terminal: &Terminal, finding: &Finding) -> String {
    let (tint, mark) = match finding.verdict {
        Verdict::Ok => (Tint::Green, "ok  "),
        Verdict::Warn => (Tint::Yellow, "warn"),
        Verdict::Fail => (Tint::Red, "fail"),
    };
    let mut text = format!(
        "{}  {:<13} {}",
        terminal.out(tint, mark),
        finding.check,
        finding.found
    );
    if let Some(mend) = &finding.mend {
        text.push_str(&format!("\n      {:<13} to mend: {mend}", ""));
    }
    text
}
