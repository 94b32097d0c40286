//! Texts that hide themselves: the password that locks a keystore, and named secrets.

use std::fmt;

use zeroize::Zeroizing;

macro_rules! hidden_text {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Takes over `text`.
            pub fn new(text: String) -> Self {
                Self(Zeroizing::new(text))
            }

            /// The text itself; the only way to it.
            pub fn reveal(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("****")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("****")
            }
        }
    )+};
}

hidden_text! {
    /// The password that locks a keystore. Prints as `****` and is wiped when dropped.
    Password,
    /// A credential for a place outside. Prints as `****` and is wiped when dropped.
    Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_stars_only() {
        let password = Password::new("hunter2".to_owned());
        assert_eq!(format!("{password} {password:?}"), "**** ****");
        assert_eq!(password.reveal(), "hunter2");
        let secret = Secret::new("hunter3".to_owned());
        assert_eq!(format!("{secret} {secret:?}"), "**** ****");
        assert_eq!(secret.reveal(), "hunter3");
    }
}
