//! `gaia prompt remove`: a prompt's files, and the plugin that makes it where no other prompt needs that.
//!
//! Invariant: nothing goes that was not named before; texts are somebody's work, so a person is asked.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::Args;
use gaia_plugins::Role;
use gaia_prompt::prompt::{Prompt, PromptSet};
use serde_json::json;

use super::{Context, unknown};
use crate::commands::tools::plugin;
use crate::commands::with_mend;
use crate::exit::{Exit, failure};
use crate::prompts::Folder;

/// Arguments of `gaia prompt remove`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia prompt remove support           its files, those for single models too; asks first
  gaia prompt remove web-search --yes  the file, and the plugin that makes it")]
pub struct Arguments {
    /// The prompt, or a plugin that makes prompts
    name: String,
    /// Remove without asking
    #[arg(short, long)]
    yes: bool,
}

/// What is to go.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chosen {
    /// Files in the folder of prompts.
    files: BTreeSet<String>,
    /// Plugins by name.
    plugins: BTreeSet<String>,
}

/// Runs `gaia prompt remove`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = Folder::read(&context.home)?;
    let makers = makers(context);
    let chosen = choose(&folder, &makers, &arguments.name)?;
    if !arguments.yes && !is_wanted(context, &chosen)? {
        context
            .terminal
            .answer(|| json!({"removed": []}), |_| "Nothing removed.".to_owned());
        return Ok(());
    }
    for file in &chosen.files {
        let path = context.home.prompts().join(file);
        fs::remove_file(&path).with_context(|| format!("failed to remove `{}`", path.display()))?;
    }
    for name in &chosen.plugins {
        plugin::remove(context, name)?;
    }
    let is_configured = context.config()?.prompt == arguments.name;
    context.terminal.answer(
        || json!({"removed": {"files": chosen.files, "plugins": chosen.plugins}}),
        |_| {
            let mut text = format!("removed: {}", in_words(&chosen));
            if is_configured {
                text.push_str("\nThe configuration names it: gaia config set prompt \"\"");
            }
            text
        },
    );
    Ok(())
}

/// The plugins that make prompts.
fn makers(context: &Context) -> BTreeSet<String> {
    let plugins = plugin::all(context).plugins.into_iter();
    let makers = plugins.filter(|plugin| matches!(plugin.manifest.role, Role::Prompt(_)));
    makers.map(|plugin| plugin.manifest.name).collect()
}

fn choose(folder: &Folder, makers: &BTreeSet<String>, name: &str) -> anyhow::Result<Chosen> {
    let named = |prompt: &Prompt| prompt.name() == name;
    let of_set = folder.set.all().filter(|(_, prompt)| named(prompt));
    let mut chosen = Chosen {
        files: of_set.map(|(file, _)| file.to_owned()).collect(),
        plugins: BTreeSet::new(),
    };
    // Files with a mistake are the prompt's, too.
    let mistaken = folder.problems.iter().map(|problem| &problem.file);
    chosen.files.extend(
        mistaken
            .filter(|file| file.split('.').next() == Some(name))
            .cloned(),
    );
    let needed: BTreeSet<&str> = makers_of(&folder.set, |prompt| !named(prompt));
    if makers.contains(name) {
        refuse_if_needed(folder, name)?;
        chosen.plugins.insert(name.to_owned());
    }
    chosen.plugins.extend(
        makers_of(&folder.set, named)
            .into_iter()
            .filter(|maker| makers.contains(*maker) && !needed.contains(maker))
            .map(str::to_owned),
    );
    match chosen == Chosen::default() {
        true => Err(failure(Exit::Usage, unknown(&folder.set, None, name))),
        false => Ok(chosen),
    }
}

fn makers_of(set: &PromptSet, wanted: impl Fn(&Prompt) -> bool) -> BTreeSet<&str> {
    let wanted = set.all().filter(|(_, prompt)| wanted(prompt));
    wanted.filter_map(|(_, prompt)| prompt.made_by()).collect()
}

fn refuse_if_needed(folder: &Folder, plugin: &str) -> anyhow::Result<()> {
    let mut made = folder
        .set
        .all()
        .filter(|(_, prompt)| prompt.made_by() == Some(plugin) && prompt.name() != plugin);
    let Some((_, prompt)) = made.next() else {
        return Ok(());
    };
    let message = format!("the plugin `{plugin}` makes the prompt `{}`", prompt.name());
    let mend = format!("gaia prompt remove {}", prompt.name());
    Err(failure(Exit::Usage, with_mend(message, Some(&mend))))
}

/// Whether a person says yes. Where there is none, the command line has to.
fn is_wanted(context: &Context, chosen: &Chosen) -> anyhow::Result<bool> {
    let what = in_words(chosen);
    if context.terminal.json || !io::stdin().is_terminal() {
        let message = format!("this would remove {what}");
        return Err(failure(Exit::Usage, with_mend(message, Some("add --yes"))));
    }
    eprint!("Remove {what}? [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn in_words(chosen: &Chosen) -> String {
    let files = chosen.files.iter().map(|file| format!("prompts/{file}"));
    let plugins = chosen.plugins.iter();
    let plugins = plugins.map(|plugin| format!("the plugin {plugin}"));
    files.chain(plugins).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use gaia_prompt::prompt::PromptFile;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> Folder {
        let files = files.iter().map(|(name, text)| PromptFile {
            name: (*name).to_owned(),
            bytes: text.as_bytes().to_vec(),
        });
        let mut set = PromptSet::default();
        let problems = set.update(files.collect());
        Folder { set, problems }
    }

    #[test]
    fn all_that_is_the_prompts_goes_and_nothing_else() {
        let folder = folder(&[
            ("a.md", "any"),
            ("a.qwen.md", "+++\nfor = ['qwen*']\n+++\nqwen"),
            ("a.wrong.md", "+++\nfor = ['<']\n+++\nx"),
            ("b.md", "b"),
            ("c.md", "+++\nmade_by = 'own'\n+++\nc"),
            ("d.md", "+++\nmade_by = 'shared'\n+++\nd"),
            ("e.md", "+++\nmade_by = 'shared'\n+++\ne"),
        ]);
        let makers = ["own", "shared", "alone"].map(str::to_owned).into();
        let check = |name: &str, expected: Result<&str, &str>| {
            let chosen = choose(&folder, &makers, name);
            let chosen = chosen.map(|chosen| in_words(&chosen));
            let chosen = chosen.map_err(|error| error.to_string());
            match (chosen, expected) {
                (Ok(chosen), Ok(expected)) => assert_eq!(chosen, expected),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        };
        check(
            "a",
            Ok("prompts/a.md, prompts/a.qwen.md, prompts/a.wrong.md"),
        );
        check("c", Ok("prompts/c.md, the plugin own"));
        check("d", Ok("prompts/d.md"));
        check("alone", Ok("the plugin alone"));
        check("own", Err("gaia prompt remove c"));
        check("x", Err("no prompt is called `x`"));
    }
}
