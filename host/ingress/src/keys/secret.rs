//! The text of a key: `gaia_`, the id that names it, and 256 random bits that nobody else has.
//!
//! Of the bits a node keeps the SHA-256 alone. A slow hash protects words that people think of; 256 random bits
//! cannot be guessed however fast the hash is, and a slow one would let anybody occupy the processor with wrong keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::ApiKey;

/// How every key begins, so that scanners of leaked secrets know it.
const PREFIX: &str = "gaia_";

/// Characters of an id.
const ID_LEN: usize = 8;

/// Random bytes of an id and of the secret.
pub const RANDOM_BYTES: usize = ID_LEN / 2 + SECRET_BYTES;

/// Random bytes of the secret.
const SECRET_BYTES: usize = 32;

/// What names a key; not secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Takes eight hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == ID_LEN && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Of a whole key.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The hash of no key that anybody has.
    pub(crate) fn none() -> Self {
        Self([0; 32])
    }

    /// Takes 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            let pair = text.get(at * 2..at * 2 + 2)?;
            let digits = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = digits
                .then(|| u8::from_str_radix(pair, 16).ok())
                .flatten()?;
        }
        Some(Self(bytes))
    }

    /// As hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it is the hash of `key`, in a time that does not tell where they differ.
    pub(crate) fn matches(&self, key: &[u8]) -> bool {
        self.0.ct_eq(&Self::of(key).0).into()
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// A new key: what is shown once, and what is kept.
#[derive(Debug)]
pub struct MintedKey {
    /// Its name for everybody.
    pub id: KeyId,
    /// The key itself, for the one who is to have it.
    pub key: ApiKey,
    /// What the node keeps of it.
    pub hash: KeyHash,
}

impl MintedKey {
    /// Makes a key of random bytes; with the `id` of the key that it takes the place of, if any.
    pub fn new(random: &[u8; RANDOM_BYTES], id: Option<KeyId>) -> Self {
        let (of_id, of_secret) = random.split_at(ID_LEN / 2);
        let id =
            id.unwrap_or_else(|| KeyId(of_id.iter().map(|byte| format!("{byte:02x}")).collect()));
        let secret = URL_SAFE_NO_PAD.encode(of_secret);
        let key = format!("{PREFIX}{id}_{secret}");
        Self {
            hash: KeyHash::of(key.as_bytes()),
            key: ApiKey::new(key),
            id,
        }
    }
}

/// The id in a key that somebody shows, if it is of this form.
pub(crate) fn id_in(shown: &[u8]) -> Option<KeyId> {
    let rest = shown.strip_prefix(PREFIX.as_bytes())?;
    let (id, secret) = rest.split_at_checked(ID_LEN)?;
    secret.starts_with(b"_").then_some(())?;
    KeyId::parse(std::str::from_utf8(id).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(first: u8) -> [u8; RANDOM_BYTES] {
        std::array::from_fn(|at| first.wrapping_add(at as u8))
    }

    #[test]
    fn a_key_is_its_prefix_its_id_and_256_bits() {
        let minted = MintedKey::new(&random(250), None);
        assert_eq!(minted.id.as_str(), "fafbfcfd");
        let text = minted.key.reveal();
        assert_eq!(text.len(), 5 + 8 + 1 + 43);
        assert!(text.starts_with("gaia_fafbfcfd__v8AAQID"), "{text}");
        assert_eq!(id_in(text.as_bytes()), Some(minted.id));
        assert!(minted.hash.matches(text.as_bytes()));
    }

    #[test]
    fn another_key_has_another_hash() {
        let (one, two) = (
            MintedKey::new(&random(1), None),
            MintedKey::new(&random(2), None),
        );
        assert!(!one.hash.matches(two.key.reveal().as_bytes()));
        let same_id = MintedKey::new(&random(2), Some(one.id.clone()));
        assert_eq!(same_id.id, one.id);
        assert!(!one.hash.matches(same_id.key.reveal().as_bytes()));
    }

    #[test]
    fn hashes_are_read_and_written() {
        let hash = KeyHash::of(b"key");
        assert_eq!(KeyHash::parse(&hash.to_hex()), Some(hash));
        for bad in ["", "00", &"g".repeat(64), &"+1".repeat(32), &"ä".repeat(32)] {
            assert_eq!(KeyHash::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let minted = MintedKey::new(&random(3), None);
        let shown = format!("{minted:?}");
        let secret = &minted.key.reveal()[14..];
        assert!(
            !shown.contains(secret) && !shown.contains(&minted.hash.to_hex()),
            "{shown}"
        );
    }

    #[test]
    fn other_texts_have_no_id() {
        for other in [
            "",
            "gaia_",
            "gaia_0123456",
            "gaia_01234567",
            "gaia_0123456Z_x",
            "sk-01234567_x",
            "gaia_01234567-x",
        ] {
            assert_eq!(id_in(other.as_bytes()), None, "{other}");
        }
        assert_eq!(id_in(b"gaia_\xff1234567_x"), None);
    }
}
