//! The policy that holds now, for all who ask for it.

use std::sync::{Arc, PoisonError, RwLock};

use gaia_registry::Policy;

/// Whom the domain admits, as of now. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct CurrentPolicy(Arc<RwLock<Arc<Policy>>>);

impl From<Policy> for CurrentPolicy {
    fn from(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }
}

impl CurrentPolicy {
    /// What holds now.
    #[must_use]
    pub fn get(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another one holds from now on. Whether it is another one.
    pub(crate) fn set(&self, policy: Policy) -> bool {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if **now == policy {
            return false;
        }
        *now = Arc::new(policy);
        true
    }
}
