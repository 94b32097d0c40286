//! What a node keeps of a key: its hash, whose it is, what it opens, how much it may take.

use std::fmt;
use std::str::FromStr;

use super::instant::Instant;
use super::secret::{KeyHash, KeyId};

/// Longest name of a key, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The most requests a minute that can be set.
pub const RATE_PER_MINUTE_MAX: u32 = 100_000;

/// A part of the API that a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Ask the models.
    Inference,
    /// Change what the node knows.
    Knowledge,
    /// See how the node is, and everything that no other scope opens.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inference, Self::Knowledge, Self::Admin];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Knowledge => "knowledge",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is not inference, knowledge or admin"))
    }
}

/// A key as a node keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// What names it in the key itself.
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// All that is kept of the key itself.
    pub hash: KeyHash,
    /// What it opens; at least one.
    pub scopes: Vec<Scope>,
    /// Requests a minute; none: as many as come.
    pub rate_per_minute: Option<u32>,
    /// Tokens of prompts and answers a day (UTC); none: as many as come.
    pub tokens_per_day: Option<u64>,
    /// When it was made.
    pub created: Instant,
    /// From when on it opens nothing; none: never.
    pub expires: Option<Instant>,
}

impl NamedKey {
    /// Whether its time is over.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Whether its parts make sense.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        if !is_name(&self.name) {
            return Err(format!(
                "a name is made of letters, digits, -, _ and ., at most {NAME_BYTES_MAX}"
            ));
        }
        if self.scopes.is_empty() {
            return Err("a key without a scope opens nothing".to_owned());
        }
        if self
            .rate_per_minute
            .is_some_and(|rate| !(1..=RATE_PER_MINUTE_MAX).contains(&rate))
        {
            return Err(format!(
                "requests a minute must be 1 to {RATE_PER_MINUTE_MAX}"
            ));
        }
        match self.tokens_per_day {
            Some(0) => Err("tokens a day must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> NamedKey {
        NamedKey {
            id: KeyId::parse("00000001").unwrap(),
            name: "bot".to_owned(),
            hash: KeyHash::of(b""),
            scopes: vec![Scope::Inference],
            rate_per_minute: None,
            tokens_per_day: None,
            created: Instant::from_unix_seconds(0),
            expires: None,
        }
    }

    #[test]
    fn parts_are_checked() {
        let check = |change: fn(&mut NamedKey), right: bool| {
            let mut key = key();
            change(&mut key);
            assert_eq!(key.check().is_ok(), right, "{key:?}");
        };
        check(|_| {}, true);
        check(|key| key.name = "x".repeat(NAME_BYTES_MAX), true);
        check(|key| key.name = "x".repeat(NAME_BYTES_MAX + 1), false);
        check(|key| key.name = "a b".to_owned(), false);
        check(|key| key.name.clear(), false);
        check(|key| key.scopes.clear(), false);
        check(|key| key.rate_per_minute = Some(0), false);
        check(|key| key.rate_per_minute = Some(RATE_PER_MINUTE_MAX), true);
        check(
            |key| key.rate_per_minute = Some(RATE_PER_MINUTE_MAX + 1),
            false,
        );
        check(|key| key.tokens_per_day = Some(0), false);
        check(|key| key.tokens_per_day = Some(1), true);
    }

    #[test]
    fn a_key_expires_at_its_moment() {
        let at = Instant::from_unix_seconds;
        let key = NamedKey {
            expires: Some(at(10)),
            ..key()
        };
        assert!(!key.is_expired(at(9)) && key.is_expired(at(10)));
    }

    #[test]
    fn scopes_have_words() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert!("root".parse::<Scope>().is_err());
    }
}
