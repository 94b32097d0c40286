//! Reads a manifest from TOML and reports everything that is wrong with it at once.

use std::fmt;

use toml::{Table, Value};

use crate::{Kind, Manifest, Package, Precision, Sha256, Source};

/// The longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// The largest number of sources of one model.
pub const SOURCE_COUNT_MAX: usize = 8;

const NAME_BYTES_MAX: usize = 64;
const FILE_BYTES_MAX: usize = 128;

/// Everything wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
pub struct ParseManifestError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `size` or `source[1].url`; empty if it is the text as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}", self.message),
            key => write!(f, "`{key}` {}", self.message),
        }
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// All problems of the text, in the order of the keys.
    pub fn parse(text: &str) -> Result<Self, ParseManifestError> {
        let whole = |message: String| ParseManifestError {
            problems: vec![Problem {
                key: String::new(),
                message,
            }],
        };
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(whole(format!("is longer than {MANIFEST_BYTES_MAX} bytes")));
        }
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| whole(format!("is no TOML: {}", error.message())))?;
        let mut keys = Keys {
            prefix: String::new(),
            table,
            problems: Vec::new(),
        };
        let manifest = read(&mut keys);
        let problems = keys.finish();
        if problems.is_empty() {
            Ok(manifest)
        } else {
            Err(ParseManifestError { problems })
        }
    }
}

/// With problems noted in `keys`, the value returned is meaningless.
fn read(keys: &mut Keys) -> Manifest {
    let name = keys.text("name");
    keys.demand(
        "name",
        is_name(&name),
        "must be lower-case letters, digits, `-` and `.`, at most 64",
    );
    let kind = read_kind(keys);
    let description = keys.text("description");
    let licence = keys.text("licence");
    let file = keys.text("file");
    keys.demand(
        "file",
        is_file_name(&file),
        "must be a file name without a folder that ends in `.gguf`",
    );
    let sha256 = keys
        .optional_text("sha256")
        .and_then(|text| match text.parse::<Sha256>() {
            Ok(sum) => Some(sum),
            Err(error) => {
                keys.note("sha256", &format!("is wrong: {error}"));
                None
            }
        });
    Manifest {
        name,
        kind,
        description,
        licence,
        file,
        sha256,
        size_bytes: keys.number("size"),
        context: keys.number("context"),
        dimensions: keys.optional_number("dimensions"),
        parameters: keys.number("parameters"),
        quantisation: keys.text("quantisation"),
        memory_bytes: keys.number("memory"),
        auto: keys.flag("auto").unwrap_or(true),
        sources: read_sources(keys),
    }
}

fn read_kind(keys: &mut Keys) -> Kind {
    match keys.text("kind").as_str() {
        "embedding" => Kind::Embedding,
        "reranking" => Kind::Reranking,
        "chat" => Kind::Chat,
        other => {
            let known = "must be `chat`, `embedding` or `reranking`";
            keys.demand("kind", other.is_empty(), known);
            Kind::Chat
        }
    }
}

fn read_sources(keys: &mut Keys) -> Vec<Source> {
    let Some(Value::Array(entries)) = keys.table.remove("source") else {
        keys.note("source", "is missing: at least one `[[source]]` is needed");
        return Vec::new();
    };
    let count = entries.len();
    keys.demand(
        "source",
        (1..=SOURCE_COUNT_MAX).contains(&count),
        "must be there 1 to 8 times",
    );
    let mut sources = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let prefix = format!("source[{index}]");
        let Value::Table(table) = entry else {
            keys.note(&prefix, "is not a table");
            continue;
        };
        let mut inner = Keys {
            prefix: format!("{prefix}."),
            table,
            problems: Vec::new(),
        };
        sources.extend(read_source(&mut inner));
        keys.problems.extend(inner.finish());
    }
    sources
}

fn read_source(keys: &mut Keys) -> Option<Source> {
    let has = |key: &str| keys.table.contains_key(key);
    match (has("path"), has("url"), has("package"), has("convert")) {
        (true, false, false, false) => Some(Source::File {
            path: keys.text("path"),
        }),
        (false, true, false, false) => read_url(keys),
        (false, false, true, false) => read_member(keys),
        (false, false, true, true) => {
            let (package, precision) = (read_package(keys), read_precision(keys));
            let folder = keys.text("folder");
            keys.demand(
                "folder",
                is_inner_path(&folder),
                "must be a path inside the package",
            );
            Some(Source::Conversion {
                package: package?,
                folder,
                precision,
            })
        }
        _ => {
            keys.table.clear();
            keys.note(
                "path",
                "or `url` or `package` must be there, and only one of them",
            );
            None
        }
    }
}

fn read_url(keys: &mut Keys) -> Option<Source> {
    let url = keys.text("url");
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let whole = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace));
    keys.demand(
        "url",
        whole,
        "must start with `https://` or `http://` and hold no spaces",
    );
    Some(Source::Url { url })
}

/// A file of a package, as it is there or requantised.
fn read_member(keys: &mut Keys) -> Option<Source> {
    let (package, member) = (read_package(keys), keys.text("member"));
    keys.demand(
        "member",
        is_inner_path(&member),
        "must be a path inside the package",
    );
    let requantise = keys.optional_text("requantise");
    let is_known = requantise.as_ref().is_none_or(|kind| kind == "q8_0");
    keys.demand("requantise", is_known, "must be `q8_0`");
    let package = package?;
    Some(match requantise {
        Some(_) => Source::Requantisation { package, member },
        None => Source::Package { package, member },
    })
}

fn read_precision(keys: &mut Keys) -> Precision {
    match keys.text("convert").as_str() {
        "bert-q8_0" => Precision::Q8_0,
        other => {
            keys.demand(
                "convert",
                other == "bert-f16",
                "must be `bert-f16` or `bert-q8_0`",
            );
            Precision::F16
        }
    }
}

/// What follows ends up on a command line: letters, digits and a few signs, never a dash in front.
fn read_package(keys: &mut Keys) -> Option<Package> {
    let text = keys.text("package");
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && part.len() <= NAME_BYTES_MAX
    };
    match text.split_once("==") {
        Some((name, version)) if is_part(name) && is_part(version) => Some(Package {
            name: name.to_owned(),
            version: version.to_owned(),
        }),
        _ => {
            keys.note("package", "must be `NAME==VERSION`");
            None
        }
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(allowed)
}

fn is_file_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.+".contains(&b);
    name.strip_suffix(".gguf")
        .is_some_and(|stem| !stem.is_empty())
        && !name.starts_with('.')
        && name.len() <= FILE_BYTES_MAX
        && name.bytes().all(allowed)
}

fn is_inner_path(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The keys not read yet, and what was wrong with those that were.
struct Keys {
    prefix: String,
    table: Table,
    problems: Vec<Problem>,
}

impl Keys {
    fn note(&mut self, key: &str, message: &str) {
        let key = format!("{}{key}", self.prefix);
        // The first complaint about a key is the one that helps.
        if !self.problems.iter().any(|problem| problem.key == key) {
            self.problems.push(Problem {
                key,
                message: message.to_owned(),
            });
        }
    }

    fn demand(&mut self, key: &str, holds: bool, message: &str) {
        if !holds {
            self.note(key, message);
        }
    }

    fn text(&mut self, key: &str) -> String {
        let present = self.table.contains_key(key);
        let text = self.optional_text(key).unwrap_or_default();
        self.demand(key, present, "is missing");
        self.demand(key, !text.trim().is_empty(), "is empty");
        text
    }

    fn optional_text(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            Value::String(text) => Some(text),
            other => {
                self.note(key, &format!("must be a text, it is {}", article(&other)));
                None
            }
        }
    }

    fn optional_number(&mut self, key: &str) -> Option<u64> {
        self.table.contains_key(key).then(|| self.number(key))
    }

    fn number(&mut self, key: &str) -> u64 {
        match self.table.remove(key) {
            Some(Value::Integer(number)) if number > 0 => number.unsigned_abs(),
            Some(_) => {
                self.note(key, "must be a whole number above zero");
                0
            }
            None => {
                self.note(key, "is missing");
                0
            }
        }
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        match self.table.remove(key)? {
            Value::Boolean(flag) => Some(flag),
            other => {
                self.note(
                    key,
                    &format!("must be true or false, it is {}", article(&other)),
                );
                None
            }
        }
    }

    fn finish(mut self) -> Vec<Problem> {
        let unknown: Vec<String> = self.table.keys().cloned().collect();
        for key in unknown {
            self.note(&key, "is no key of a manifest");
        }
        self.problems
    }
}

fn article(value: &Value) -> String {
    let name = value.type_str();
    match name {
        "integer" | "array" => format!("an {name}"),
        _ => format!("a {name}"),
    }
}
