//! How urgent a request is, by OpenAI's own field `service_tier`.

use serde::{Deserialize, Serialize};

use crate::ApiError;
use crate::fields::Fields;

/// How urgent a request is; a later one is more urgent. `auto` in a request means [`ServiceTier::Default`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ServiceTier {
    /// Can wait: batch work.
    Flex,
    /// As most are.
    #[default]
    Default,
    /// Somebody waits for it who must not wait.
    Priority,
}

impl ServiceTier {
    /// The field `service_tier`; `None` where it is absent.
    pub(crate) fn parse(root: &Fields<'_>) -> Result<Option<Self>, ApiError> {
        match root.text("service_tier")? {
            None => Ok(None),
            Some("auto" | "default") => Ok(Some(Self::Default)),
            Some("flex") => Ok(Some(Self::Flex)),
            Some("priority") => Ok(Some(Self::Priority)),
            Some(_) => Err(ApiError::invalid_value(
                "service_tier",
                "`service_tier` must be `auto`, `default`, `flex` or `priority`.",
            )),
        }
    }

    /// The tier of a node that honours `priority`, or of one where anybody could call himself so.
    #[must_use]
    pub fn granted(self, priority_allowed: bool) -> Self {
        match priority_allowed {
            true => self,
            false => self.min(Self::Default),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_priority_has_to_be_granted() {
        for tier in [ServiceTier::Flex, ServiceTier::Default] {
            assert_eq!(tier.granted(false), tier);
        }
        assert_eq!(ServiceTier::Priority.granted(false), ServiceTier::Default);
        assert_eq!(ServiceTier::Priority.granted(true), ServiceTier::Priority);
    }
}
