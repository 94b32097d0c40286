//! Which records there are, and in which order they came.

use std::collections::{BTreeMap, HashMap};

use crate::{Id, Owner};

/// What is known of a record without reading it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) owner: Owner,
    pub(crate) bytes: u64,
    age: u64,
}

/// All records, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: HashMap<Id, Entry>,
    by_age: BTreeMap<u64, Id>,
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
        self.bytes += bytes;
        self.by_age.insert(age, id.clone());
        self.entries.insert(id, Entry { owner, bytes, age });
    }

    /// A record is gone.
    pub(crate) fn remove(&mut self, id: &Id) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.by_age.remove(&entry.age);
        self.bytes -= entry.bytes;
        Some(entry)
    }

    /// The oldest record but `kept`.
    pub(crate) fn oldest(&self, kept: &Id) -> Option<Id> {
        self.by_age.values().find(|id| *id != kept).cloned()
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
        let owned = |id: &Id| Some((self.entries.get(id)?.owner.clone(), id.clone()));
        self.by_age.values().filter_map(owned).collect()
    }

    /// The ids of an owner's records with this prefix, oldest first.
    pub(crate) fn of(&self, owner: &Owner, prefix: &str) -> Vec<Id> {
        let all = self.by_age.values();
        let is_theirs = |id: &&Id| {
            let entry = self.entries.get(*id);
            id.as_str().starts_with(prefix) && entry.is_some_and(|entry| entry.owner == *owner)
        };
        all.filter(is_theirs).cloned().collect()
    }
}
