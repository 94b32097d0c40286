//! Access tokens granted and taken back, by statements that their payer has signed.
//!
//! A payer's nonce is written before the token is: a gateway that dies in between has used up a statement, and the
//! payer signs another. Who has deposited nothing is granted nothing, so that strangers cannot fill the records.

use alloy_primitives::B256;
use gaia_ledger::{AccountId, NanoUsd};
use gaia_ledger_store::{Ledger, ReadError, RecordError};
use gaia_openai::ApiError;
use gaia_registry::{Signed, StatementRefusal, TokenGrant, TokenRevocation};
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::{self, TOKENS, TokenRecord};
use crate::reply::{self, Reply, conflict, payment_required};
use crate::shared::{Shared, now};

/// The kind of the records of payers. Their id is the address.
const PAYERS: &str = "payer";

/// The most tokens that a payer may ever be granted.
pub const TOKENS_PER_PAYER_MAX: u32 = 1000;

/// What is remembered of a payer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Payer {
    nonce: u64,
    tokens: u32,
}

/// `POST /gaia/v1/tokens`.
pub(crate) async fn grant(shared: &Shared, body: &Bytes) -> Response<Reply> {
    match granted(shared, body).await {
        Ok(id) => reply::json(StatusCode::CREATED, &json!({ "tokenHash": id })),
        Err(error) => reply::error(&error),
    }
}

/// `POST /gaia/v1/tokens/revoke`.
pub(crate) async fn revoke(shared: &Shared, body: &Bytes) -> Response<Reply> {
    match revoked(shared, body).await {
        Ok(id) => reply::json(StatusCode::OK, &json!({ "tokenHash": id, "revoked": true })),
        Err(error) => reply::error(&error),
    }
}

async fn granted(shared: &Shared, body: &Bytes) -> Result<B256, ApiError> {
    let signed: Signed<TokenGrant> = parse(body)?;
    let grant = &signed.statement;
    let ledger = &shared.config.ledger;
    let (payer, version) = payer(ledger, &grant.payer.to_string()).await?;
    signed
        .verify(&shared.config.place, last(&payer, version), now().0)
        .map_err(|refusal| refused(&refusal))?;
    if NanoUsd::new(grant.limit).is_none() {
        return Err(ApiError::invalid_value(
            "limit",
            "`limit` is more than an amount can be.",
        ));
    }
    if payer.tokens >= TOKENS_PER_PAYER_MAX {
        return Err(conflict(format!(
            "A payer may be granted {TOKENS_PER_PAYER_MAX} tokens; use one of those that are there."
        )));
    }
    let account = AccountId {
        payer: grant.payer,
        asset: grant.asset,
    };
    let held = ledger
        .account(account)
        .await
        .map_err(|error| unread(&error))?;
    if held.held.is_zero() {
        return Err(payment_required(format!(
            "Nothing was deposited for {account}: deposit, wait until the chain has confirmed it, then ask again."
        )));
    }
    let payer = Payer {
        nonce: grant.nonce,
        tokens: payer.tokens + 1,
    };
    put(ledger, PAYERS, &grant.payer.to_string(), &payer, version).await?;
    let record = TokenRecord {
        payer: grant.payer,
        asset: grant.asset,
        limit: grant.limit,
        is_revoked: false,
    };
    put(ledger, TOKENS, &grant.token_hash.to_string(), &record, 0).await?;
    Ok(grant.token_hash)
}

async fn revoked(shared: &Shared, body: &Bytes) -> Result<B256, ApiError> {
    let signed: Signed<TokenRevocation> = parse(body)?;
    let revocation = &signed.statement;
    let ledger = &shared.config.ledger;
    let (payer, version) = payer(ledger, &revocation.payer.to_string()).await?;
    signed
        .verify(&shared.config.place, last(&payer, version), now().0)
        .map_err(|refusal| refused(&refusal))?;
    let id = revocation.token_hash;
    let found = access::read(ledger, id)
        .await
        .map_err(|error| unread(&error))?;
    // Another payer's is told from none to nobody.
    let record = found.filter(|record| record.payer == revocation.payer);
    let record = record.ok_or_else(|| ApiError::no_such_object("token", &id.to_string()))?;
    let payer = Payer {
        nonce: revocation.nonce,
        ..payer
    };
    put(
        ledger,
        PAYERS,
        &revocation.payer.to_string(),
        &payer,
        version,
    )
    .await?;
    let record = TokenRecord {
        is_revoked: true,
        ..record
    };
    let value = text(&record)?;
    let put = ledger
        .put_record(TOKENS, &id.to_string(), &value, None)
        .await;
    put.map_err(|error| unwritten(&error))?;
    shared.accesses.forget(id);
    Ok(id)
}

/// What a token's payer has: `GET /gaia/v1/account`.
pub(crate) async fn account(shared: &Shared, access: &access::Access) -> Response<Reply> {
    let account = access.account();
    let limit = access.limit();
    match shared.config.ledger.funds(account, access.key).await {
        Ok(funds) => {
            let spent = funds.token.reserved.checked_add(funds.token.charged);
            let left = limit.map(|limit| limit.left_after(spent.unwrap_or(NanoUsd::MAX)));
            let shown = json!({
                "payer": account.payer,
                "asset": account.asset,
                "tokenHash": access.key,
                "heldUnits": funds.account.held.get(),
                "refundingUnits": funds.account.refunding.get(),
                "chargedNanoUsd": funds.account.charged.get(),
                "limitNanoUsd": access.record.limit,
                // What a request may cost now: of the account, and of a token with a limit of its own.
                "availableNanoUsd": left.unwrap_or(NanoUsd::MAX).min(funds.available).get(),
                "tokenChargedNanoUsd": funds.token.charged.get(),
            });
            reply::json(StatusCode::OK, &shown)
        }
        Err(error) => reply::error(&unread(&error)),
    }
}

fn parse<S: DeserializeOwned>(body: &Bytes) -> Result<Signed<S>, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::malformed_body(format!("This is no signed statement: {error}.")))
}

async fn payer(ledger: &Ledger, id: &str) -> Result<(Payer, u64), ApiError> {
    let found = ledger
        .record(PAYERS, id)
        .await
        .map_err(|error| unread(&error))?;
    let Some(record) = found else {
        return Ok((Payer::default(), 0));
    };
    let payer = serde_json::from_str(&record.value)
        .map_err(|_| ApiError::internal("What is known of the payer cannot be read."))?;
    Ok((payer, record.version))
}

/// The last nonce; none for a payer that is new.
fn last(payer: &Payer, version: u64) -> Option<u64> {
    (version > 0).then_some(payer.nonce)
}

async fn put(
    ledger: &Ledger,
    kind: &str,
    id: &str,
    value: &impl Serialize,
    version: u64,
) -> Result<(), ApiError> {
    let value = text(value)?;
    let put = ledger.put_record(kind, id, &value, Some(version)).await;
    put.map(|_| ()).map_err(|error| unwritten(&error))
}

fn text(value: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(|error| ApiError::internal(error.to_string()))
}

fn refused(refusal: &StatementRefusal) -> ApiError {
    // The cause says what is wrong with bytes that are no signature.
    let cause = std::error::Error::source(refusal).map(|cause| format!(": {cause}"));
    let message = format!("{refusal}{}", cause.unwrap_or_default());
    match refusal {
        StatementRefusal::Replayed { .. } => conflict(message),
        StatementRefusal::Malformed { .. } | StatementRefusal::AnotherSigner { .. } => {
            ApiError::forbidden(message)
        }
        _ => ApiError::malformed_body(message),
    }
}

fn unread(error: &ReadError) -> ApiError {
    tracing::error!(%error, "the records cannot be read");
    ApiError::unavailable("The domain's books cannot be read just now.", 1)
}

fn unwritten(error: &RecordError) -> ApiError {
    match error {
        RecordError::Version { .. } => conflict(
            "Another statement was handed in meanwhile, or the token is known: sign a new one with a higher nonce, and draw a new token.",
        ),
        error => {
            tracing::error!(%error, "a record cannot be written");
            ApiError::unavailable("The domain's books cannot be written just now.", 1)
        }
    }
}

/// Whether a shown text is the operator's token.
pub(crate) fn is_operator(expected: Option<B256>, shown: Option<&str>) -> bool {
    use sha2::{Digest, Sha256};
    use subtle::ConstantTimeEq;
    let (Some(expected), Some(shown)) = (expected, shown) else {
        return false;
    };
    Sha256::digest(shown.as_bytes())
        .as_slice()
        .ct_eq(expected.as_slice())
        .into()
}
