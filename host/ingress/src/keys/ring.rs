//! All keys of a node and what they took: who may do what, now. Pure; the caller says what time it is.
//!
//! Invariant: what no key is known for is closed. A ring that has had keys never opens again by losing them.

use std::collections::HashMap;
use std::time::Duration;

use super::instant::Instant;
use super::limit::{Bucket, Reserved, Used};
use super::record::NamedKey;
use super::refusal::Refusal;
use super::secret::{KeyHash, KeyId, id_in};
use crate::ApiKey;
use crate::routes::Need;

/// All keys.
#[derive(Debug, Default)]
pub(crate) struct KeyRing {
    /// Keys of the configuration: they open everything, and have no limits and no names.
    plain: Vec<ApiKey>,
    named: HashMap<KeyId, Held>,
    locked: bool,
}

#[derive(Debug)]
struct Held {
    key: NamedKey,
    bucket: Bucket,
    used: Used,
}

/// Tokens that are set aside for a request of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) key: KeyId,
    reserved: Reserved,
}

impl KeyRing {
    /// With the keys of the configuration.
    pub(crate) fn new(plain: Vec<ApiKey>) -> Self {
        Self {
            locked: !plain.is_empty(),
            plain,
            named: HashMap::new(),
        }
    }

    /// Whether anybody has to show a key.
    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }

    /// Puts these named keys in the place of those that are there. Who stays keeps what he took.
    pub(crate) fn replace(&mut self, keys: Vec<NamedKey>) {
        self.locked = true;
        let mut before = std::mem::take(&mut self.named);
        for key in keys {
            let (bucket, used) = before
                .remove(&key.id)
                .map_or_else(Default::default, |held| (held.bucket, held.used));
            let id = key.id.clone();
            self.named.insert(id, Held { key, bucket, used });
        }
    }

    /// Lets somebody in who shows this key, or no key, and wants `need`. Gives the key's id if it has one.
    pub(crate) fn enter(
        &mut self,
        shown: Option<&[u8]>,
        need: Need,
        now: Duration,
    ) -> Result<Option<KeyId>, Refusal> {
        if !self.locked || need == Need::Nothing {
            return Ok(None);
        }
        let shown = shown.filter(|shown| !shown.is_empty());
        let shown = shown.ok_or(Refusal::NoKey)?;
        // Every key of the configuration is compared, whichever matches.
        let plain = self.plain.iter().map(|key| key.matches(shown));
        if plain.fold(false, |any, this| any | this) {
            return Ok(None);
        }
        let moment = Instant::from_unix_seconds(now.as_secs());
        let held = find(&mut self.named, shown).ok_or(Refusal::UnknownKey)?;
        if held.key.is_expired(moment) {
            return Err(Refusal::Expired);
        }
        if let Need::Scope(scope) = need
            && !held.key.scopes.contains(&scope)
        {
            return Err(Refusal::NoScope(scope));
        }
        // Looking at what the node is costs nothing, and clients do it without being asked to.
        if let Some(rate) = held.key.rate_per_minute
            && need != Need::AnyKey
        {
            let taken = held.bucket.take(rate, now);
            taken.map_err(|wait| Refusal::Rate {
                seconds: whole_seconds(wait),
            })?;
        }
        held.used.entered(moment);
        Ok(Some(held.key.id.clone()))
    }

    /// What its owner calls this key.
    pub(crate) fn name_of(&self, key: &KeyId) -> Option<&str> {
        self.named.get(key).map(|held| held.key.name.as_str())
    }

    /// Whether the tokens of this key are limited.
    pub(crate) fn counts_tokens(&self, key: &KeyId) -> bool {
        let held = self.named.get(key);
        held.is_some_and(|held| held.key.tokens_per_day.is_some())
    }

    /// Sets aside what a request of `key` may come to take.
    pub(crate) fn reserve(
        &mut self,
        key: &KeyId,
        tokens: u64,
        now: Duration,
    ) -> Result<Reservation, Refusal> {
        let moment = Instant::from_unix_seconds(now.as_secs());
        // Revoked since it was let in.
        let held = self.named.get_mut(key).ok_or(Refusal::UnknownKey)?;
        let reserved = held.used.reserve(tokens, held.key.tokens_per_day, moment);
        match reserved {
            Ok(reserved) => Ok(Reservation {
                key: key.clone(),
                reserved,
            }),
            Err(left) => Err(Refusal::Tokens {
                wanted: tokens,
                left,
                seconds: u32::try_from(moment.seconds_left_today()).unwrap_or(u32::MAX),
            }),
        }
    }

    /// The request is over and took so many tokens.
    pub(crate) fn settle(&mut self, reservation: &Reservation, taken: u64) {
        if let Some(held) = self.named.get_mut(&reservation.key) {
            held.used.settle(reservation.reserved, taken);
        }
    }

    /// What each key took.
    pub(crate) fn used(&self) -> impl Iterator<Item = (&KeyId, Used)> {
        self.named.iter().map(|(id, held)| (id, held.used))
    }

    /// Goes on counting from what was kept. Of keys that are gone nothing is.
    pub(crate) fn restore(&mut self, kept: HashMap<KeyId, Used>) {
        for (id, used) in kept {
            if let Some(held) = self.named.get_mut(&id) {
                held.used = used;
            }
        }
    }
}

/// The key that is shown. A key of unknown id is hashed and compared all the same: how long it takes tells nothing.
fn find<'a>(named: &'a mut HashMap<KeyId, Held>, shown: &[u8]) -> Option<&'a mut Held> {
    let held = id_in(shown).and_then(|id| named.get_mut(&id));
    let hash = match &held {
        Some(held) => held.key.hash.clone(),
        None => KeyHash::none(),
    };
    held.filter(|_| hash.matches(shown))
}

/// At least one: a caller who comes back at once would come in vain.
fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::record::Scope;
    use super::super::secret::{MintedKey, RANDOM_BYTES};
    use super::*;

    const NOON: Duration = Duration::from_secs(1_795_262_400);

    fn minted(number: u8) -> MintedKey {
        MintedKey::new(&[number; RANDOM_BYTES], None)
    }

    fn named(number: u8) -> NamedKey {
        let minted = minted(number);
        NamedKey {
            id: minted.id,
            name: format!("key-{number}"),
            hash: minted.hash,
            scopes: vec![Scope::Inference],
            rate_per_minute: None,
            tokens_per_day: None,
            created: Instant::from_unix_seconds(0),
            expires: None,
        }
    }

    fn ring(keys: Vec<NamedKey>) -> KeyRing {
        let mut ring = KeyRing::new(vec![ApiKey::new("a plain key")]);
        ring.replace(keys);
        ring
    }

    #[track_caller]
    fn check(ring: &mut KeyRing, shown: &str, need: Need, expected: Result<Option<u8>, Refusal>) {
        let shown = (shown != "-").then_some(shown.as_bytes());
        let expected = expected.map(|number| number.map(|number| minted(number).id));
        assert_eq!(ring.enter(shown, need, NOON), expected);
    }

    fn text(number: u8) -> String {
        minted(number).key.reveal().to_owned()
    }

    const INFERENCE: Need = Need::Scope(Scope::Inference);

    #[test]
    fn without_keys_everybody_may_do_everything() {
        let mut open = KeyRing::new(Vec::new());
        assert!(!open.is_locked());
        check(&mut open, "-", Need::Scope(Scope::Admin), Ok(None));
        check(&mut open, "whatever", INFERENCE, Ok(None));
    }

    #[test]
    fn a_ring_that_lost_its_keys_stays_locked() {
        let mut ring = KeyRing::new(Vec::new());
        ring.replace(vec![named(1)]);
        check(&mut ring, &text(1), INFERENCE, Ok(Some(1)));
        ring.replace(Vec::new());
        check(&mut ring, &text(1), INFERENCE, Err(Refusal::UnknownKey));
        check(&mut ring, "-", INFERENCE, Err(Refusal::NoKey));
    }

    #[test]
    fn only_the_whole_key_opens() {
        let mut ring = ring(vec![named(1), named(2)]);
        check(&mut ring, &text(1), INFERENCE, Ok(Some(1)));
        check(&mut ring, &text(2), INFERENCE, Ok(Some(2)));
        check(&mut ring, "-", INFERENCE, Err(Refusal::NoKey));
        check(&mut ring, "", INFERENCE, Err(Refusal::NoKey));
        let (one, two) = (text(1), text(2));
        let mixed = format!("{}{}", &one[..14], &two[14..]);
        for wrong in [
            &text(3),
            "gaia_",
            "a plain ke",
            &one[..one.len() - 1],
            &mixed,
        ] {
            check(&mut ring, wrong, INFERENCE, Err(Refusal::UnknownKey));
        }
        check(&mut ring, "-", Need::Nothing, Ok(None));
    }

    #[test]
    fn keys_of_the_configuration_open_everything() {
        let mut ring = ring(vec![named(1)]);
        for scope in Scope::ALL {
            check(&mut ring, "a plain key", Need::Scope(scope), Ok(None));
        }
    }

    #[test]
    fn a_key_opens_its_scopes() {
        let both = vec![Scope::Inference, Scope::Admin];
        let mut ring = ring(vec![
            named(1),
            NamedKey {
                scopes: both,
                ..named(2)
            },
        ]);
        let admin = Need::Scope(Scope::Admin);
        check(
            &mut ring,
            &text(1),
            admin,
            Err(Refusal::NoScope(Scope::Admin)),
        );
        check(&mut ring, &text(1), Need::AnyKey, Ok(Some(1)));
        check(&mut ring, &text(2), admin, Ok(Some(2)));
    }

    #[test]
    fn an_expired_key_opens_nothing_and_only_its_owner_learns_why() {
        let at = |seconds| Some(Instant::from_unix_seconds(NOON.as_secs() + seconds));
        let over = NamedKey {
            expires: at(0),
            ..named(1)
        };
        let mut ring = ring(vec![
            over,
            NamedKey {
                expires: at(1),
                ..named(2)
            },
        ]);
        check(&mut ring, &text(1), INFERENCE, Err(Refusal::Expired));
        check(
            &mut ring,
            &text(1).replace("AQ", "Ag"),
            INFERENCE,
            Err(Refusal::UnknownKey),
        );
        check(&mut ring, &text(2), INFERENCE, Ok(Some(2)));
    }

    #[test]
    fn the_rate_is_each_keys_own_and_only_what_is_let_in_counts() {
        let slow = |number| NamedKey {
            rate_per_minute: Some(2),
            ..named(number)
        };
        let mut ring = ring(vec![slow(1), slow(2)]);
        let refused = Err(Refusal::Rate { seconds: 30 });
        let admin = Need::Scope(Scope::Admin);
        check(
            &mut ring,
            &text(1),
            admin,
            Err(Refusal::NoScope(Scope::Admin)),
        );
        check(&mut ring, &text(1), INFERENCE, Ok(Some(1)));
        check(&mut ring, &text(1), INFERENCE, Ok(Some(1)));
        check(&mut ring, &text(1), INFERENCE, refused);
        check(&mut ring, &text(2), INFERENCE, Ok(Some(2)));
        ring.replace(vec![slow(1), slow(2)]);
        check(&mut ring, &text(1), INFERENCE, refused);
        check(&mut ring, &text(1), Need::AnyKey, Ok(Some(1)));
        let requests = ring.used().find(|(id, _)| **id == minted(1).id);
        assert_eq!(requests.unwrap().1.requests, 3);
    }

    #[test]
    fn tokens_are_set_aside_and_settled() {
        let few = NamedKey {
            tokens_per_day: Some(100),
            ..named(1)
        };
        let mut ring = ring(vec![few.clone(), named(2)]);
        let id = minted(1).id;
        assert!(ring.counts_tokens(&id) && !ring.counts_tokens(&minted(2).id));
        let first = ring.reserve(&id, 80, NOON).unwrap();
        let twelve_hours = 43_200;
        let refused = Refusal::Tokens {
            wanted: 30,
            left: 20,
            seconds: twelve_hours,
        };
        assert_eq!(ring.reserve(&id, 30, NOON), Err(refused));
        ring.settle(&first, 10);
        let second = ring.reserve(&id, 90, NOON).unwrap();
        ring.replace(vec![few]);
        ring.settle(&second, 95);
        let used: HashMap<_, _> = ring.used().map(|(id, used)| (id.clone(), used)).collect();
        assert_eq!(used[&id].tokens, 105);
        ring.replace(Vec::new());
        ring.settle(&second, 1);
        assert_eq!(ring.reserve(&id, 1, NOON), Err(Refusal::UnknownKey));
    }

    #[test]
    fn counts_go_on_after_a_restart() {
        let few = NamedKey {
            tokens_per_day: Some(100),
            ..named(1)
        };
        let mut before = ring(vec![few.clone()]);
        before.reserve(&few.id, 80, NOON).unwrap();
        let kept: HashMap<_, _> = before.used().map(|(id, used)| (id.clone(), used)).collect();
        let mut after = ring(vec![few.clone()]);
        after.restore(kept);
        assert!(after.reserve(&few.id, 21, NOON).is_err());
        assert!(after.reserve(&few.id, 20, NOON).is_ok());
    }
}
