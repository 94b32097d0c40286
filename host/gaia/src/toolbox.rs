//! The node's tools and their way out, put together.
//!
//! The table says what a tool asks for, the configuration what may be reached, the keystore what is
//! sent along. Nothing else has a say: no request, no model, no reply.

mod live;
mod mcp;
mod plugins;
mod prompting;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gaia_egress::{Ask, Egress, Got, HeaderText, Limits, Method, Refusal, Turn};
use gaia_keystore::Secret;
use gaia_outbound::{
    AllowList, AnswerError, CallError, HeaderPart, HeaderTemplate, HttpsTool, Origin,
    ReadTableError, TABLE_BYTES_MAX, Table,
};
use serde_json::Value;

use crate::config::Config;
use crate::home::Home;

pub use self::live::{LiveTools, Opener, Outcome};
pub use self::plugins::{LivePlugins, PluginRuntime, Plugins};

/// Why there is no table of tools.
#[derive(Debug, thiserror::Error)]
pub enum ReadToolsError {
    /// The file cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is no table.
    #[error("`{path}` is no table of tools")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: ReadTableError,
    },
}

/// Why a tool was not called, or gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallToolError {
    /// It cannot be called so.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A secret that it needs is not there.
    #[error("the secret `{0}` is not set")]
    Secret(String),
    /// There is no reply.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What a call gave.
#[derive(Debug)]
pub struct Called {
    /// The reply.
    pub got: Got,
    /// What of it is the answer.
    pub answer: Result<String, AnswerError>,
}

tokio::task_local! {
    /// The trace that a call belongs to, as its server is told of it.
    pub static TRACEPARENT: Option<String>;
}

/// The tools of a node, ready to be called.
#[derive(Debug)]
pub struct Toolbox {
    /// What can be called.
    pub table: Table,
    egress: Arc<Egress>,
}

impl Toolbox {
    /// The tools of the node in `home`.
    pub fn open(home: &Home, config: &Config) -> Result<Self, ReadToolsError> {
        let table = parse(&home.tools(), &read_text(&home.tools())?)?;
        Ok(Self::of(table, config))
    }

    /// No tools, and no way to call any.
    fn empty(config: &Config) -> Self {
        Self::of(Table::default(), config)
    }

    fn of(table: Table, config: &Config) -> Self {
        let egress = Egress::new(allow_list(&table, config), Limits::default());
        Self {
            table,
            egress: Arc::new(egress),
        }
    }

    /// A new turn, with all its calls left.
    pub fn turn(&self) -> Turn {
        self.egress.turn()
    }

    /// Calls `tool` for real, for `turn`, with those of `secrets` that it asks for.
    pub async fn call(
        &self,
        turn: &Turn,
        tool: &HttpsTool,
        arguments: &Value,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Called, CallToolError> {
        let mut ask = ask(tool, arguments, secrets)?;
        if let Ok(Some(trace)) = TRACEPARENT.try_with(Clone::clone) {
            ask.header("traceparent", HeaderText::plain(&trace));
        }
        let got = self.egress.fetch(turn, ask).await?;
        let answer = tool.answer(got.status, &got.body);
        Ok(Called { got, answer })
    }
}

/// What may be reached: the places of the tools, and those that the configuration lists.
pub fn allow_list(table: &Table, config: &Config) -> AllowList {
    // The configuration was checked: all of them are origins.
    let listed = config
        .egress_origins
        .iter()
        .filter_map(|text| text.parse::<Origin>().ok());
    AllowList::new(table.origins(), listed.collect())
}

/// The text of the table at `path`; empty where there is none yet.
pub fn read_text(path: &Path) -> Result<String, ReadToolsError> {
    let read = |source| ReadToolsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(read(error)),
    };
    let mut text = String::new();
    let most = TABLE_BYTES_MAX as u64 + 1;
    file.take(most).read_to_string(&mut text).map_err(read)?;
    Ok(text)
}

/// The table in the `text` that was read from `path`.
pub fn parse(path: &Path, text: &str) -> Result<Table, ReadToolsError> {
    Table::parse(text).map_err(|source| ReadToolsError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// The names of the secrets that `tool` needs, each once.
pub fn secrets_of(tool: &HttpsTool) -> Vec<String> {
    secret_names(&tool.headers)
}

/// The names of the secrets that `headers` need, each once.
pub fn secret_names(headers: &[HeaderTemplate]) -> Vec<String> {
    let mut names: Vec<_> = headers
        .iter()
        .flat_map(|header| header.secrets().map(str::to_owned))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn ask(
    tool: &HttpsTool,
    arguments: &Value,
    secrets: &BTreeMap<String, Secret>,
) -> Result<Ask, CallToolError> {
    let call = tool.call(arguments)?;
    let mut ask = Ask::new(method(call.method), call.target);
    for (name, value) in header_texts(&tool.headers, secrets)? {
        ask.header(&name, value);
    }
    if let Some(body) = call.body {
        ask.json(body);
    }
    let time_max = Duration::from_millis(tool.time_ms.into());
    let reply_bytes_max = usize::try_from(tool.reply_bytes).unwrap_or(usize::MAX);
    ask.limit(time_max, reply_bytes_max);
    Ok(ask)
}

/// Names and values of `headers`, with those of `secrets` in them that they ask for.
pub fn header_texts(
    headers: &[HeaderTemplate],
    secrets: &BTreeMap<String, Secret>,
) -> Result<Vec<(String, HeaderText)>, CallToolError> {
    let text =
        |header: &HeaderTemplate| Ok((header.name().to_owned(), header_text(header, secrets)?));
    headers.iter().map(text).collect()
}

fn header_text(
    header: &HeaderTemplate,
    secrets: &BTreeMap<String, Secret>,
) -> Result<HeaderText, CallToolError> {
    let mut value = HeaderText::default();
    for part in header.value() {
        value = match part {
            HeaderPart::Text(text) => value.and_plain(text),
            HeaderPart::Secret(name) => {
                let secret = secrets.get(name);
                let secret = secret.ok_or_else(|| CallToolError::Secret(name.clone()))?;
                value.and_hidden(secret.reveal())
            }
        };
    }
    Ok(value)
}

fn method(method: gaia_outbound::Method) -> Method {
    match method {
        gaia_outbound::Method::Get => Method::GET,
        gaia_outbound::Method::Post => Method::POST,
        gaia_outbound::Method::Put => Method::PUT,
        gaia_outbound::Method::Patch => Method::PATCH,
        gaia_outbound::Method::Delete => Method::DELETE,
    }
}
