//! Keys that callers show, and that nobody else gets to see.

use std::fmt;

use subtle::ConstantTimeEq;

/// An API key. Prints as `****`.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this key, in a time that does not tell where they differ.
    pub fn matches(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let key = ApiKey::new("secret");
        assert_eq!(format!("{key} {key:?}"), "**** ****");
    }

    #[test]
    fn only_the_whole_key_matches() {
        let key = ApiKey::new("secret");
        assert!(key.matches(b"secret"));
        assert!(!key.matches(b"secre") && !key.matches(b"secret ") && !key.matches(b""));
    }
}
