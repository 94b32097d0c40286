//! `gaia domain policy`: who may join, in words, and the common changes to it. The file keeps its comments.

use std::fs;
use std::path::Path;

use alloy_primitives::Address;
use clap::{Args, Subcommand};
use gaia_registry::Policy;
use serde_json::json;
use toml_edit::{Array, DocumentMut, Item, TomlError, Value};

use super::{folder, misread};
use crate::commands::{Context, chain};
use crate::exit::{Exit, failure};
use crate::home::write_private;

/// Arguments of `gaia domain policy`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Let a node or an operator join
    Allow {
        /// Its address
        address: Address,
    },
    /// Keep a node or an operator out, whatever else is said
    Deny {
        /// Its address
        address: Address,
    },
    /// Say nothing of a node or an operator any more
    Forget {
        /// Its address
        address: Address,
    },
    /// Let everybody join who is not denied
    Open,
    /// Let only those join who are allowed
    Close,
}

/// Runs `gaia domain policy`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let path = folder(context).policy();
    let text = fs::read_to_string(&path).map_err(|error| {
        let words = format!(
            "failed to read `{}`: {error}; gaia domain init makes one",
            path.display()
        );
        failure(Exit::Failure, words)
    })?;
    let text = match &arguments.action {
        None => text,
        Some(action) => {
            let changed = change(&path, &text, action)?;
            write_private(&path, changed.as_bytes())?;
            changed
        }
    };
    let policy = Policy::parse(&text).map_err(|error| wrong(&path, &chain(&error)))?;
    let lines = policy.explain();
    context
        .terminal
        .answer(|| json!({"policy": lines}), |_| lines.join("\n"));
    Ok(())
}

fn wrong(path: &Path, why: &str) -> anyhow::Error {
    failure(Exit::Config, format!("`{}`: {why}", path.display()))
}

/// The text with the change; what cannot be meant is refused, and the file stays as it is.
fn change(path: &Path, text: &str, action: &Action) -> anyhow::Result<String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: TomlError| wrong(path, &misread(text, &error)))?;
    match action {
        Action::Allow { address } => {
            put(&mut document, "allow", *address);
            take(&mut document, "deny", *address);
        }
        Action::Deny { address } => {
            put(&mut document, "deny", *address);
            take(&mut document, "allow", *address);
        }
        Action::Forget { address } => {
            take(&mut document, "allow", *address);
            take(&mut document, "deny", *address);
        }
        Action::Open => document["admission"] = toml_edit::value("open"),
        Action::Close => document["admission"] = toml_edit::value("allow-list"),
    }
    let text = document.to_string();
    Policy::parse(&text).map_err(|error| wrong(path, &chain(&error)))?;
    Ok(text)
}

fn is(value: &Value, address: Address) -> bool {
    value.as_str().and_then(|text| text.parse().ok()) == Some(address)
}

fn put(document: &mut DocumentMut, list: &str, address: Address) {
    let item = document
        .entry(list)
        .or_insert(Item::Value(Array::new().into()));
    if let Some(array) = item.as_array_mut()
        && !array.iter().any(|value| is(value, address))
    {
        array.push(address.to_string());
    }
}

fn take(document: &mut DocumentMut, list: &str, address: Address) {
    if let Some(array) = document.get_mut(list).and_then(Item::as_array_mut) {
        array.retain(|value| !is(value, address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Address = Address::repeat_byte(0xad);

    fn changed(text: &str, action: Action) -> String {
        change(Path::new("policy.toml"), text, &action).unwrap()
    }

    #[test]
    fn an_address_is_on_one_list() {
        let text = changed("# mine\nallow = []\n", Action::Allow { address: ADA });
        assert!(text.starts_with("# mine\n"), "{text}");
        let policy = Policy::parse(&text).unwrap();
        assert!(policy.allow.contains(&ADA));
        assert_eq!(changed(&text, Action::Allow { address: ADA }), text);
        let text = changed(&changed(&text, Action::Open), Action::Deny { address: ADA });
        let policy = Policy::parse(&text).unwrap();
        assert!(policy.allow.is_empty() && policy.deny.contains(&ADA));
        let text = changed(&text, Action::Forget { address: ADA });
        assert!(Policy::parse(&text).unwrap().deny.is_empty());
    }

    #[test]
    fn a_policy_under_which_nobody_could_join_is_not_written() {
        let text = changed("", Action::Open);
        let error = change(Path::new("policy.toml"), &text, &Action::Close).unwrap_err();
        assert!(error.to_string().contains("nobody could join"), "{error}");
    }
}
