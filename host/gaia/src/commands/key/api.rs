//! `gaia key api`: keys of the API to hand out. Each is shown once; the node keeps its hash.

mod book;
mod display;
mod terms;

use std::collections::HashMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use gaia_ingress::ApiKey;
use gaia_ingress::keys::{
    Instant, KEYS_MAX, KeyId, MintedKey, NamedKey, Scope, Used, parse_usage, read_keys,
};
use serde_json::{Value, json};

use self::book::{Book, random};
use self::terms::{End, parse_rate};
use crate::commands::Context;
use crate::exit::{Exit, failure};
use crate::home::Home;
use crate::supervisor::front::USAGE_KEPT_EVERY;
use crate::supervisor::lock;

/// Arguments of `gaia key api`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia key api create alice
  gaia key api create bot --rate 60/min --tokens-per-day 100000 --expires 30d
  gaia key api create librarian --scope knowledge --scope inference
  gaia key api list
  gaia key api revoke bot

Scopes: inference (ask the models), knowledge (change what the node knows),
admin (metrics, and everything else). A running node takes changes at once.")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key and show it, this once
    Create {
        /// What to call it: letters, digits, -, _ and .
        name: String,
        /// What it opens: inference, knowledge, admin
        #[arg(long, value_delimiter = ',', default_value = "inference")]
        scope: Vec<Scope>,
        /// Requests a minute, such as 60/min [default: as many as come]
        #[arg(long, value_name = "N/min", value_parser = parse_rate)]
        rate: Option<u32>,
        /// Tokens of prompts and answers a day (UTC) [default: as many as come]
        #[arg(long, value_name = "N")]
        tokens_per_day: Option<u64>,
        /// When it ends: in so many days (30d), hours (12h) or weeks (4w), or a date [default: never]
        #[arg(long, value_name = "WHEN")]
        expires: Option<End>,
    },
    /// All keys: what they open, may take, and took today
    List,
    /// One key
    Show {
        /// Its name or id
        key: String,
    },
    /// Take a key back: it opens nothing from now on
    Revoke {
        /// Its name or id
        key: String,
    },
    /// Make a new secret for a key; the old one opens nothing from now on
    Rotate {
        /// Its name or id
        key: String,
        /// When it ends, from now on [default: as before]
        #[arg(long, value_name = "WHEN")]
        expires: Option<End>,
    },
}

/// Runs `gaia key api`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::Create {
            name,
            scope,
            rate,
            tokens_per_day,
            expires,
        } => {
            let now = now();
            let wanted = Wanted {
                name: name.clone(),
                scopes: scope.clone(),
                rate_per_minute: *rate,
                tokens_per_day: *tokens_per_day,
                expires: expires.map(|end| end.from(now)),
            };
            create(context, wanted, now)
        }
        Action::List => list(context),
        Action::Show { key } => show(context, key),
        Action::Revoke { key } => revoke(context, key),
        Action::Rotate { key, expires } => rotate(context, key, *expires),
    }
}

/// What a new key shall be.
struct Wanted {
    name: String,
    scopes: Vec<Scope>,
    rate_per_minute: Option<u32>,
    tokens_per_day: Option<u64>,
    expires: Option<Instant>,
}

fn create(context: &Context, mut wanted: Wanted, now: Instant) -> anyhow::Result<()> {
    wanted.scopes.sort_unstable();
    wanted.scopes.dedup();
    let mut book = Book::open_to_change(&context.home)?;
    let is_first = book.keys.is_empty();
    if book.keys.len() >= KEYS_MAX {
        return Err(wrong(format!(
            "there are {KEYS_MAX} keys already; revoke one"
        )));
    }
    if book.keys.iter().any(|key| key.name == wanted.name) {
        let name = wanted.name;
        return Err(wrong(format!(
            "there is a key `{name}` already; `gaia key api rotate {name}` makes a new secret for it"
        )));
    }
    let minted = book.mint()?;
    let key = NamedKey {
        id: minted.id,
        name: wanted.name,
        hash: minted.hash,
        scopes: wanted.scopes,
        rate_per_minute: wanted.rate_per_minute,
        tokens_per_day: wanted.tokens_per_day,
        created: now,
        expires: wanted.expires,
    };
    key.check().map_err(wrong)?;
    if key.is_expired(now) {
        return Err(wrong("that end is over already".to_owned()));
    }
    book.keys.push(key.clone());
    book.write()?;
    hand_out(context, &key, &minted.key);
    if is_first {
        let note = "From now on every request to this node needs a key.";
        context.terminal.note(note);
    }
    Ok(())
}

/// The one time that a key is shown.
fn hand_out(context: &Context, key: &NamedKey, text: &ApiKey) {
    let terminal = &context.terminal;
    terminal.answer(
        || {
            let mut shown = display::to_json(key, None, now());
            shown["key"] = json!(text.reveal());
            shown
        },
        |_| text.reveal().to_owned(),
    );
    terminal.note("This is the only time it is shown. Send it as `Authorization: Bearer KEY`.");
}

fn rotate(context: &Context, wanted: &str, expires: Option<End>) -> anyhow::Result<()> {
    let mut book = Book::open_to_change(&context.home)?;
    let at = book.find(wanted)?;
    let minted = MintedKey::new(&random()?, Some(book.keys[at].id.clone()));
    let key = &mut book.keys[at];
    key.hash = minted.hash;
    if let Some(end) = expires {
        key.expires = Some(end.from(now()));
    }
    let key = key.clone();
    book.write()?;
    hand_out(context, &key, &minted.key);
    Ok(())
}

fn revoke(context: &Context, wanted: &str) -> anyhow::Result<()> {
    let mut book = Book::open_to_change(&context.home)?;
    let at = book.find(wanted)?;
    let key = book.keys.remove(at);
    book.write()?;
    context.terminal.answer(
        || json!({"revoked": key.id.as_str(), "name": key.name}),
        |_| format!("{} ({}) opens nothing any more", key.name, key.id),
    );
    if book.keys.is_empty() {
        let note = format!(
            "No named key is left, and the node stays closed. To open it to everybody on this machine, remove {} and restart it.",
            context.home.api_keys().display()
        );
        context.terminal.note(&note);
    }
    Ok(())
}

fn list(context: &Context) -> anyhow::Result<()> {
    let keys = read_keys(&context.home.api_keys())?.unwrap_or_default();
    let usage = usage(&context.home);
    let now = now();
    context.terminal.answer(
        || {
            let keys: Vec<Value> = keys
                .iter()
                .map(|key| display::to_json(key, usage.get(&key.id), now))
                .collect();
            json!({"keys": keys})
        },
        |terminal| match keys.is_empty() {
            true => "no keys; `gaia key api create NAME` makes one".to_owned(),
            false => {
                let lines = keys
                    .iter()
                    .map(|key| display::line(terminal, key, usage.get(&key.id), now));
                lines.collect::<Vec<_>>().join("\n")
            }
        },
    );
    if !keys.is_empty() {
        note_delay(context);
    }
    Ok(())
}

fn show(context: &Context, wanted: &str) -> anyhow::Result<()> {
    let book = Book::open(&context.home)?;
    let key = &book.keys[book.find(wanted)?];
    let used = usage(&context.home).get(&key.id).copied();
    let now = now();
    context.terminal.answer(
        || display::to_json(key, used.as_ref(), now),
        |_| display::whole(key, used.as_ref(), now),
    );
    note_delay(context);
    Ok(())
}

/// A running node writes down what it counts now and then.
fn note_delay(context: &Context) {
    if lock::holder(&context.home.lock()).is_some() {
        let seconds = USAGE_KEPT_EVERY.as_secs();
        let note = format!("What was used in the last {seconds} seconds may not be counted yet.");
        context.terminal.note(&note);
    }
}

/// What the keys took, as the node kept it last; nothing where it has not yet.
fn usage(home: &Home) -> HashMap<KeyId, Used> {
    parse_usage(&fs::read_to_string(home.api_usage()).unwrap_or_default())
}

fn now() -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Instant::from_unix_seconds(now.unwrap_or_default().as_secs())
}

fn wrong(message: String) -> anyhow::Error {
    failure(Exit::Usage, message)
}
