//! The registry, and its members as records beside the ledger.
//!
//! A change of a member is made to what the database says of it, and written only over that: so two gateways that
//! change one member at the same time do so one after the other. Signs of life are noted at once here and now and then
//! there.
//!
//! Invariant: what was answered is on the disk; a refusal has changed nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::Address;
use gaia_ledger_store::{Ledger, ReadError, Record, RecordError};
use gaia_registry::membership::{Change, MembershipRefusal};
use gaia_registry::{Heartbeat, Member, MemberRecord, Place, Registry, Rules, Signed, Status};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::notices::Notices;

/// The kind of members' records.
pub const KIND: &str = "member";

/// How often a change is tried again because another gateway was quicker.
const ATTEMPTS_MAX: u32 = 8;

/// How often a member's sign of life is written to the database.
const NOTE_INTERVAL: Duration = Duration::from_secs(8);

/// Members of one page.
const PAGE: u64 = 1000;

/// What notices are about.
const ABOUT: &str = "members";

/// Records without sense that a notice names: as many as have room in one.
const NAMED_MAX: usize = 4;

/// Why members cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// By the database.
    #[error("failed to read the domain's members")]
    Read(#[from] ReadError),
    /// A record that is none.
    #[error(
        "the record `{KIND}/{id}` in the ledger's database makes no sense: mend it, or remove it to have the node join anew"
    )]
    Form {
        /// Its name.
        id: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Why a member does not change.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It must not.
    #[error(transparent)]
    Refused(#[from] MembershipRefusal),
    /// It could not be read.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// It could not be written.
    #[error("failed to keep what is known of a member")]
    Write(#[from] RecordError),
    /// Other gateways were quicker each time.
    #[error("other gateways change this member all the time: try again")]
    Contended,
}

pub(crate) struct Store {
    ledger: Ledger,
    place: Place,
    rules: Rules,
    notices: Notices,
    kept: Mutex<Kept>,
}

struct Kept {
    registry: Registry,
    notes: BTreeMap<Address, Note>,
}

/// What the database has of a member.
#[derive(Clone, Copy)]
struct Note {
    version: u64,
    at: Instant,
}

impl Store {
    /// With the members that were kept. Silence counts from `now` on.
    pub(crate) async fn open(
        ledger: Ledger,
        place: Place,
        rules: Rules,
        notices: Notices,
        now: u64,
    ) -> Result<Self, RestoreError> {
        let store = Self {
            ledger,
            place,
            rules,
            notices,
            kept: Mutex::new(Kept {
                registry: Registry::new(place, rules),
                notes: BTreeMap::new(),
            }),
        };
        store.sync().await?;
        store.kept.lock().await.registry.listening_since(now);
        Ok(store)
    }

    /// Takes over what other gateways have written. What makes no sense stays in the database, and is told.
    pub(crate) async fn sync(&self) -> Result<Vec<Change>, RestoreError> {
        let mut changes = Vec::new();
        let mut senseless = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut after = String::new();
        loop {
            let page = self.ledger.records(KIND, &after, PAGE).await?;
            let is_last = (page.len() as u64) < PAGE;
            let mut kept = self.kept.lock().await;
            for record in page {
                after.clone_from(&record.id);
                // Whatever it says, it is there.
                seen.extend(record.id.parse::<Address>());
                let version = record.version;
                let member = match parse(&record) {
                    Ok(member) => member,
                    Err(error) => {
                        senseless.push(error);
                        continue;
                    }
                };
                let node = member.member.node;
                seen.insert(node);
                let known = kept.notes.get(&node).map_or(0, |note| note.version);
                if known < version {
                    changes.extend(kept.registry.restore(member));
                    kept.note(node, version);
                }
            }
            if is_last {
                break;
            }
        }
        self.tell(&senseless);
        let mut kept = self.kept.lock().await;
        let is_gone =
            |node: &Address, note: &Note| !seen.contains(node) && note.at.elapsed() > NOTE_INTERVAL;
        let gone: Vec<Address> = kept
            .notes
            .iter()
            .filter(|(node, note)| is_gone(node, note))
            .map(|(node, _)| *node)
            .collect();
        for node in gone {
            kept.notes.remove(&node);
            changes.extend(kept.registry.forget(node));
        }
        Ok(changes)
    }

    fn tell(&self, senseless: &[RestoreError]) {
        if senseless.is_empty() {
            self.notices.clear(ABOUT);
            return;
        }
        let named = senseless
            .iter()
            .take(NAMED_MAX)
            .map(|error| super::http::chain(error));
        let mut text = named.collect::<Vec<_>>().join("; ");
        if senseless.len() > NAMED_MAX {
            text.push_str(&format!("; and {} more", senseless.len() - NAMED_MAX));
        }
        if self.notices.set(ABOUT, text.clone()) {
            tracing::warn!("left out: {text}");
        }
    }

    /// Changes a member by `act`, which is given a registry with that member alone, and how many there are in all.
    pub(crate) async fn change<T>(
        &self,
        node: Address,
        mut act: impl FnMut(&mut Registry, usize) -> Result<T, MembershipRefusal>,
    ) -> Result<(T, Option<Change>), ChangeError> {
        let mut kept = self.kept.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            let (mut alone, version) = self.alone(&kept, node).await?;
            let done = act(&mut alone, kept.registry.members().count())?;
            let Some(record) = alone.record(node) else {
                return Ok((done, None));
            };
            match self.write(node, &record, version).await {
                Ok(version) => {
                    kept.note(node, version);
                    return Ok((done, kept.registry.restore(record)));
                }
                Err(RecordError::Version { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ChangeError::Contended)
    }

    /// A registry with this member alone, as the database and this gateway know it.
    async fn alone(&self, kept: &Kept, node: Address) -> Result<(Registry, u64), ChangeError> {
        let found = self.ledger.record(KIND, &id(node)).await;
        let found = found.map_err(RestoreError::from)?;
        let mut alone = Registry::new(self.place, self.rules);
        // First what is fresher here, then what counts.
        if let Some(record) = kept.registry.record(node) {
            alone.restore(record);
        }
        let version = found.as_ref().map_or(0, |found| found.version);
        match &found {
            Some(found) => drop(alone.restore(parse(found)?)),
            // Another gateway has forgotten it.
            None if kept.notes.contains_key(&node) => drop(alone.forget(node)),
            None => {}
        }
        Ok((alone, version))
    }

    async fn write(
        &self,
        node: Address,
        record: &MemberRecord,
        version: u64,
    ) -> Result<u64, RecordError> {
        // Members have no keys but text.
        let value = serde_json::to_string(record).unwrap_or_default();
        let id = id(node);
        self.ledger
            .put_record(KIND, &id, &value, Some(version))
            .await
    }

    /// A sign of life that opens something: held against what every gateway has seen, and written at once, so that it
    /// opens nothing a second time, here or elsewhere.
    pub(crate) async fn proof(
        &self,
        beat: &Signed<Heartbeat>,
        now: u64,
    ) -> Result<Option<Change>, ChangeError> {
        let node = beat.statement.node;
        // Strangers cost no question to the database.
        self.place.check(beat).map_err(MembershipRefusal::from)?;
        let changed = self.change(node, |registry, _| registry.heartbeat(beat, now));
        Ok(changed.await?.1)
    }

    /// A sign of life. Written where it changes something, or the last one was written long ago.
    pub(crate) async fn heartbeat(
        &self,
        beat: &Signed<Heartbeat>,
        now: u64,
    ) -> Result<Option<Change>, ChangeError> {
        let node = beat.statement.node;
        let is_minor = {
            let mut kept = self.kept.lock().await;
            let note = kept.notes.get(&node).copied();
            let is_new = note.is_some_and(|note| note.at.elapsed() < NOTE_INTERVAL);
            let stands = kept.registry.member(node).map(|member| member.status);
            let is_minor = is_new && matches!(stands, Some(Status::Probation | Status::Serving));
            if is_minor {
                kept.registry.heartbeat(beat, now)?;
            }
            is_minor
        };
        if is_minor {
            return Ok(None);
        }
        self.proof(beat, now).await
    }

    /// What time alone changes.
    pub(crate) async fn tick(&self, now: u64) -> Vec<Change> {
        let mut kept = self.kept.lock().await;
        let changes = kept.registry.tick(now);
        for change in &changes {
            self.keep(&mut kept, change).await;
        }
        changes
    }

    /// Writes what time has changed. Where another gateway knows better, that comes with the next look.
    async fn keep(&self, kept: &mut Kept, change: &Change) {
        let node = change.node;
        let Some(record) = kept.registry.record(node) else {
            kept.notes.remove(&node);
            if let Err(error) = self.ledger.remove_record(KIND, &id(node)).await {
                tracing::warn!(%error, "a member that is forgotten stays in the database");
            }
            return;
        };
        let version = kept.notes.get(&node).map_or(0, |note| note.version);
        match self.write(node, &record, version).await {
            Ok(version) => kept.note(node, version),
            Err(error) => tracing::info!(%error, "what time changed of {node} is not written"),
        }
    }

    pub(crate) async fn status(&self, node: Address) -> Option<Status> {
        let kept = self.kept.lock().await;
        kept.registry.member(node).map(|member| member.status)
    }

    /// What `of` makes of a member.
    pub(crate) async fn look<T>(&self, node: Address, of: impl Fn(&Member) -> T) -> Option<T> {
        let kept = self.kept.lock().await;
        kept.registry.member(node).map(of)
    }

    /// What `of` makes of all members, without what it makes nothing of.
    pub(crate) async fn all<T>(&self, of: impl Fn(&Member) -> Option<T>) -> Vec<T> {
        let kept = self.kept.lock().await;
        kept.registry.members().filter_map(of).collect()
    }
}

impl Kept {
    fn note(&mut self, node: Address, version: u64) {
        let at = Instant::now();
        self.notes.insert(node, Note { version, at });
    }
}

fn id(node: Address) -> String {
    format!("{node:#x}")
}

fn parse(record: &Record) -> Result<MemberRecord, RestoreError> {
    serde_json::from_str(&record.value).map_err(|source| RestoreError::Form {
        id: record.id.clone(),
        source,
    })
}
