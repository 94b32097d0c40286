//! The password that locks a keystore. Prints as `****` and is wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A password; [`Password::reveal`] is the only way to its text.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes over `text`.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_stars_only() {
        let password = Password::new("hunter2".to_owned());
        assert_eq!(format!("{password} {password:?}"), "**** ****");
        assert_eq!(password.reveal(), "hunter2");
    }
}
