//! A node's request to join, checked before anything of it is believed.

use crate::statement::{
    NodeJoin, OperatorConsent, Place, Signed, StatementRefusal, check_nonce, check_time,
};
use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// The longest endpoint, in bytes. The contract takes no longer one.
pub const ENDPOINT_LEN_MAX: usize = 256;

/// The node's statement, and the consent of the operator it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// By the node.
    pub join: Signed<NodeJoin>,
    /// By the operator; needless where the node is its own.
    pub consent: Option<Signed<OperatorConsent>>,
}

/// Nonces that were used before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastNonces {
    /// Of the node's last statement.
    pub node: Option<u64>,
    /// Of the operator's last consent to this node.
    pub consent: Option<u64>,
}

/// Why a join is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// The node's statement does not count.
    #[error("the node's statement does not count")]
    Node(#[source] StatementRefusal),
    /// The operator's consent does not count.
    #[error("the operator's consent does not count")]
    Consent(#[source] StatementRefusal),
    /// No consent.
    #[error("the operator {0} has not consented: send its OperatorConsent for this node along")]
    ConsentMissing(Address),
    /// A consent to something else.
    #[error(
        "the consent is by {operator} for the node {node}, the join names others: send the consent that belongs to it"
    )]
    ConsentForeign {
        /// Whose consent.
        operator: Address,
        /// To which node.
        node: Address,
    },
    /// Nobody's address.
    #[error("the operator is the zero address, where earnings would be lost: name one")]
    Nobody,
    /// An endpoint that nobody can be reached at.
    #[error(
        "the endpoint must be empty (the node dials out) or `https://host[:port]` of at most {ENDPOINT_LEN_MAX} visible characters"
    )]
    Endpoint,
}

/// A join that counts. Made by [`JoinRequest::verify`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedJoin {
    join: NodeJoin,
    consent_nonce: Option<u64>,
}

impl VerifiedJoin {
    /// What the node has signed.
    #[must_use]
    pub fn join(&self) -> &NodeJoin {
        &self.join
    }

    /// The nonce that the consent has used up.
    #[must_use]
    pub fn consent_nonce(&self) -> Option<u64> {
        self.consent_nonce
    }
}

impl JoinRequest {
    /// Checks signatures, places, times and nonces.
    ///
    /// # Errors
    /// The first thing that is wrong, the node's statement before the operator's.
    pub fn verify(
        &self,
        place: &Place,
        last: LastNonces,
        now: u64,
    ) -> Result<VerifiedJoin, JoinRefusal> {
        let join = &self.join.statement;
        place.check(&self.join).map_err(JoinRefusal::Node)?;
        check_time(join.expiry, now).map_err(JoinRefusal::Node)?;
        check_nonce(join.nonce, last.node).map_err(JoinRefusal::Node)?;
        if join.operator.is_zero() {
            return Err(JoinRefusal::Nobody);
        }
        if !is_endpoint(&join.endpoint) {
            return Err(JoinRefusal::Endpoint);
        }
        let consent_nonce = if join.operator == join.node {
            None
        } else {
            Some(self.verify_consent(place, last, now)?)
        };
        Ok(VerifiedJoin {
            join: join.clone(),
            consent_nonce,
        })
    }

    fn verify_consent(
        &self,
        place: &Place,
        last: LastNonces,
        now: u64,
    ) -> Result<u64, JoinRefusal> {
        let join = &self.join.statement;
        let signed = self.consent.as_ref();
        let signed = signed.ok_or(JoinRefusal::ConsentMissing(join.operator))?;
        let consent = &signed.statement;
        if consent.operator != join.operator || consent.node != join.node {
            return Err(JoinRefusal::ConsentForeign {
                operator: consent.operator,
                node: consent.node,
            });
        }
        place.check(signed).map_err(JoinRefusal::Consent)?;
        check_time(consent.expiry, now).map_err(JoinRefusal::Consent)?;
        check_nonce(consent.nonce, last.consent).map_err(JoinRefusal::Consent)?;
        Ok(consent.nonce)
    }
}

/// Empty, or an HTTPS origin. Where it leads to is for the gateway's egress to judge.
fn is_endpoint(endpoint: &str) -> bool {
    if endpoint.is_empty() {
        return true;
    }
    let host = endpoint.strip_prefix("https://").unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    endpoint.len() <= ENDPOINT_LEN_MAX && !host.is_empty() && host.bytes().all(plain)
}
