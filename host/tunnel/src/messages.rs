//! What node and gateway tell each other besides users' requests.

use alloy_primitives::{Address, B256};
use gaia_ledger::Receipt;
use gaia_registry::{Heartbeat, JoinRequest, NodeConfig, NodeJoin, OperatorConsent, Place, Signed};
use gaia_statements::{Signature, SigningDomain};
use hyper::header::HeaderName;
use serde::{Deserialize, Serialize};

/// The gateway's: what a domain is. `GET` gives at least [`DomainFacts`].
pub const DOMAIN_PATH: &str = "/gaia/v1/domain";

/// The gateway's: `POST` a [`Join`] to become a node of the domain.
pub const JOIN_PATH: &str = "/gaia/v1/nodes";

/// The gateway's: `POST` a signed `NodeLeave`.
pub const LEAVE_PATH: &str = "/gaia/v1/nodes/leave";

/// The node's, through a tunnel: `GET` with `?challenge=0x…` gives [`ReportLine`]s without end, a JSON value a line.
pub const REPORT_PATH: &str = "/gaia/v1/report";

/// The node's, through a tunnel: `POST` a [`ReceiptAsked`], answered by a [`ReceiptSigned`].
pub const RECEIPT_PATH: &str = "/gaia/v1/receipt";

/// Which request it is (the receipt's `requestId`, `0x` and 64 hex digits): the gateway says it with every request, so
/// that the node finds what it counted when the receipt comes.
pub const REQUEST_HEADER: HeaderName = HeaderName::from_static("gaia-request");

/// The longest [`ReportLine`], in bytes.
pub const REPORT_LINE_BYTES_MAX: usize = 64 << 10;

/// The longest other message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Gateways of one domain that a node keeps connected to.
pub const GATEWAYS_MAX: usize = 16;

/// What a node must know of a domain to serve it. A gateway may say more beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainFacts {
    /// The domain's id on the chain.
    pub domain_id: B256,
    /// Where statements count.
    pub signing: SigningDomain,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Where its gateways are reached: origins. A node keeps a tunnel to each.
    pub gateways: Vec<String>,
    /// Whose signature receipts bear.
    pub gateway_key: Address,
    /// When epoch 0 began, in seconds since 1970.
    pub genesis: u64,
    /// How long an epoch is.
    pub epoch_seconds: u64,
    /// Whom it admits, in words.
    #[serde(default)]
    pub policy: Vec<String>,
}

impl DomainFacts {
    /// What statements for this domain are checked for.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            signing: self.signing,
            domain_id: self.domain_id,
        }
    }
}

/// A node asks to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// By the node.
    pub join: Signed<NodeJoin>,
    /// By the operator it names; needless where that is the node itself.
    pub consent: Option<Signed<OperatorConsent>>,
    /// What its `configHash` is the hash of.
    pub config: NodeConfig,
}

impl Join {
    /// What the registry checks.
    #[must_use]
    pub fn request(&self) -> JoinRequest {
        JoinRequest {
            join: self.join.clone(),
            consent: self.consent.clone(),
        }
    }
}

/// What a node may be asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The model's name.
    pub model: String,
    /// The digest or name of a knowledge base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knowledge: Option<String>,
}

/// What a node brings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// All that it may be asked for.
    pub services: Vec<Service>,
    /// How many requests it works on at a time.
    pub sequences: u32,
    /// Tokens of prompts that it reads a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<f64>,
}

/// How a node is just now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests that it works on or has waiting, whoever sent them.
    pub requests: u32,
    /// Tokens of their prompts that it has yet to read, about.
    pub unread: u64,
    /// Tokens of prompts that it reads a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<f64>,
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportLine {
    /// How it is.
    pub report: Report,
    /// What it brings: in the first line, and when that changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// In the first line with the challenge as its `stateHash`, later with the report's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Signed<Heartbeat>>,
    /// It wants to go: no new requests.
    #[serde(default, skip_serializing_if = "is_false")]
    pub draining: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A gateway asks for the node's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptAsked {
    /// Where it counts.
    pub domain: SigningDomain,
    /// What it says.
    pub receipt: Receipt,
    /// By the domain's gateway key.
    pub gateway_signature: Signature,
}

/// The node's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptSigned {
    /// By the node's key.
    pub node_signature: Signature,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_may_say_more_of_its_domain_than_nodes_read() {
        let facts = DomainFacts {
            domain_id: B256::repeat_byte(1),
            signing: SigningDomain {
                chain_id: 1,
                verifying_contract: Address::repeat_byte(2),
            },
            name: String::new(),
            gateways: vec!["https://a.example".to_owned()],
            gateway_key: Address::repeat_byte(3),
            genesis: 5,
            epoch_seconds: 6,
            policy: Vec::new(),
        };
        let mut json = serde_json::to_value(&facts).unwrap();
        json["models"] = serde_json::json!([{"name": "m"}]);
        assert_eq!(serde_json::from_value::<DomainFacts>(json).unwrap(), facts);
    }

    #[test]
    fn a_sign_of_life_is_small() {
        let line = ReportLine {
            report: Report::default(),
            offer: None,
            heartbeat: None,
            draining: false,
        };
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(json, r#"{"report":{"requests":0,"unread":0}}"#);
        assert_eq!(serde_json::from_str::<ReportLine>(&json).unwrap(), line);
    }
}
