//! Who signed a digest, from 65 bytes.

use alloy_primitives::{Address, B256, U256, hex};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Bytes of a signature: r, s and the recovery id.
pub const SIGNATURE_BYTES: usize = 65;

/// Half of the order of secp256k1: a larger `s` is the same signature written a second way.
const S_MAX: U256 = U256::from_be_bytes([
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
]);

/// An ECDSA signature over secp256k1 as contracts take it: `r ‖ s ‖ v`, `v` being 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; SIGNATURE_BYTES]);

/// Why bytes are no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not hex, or not 65 bytes of it.
    #[error("a signature is 65 bytes in hex, this has {0}: send r, s and v, nothing else")]
    Length(usize),
    /// Characters that are no hex.
    #[error("a signature is written in hex")]
    NotHex,
    /// The recovery id is neither 27 nor 28.
    #[error(
        "the signature ends in {0}, it must end in 27 or 28: add 27 to a recovery id of 0 or 1"
    )]
    RecoveryId(u8),
    /// The same signature in its second spelling.
    #[error("the signature's s is in the upper half of the curve: sign again with a lower s")]
    UpperHalf,
    /// No key can have made it.
    #[error("no key can have made this signature: sign again")]
    Unrecoverable,
}

impl Signature {
    /// From `r ‖ s ‖ v`.
    ///
    /// # Errors
    /// When the bytes are no signature that contracts would take.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let bytes: [u8; SIGNATURE_BYTES] = bytes
            .try_into()
            .map_err(|_| SignatureError::Length(bytes.len()))?;
        let v = bytes[64];
        if !matches!(v, 27 | 28) {
            return Err(SignatureError::RecoveryId(v));
        }
        if U256::from_be_slice(&bytes[32..64]) > S_MAX {
            return Err(SignatureError::UpperHalf);
        }
        Ok(Self(bytes))
    }

    /// From hex, with or without `0x`.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    pub fn from_hex(text: &str) -> Result<Self, SignatureError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.len() != 2 * SIGNATURE_BYTES {
            return Err(SignatureError::Length(digits.len() / 2));
        }
        let bytes = hex::decode(digits).map_err(|_| SignatureError::NotHex)?;
        Self::from_bytes(&bytes)
    }

    /// `r ‖ s ‖ v`.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIGNATURE_BYTES] {
        self.0
    }

    /// The address of the key that signed `digest`.
    ///
    /// # Errors
    /// When no key can have. Where some key can have, it says which, never whether it should.
    pub fn signer(&self, digest: &B256) -> Result<Address, SignatureError> {
        alloy_primitives::Signature::from_raw_array(&self.0)
            .and_then(|signature| signature.recover_address_from_prehash(digest))
            .map_err(|_| SignatureError::Unrecoverable)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_prefixed(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).map_err(serde::de::Error::custom)
    }
}
