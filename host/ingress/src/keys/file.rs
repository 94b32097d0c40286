//! `api-keys.toml`: all named keys of a node, without the keys themselves.
//!
//! Invariant: a file with anything wrong in it is refused whole. Half a list of keys would open doors nobody meant
//! to open, or close some silently.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::record::NamedKey;
use super::secret::{KeyHash, KeyId};

/// The most keys of one node.
pub const KEYS_MAX: usize = 1000;

/// The largest file that is read, in bytes: room for that many keys.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

const HEAD: &str = "\
# The keys of this node's API, made by `gaia key api`. The keys themselves are not in here: only hashes.
# A running node reads this file again when it changes. As long as it is here, every request needs a key.
";

/// Why a file of keys is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not TOML of this form.
    #[error("it is not a file of keys")]
    Form(#[source] Box<toml::de::Error>),
    /// One of its keys makes no sense.
    #[error("key {number} (`{name}`): {problem}")]
    Key {
        /// Which one, from 1.
        number: usize,
        /// Its name, as it is there.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// There are too many.
    #[error("it has more than {KEYS_MAX} keys")]
    TooMany,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default, rename = "key")]
    keys: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    name: String,
    sha256: String,
    scopes: Vec<String>,
    rate_per_minute: Option<u32>,
    tokens_per_day: Option<u64>,
    created: String,
    expires: Option<String>,
}

/// Reads the keys in a file's text.
///
/// # Errors
/// Anything in it is not as it should be.
pub fn parse_keys(text: &str) -> Result<Vec<NamedKey>, KeyFileError> {
    let document: Document =
        toml::from_str(text).map_err(|error| KeyFileError::Form(error.into()))?;
    if document.keys.len() > KEYS_MAX {
        return Err(KeyFileError::TooMany);
    }
    let mut keys: Vec<NamedKey> = Vec::with_capacity(document.keys.len());
    let mut taken = HashSet::new();
    for (at, entry) in document.keys.into_iter().enumerate() {
        let name: String = entry.name.chars().take(64).collect();
        let read = entry.read().and_then(|key| {
            let new = taken.insert(key.id.to_string()) & taken.insert(format!(" {}", key.name));
            new.then_some(key)
                .ok_or_else(|| "its name or id is there twice".to_owned())
        });
        keys.push(read.map_err(|problem| KeyFileError::Key {
            number: at + 1,
            name,
            problem,
        })?);
    }
    Ok(keys)
}

/// The text of a file with these keys.
pub fn keys_to_text(keys: &[NamedKey]) -> String {
    let keys = keys.iter().map(Entry::of).collect();
    let text = toml::to_string(&Document { keys });
    format!(
        "{HEAD}\n{}",
        text.expect("texts, numbers and lists are TOML")
    )
}

impl Entry {
    fn of(key: &NamedKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            sha256: key.hash.to_hex(),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            rate_per_minute: key.rate_per_minute,
            tokens_per_day: key.tokens_per_day,
            created: key.created.to_string(),
            expires: key.expires.map(|end| end.to_string()),
        }
    }

    fn read(self) -> Result<NamedKey, String> {
        let scopes = self.scopes.iter().map(|scope| scope.parse());
        let moment = |text: &str| text.parse().map_err(|error| format!("{error}"));
        let key = NamedKey {
            id: KeyId::parse(&self.id).ok_or("its id is not one")?,
            hash: KeyHash::parse(&self.sha256).ok_or("sha256 is not 64 hexadecimal digits")?,
            scopes: scopes.collect::<Result<_, String>>()?,
            rate_per_minute: self.rate_per_minute,
            tokens_per_day: self.tokens_per_day,
            created: moment(&self.created)?,
            expires: self.expires.as_deref().map(moment).transpose()?,
            name: self.name,
        };
        key.check()?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Scope;
    use super::*;

    fn key(number: usize) -> NamedKey {
        NamedKey {
            id: KeyId::parse(&format!("{number:08x}")).unwrap(),
            name: format!("bot-{number}"),
            hash: KeyHash::of(b"key"),
            scopes: vec![Scope::Inference, Scope::Knowledge],
            rate_per_minute: Some(60),
            tokens_per_day: None,
            created: "2026-11-21T17:00:00Z".parse().unwrap(),
            expires: Some("2026-12-31".parse().unwrap()),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let keys = vec![
            key(1),
            NamedKey {
                expires: None,
                tokens_per_day: Some(5),
                ..key(2)
            },
        ];
        let text = keys_to_text(&keys);
        assert_eq!(parse_keys(&text).unwrap(), keys, "{text}");
        assert!(
            text.contains("expires = \"2026-12-31T00:00:00Z\""),
            "{text}"
        );
        assert_eq!(parse_keys("").unwrap(), []);
        assert_eq!(parse_keys(&keys_to_text(&[])).unwrap(), []);
    }

    #[test]
    fn a_file_with_anything_wrong_is_refused_whole() {
        let good = keys_to_text(&[key(1), key(2)]);
        let check = |from: &str, to: &str, expected: &str| {
            assert!(good.contains(from), "{from}");
            let error = parse_keys(&good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("\"inference\"", "\"root\"", "`root` is not inference");
        check(
            "00000002",
            "00000001",
            "key 2 (`bot-2`): its name or id is there twice",
        );
        check("bot-2", "bot-1", "there twice");
        check("00000001", "1", "its id");
        check("sha256 = \"", "sha256 = \"0", "64 hexadecimal digits");
        check(
            "rate_per_minute = 60",
            "rate_per_minute = 0",
            "requests a minute",
        );
        check("rate_per_minute", "rate", "not a file of keys");
        check("2026-12-31T00:00:00Z", "soon", "`soon` is not a date");
        check("[[key]]", "[[key]", "not a file of keys");
    }

    #[test]
    fn keys_and_their_file_are_bounded() {
        let many: Vec<_> = (0..=KEYS_MAX).map(key).collect();
        assert!(matches!(
            parse_keys(&keys_to_text(&many)),
            Err(KeyFileError::TooMany)
        ));
        let most = keys_to_text(&many[1..]);
        assert_eq!(parse_keys(&most).unwrap().len(), KEYS_MAX);
        let longest = most.len() + KEYS_MAX * super::super::record::NAME_BYTES_MAX;
        assert!((longest as u64) < FILE_BYTES_MAX, "{longest}");
    }
}
