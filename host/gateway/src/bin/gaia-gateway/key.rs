//! The gateway's key, from standard input.

use std::io::Read;

use gaia_keystore::NodeKey;
use zeroize::Zeroizing;

use crate::end::End;

/// Reads the 32 bytes.
pub fn read() -> Result<NodeKey, End> {
    let mut bytes = Zeroizing::new([0; 32]);
    std::io::stdin()
        .read_exact(bytes.as_mut_slice())
        .map_err(|_| {
            End::usage(
                "the gateway's key is missing on standard input: gaia domain start hands it over",
            )
        })?;
    NodeKey::from_bytes(&bytes).map_err(|error| End::failure(&error))
}
