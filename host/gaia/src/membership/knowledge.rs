//! The digest of what the node answers from: part of what it signs for its domains.
//!
//! Documents are added while the node runs, over minutes; each join anew begins a probation. So a digest counts once
//! it has stood for a while, and a node that starts goes on with the one it had.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use gaia_ingest::{Endpoint, Holding, HttpError, Store};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::home::{Home, write_private};
use crate::supervisor::state::Service;

/// How often it is looked whether passages were added.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How long a digest must stand before it counts.
const SETTLED_AFTER: Duration = Duration::from_secs(12);

/// How often everything is read where the number of passages stays the same.
const READ_INTERVAL: Duration = Duration::from_secs(60);

/// Reading takes this part of the time at most: one of so many.
const READ_PART: u32 = 50;

/// Of which collection a digest is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    collection: String,
    digest: B256,
}

/// The collection that a node answers from.
#[derive(Clone)]
pub struct Knowledge(Option<Arc<Store>>);

/// What is asked of the store.
struct Watch {
    now: B256,
    passages: Option<u64>,
    read_next: Instant,
    /// Another digest, and since when it stands.
    other: Option<(B256, Instant)>,
}

impl Knowledge {
    /// That of a node with this store; without one there is none.
    pub fn of(config: &Config, store: Option<&Service>) -> Self {
        let store = store.map(|store| {
            let endpoint = Endpoint {
                name: "store",
                url: store.url.clone(),
                key: Some(store.key.clone()).filter(|key| !key.is_empty()),
            };
            Arc::new(Store::new(endpoint, config.collection.clone()))
        });
        Self(store)
    }

    /// Its digest; zero where nothing is in it. Waits for the store. What is just being changed has none.
    pub fn digest(&self) -> Result<Option<B256>, HttpError> {
        match &self.0 {
            None => Ok(Some(B256::ZERO)),
            Some(store) => Ok(match store.holding()? {
                Holding::Nothing => Some(B256::ZERO),
                Holding::Changing => None,
                Holding::Digest(digest) => Some(digest.into()),
            }),
        }
    }

    /// The digest that was last signed for, where this collection has one.
    pub fn kept(&self, home: &Home) -> Option<B256> {
        let Some(store) = &self.0 else {
            return Some(B256::ZERO);
        };
        let kept = std::fs::read(home.knowledge_digest()).ok()?;
        let kept: Kept = serde_json::from_slice(&kept).ok()?;
        (kept.collection == store.collection()).then_some(kept.digest)
    }

    /// Keeps it for the next start.
    pub fn keep(&self, home: &Home, digest: B256) {
        let Some(store) = &self.0 else { return };
        let kept = Kept {
            collection: store.collection().to_owned(),
            digest,
        };
        let text = serde_json::to_vec(&kept).unwrap_or_default();
        if let Err(error) = write_private(&home.knowledge_digest(), &text) {
            tracing::debug!(%error, "the knowledge's digest is not kept");
        }
    }

    /// Waits until the digest is another one than `now`, and has been for a while.
    pub async fn other_than(&self, now: B256) -> B256 {
        if self.0.is_none() {
            return std::future::pending().await;
        }
        let mut watch = Watch {
            now,
            passages: None,
            read_next: Instant::now(),
            other: None,
        };
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let knowledge = self.clone();
            let looking = tokio::task::spawn_blocking(move || {
                let found = watch.look(&knowledge);
                (watch, found)
            });
            match looking.await {
                Ok((after, Ok(None))) => watch = after,
                Ok((_, Ok(Some(other)))) => return other,
                // Its store is not there just now, or the node ends.
                Ok((after, Err(error))) => {
                    tracing::debug!(%error, "the knowledge's digest is not known");
                    watch = after;
                }
                Err(_) => return std::future::pending().await,
            }
        }
    }
}

impl Watch {
    fn look(&mut self, knowledge: &Knowledge) -> Result<Option<B256>, HttpError> {
        let Some(store) = &knowledge.0 else {
            return Ok(None);
        };
        let passages = store.count()?;
        let is_same = self.passages == passages && self.other.is_none();
        if is_same && Instant::now() < self.read_next {
            return Ok(None);
        }
        let began = Instant::now();
        let digest = knowledge.digest()?;
        self.passages = passages;
        self.read_next = Instant::now() + READ_INTERVAL.max(began.elapsed() * READ_PART);
        Ok(self.saw(digest, Instant::now()))
    }

    /// What has stood for long enough.
    fn saw(&mut self, digest: Option<B256>, at: Instant) -> Option<B256> {
        let other = digest.filter(|digest| *digest != self.now);
        match (other, self.other) {
            (Some(seen), Some((before, since))) if seen == before => {
                (at.duration_since(since) >= SETTLED_AFTER).then_some(seen)
            }
            (Some(seen), _) => {
                self.other = Some((seen, at));
                None
            }
            (None, _) => {
                self.other = None;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_counts_once_it_has_stood_for_a_while() {
        let begin = Instant::now();
        let digest = |number: u8| B256::repeat_byte(number);
        let mut watch = Watch {
            now: digest(1),
            passages: None,
            read_next: begin,
            other: None,
        };
        let mut check = |seconds: u64, seen: Option<u8>, expected: Option<u8>| {
            let at = begin + Duration::from_secs(seconds);
            let found = watch.saw(seen.map(digest), at);
            assert_eq!(found, expected.map(digest), "{seconds} s");
        };
        check(0, Some(1), None);
        check(5, Some(2), None);
        // Still being added to.
        check(10, None, None);
        check(15, Some(3), None);
        check(20, Some(4), None);
        check(25, Some(4), None);
        check(30, Some(1), None);
        check(35, Some(4), None);
        check(40, Some(4), None);
        check(35 + SETTLED_AFTER.as_secs(), Some(4), Some(4));
    }

    #[test]
    fn a_digest_is_kept_for_its_collection() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path()).unwrap();
        home.make_folders().unwrap();
        let service = Service {
            url: "http://127.0.0.1:1".to_owned(),
            key: String::new(),
        };
        let mut config = Config::default();
        let knowledge = Knowledge::of(&config, Some(&service));
        assert_eq!(knowledge.kept(&home), None);
        knowledge.keep(&home, B256::repeat_byte(1));
        assert_eq!(knowledge.kept(&home), Some(B256::repeat_byte(1)));
        assert!(knowledge.digest().is_err(), "nobody answers there");
        config.collection = "other".to_owned();
        assert_eq!(Knowledge::of(&config, Some(&service)).kept(&home), None);
        let none = Knowledge::of(&config, None);
        assert_eq!(none.kept(&home), Some(B256::ZERO));
        assert_eq!(none.digest().unwrap(), Some(B256::ZERO));
    }
}
