//! The node's secp256k1 key, kept as Keystore V3
