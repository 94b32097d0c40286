//! A secp256k1 key and the address it stands for.

use std::fmt;

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use zeroize::Zeroizing;

/// The bytes are no secp256k1 key: zero, or not below the order of the group.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a secp256k1 private key")]
pub struct InvalidKeyError;

/// The node's private key. Prints as its address; the key itself only by [`NodeKey::reveal`].
#[derive(Clone)]
pub struct NodeKey(PrivateKeySigner);

impl NodeKey {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Self {
        Self(PrivateKeySigner::random())
    }

    /// The key with these 32 big-endian bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidKeyError> {
        PrivateKeySigner::from_bytes(&B256::from(*bytes))
            .map(Self)
            .map_err(|_| InvalidKeyError)
    }

    /// The account address; prints with the EIP-55 checksum.
    pub fn address(&self) -> Address {
        self.0.address()
    }

    /// The signer for typed statements.
    pub fn signer(&self) -> &PrivateKeySigner {
        &self.0
    }

    /// The secret itself, wiped when dropped.
    pub fn reveal(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().0)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({}, ****)", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key_last_byte: u8, address: &str) {
        let mut bytes = [0; 32];
        bytes[31] = key_last_byte;
        let key = NodeKey::from_bytes(&bytes).unwrap();
        assert_eq!(key.address().to_string(), address);
        assert_eq!(*key.reveal(), bytes);
    }

    #[test]
    fn addresses_carry_the_eip55_checksum() {
        check(1, "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
        check(2, "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF");
    }

    #[test]
    fn refuses_numbers_that_are_no_key() {
        assert_eq!(NodeKey::from_bytes(&[0; 32]).unwrap_err(), InvalidKeyError);
        assert_eq!(
            NodeKey::from_bytes(&[0xff; 32]).unwrap_err(),
            InvalidKeyError
        );
    }

    #[test]
    fn debug_hides_the_key() {
        let key = NodeKey::from_bytes(&[0x11; 32]).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.ends_with("****)"), "{shown}");
        assert!(!shown.contains("1111"), "{shown}");
    }
}
