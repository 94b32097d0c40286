//! `gaia prompt test`: what the model would be told, and what it answers.

use std::collections::BTreeMap;

use clap::Args;
use gaia_prompt::Markers;
use gaia_prompt::making::{Report, Said, Subject};
use gaia_prompt::prompt::{ModelFacts, Prompt};
use serde_json::json;

use super::{Context, OwnModel, SOME_MODEL, find, show, variable, variables};
use crate::commands::ask::{ask_failure, client, show_answer};
use crate::commands::runtime;
use crate::commands::tools::test::tame;
use crate::prompts::Folder;
use crate::supervisor::state;
use crate::terminal::{Terminal, Tint, bytes};
use crate::toolbox::LiveTools;

/// Arguments of `gaia prompt test`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The prompt
    name: String,
    /// A question to ask the running node
    question: Option<String>,
    /// A variable of the prompt
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
}

pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = Folder::read(&context.home)?;
    let model = OwnModel::running(context);
    let prompts = find(&folder.set, model.as_ref(), &arguments.name)?;
    let variables = variables(&prompts, &arguments.variables)?;
    let facts = model.as_ref().map_or(SOME_MODEL, OwnModel::facts);
    let mut texts = Vec::new();
    for prompt in prompts {
        texts.push((prompt, show::text(prompt, &variables, &facts)?));
    }
    let question = arguments.question.as_deref();
    let reports = question.map(|question| make(context, &texts, &variables, &facts, question));
    let reports = reports.transpose()?.unwrap_or_default();
    let asked = question.filter(|_| state::running(&context.home).is_some());
    let mut metadata = json!(variables);
    metadata["prompt"] = json!(arguments.name);
    let request = asked.map(|question| {
        json!({"messages": [{"role": "user", "content": question}], "metadata": metadata})
    });
    if context.terminal.json {
        let reply = match request {
            Some(request) => Some(client(context)?.reply(request).map_err(ask_failure)?),
            None => None,
        };
        let texts: Vec<_> = texts
            .iter()
            .map(|(prompt, text)| show::to_json(prompt, text))
            .collect();
        println!(
            "{:#}",
            json!({"prompts": texts, "made": reports, "reply": reply})
        );
        return Ok(());
    }
    for (prompt, text) in &texts {
        println!("{}\n", show::to_text(&context.terminal, prompt, text));
    }
    for report in &reports {
        println!("{}\n", made_text(&context.terminal, report));
    }
    match (request, &arguments.question) {
        (Some(request), _) => {
            println!("{}", context.terminal.out(Tint::Bold, "Answer"));
            show_answer(&context.terminal, &client(context)?, request).map_err(ask_failure)?;
        }
        (None, Some(_)) => context
            .terminal
            .note("No node is running in this home, so nobody was asked; `gaia start` starts it."),
        (None, None) => {}
    }
    Ok(())
}

/// What the plugins of these prompts make of the question, here and now.
fn make(
    context: &Context,
    texts: &[(&Prompt, String)],
    given: &BTreeMap<String, String>,
    model: &ModelFacts<'_>,
    question: &str,
) -> anyhow::Result<Vec<Report>> {
    let makers = texts
        .iter()
        .filter_map(|(prompt, _)| Some((prompt, prompt.made_by()?)));
    let mut reports = Vec::new();
    for (prompt, maker) in makers {
        let subject = Subject {
            question: question.to_owned(),
            messages: vec![Said {
                role: "user".to_owned(),
                content: question.to_owned(),
            }],
            variables: prompt.values(given, &Markers::default())?,
            model: model.name.to_owned(),
        };
        let tools = LiveTools::open(&context.home, &context.config()?, &context.environment);
        reports.push(runtime()?.block_on(tools.make_prompt("test", maker, subject)));
    }
    Ok(reports)
}

fn made_text(terminal: &Terminal, report: &Report) -> String {
    let version = report.version.as_deref().unwrap_or("nobody");
    let head = format!("Made by {version} in {} ms", report.ms);
    let mut lines = vec![terminal.out(Tint::Bold, &head)];
    for call in &report.calls {
        let failed = if call.failed { ", failed" } else { "" };
        let line = format!(
            "{} {}: {} ms, {}{failed}",
            call.tool,
            tame(&call.arguments),
            call.ms,
            bytes(call.bytes)
        );
        lines.push(terminal.out(Tint::Dim, &line));
    }
    if let Some(failure) = &report.failure {
        let line = format!("nothing: {}", tame(failure));
        lines.push(terminal.out(Tint::Yellow, &line));
    }
    if let Some(made) = &report.made {
        lines.extend(made.system.as_deref().map(tame));
        let sources = made.context.iter().zip(1..);
        lines.extend(sources.map(|(source, number)| tame(&source.passage(number))));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use gaia_prompt::making::{CallMade, Made, Source};

    use super::*;

    #[test]
    fn what_was_made_is_shown_with_its_time() {
        let report = Report {
            version: Some("search@12".to_owned()),
            made: Some(Made {
                system: Some("Be brief.".to_owned()),
                context: vec![Source {
                    title: "T".to_owned(),
                    url: "u".to_owned(),
                    text: "words".to_owned(),
                }],
            }),
            calls: vec![CallMade {
                tool: "web_search".to_owned(),
                arguments: "{}".to_owned(),
                failed: false,
                ms: 5,
                bytes: 9,
            }],
            ms: 7,
            ..Report::default()
        };
        let shown = made_text(&Terminal::new(false, true), &report);
        assert_eq!(
            shown,
            "Made by search@12 in 7 ms\nweb_search {}: 5 ms, 9 B\nBe brief.\n[1] T\nu\nwords"
        );
        let failed = Report {
            failure: Some("it took too long".to_owned()),
            ..Report::default()
        };
        assert!(
            made_text(&Terminal::new(false, true), &failed).ends_with("nothing: it took too long")
        );
    }
}
