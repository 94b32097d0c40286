//! Access tokens: drawn by the payer, granted by its key, known to the domain by their hash alone.
//!
//! A token is 256 bits that the payer draws. In text it is `gaia_` and 64 digits in hex; its id is SHA-256 of the
//! 32 bytes. The gateway is told the id, in a [`TokenGrant`] that the payer's key has signed, and sees the token
//! itself in requests only.

use crate::statement::{Place, Signed, Statement, StatementRefusal, check_nonce, check_time};
use alloy_primitives::{Address, B256, hex};
use alloy_sol_types::SolStruct;
use gaia_statements::SigningDomain;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// What the text of a token begins with.
pub const TOKEN_PREFIX: &str = "gaia_";

mod solidity {
    alloy_sol_types::sol! {
        struct TokenGrant {
            bytes32 domainId;
            address payer;
            address asset;
            bytes32 tokenHash;
            uint64 limit;
            uint64 nonce;
            uint64 expiry;
        }
        struct TokenRevocation {
            bytes32 domainId;
            address payer;
            bytes32 tokenHash;
            uint64 nonce;
            uint64 expiry;
        }
    }
}

/// A payer lets whoever has a token spend from its account. Signed by the payer's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenGrant {
    /// In which domain.
    pub domain_id: B256,
    /// Who pays.
    pub payer: Address,
    /// In which asset.
    pub asset: Address,
    /// The token's id: [`AccessToken::id`].
    pub token_hash: B256,
    /// Nano-USD that it may ever spend; 0: whatever the account has.
    pub limit: u64,
    /// Higher than that of the payer's last statement here.
    pub nonce: u64,
    /// Seconds since 1970 until which the grant may be handed in. The token itself holds until it is revoked.
    pub expiry: u64,
}

/// A payer takes a token back. Signed by the payer's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRevocation {
    /// In which domain.
    pub domain_id: B256,
    /// Whose token.
    pub payer: Address,
    /// Which: [`AccessToken::id`].
    pub token_hash: B256,
    /// Higher than that of the payer's last statement here.
    pub nonce: u64,
    /// Seconds since 1970 until which this may be handed in.
    pub expiry: u64,
}

macro_rules! statement {
    ($name:ident, |$it:ident| $solidity:expr) => {
        impl Statement for $name {
            fn digest(&self, domain: &SigningDomain) -> B256 {
                let $it = self;
                domain.digest(&$solidity)
            }

            fn author(&self) -> Address {
                self.payer
            }

            fn domain_id(&self) -> B256 {
                self.domain_id
            }
        }

        impl $name {
            /// The struct's hash without the domain.
            #[must_use]
            pub fn struct_hash(&self) -> B256 {
                let $it = self;
                $solidity.eip712_hash_struct()
            }
        }

        impl Signed<$name> {
            /// Whether it counts: signed for here by the payer, in time, and newer than the payer's last statement.
            ///
            /// # Errors
            /// The first thing that is wrong.
            pub fn verify(
                &self,
                place: &Place,
                last_nonce: Option<u64>,
                now: u64,
            ) -> Result<(), StatementRefusal> {
                place.check(self)?;
                check_time(self.statement.expiry, now)?;
                check_nonce(self.statement.nonce, last_nonce)
            }
        }
    };
}

statement!(TokenGrant, |it| solidity::TokenGrant {
    domainId: it.domain_id,
    payer: it.payer,
    asset: it.asset,
    tokenHash: it.token_hash,
    limit: it.limit,
    nonce: it.nonce,
    expiry: it.expiry,
});

statement!(TokenRevocation, |it| solidity::TokenRevocation {
    domainId: it.domain_id,
    payer: it.payer,
    tokenHash: it.token_hash,
    nonce: it.nonce,
    expiry: it.expiry,
});

/// An access token. Does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken([u8; 32]);

/// A text is no access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an access token is `{TOKEN_PREFIX}` and 64 digits in hex")]
pub struct NoAccessToken;

impl AccessToken {
    /// Of 256 bits that nobody can guess.
    #[must_use]
    pub const fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// From its text.
    ///
    /// # Errors
    /// When it is none. The error does not show the text.
    pub fn parse(text: &str) -> Result<Self, NoAccessToken> {
        let digits = text.strip_prefix(TOKEN_PREFIX).ok_or(NoAccessToken)?;
        let mut bytes = [0; 32];
        if digits.starts_with("0x") || hex::decode_to_slice(digits, &mut bytes).is_err() {
            return Err(NoAccessToken);
        }
        Ok(Self(bytes))
    }

    /// What the domain knows it by: SHA-256 of its bytes.
    #[must_use]
    pub fn id(&self) -> B256 {
        B256::from(<[u8; 32]>::from(Sha256::digest(self.0)))
    }

    /// Its text, for the one who is to use it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{TOKEN_PREFIX}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_own_text_and_shown_to_nobody() {
        let token = AccessToken::new([0xab; 32]);
        assert_eq!(AccessToken::parse(&token.reveal()), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("ab"));
        let digits = "ab".repeat(32);
        for text in ["", &digits, "gaia_", "gaia_zz", &format!("gaia_0x{digits}")] {
            assert_eq!(AccessToken::parse(text), Err(NoAccessToken), "{text}");
        }
    }

    #[test]
    fn an_id_is_the_hash_of_the_bytes() {
        let id = AccessToken::new([0; 32]).id();
        let expected = "0x66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
        assert_eq!(id.to_string(), expected);
    }
}
