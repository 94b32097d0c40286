//! `domain.toml`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use gaia_ledger::price::PriceError;
use gaia_ledger::split::SplitError;
use gaia_ledger::{DecimalError, PriceTable};
use gaia_registry::canary::Interval;
use gaia_registry::{Canary, Misread};
use serde::Deserialize;

use crate::ledger::LedgerAddress;
use crate::model::Model;
use crate::split::SplitFile;

/// Knowledge bases with a name, at most.
pub const KNOWLEDGE_MAX: usize = 1_000;

/// The longest of these names, in bytes.
pub const KNOWLEDGE_NAME_LEN_MAX: usize = 64;

/// The longest file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// A domain, as its operator has written it down.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainFile {
    /// What people call it.
    pub name: String,
    /// Where this gateway listens.
    pub listen: SocketAddr,
    /// Where users and nodes reach the domain's gateways. A node keeps a connection to each.
    pub urls: Vec<String>,
    /// A file of SQLite in the domain's folder, or `postgres://…` where several gateways share one.
    #[serde(default)]
    pub ledger: Option<LedgerAddress>,
    /// The file whose first line says the same: for a URL with a password.
    #[serde(default)]
    pub ledger_file: Option<PathBuf>,
    /// For HTTPS.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The chain that holds the money.
    pub chain: Chain,
    /// Who earns what.
    pub split: SplitFile,
    /// The version of the price table below; each change of a price is a new one.
    pub price_version: u32,
    /// What is offered, and what it costs.
    pub models: Vec<Model>,
    /// Knowledge bases by name, with the digests that nodes sign for them.
    #[serde(default)]
    pub knowledge: BTreeMap<String, B256>,
    /// Requests at a time.
    #[serde(default = "requests_default")]
    pub requests_running_max: usize,
    /// Tokens of an answer where a request names no maximum.
    #[serde(default = "answer_default")]
    pub answer_tokens_max: u64,
    /// The most tokens that nodes add to a prompt: their own prompts and passages.
    #[serde(default = "added_default")]
    pub added_tokens_max: u64,
    /// Questions with known answers that nodes are asked at times they cannot know. Without any they are asked
    /// something to which any answer is right.
    #[serde(default)]
    pub canaries: Vec<Canary>,
    /// Between which times a node that serves is asked one, in seconds.
    #[serde(default = "interval_default")]
    pub canary_interval: Interval,
    /// Whether nodes may be dialled at addresses that are not public: for domains within one network.
    #[serde(default)]
    pub dials_private: bool,
}

/// The table `[tls]`: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, followed by its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The table `[chain]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Where the chain is asked.
    pub rpc: String,
    /// Where users may ask it; nothing is said to them where this is missing, since `rpc` may hold a key.
    #[serde(default)]
    pub public_rpc: Option<String>,
    /// Blocks after which a deposit counts.
    #[serde(default = "confirmations_default")]
    pub confirmations: u64,
    /// Seconds between two looks for deposits.
    #[serde(default = "poll_default")]
    pub poll_seconds: u64,
    /// Whether this gateway settles epochs, with its own key; it needs a little of the chain's coin for gas.
    #[serde(default = "settles_default")]
    pub settles: bool,
}

fn requests_default() -> usize {
    1024
}

fn answer_default() -> u64 {
    4096
}

fn added_default() -> u64 {
    4096
}

fn confirmations_default() -> u64 {
    12
}

fn poll_default() -> u64 {
    4
}

fn settles_default() -> bool {
    true
}

fn interval_default() -> Interval {
    Interval {
        seconds_min: 600,
        seconds_max: 3600,
    }
}

/// Why a domain's file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ReadDomainError {
    /// There is none.
    #[error("there is no domain in `{folder}`: gaia domain init makes one")]
    Missing {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// It cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no TOML, or has keys that mean nothing.
    #[error("`{path}` cannot be used")]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Misread,
    },
    /// Its values cannot be meant.
    #[error("`{path}` has wrong entries: {}", list(.wrong))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// All of them.
        wrong: Vec<Wrong>,
    },
}

/// Why a text is no domain.
#[derive(Debug, thiserror::Error)]
pub enum ParseDomainError {
    /// It is no TOML, or has keys that mean nothing.
    #[error("domain.toml would not be a domain's file")]
    Form(#[from] Misread),
    /// Its values cannot be meant.
    #[error("domain.toml would have wrong entries: {}", list(.0))]
    Wrong(Vec<Wrong>),
}

/// A wrong entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Nothing to reach the domain by.
    #[error("urls: name at least the one under which users reach this gateway")]
    NoUrl,
    /// Not a base URL.
    #[error("urls: `{0}` is no http:// or https:// address of a gateway, without a path")]
    Url(String),
    /// Not where a chain could be.
    #[error("chain.rpc: `{0}` is no http:// or https:// address")]
    Rpc(String),
    /// A price that is no amount.
    #[error("models: {name}: {error}")]
    Price {
        /// The model.
        name: String,
        /// Why.
        error: DecimalError,
    },
    /// The prices together.
    #[error("models: {0}")]
    Table(PriceError),
    /// The parts.
    #[error("split: {0}")]
    Split(SplitError),
    /// A name that no request could have.
    #[error(
        "knowledge: `{0}` is no name: take at most {KNOWLEDGE_NAME_LEN_MAX} of a-z, A-Z, 0-9, `.`, `_` and `-`, and no 0x at the beginning"
    )]
    KnowledgeName(String),
    /// More than there may be.
    #[error("knowledge: {0} names, {KNOWLEDGE_MAX} are the most")]
    KnowledgeMany(usize),
    /// Two places for one thing.
    #[error("ledger: say it here or in the file that ledger_file names, not both")]
    LedgerTwice,
    /// A maximum of nothing.
    #[error("{0}: must be above zero")]
    Zero(&'static str),
}

/// All of it in one line.
fn list(wrong: &[Wrong]) -> String {
    let each: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    each.join("; ")
}

impl DomainFile {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// When it is missing, is no TOML, or says what cannot be meant.
    pub fn read(path: &Path) -> Result<Self, ReadDomainError> {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(path).to_owned();
                return Err(ReadDomainError::Missing { folder });
            }
            Err(source) => {
                let path = path.to_owned();
                return Err(ReadDomainError::Read { path, source });
            }
        };
        Self::parse(&text).map_err(|error| match error {
            ParseDomainError::Form(source) => ReadDomainError::Form {
                path: path.to_owned(),
                source,
            },
            ParseDomainError::Wrong(wrong) => ReadDomainError::Wrong {
                path: path.to_owned(),
                wrong,
            },
        })
    }

    /// Reads and checks a file's text.
    ///
    /// # Errors
    /// When it is no TOML, or says what cannot be meant.
    pub fn parse(text: &str) -> Result<Self, ParseDomainError> {
        let file: Self = toml::from_str(text).map_err(|error| Misread::of(text, &error))?;
        match file.wrong() {
            wrong if wrong.is_empty() => Ok(file),
            wrong => Err(ParseDomainError::Wrong(wrong)),
        }
    }

    /// The price table; [`DomainFile::read`] has found it good.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn prices(&self) -> Result<PriceTable, Wrong> {
        let rows = self.models.iter().map(|model| {
            model.price().map_err(|error| Wrong::Price {
                name: model.name.clone(),
                error,
            })
        });
        PriceTable::new(self.price_version, rows.collect::<Result<_, _>>()?).map_err(Wrong::Table)
    }

    fn wrong(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        if self.urls.is_empty() {
            wrong.push(Wrong::NoUrl);
        }
        let urls = self.urls.iter().filter(|url| !is_base(url));
        wrong.extend(urls.map(|url| Wrong::Url(url.clone())));
        if !has_scheme(&self.chain.rpc) {
            wrong.push(Wrong::Rpc(self.chain.rpc.clone()));
        }
        wrong.extend(self.prices().err());
        // Any operator will do: what matters is the sum.
        wrong.extend(self.split.rule().of(SOMEBODY).err().map(Wrong::Split));
        let names = self.knowledge.keys().filter(|name| !is_name(name));
        wrong.extend(names.map(|name| Wrong::KnowledgeName(name.clone())));
        if self.ledger.is_some() && self.ledger_file.is_some() {
            wrong.push(Wrong::LedgerTwice);
        }
        if self.knowledge.len() > KNOWLEDGE_MAX {
            wrong.push(Wrong::KnowledgeMany(self.knowledge.len()));
        }
        for (name, is_zero) in [
            ("requests_running_max", self.requests_running_max == 0),
            ("answer_tokens_max", self.answer_tokens_max == 0),
            ("chain.poll_seconds", self.chain.poll_seconds == 0),
        ] {
            if is_zero {
                wrong.push(Wrong::Zero(name));
            }
        }
        wrong
    }
}

/// An operator to try the split with.
const SOMEBODY: Address = Address::repeat_byte(0xee);

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 {
        0..=FILE_BYTES_MAX => Ok(text),
        _ => Err(io::Error::other(format!(
            "it is longer than {FILE_BYTES_MAX} bytes"
        ))),
    }
}

/// A name that stands behind a model's `@`, and is no digest.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = !name.is_empty() && name.len() <= KNOWLEDGE_NAME_LEN_MAX;
    fits && !name.starts_with("0x") && name.bytes().all(is_plain)
}

fn has_scheme(url: &str) -> bool {
    host(url).is_some_and(|host| !host.is_empty())
}

fn is_base(url: &str) -> bool {
    host(url).is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']))
}

fn host(url: &str) -> Option<&str> {
    url.strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
}
