//! `gaia prompt add`: a prompt's file, or a plugin that makes one for each question.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use gaia_plugins::{Plugin, Role};
use gaia_prompt::prompt::{PromptFile, PromptSet};
use serde_json::json;

use super::Context;
use crate::commands::tools::plugin::{bad, install, source, table};
use crate::commands::with_mend;
use crate::exit::{Exit, failure};
use crate::home::write_private;

/// The file that a plugin brings along.
const PROMPT_FILE: &str = "prompt.md";

/// Arguments of `gaia prompt add`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia prompt add web-search       comes with gaia: looks every question up on the web
  gaia prompt add ./support.md     a prompt's file
  gaia prompt add ./my-plugin      a folder with plugin.toml, plugin.wasm and prompt.md

web-search calls a tool `web_search` of yours, whatever search service that is:
  gaia tools add web_search --url 'https://search.example.org/search?format=json&q={query}' \\
    --param 'query=What to look up' --pointer /results")]
pub struct Arguments {
    /// A file, a plugin's folder, or the name of one that comes with gaia
    what: PathBuf,
}

/// What was added.
struct Added {
    /// The prompt's name, and whether its file is new.
    prompt: Option<(String, bool)>,
    plugin: Option<Plugin>,
}

pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let what = &arguments.what;
    let is_file = what.extension().is_some_and(|extension| extension == "md");
    let added = match is_file {
        true => file(context, what)?,
        false => plugin(context, what)?,
    };
    let missing = added.plugin.as_ref().map(|plugin| missing(context, plugin));
    let missing = missing.transpose()?.unwrap_or_default();
    let name = added.prompt.as_ref().map(|(name, _)| name.as_str());
    let made_by = added.plugin.as_ref().map(|plugin| &plugin.manifest.name);
    context.terminal.answer(
        || json!({"added": name, "plugin": made_by, "missing_tools": missing}),
        |_| in_words(&added, &missing),
    );
    Ok(())
}

fn in_words(added: &Added, missing: &[String]) -> String {
    let mut lines = Vec::new();
    if let Some(plugin) = &added.plugin {
        lines.push(format!("{}: the plugin is added", plugin.manifest.name));
    }
    match &added.prompt {
        Some((name, true)) => lines.push(format!("{name}: added")),
        Some((name, false)) => lines.push(format!("{name}: its file was there, and is as it was")),
        None => lines.push("It brings no file; write one with: made_by = \"…\"".to_owned()),
    }
    for tool in missing {
        lines.push(format!(
            "It calls the tool `{tool}`, which there is not yet: gaia tools add {tool} --url …"
        ));
    }
    if let Some((name, _)) = &added.prompt {
        lines.push(format!("Try it: gaia prompt test {name} \"…\""));
        lines.push(format!("Answer by it: gaia config set prompt {name}"));
    }
    lines.join("\n")
}

fn file(context: &Context, path: &Path) -> anyhow::Result<Added> {
    let Some(prompt) = put(context, path)? else {
        let message = format!("there is no file `{}`", path.display());
        return Err(failure(Exit::Usage, message));
    };
    if !prompt.1 {
        let message = format!("there is a prompt `{}` already", prompt.0);
        let mend = context.home.prompts().join(format!("{}.md", prompt.0));
        let mend = format!("edit or remove {}", mend.display());
        return Err(failure(Exit::Usage, with_mend(message, Some(&mend))));
    }
    Ok(Added {
        prompt: Some(prompt),
        plugin: None,
    })
}

fn plugin(context: &Context, folder: &Path) -> anyhow::Result<Added> {
    let source = source(folder)?;
    let wanted = gaia_plugins::read(&source).map_err(bad)?;
    if wanted.manifest.parameters().is_some() {
        let message = format!("`{}` is a tool and makes no prompts", wanted.manifest.name);
        let mend = format!("gaia tools add plugin {}", folder.display());
        return Err(failure(Exit::Usage, with_mend(message, Some(&mend))));
    }
    let plugin = install(context, &source, &wanted)?;
    Ok(Added {
        prompt: put(context, &source.join(PROMPT_FILE))?,
        plugin: Some(plugin),
    })
}

/// Copies a prompt's file under its prompt's name: that, and whether there was none. None where there is no file.
fn put(context: &Context, path: &Path) -> anyhow::Result<Option<(String, bool)>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut set = PromptSet::default();
    let problems = set.update(vec![PromptFile {
        name: file.into_owned(),
        bytes: bytes.clone(),
    }]);
    if let Some(problem) = problems.first() {
        return Err(failure(Exit::Usage, problem.to_string()));
    }
    let name = set.all().next().map(|(_, prompt)| prompt.name().to_owned());
    let name = name.unwrap_or_default();
    context.home.make_folders()?;
    let place = context.home.prompts().join(format!("{name}.md"));
    let is_new = !place.exists();
    if is_new {
        write_private(&place, &bytes)?;
    }
    Ok(Some((name, is_new)))
}

/// The tools that `plugin` may call and that the table has not. Those of MCP servers are not known here.
fn missing(context: &Context, plugin: &Plugin) -> anyhow::Result<Vec<String>> {
    let Role::Prompt(tools) = &plugin.manifest.role else {
        return Ok(Vec::new());
    };
    let table = table(context)?;
    let of_server = |tool: &str| {
        let mut servers = table.servers.iter();
        servers.any(|server| tool.starts_with(&format!("{}__", server.name)))
    };
    let is_plugin = |tool: &str| context.home.plugins().join(tool).exists();
    let missing = tools
        .iter()
        .filter(|tool| table.find(tool).is_none() && !of_server(tool) && !is_plugin(tool));
    Ok(missing.cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_next_is_said() {
        let added = Added {
            prompt: Some(("web-search".to_owned(), true)),
            plugin: None,
        };
        let words = in_words(&added, &["web_search".to_owned()]);
        assert!(words.starts_with("web-search: added\n"), "{words}");
        assert!(words.contains("gaia tools add web_search --url"), "{words}");
        assert!(
            words.ends_with("gaia config set prompt web-search"),
            "{words}"
        );
        let kept = Added {
            prompt: Some(("web-search".to_owned(), false)),
            plugin: None,
        };
        assert!(in_words(&kept, &[]).contains("is as it was"));
    }
}
