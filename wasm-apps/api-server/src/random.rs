//! Numbers nobody can guess, from the system's randomness by way of `std`.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 64 random bits.
pub(crate) fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// 128 random bits.
pub(crate) fn wide() -> u128 {
    u128::from(number()) << 64 | u128::from(number())
}

/// `prefix` and 96 random bits in hexadecimal.
pub(crate) fn id(prefix: &str) -> String {
    format!("{prefix}{:016x}{:08x}", number(), number() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let (one, two) = (id("chatcmpl-"), id("chatcmpl-"));
        assert_ne!(one, two);
        assert_eq!(one.len(), "chatcmpl-".len() + 24);
    }
}
