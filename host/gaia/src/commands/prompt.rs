//! `gaia prompt`: the node's named prompts, looked at, tried and compared.
//!
//! They are files in the folder `prompts` of the node's home. A running node reads a file again as soon as it has
//! changed; nothing here changes what one says.

mod add;
mod columns;
mod compare;
mod list;
mod remove;
mod show;
mod test;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

use clap::{Args, Subcommand};
use gaia_gguf::Header;
use gaia_prompt::prompt::{Kind, ModelFacts, Prompt, PromptSet};

use super::Context;
use crate::exit::{Exit, failure};
use crate::supervisor::state;

const EXAMPLES: &str = "\
A prompt is a file ~/.gaia/prompts/NAME.md, which counts for the next request:
  +++
  description = \"Answers customers.\"
  for = [\"qwen*\", \"params<3b\"]
  [variables]
  tone = \"friendly\"
  [when]
  matches = \"(?i)parcel|refund\"
  +++
  You answer customers of a shop. Be {{ tone }}.

Examples:
  gaia prompt list
  gaia prompt add web-search
  gaia prompt remove web-search
  gaia prompt test support --var tone=formal \"Where is my parcel?\"
  gaia prompt compare support support-short questions.txt
  gaia config set prompt support";

/// Arguments of `gaia prompt`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a prompt's file, or a plugin that makes a prompt for each question
    Add(add::Arguments),
    /// All prompts, and which of them this node's model gets
    List,
    /// What a prompt says
    Show {
        /// The prompt
        name: String,
    },
    /// What the model would be told; with a question and a running node, what it answers
    Test(test::Arguments),
    /// Remove a prompt's files, and the plugin that makes it
    Remove(remove::Arguments),
    /// Ask the running node all questions of a file by two prompts
    Compare(compare::Arguments),
}

/// Runs `gaia prompt`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::Add(arguments) => add::run(context, arguments),
        Action::List => list::run(context),
        Action::Show { name } => show::run(context, name),
        Action::Test(arguments) => test::run(context, arguments),
        Action::Remove(arguments) => remove::run(context, arguments),
        Action::Compare(arguments) => compare::run(context, arguments),
    }
}

/// The running node's chat model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnModel {
    name: String,
    parameters: Option<u64>,
}

impl OwnModel {
    /// `None` where no node runs: which model it will have is decided when it starts.
    fn running(context: &Context) -> Option<Self> {
        let chat = state::running(&context.home)?.chat;
        let header = File::open(&chat.file)
            .ok()
            .and_then(|file| Header::read(&mut BufReader::new(file)).ok());
        Some(Self {
            name: chat.name,
            parameters: header.map(|header| header.facts().parameter_count),
        })
    }

    fn facts(&self) -> ModelFacts<'_> {
        ModelFacts {
            name: &self.name,
            parameters: self.parameters,
        }
    }
}

/// Stands for the model's name in texts where no node runs.
const SOME_MODEL: ModelFacts<'static> = ModelFacts {
    name: "model",
    parameters: None,
};

/// The prompts called `name` that a request would get, at most one of each kind. Where no node runs, every variant.
fn find<'a>(
    set: &'a PromptSet,
    model: Option<&OwnModel>,
    name: &str,
) -> anyhow::Result<Vec<&'a Prompt>> {
    let found: Vec<&Prompt> = match model {
        Some(model) => Kind::ALL
            .into_iter()
            .filter_map(|kind| set.variant(kind, name, &model.facts()))
            .collect(),
        None => {
            let named = set.all().map(|(_, prompt)| prompt);
            named.filter(|prompt| prompt.name() == name).collect()
        }
    };
    if found.is_empty() {
        return Err(failure(Exit::Usage, unknown(set, model, name)));
    }
    Ok(found)
}

fn unknown(set: &PromptSet, model: Option<&OwnModel>, name: &str) -> String {
    let mut names: Vec<&str> = match model {
        Some(model) => set
            .for_model(&model.facts())
            .iter()
            .map(|prompt| prompt.name())
            .collect(),
        None => set.all().map(|(_, prompt)| prompt.name()).collect(),
    };
    names.sort_unstable();
    names.dedup();
    if set.is_mistaken(name) {
        return format!(
            "the file of the prompt `{name}` has a mistake; `gaia prompt list` shows it"
        );
    }
    match names[..] {
        [] => {
            format!("no prompt is called `{name}`; there are none yet (see `gaia prompt --help`)")
        }
        _ => format!(
            "no prompt is called `{name}`; there are `{}`",
            names.join("`, `")
        ),
    }
}

/// The file's variables with what the command line says of them.
fn variables(
    prompts: &[&Prompt],
    given: &[(String, String)],
) -> anyhow::Result<BTreeMap<String, String>> {
    for (name, _) in given {
        if !prompts
            .iter()
            .any(|prompt| prompt.variables().contains_key(name))
        {
            let known = prompts.iter().flat_map(|prompt| prompt.variables().keys());
            let known: Vec<&str> = known.map(String::as_str).collect();
            let message = match known[..] {
                [] => format!("--var {name}: the prompt has no variables"),
                _ => format!("--var {name}: the prompt has only `{}`", known.join("`, `")),
            };
            return Err(failure(Exit::Usage, message));
        }
    }
    Ok(given.iter().cloned().collect())
}

/// `name=value` of a command line.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use gaia_prompt::prompt::PromptFile;

    use super::*;

    fn set(files: &[(&str, &str)]) -> PromptSet {
        let mut set = PromptSet::default();
        let files = files.iter().map(|(name, text)| PromptFile {
            name: (*name).to_owned(),
            bytes: text.as_bytes().to_vec(),
        });
        assert_eq!(set.update(files.collect()), []);
        set
    }

    #[test]
    fn names_are_found_for_the_model_or_all_of_them() {
        let set = set(&[
            ("a.md", "any"),
            ("a.qwen.md", "+++\nfor = ['qwen*']\n+++\nqwen"),
            ("b.qwen.md", "+++\nfor = ['qwen*']\n+++\nb"),
        ]);
        let smol = OwnModel {
            name: "smol".to_owned(),
            parameters: None,
        };
        assert_eq!(find(&set, Some(&smol), "a").unwrap().len(), 1);
        assert_eq!(find(&set, None, "a").unwrap().len(), 2);
        let refused = |model, name| find(&set, model, name).unwrap_err().to_string();
        assert_eq!(
            refused(Some(&smol), "b"),
            "no prompt is called `b`; there are `a`"
        );
        assert_eq!(
            refused(None, "c"),
            "no prompt is called `c`; there are `a`, `b`"
        );
    }

    #[test]
    fn variables_must_be_the_prompts_own() {
        let set = set(&[
            ("a.md", "+++\n[variables]\ntone = ''\n+++\n{{ tone }}"),
            ("b.md", "b"),
        ]);
        let check = |prompt: &str, text: &str, expected: Result<(), &str>| {
            let prompts = find(&set, None, prompt).unwrap();
            let outcome = variables(&prompts, &[variable(text).unwrap()]);
            assert_eq!(
                outcome.map(|_| ()).map_err(|error| error.to_string()),
                expected.map_err(str::to_owned)
            );
        };
        check("a", "tone=x=y", Ok(()));
        check("a", "tune=", Err("--var tune: the prompt has only `tone`"));
        check("b", "tone=", Err("--var tone: the prompt has no variables"));
        assert!(variable("=x").is_err() && variable("x").is_err());
    }
}
