//! Which version of a file a prompt is: the beginning of the SHA-256 of its bytes.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Bytes of the hash that are shown, as two hexadecimal digits each.
const HASH_BYTES: usize = 6;

/// Twelve hexadecimal digits that change with `bytes`.
pub fn hash(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes).iter().take(HASH_BYTES) {
        // Writing to a String cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_the_hash() {
        assert_eq!(hash(b""), "e3b0c44298fc");
        assert_eq!(hash(b"abc"), "ba7816bf8f01");
    }
}
