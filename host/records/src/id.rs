//! Names that came from outside.

use std::fmt;

/// Characters before the `_` of an id.
const PREFIX_MAX: usize = 16;
/// Characters after it: as few as cannot be guessed.
const TAIL_MIN: usize = 24;
/// And as many as a file's name can have with something to spare.
const TAIL_MAX: usize = 64;
/// Characters of an owner.
const OWNER_MAX: usize = 64;

/// The name of a record: small letters, `_`, then digits and small letters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

/// Who a record belongs to: the id of a key, or a word for those who need none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Id {
    /// Takes a name; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, tail) = text.split_once('_')?;
        let is_prefix = (1..=PREFIX_MAX).contains(&prefix.len())
            && prefix.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_tail = (TAIL_MIN..=TAIL_MAX).contains(&tail.len()) && tail.bytes().all(is_plain);
        (is_prefix && is_tail).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder it lies in: so that no folder has thousands of files.
    pub(crate) fn folder(&self) -> &str {
        &self.0[self.0.len() - 2..]
    }
}

impl Owner {
    /// Takes a name; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=OWNER_MAX).contains(&text.len()) && text.bytes().all(is_plain);
        fits.then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_lowercase()
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_become_paths() {
        let tail = "0123456789abcdef01234567";
        assert!(Id::parse(&format!("resp_{tail}")).is_some());
        assert!(Id::parse(&format!("resp_{}", "a".repeat(TAIL_MAX))).is_some());
        for wrong in [
            String::new(),
            tail.to_owned(),
            format!("_{tail}"),
            "resp_".to_owned(),
            "resp_0123".to_owned(),
            format!("resp_{}", "a".repeat(TAIL_MAX + 1)),
            format!("{}_{tail}", "a".repeat(PREFIX_MAX + 1)),
            format!("../{tail}_{tail}"),
            format!("resp_../../{tail}"),
            format!("resp_{tail}/x"),
            format!("resp_{tail}\0"),
            format!("resp_{tail}\n"),
            format!("resp_{tail}%2f"),
            format!("RESP_{tail}"),
            format!("resp_{}", tail.to_uppercase()),
            format!("resp_{tail}é"),
            format!(".new_{tail}"),
        ] {
            assert_eq!(Id::parse(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn owners_are_plain_words() {
        assert!(Owner::parse("0a1b2c3d").is_some() && Owner::parse("anybody").is_some());
        let long = "a".repeat(OWNER_MAX + 1);
        for wrong in ["", "..", "a/b", "A", "a b", "a\n", long.as_str()] {
            assert_eq!(Owner::parse(wrong), None, "{wrong:?}");
        }
    }
}
