//! The node behind the agent: where it answers on loopback, and what it serves.

use std::fmt;
use std::net::SocketAddr;

use gaia_registry::NodeConfig;
use gaia_tunnel::messages::Offer;

/// The key that the node asks for. Prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeKey(String);

impl NodeKey {
    /// The key as `Authorization: Bearer` has it; empty where none is asked for.
    #[must_use]
    pub fn new(key: String) -> Self {
        Self(key)
    }

    /// The header's value; `None` where none is asked for.
    pub(crate) fn bearer(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("Bearer {}", self.0))
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(****)")
    }
}

/// The running node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeNow {
    /// Where it answers, on loopback.
    pub address: SocketAddr,
    /// What it wants to see.
    pub key: NodeKey,
    /// Where `/metrics` is read without a key, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// What it serves with: what a join is signed for.
    pub config: NodeConfig,
    /// What it brings.
    pub offer: Offer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_key() {
        let key = NodeKey::new("secret".to_owned());
        assert_eq!(format!("{key:?}"), "NodeKey(****)");
        assert_eq!(key.bearer().as_deref(), Some("Bearer secret"));
        assert_eq!(NodeKey::new(String::new()).bearer(), None);
    }
}
