//! The node's secp256k1 key, kept as Web3 Secret Storage version 3 ("Keystore V3").
//!
//! New files use scrypt with n=2^18, r=8, p=1. Files of other tools are read too, with scrypt or
//! PBKDF2, as long as their parameters stay under the limits in [`v3`].
//!
//! Named secrets, credentials of tools, are sealed the same way, one file each.
//!
//! Invariants: a key that is already there is never overwritten; a file appears whole or not at
//! all, readable by its owner only; no `Debug` or `Display` here shows a secret.

mod key;
mod password;
mod secrets;
mod store;
pub mod v3;

pub use key::{InvalidKeyError, NodeKey};
pub use password::{Password, Secret};
pub use secrets::{
    ListSecretsError, LoadSecretError, SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX,
    SaveSecretError, Secrets,
};
pub use store::{LoadKeyError, SaveKeyError, load_key, read_address, save_key};
