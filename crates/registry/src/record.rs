//! A member as it is kept between two runs, and between two gateways.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::member::Member;

/// All that must not be forgotten of a node: what is known of it, and the consents that were used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// The node.
    pub member: Member,
    /// The nonce of each operator's last consent to it.
    pub consents: BTreeMap<Address, u64>,
}
