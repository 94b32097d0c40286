//! `gaia config`: reads and changes `config.toml`, imports GaiaNet's `config.json`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Context, chain, config_failure, with_mend};
use crate::config::{Config, ConfigFile, KEYS, SetKeyError, find_key};
use crate::exit::{Exit, failure};
use crate::import::{Outcome, read_gaianet};
use crate::prompts::Folder;
use crate::supervisor::lock;
use crate::supervisor::models::{self, forget};
use crate::terminal::Tint;

const EXAMPLES: &str = "\
Examples:
  gaia config set port 9000
  gaia config set api_keys key-one,key-two
  gaia config set tls_cert chain.pem tls_key key.pem
  gaia config get chat_model
  gaia config list
  gaia config import ~/gaianet/config.json";

/// Arguments of `gaia config`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print one value
    Get {
        /// The key's name
        key: String,
    },
    /// Change one value, or several together
    Set {
        /// Keys and their new values by turns; lists are a,b,c
        #[arg(required = true, num_args = 2.., allow_hyphen_values = true)]
        #[arg(value_names = ["KEY", "VALUE"])]
        entries: Vec<String>,
    },
    /// Print all keys and values
    List,
    /// Take over a GaiaNet node's config.json
    Import {
        /// The file
        file: PathBuf,
    },
}

/// Runs `gaia config`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::Get { key } => get(context, key),
        Action::Set { entries } => set(context, entries),
        Action::List => list(context),
        Action::Import { file } => import(context, file),
    }
}

fn get(context: &Context, name: &str) -> anyhow::Result<()> {
    let key = find_key(name).map_err(usage)?;
    let value = (key.get)(&context.config()?);
    context.terminal.answer(
        || json!({name: to_json(&value)}),
        |_| match &value {
            toml_edit::Value::String(text) => text.value().clone(),
            other => other.to_string().trim().to_owned(),
        },
    );
    Ok(())
}

fn set(context: &Context, entries: &[String]) -> anyhow::Result<()> {
    let (pairs, rest) = entries.as_chunks::<2>();
    if let [key, ..] = rest {
        return Err(failure(Exit::Usage, format!("{key}: a value is missing")));
    }
    let texts: Vec<(&str, String)> = pairs
        .iter()
        .map(|[key, value]| (key.as_str(), absolute_path(key, value)))
        .collect();
    let mut file = read(context)?;
    let entries: Vec<_> = texts
        .iter()
        .map(|(key, text)| (*key, text.as_str()))
        .collect();
    file.set_all(&entries).map_err(usage)?;
    let config = file.config().map_err(|error| config_failure(&error))?;
    let keys: Vec<_> = entries.iter().map(|(key, _)| *key).collect();
    look_at_models(context, &config, &keys)?;
    if keys.contains(&"prompt") {
        look_at_prompt(context, &config);
    }
    context.home.make_folders()?;
    file.write()?;
    if keys.contains(&"chat_model") {
        // Setting it, to "auto" too, means to choose anew.
        forget(&context.home);
    }
    let mut shown = Vec::new();
    for (key, _) in &entries {
        shown.push((*key, (find_key(key).map_err(usage)?.shown)(&config)));
    }
    context.terminal.answer(
        || {
            shown
                .iter()
                .map(|(key, value)| ((*key).to_owned(), json!(value)))
                .collect()
        },
        |_| {
            let lines = shown.iter().map(|(key, value)| format!("{key} = {value}"));
            lines.collect::<Vec<_>>().join("\n")
        },
    );
    hint_restart(context);
    Ok(())
}

/// Refuses what can never do under a key of models; warns of what may yet come, such as a file that
/// is still being copied.
fn look_at_models(context: &Context, config: &Config, keys: &[&str]) -> anyhow::Result<()> {
    for error in models::look(config, &context.home, &context.environment, keys) {
        let message = with_mend(chain(&error), error.mend());
        if error.is_wrong_kind() {
            return Err(failure(Exit::Usage, message));
        }
        let terminal = &context.terminal;
        let warning = terminal.err(
            Tint::Yellow,
            "As it is now the next start will refuse this:",
        );
        terminal.note(&format!("{warning} {message}"));
    }
    Ok(())
}

/// Warns of a prompt that is not there: it may still be written.
fn look_at_prompt(context: &Context, config: &Config) {
    let missing = Folder::read(&context.home).map(|folder| folder.missing(&config.prompt));
    if let Ok(Some(names)) = missing {
        let (terminal, name) = (&context.terminal, &config.prompt);
        let warning = terminal.err(Tint::Yellow, &format!("There is no prompt `{name}` yet"));
        terminal.note(&format!(
            "{warning}: {names}. Write prompts/{name}.md, or name another."
        ));
    }
}

/// A file named relative to where the command is typed must be found from elsewhere too.
fn absolute_path(key: &str, value: &str) -> String {
    const KEYS_OF_FILES: [&str; 8] = [
        "tls_cert",
        "tls_key",
        "chat_template",
        "chat_model",
        "draft_model",
        "embedding_model",
        "reranking_model",
        "projector",
    ];
    let path = Path::new(value);
    if !KEYS_OF_FILES.contains(&key) || !path.is_file() {
        return value.to_owned();
    }
    std::path::absolute(path).map_or(value.to_owned(), |path| path.display().to_string())
}

fn list(context: &Context) -> anyhow::Result<()> {
    let config = context.config()?;
    let defaults = Config::default();
    context.terminal.answer(
        || {
            let entries = KEYS
                .iter()
                .map(|key| (key.name.to_owned(), json!((key.shown)(&config))));
            serde_json::Value::Object(entries.collect())
        },
        |terminal| {
            let lines = KEYS.iter().map(|key| {
                let line = format!("{} = {}", key.name, (key.shown)(&config));
                let is_default = (key.get)(&config).to_string() == (key.get)(&defaults).to_string();
                if is_default {
                    terminal.out(Tint::Dim, &line)
                } else {
                    line
                }
            });
            lines.collect::<Vec<_>>().join("\n")
        },
    );
    Ok(())
}

fn import(context: &Context, path: &Path) -> anyhow::Result<()> {
    let import = read_gaianet(path)?;
    let mut file = read(context)?;
    let entries: Vec<_> = import.entries().collect();
    file.set_all(&entries).map_err(usage)?;
    context.home.make_folders()?;
    file.write()?;
    context.terminal.answer(
        || json!({"imported": import.lines}),
        |terminal| {
            let lines = import.lines.iter().map(|line| {
                let tint = match line.outcome {
                    Outcome::Set { .. } => Tint::Green,
                    Outcome::Same { .. } => Tint::Dim,
                    Outcome::NotNeeded { .. } => Tint::Dim,
                    Outcome::ToDo { .. } => Tint::Yellow,
                };
                terminal.out(tint, &line.to_string())
            });
            lines.collect::<Vec<_>>().join("\n")
        },
    );
    hint_restart(context);
    Ok(())
}

fn read(context: &Context) -> anyhow::Result<ConfigFile> {
    ConfigFile::read(&context.home.config()).map_err(|error| config_failure(&error))
}

fn usage(error: SetKeyError) -> anyhow::Error {
    failure(Exit::Usage, error.to_string())
}

fn hint_restart(context: &Context) {
    if lock::holder(&context.home.lock()).is_some() {
        context
            .terminal
            .note("The node is running: `gaia restart` makes it count.");
    }
}

fn to_json(value: &toml_edit::Value) -> serde_json::Value {
    use toml_edit::Value;
    match value {
        Value::String(text) => json!(text.value()),
        Value::Integer(number) => json!(number.value()),
        Value::Float(number) => json!(number.value()),
        Value::Boolean(flag) => json!(flag.value()),
        Value::Array(array) => array.iter().map(to_json).collect(),
        other => json!(other.to_string()),
    }
}
