//! Who asks: access tokens, looked up by their hash, and what each may ask at a time.
//!
//! Tokens are rows of the ledger's records. What was looked up is believed for [`Limits::token_age_max`]; what was
//! not found is not remembered, so that guesses fill nothing.
//!
//! Invariant: without a token that is granted and not revoked there is no [`Access`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256};
use gaia_ledger::{AccountId, NanoUsd};
use gaia_ledger_store::{Ledger, ReadError};
use gaia_openai::ApiError;
use gaia_registry::AccessToken;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::config::Limits;

/// The kind of the records of tokens. Their id is the token's, in hex.
pub(crate) const TOKENS: &str = "token";

/// Tokens that are remembered at a time. The next beyond makes room of those that nobody uses.
pub const TOKENS_KNOWN_MAX: usize = 10_000;

/// Tokens that are looked up at a time: strangers cannot fill the ledger's queue.
pub const LOOKUPS_MAX: usize = 64;

const MINUTE: Duration = Duration::from_secs(60);

/// A token, as its record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    pub payer: Address,
    pub asset: Address,
    /// Nano-USD; 0: no limit of its own.
    pub limit: u64,
    pub is_revoked: bool,
}

/// The tokens that were seen of late.
pub(crate) struct Accesses {
    ledger: Ledger,
    limits: Limits,
    lookups: Semaphore,
    known: Mutex<HashMap<B256, Known>>,
}

struct Known {
    record: Arc<TokenRecord>,
    since: Instant,
    used: Arc<Mutex<Use>>,
}

/// What a token has running, and may still ask in this minute.
#[derive(Debug)]
struct Use {
    running: u32,
    allowed: f64,
    reckoned: Instant,
}

/// A token's word that a request may be made.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub key: B256,
    pub record: Arc<TokenRecord>,
    used: Arc<Mutex<Use>>,
}

/// A place among the running requests of a token; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Mutex<Use>>);

impl Access {
    pub(crate) fn account(&self) -> AccountId {
        AccountId {
            payer: self.record.payer,
            asset: self.record.asset,
        }
    }

    pub(crate) fn limit(&self) -> Option<NanoUsd> {
        match self.record.limit {
            0 => None,
            limit => Some(NanoUsd::new(limit).unwrap_or(NanoUsd::MAX)),
        }
    }
}

impl Accesses {
    pub(crate) fn new(ledger: Ledger, limits: Limits) -> Self {
        Self {
            ledger,
            limits,
            lookups: Semaphore::new(LOOKUPS_MAX),
            known: Mutex::new(HashMap::new()),
        }
    }

    /// Who asks.
    ///
    /// # Errors
    /// 401 for everybody without a good token; 503 where the ledger cannot be asked.
    pub(crate) async fn of(&self, headers: &HeaderMap) -> Result<Access, ApiError> {
        let shown = bearer(headers).ok_or_else(ApiError::invalid_api_key)?;
        let token = AccessToken::parse(shown).map_err(|_| ApiError::invalid_api_key())?;
        let key = token.id();
        if let Some(access) = self.remembered(key) {
            return Ok(access);
        }
        let found = self.look_up(key).await.map_err(|error| {
            tracing::error!(%error, "a token could not be looked up");
            ApiError::unavailable("The domain's books cannot be read just now.", 1)
        })?;
        match found {
            Some(record) if !record.is_revoked => Ok(self.remember(key, record)),
            _ => {
                self.forget(key);
                Err(ApiError::invalid_api_key())
            }
        }
    }

    /// A place among the running requests of the token.
    ///
    /// # Errors
    /// 429 where it has too many, or asks too often.
    pub(crate) fn enter(&self, access: &Access) -> Result<Place, ApiError> {
        let per_minute = f64::from(self.limits.key_requests_per_minute_max);
        let mut now = lock(&access.used);
        let passed = now.reckoned.elapsed().as_secs_f64() / MINUTE.as_secs_f64();
        now.allowed = (now.allowed + passed * per_minute).min(per_minute);
        now.reckoned = Instant::now();
        if now.allowed < 1.0 {
            let seconds = ((1.0 - now.allowed) / per_minute * MINUTE.as_secs_f64()).ceil();
            return Err(told(
                "The access token asks more often than it may.",
                seconds as u32,
            ));
        }
        if now.running >= self.limits.key_running_max {
            return Err(told(
                "The access token has more requests running than it may.",
                1,
            ));
        }
        now.allowed -= 1.0;
        now.running += 1;
        Ok(Place(Arc::clone(&access.used)))
    }

    /// A token was changed here: it is looked up anew.
    pub(crate) fn forget(&self, key: B256) {
        lock(&self.known).remove(&key);
    }

    fn remembered(&self, key: B256) -> Option<Access> {
        let known = lock(&self.known);
        let found = known.get(&key)?;
        (found.since.elapsed() < self.limits.token_age_max).then(|| Access {
            key,
            record: Arc::clone(&found.record),
            used: Arc::clone(&found.used),
        })
    }

    async fn look_up(&self, key: B256) -> Result<Option<TokenRecord>, ReadError> {
        let _turn = self.lookups.acquire().await;
        read(&self.ledger, key).await
    }

    fn remember(&self, key: B256, record: TokenRecord) -> Access {
        let mut known = lock(&self.known);
        if known.len() >= TOKENS_KNOWN_MAX && !known.contains_key(&key) {
            known.retain(|_, token| Arc::strong_count(&token.used) > 1);
            if known.len() >= TOKENS_KNOWN_MAX {
                known.clear();
            }
        }
        let record = Arc::new(record);
        let allowed = f64::from(self.limits.key_requests_per_minute_max);
        let token = known.entry(key).or_insert_with(|| Known {
            record: Arc::clone(&record),
            since: Instant::now(),
            used: Arc::new(Mutex::new(Use {
                running: 0,
                allowed,
                reckoned: Instant::now(),
            })),
        });
        token.record = Arc::clone(&record);
        token.since = Instant::now();
        Access {
            key,
            record,
            used: Arc::clone(&token.used),
        }
    }
}

/// A token's record, if there is one.
pub(crate) async fn read(ledger: &Ledger, key: B256) -> Result<Option<TokenRecord>, ReadError> {
    let found = ledger.record(TOKENS, &key.to_string()).await?;
    // One that cannot be read opens nothing.
    Ok(found.and_then(|record| serde_json::from_str(&record.value).ok()))
}

/// What stands behind `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, shown) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| shown.trim())
}

fn told(message: &str, seconds: u32) -> ApiError {
    ApiError {
        message: message.to_owned(),
        ..ApiError::too_many_requests(seconds.max(1))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.0).running -= 1;
    }
}

#[cfg(test)]
mod tests;
