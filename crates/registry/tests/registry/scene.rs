//! Keys, a domain, and statements for the other tests.

use alloy_primitives::{Address, B256};
use gaia_registry::{
    CanaryVerdict, Heartbeat, JoinRequest, MembershipRefusal, NodeConfig, NodeJoin, NodeLeave,
    OperatorConsent, Place, Policy, Registry, Rules, Signed, Statement, Status,
};
use gaia_statements::{Signature, SigningDomain};
use k256::ecdsa::SigningKey;

pub const NOW: u64 = 1_795_000_000;
pub const PLACE: Place = Place {
    signing: SigningDomain {
        chain_id: 31337,
        verifying_contract: Address::repeat_byte(0xc0),
    },
    domain_id: B256::repeat_byte(0xd0),
};

/// Keys: nodes count from 1, operators from 101, strangers from 201.
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

pub fn address(number: u8) -> Address {
    Address::from_public_key(key(number).verifying_key())
}

pub fn sign<S: Statement>(statement: S, number: u8) -> Signed<S> {
    sign_for(PLACE.signing, statement, number)
}

pub fn sign_for<S: Statement>(domain: SigningDomain, statement: S, number: u8) -> Signed<S> {
    let digest = statement.digest(&domain);
    let (signature, recovery) = key(number)
        .sign_prehash_recoverable(digest.as_slice())
        .unwrap();
    let mut bytes = signature.to_vec();
    bytes.push(27 + recovery.to_byte());
    Signed {
        domain,
        statement,
        signature: Signature::from_bytes(&bytes).unwrap(),
    }
}

pub fn config() -> NodeConfig {
    NodeConfig {
        model: B256::repeat_byte(1),
        knowledge: B256::repeat_byte(2),
        prompts: B256::repeat_byte(3),
        engine: "gaia 0.1.0".to_owned(),
    }
}

pub fn join_of(node: u8, operator: u8, nonce: u64) -> NodeJoin {
    NodeJoin {
        domain_id: PLACE.domain_id,
        node: address(node),
        operator: address(operator),
        config_hash: config().hash(),
        endpoint: String::new(),
        nonce,
        expiry: NOW + 600,
    }
}

pub fn consent_of(node: u8, operator: u8, nonce: u64) -> OperatorConsent {
    OperatorConsent {
        domain_id: PLACE.domain_id,
        node: address(node),
        operator: address(operator),
        nonce,
        expiry: NOW + 600,
    }
}

pub fn request(node: u8, operator: u8, nonce: u64) -> JoinRequest {
    JoinRequest {
        join: sign(join_of(node, operator, nonce), node),
        consent: Some(sign(consent_of(node, operator, nonce), operator)),
    }
}

pub fn leave(node: u8, nonce: u64, expiry: u64) -> Signed<NodeLeave> {
    let leave = NodeLeave {
        domain_id: PLACE.domain_id,
        node: address(node),
        nonce,
        expiry,
    };
    sign(leave, node)
}

pub fn beat(node: u8, sequence: u64, time: u64) -> Signed<Heartbeat> {
    let beat = Heartbeat {
        domain_id: PLACE.domain_id,
        node: address(node),
        sequence,
        time,
        state_hash: B256::ZERO,
    };
    sign(beat, node)
}

pub fn everybody() -> Policy {
    Policy::parse("admission = \"open\"").unwrap()
}

/// An open domain.
pub struct Domain {
    pub registry: Registry,
    pub now: u64,
}

impl Domain {
    pub fn new() -> Self {
        Self {
            registry: Registry::new(PLACE, Rules::default()),
            now: NOW,
        }
    }

    /// With node 1 of operator 101 serving.
    pub fn serving() -> Self {
        let mut domain = Self::new();
        domain.join(&request(1, 101, 1)).unwrap();
        domain.canary(CanaryVerdict::Passed);
        domain.canary(CanaryVerdict::Passed);
        assert_eq!(domain.status(1), Status::Serving);
        domain
    }

    pub fn join(&mut self, request: &JoinRequest) -> Result<(), MembershipRefusal> {
        let before = self.registry.clone();
        let result = self
            .registry
            .join(request, &config(), 0, &everybody(), self.now);
        if result.is_err() {
            assert!(self.registry == before, "a refusal changed the registry");
        }
        result.map(drop)
    }

    pub fn canary(&mut self, verdict: CanaryVerdict) {
        self.registry
            .canary(address(1), "capital", verdict, self.now)
            .unwrap();
    }

    pub fn status(&self, node: u8) -> Status {
        self.registry.member(address(node)).unwrap().status
    }
}

/// A refusal and its causes as people read them: every chain ends in what to do.
pub fn told(refusal: &dyn std::error::Error) -> String {
    let mut text = refusal.to_string();
    let mut source = refusal.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
