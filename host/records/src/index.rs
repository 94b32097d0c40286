//! Which records there are, whose, and in which order they came.

use std::collections::{BTreeMap, HashMap};

use crate::{Id, Owner};

/// What is known of a record without reading it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) owner: Owner,
    pub(crate) bytes: u64,
    age: u64,
}

/// One owner's records, oldest first.
#[derive(Debug, Default)]
struct Shelf {
    by_age: BTreeMap<u64, Id>,
    bytes: u64,
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Records,
    Bytes,
}

/// All records.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: HashMap<Id, Entry>,
    shelves: HashMap<Owner, Shelf>,
    bytes: u64,
    next: u64,
}

impl Index {
    /// The record's entry.
    pub(crate) fn get(&self, id: &Id) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// A record came, or has other bytes now; its place in the order stays.
    pub(crate) fn put(&mut self, id: Id, owner: Owner, bytes: u64) {
        let age = match self.remove(&id) {
            Some(before) => before.age,
            None => {
                self.next += 1;
                self.next
            }
        };
        let shelf = self.shelves.entry(owner.clone()).or_default();
        shelf.by_age.insert(age, id.clone());
        shelf.bytes += bytes;
        self.bytes += bytes;
        self.entries.insert(id, Entry { owner, bytes, age });
    }

    /// A record is gone.
    pub(crate) fn remove(&mut self, id: &Id) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.bytes -= entry.bytes;
        if let Some(shelf) = self.shelves.get_mut(&entry.owner) {
            shelf.by_age.remove(&entry.age);
            shelf.bytes -= entry.bytes;
            if shelf.by_age.is_empty() {
                self.shelves.remove(&entry.owner);
            }
        }
        Some(entry)
    }

    /// The record that goes next, never `kept`: the oldest of the owner who has most of what there is
    /// too much of. So nobody's records go because somebody else writes many.
    pub(crate) fn next_to_go(&self, excess: Excess, kept: &Id) -> Option<Id> {
        let shelves = self.shelves.values().filter_map(|shelf| {
            let (age, id) = shelf.by_age.iter().find(|(_, id)| *id != kept)?;
            let has = match excess {
                Excess::Records => shelf.by_age.len() as u64,
                Excess::Bytes => shelf.bytes,
            };
            Some((has, age, id))
        });
        let (_, _, id) =
            shelves.max_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(one.1)))?;
        Some(id.clone())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bytes of all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All records, oldest first.
    pub(crate) fn all(&self) -> Vec<(Owner, Id)> {
        let mut all: Vec<_> = self.entries.iter().collect();
        all.sort_by_key(|(_, entry)| entry.age);
        let owned = all.into_iter();
        owned
            .map(|(id, entry)| (entry.owner.clone(), id.clone()))
            .collect()
    }

    /// The ids of an owner's records with this prefix, oldest first.
    pub(crate) fn of(&self, owner: &Owner, prefix: &str) -> Vec<Id> {
        let shelf = self.shelves.get(owner).into_iter();
        let ids = shelf.flat_map(|shelf| shelf.by_age.values());
        ids.filter(|id| id.as_str().starts_with(prefix))
            .cloned()
            .collect()
    }
}
