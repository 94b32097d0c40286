//! `gaia prompt test`: what the model would be told, and what it answers.

use clap::Args;
use serde_json::json;

use super::{Context, OwnModel, SOME_MODEL, find, show, variable, variables};
use crate::commands::ask::{ask_failure, client, show_answer};
use crate::prompts::Folder;
use crate::supervisor::state;
use crate::terminal::Tint;

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
    let asked = arguments
        .question
        .as_deref()
        .filter(|_| state::running(&context.home).is_some());
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
        println!("{:#}", json!({"prompts": texts, "reply": reply}));
        return Ok(());
    }
    for (prompt, text) in &texts {
        println!("{}\n", show::to_text(&context.terminal, prompt, text));
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
