//! The node's key at work.

use alloy_primitives::B256;
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use gaia_registry::{Heartbeat, Place, Signed, Statement};
use gaia_statements::{Signature, SignatureError};

use crate::clock;

/// The key gave no signature: not to be expected of a key in memory.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The signer refused.
    #[error("the key gives no signature")]
    Signer(#[source] alloy_signer::Error),
    /// What it gave is none.
    #[error("the key gave what is no signature")]
    Form(#[source] SignatureError),
}

/// Signs a digest.
pub(crate) fn digest(key: &PrivateKeySigner, digest: &B256) -> Result<Signature, SignError> {
    let signature = key.sign_hash_sync(digest).map_err(SignError::Signer)?;
    Signature::from_bytes(&signature.as_bytes()).map_err(SignError::Form)
}

/// Signs a statement for a domain.
pub(crate) fn statement<S: Statement>(
    key: &PrivateKeySigner,
    place: &Place,
    statement: S,
) -> Result<Signed<S>, SignError> {
    let signature = digest(key, &statement.digest(&place.signing))?;
    Ok(Signed {
        domain: place.signing,
        statement,
        signature,
    })
}

/// A heartbeat of now.
pub(crate) fn heartbeat(
    key: &PrivateKeySigner,
    place: &Place,
    state_hash: B256,
) -> Result<Signed<Heartbeat>, SignError> {
    let beat = Heartbeat {
        domain_id: place.domain_id,
        node: key.address(),
        sequence: clock::next_number(),
        time: clock::now(),
        state_hash,
    };
    statement(key, place, beat)
}
