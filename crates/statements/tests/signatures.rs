//! Signatures that are taken, and each kind that is not.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

use alloy_primitives::{Address, B256, U256, keccak256};
use gaia_statements::{Signature, SignatureError};
use k256::ecdsa::SigningKey;
use proptest::prelude::*;

/// Order of secp256k1.
const ORDER: U256 = U256::from_be_bytes([
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
]);

fn signed(key: [u8; 32], digest: &B256) -> ([u8; 65], Address) {
    let key = SigningKey::from_slice(&key).unwrap();
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    let mut bytes = [0; 65];
    bytes[..64].copy_from_slice(&signature.to_bytes());
    bytes[64] = 27 + recovery.to_byte();
    (bytes, Address::from_public_key(key.verifying_key()))
}

fn check(bytes: &[u8], error: SignatureError) {
    assert_eq!(Signature::from_bytes(bytes), Err(error));
}

#[test]
fn a_signature_has_one_spelling() {
    let (bytes, _) = signed([7; 32], &keccak256("digest"));
    assert!(Signature::from_bytes(&bytes).is_ok());
    check(&bytes[..64], SignatureError::Length(64));
    check(&[], SignatureError::Length(0));
    check(&[&bytes[..], &[0]].concat(), SignatureError::Length(66));
    for v in [0, 1, 26, 29, 255] {
        let mut wrong = bytes;
        wrong[64] = v;
        check(&wrong, SignatureError::RecoveryId(v));
    }
    // The other half: the same signer, if it were taken.
    let mut twin = bytes;
    let s = U256::from_be_slice(&bytes[32..64]);
    twin[32..64].copy_from_slice(&(ORDER - s).to_be_bytes::<32>());
    twin[64] = 55 - bytes[64];
    check(&twin, SignatureError::UpperHalf);
}

#[test]
fn the_largest_s_is_half_of_the_order() {
    let mut bytes = [1; 65];
    bytes[64] = 27;
    let half: U256 = ORDER >> 1;
    bytes[32..64].copy_from_slice(&half.to_be_bytes::<32>());
    assert!(Signature::from_bytes(&bytes).is_ok());
    bytes[32..64].copy_from_slice(&(half + U256::from(1)).to_be_bytes::<32>());
    check(&bytes, SignatureError::UpperHalf);
}

#[test]
fn zeros_are_signed_by_nobody() {
    let mut bytes = [0; 65];
    bytes[64] = 27;
    let signature = Signature::from_bytes(&bytes).unwrap();
    let signer = signature.signer(&B256::ZERO);
    assert_eq!(signer, Err(SignatureError::Unrecoverable));
}

#[test]
fn a_signature_in_json_is_hex_of_its_length() {
    let (bytes, _) = signed([7; 32], &keccak256("digest"));
    let signature = Signature::from_bytes(&bytes).unwrap();
    let json = serde_json::to_string(&signature).unwrap();
    assert_eq!(json.len(), 2 + 2 + 130);
    assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
    let bare = json.replace("0x", "");
    assert_eq!(serde_json::from_str::<Signature>(&bare).unwrap(), signature);
    let check = |text: &str, error| assert_eq!(Signature::from_hex(text), Err(error));
    check("", SignatureError::Length(0));
    check("0x12", SignatureError::Length(1));
    check(&"zz".repeat(65), SignatureError::NotHex);
}

proptest! {
    #[test]
    fn the_signer_is_found_and_no_other_digest_leads_to_it(key in 1_u8..=254, text in ".*", other in ".*") {
        prop_assume!(text != other);
        let digest = keccak256(&text);
        let (bytes, address) = signed([key; 32], &digest);
        let signature = Signature::from_bytes(&bytes).unwrap();
        prop_assert_eq!(signature.signer(&digest), Ok(address));
        prop_assert_ne!(signature.signer(&keccak256(&other)), Ok(address));
    }
}
