//! What is not as it should be while the gateway runs, for its operator: in the status, until it is over.
//!
//! A log says when something went wrong; this says what is wrong now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest notice, in bytes.
pub const NOTICE_LEN_MAX: usize = 1_024;

/// What is wrong now, by what it is about. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Notices {
    /// Something is wrong about `about`. Whether that is new: then it belongs into the log, too.
    pub fn set(&self, about: &'static str, mut text: String) -> bool {
        text.truncate(text.floor_char_boundary(NOTICE_LEN_MAX));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.insert(about, text.clone());
        before.as_ref() != Some(&text)
    }

    /// It is over. Whether it was not before.
    pub fn clear(&self, about: &'static str) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(about).is_some()
    }

    /// All that is wrong: about what, and in words.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, String)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(about, text)| (*about, text.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_stands_until_it_is_over() {
        let notices = Notices::default();
        assert!(notices.set("chain", "out of reach".to_owned()));
        assert!(!notices.clone().set("chain", "out of reach".to_owned()));
        assert!(notices.set("chain", "elsewhere".to_owned()));
        assert_eq!(notices.all(), [("chain", "elsewhere".to_owned())]);
        assert!(notices.clear("chain"));
        assert!(!notices.clear("chain"));
        assert_eq!(notices.all(), []);
    }

    #[test]
    fn a_notice_is_cut_between_characters() {
        let notices = Notices::default();
        notices.set("policy", "ü".repeat(NOTICE_LEN_MAX));
        assert_eq!(notices.all()[0].1.len(), NOTICE_LEN_MAX);
        notices.set("policy", format!("a{}", "ü".repeat(NOTICE_LEN_MAX)));
        assert_eq!(notices.all()[0].1.len(), NOTICE_LEN_MAX - 1);
    }
}
