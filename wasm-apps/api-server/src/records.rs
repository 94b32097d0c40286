//! What the host keeps for callers: responses, so that they can be fetched and gone on from.
//!
//! Each caller sees what is his: the owner is the key's id, which only the ingress can say. Without a host (the
//! application alone under WasmEdge) nothing is kept.

use std::time::Duration;

use axum::http::HeaderMap;
use gaia_openai::ApiError;
use gaia_openai::responses::Kept;

use crate::back::{Back, BackError, Question};
use crate::log;
use crate::options::Options;

/// The host writes to a disk.
const TIME_MAX: Duration = Duration::from_secs(10);
/// The longest record that a host gives.
const RECORD_BYTES_MAX: usize = 8 << 20;
/// Seconds after which a caller may ask again when the host did not answer.
const RETRY_AFTER_SECONDS: u32 = 2;

/// Says whose key a request came with.
const KEY_ID: &str = "x-gaia-key-id";
/// Who asks without a key, or with one that has no id: all of them are one.
const ANYBODY: &str = "anybody";

/// Whom a record belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner(String);

impl Owner {
    /// Whoever sent these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let key = headers.get(KEY_ID).and_then(|id| id.to_str().ok());
        let key = key.filter(|id| is_plain(id));
        Self(key.unwrap_or(ANYBODY).to_owned())
    }

    /// As a part of a path.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The host's records, if there is one.
pub(crate) struct Records {
    back: Option<Back>,
}

impl Records {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            back: Back::of(options),
        }
    }

    /// Whether anything can be kept.
    pub(crate) fn is_there(&self) -> bool {
        self.back.is_some()
    }

    /// Keeps a response. It is on the disk when this returns.
    pub(crate) async fn put(&self, owner: &Owner, kept: &Kept) -> Result<(), BackError> {
        let body = String::from_utf8(kept.to_json()).map_err(|_| BackError::NotJson)?;
        self.ask("PUT", owner, &kept.response.id, body).await?;
        Ok(())
    }

    /// A response that was kept for `owner`.
    ///
    /// # Errors
    /// 503 if the host does not say.
    pub(crate) async fn get(&self, owner: &Owner, id: &str) -> Result<Option<Kept>, ApiError> {
        let asked = self.find("GET", owner, id).await?;
        Ok(asked.and_then(|record| serde_json::from_value(record).ok()))
    }

    /// Removes a response of `owner`; false if there is none.
    ///
    /// # Errors
    /// 503 if the host does not say.
    pub(crate) async fn delete(&self, owner: &Owner, id: &str) -> Result<bool, ApiError> {
        Ok(self.find("DELETE", owner, id).await?.is_some())
    }

    async fn find(
        &self,
        method: &'static str,
        owner: &Owner,
        id: &str,
    ) -> Result<Option<serde_json::Value>, ApiError> {
        if !is_response_id(id) || !self.is_there() {
            return Ok(None);
        }
        match self.ask(method, owner, id, String::new()).await {
            Ok(record) => Ok(Some(record)),
            Err(BackError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => {
                log::warn(format_args!("responses: {error}"));
                let message = "The node cannot look at what it kept.";
                Err(ApiError::unavailable(message, RETRY_AFTER_SECONDS))
            }
        }
    }

    async fn ask(
        &self,
        method: &'static str,
        owner: &Owner,
        id: &str,
        body: String,
    ) -> Result<serde_json::Value, BackError> {
        let Some(back) = &self.back else {
            return Err(BackError::Unreachable("there is none".to_owned()));
        };
        let path = format!("/records/{}/{id}", owner.0);
        back.ask(Question {
            method,
            path: &path,
            body,
            reply_bytes_max: RECORD_BYTES_MAX,
            time_max: TIME_MAX,
        })
        .await
    }
}

/// Whether it can be the id of a response: nothing else goes into a path.
fn is_response_id(id: &str) -> bool {
    id.strip_prefix("resp_").is_some_and(is_plain)
}

fn is_plain(text: &str) -> bool {
    const LEN_MAX: usize = 64;
    let plain = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    (1..=LEN_MAX).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_the_key() {
        let of = |id: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(id) = id {
                headers.insert(KEY_ID, id.parse().unwrap());
            }
            Owner::of(&headers).0
        };
        assert_eq!(of(Some("0a1b2c3d")), "0a1b2c3d");
        assert_eq!(of(None), "anybody");
        assert_eq!(of(Some("../x")), "anybody");
    }

    #[test]
    fn ids_never_become_paths() {
        assert!(is_response_id("resp_00ff"));
        for wrong in [
            "",
            "resp_",
            "resp_../x",
            "resp_a/b",
            "msg_00",
            "resp_A",
            "resp_%2f",
        ] {
            assert!(!is_response_id(wrong), "{wrong}");
        }
    }
}
