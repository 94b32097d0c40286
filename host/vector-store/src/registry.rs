//! All collections of a store: which there are, by which names, and how they come and go.
//!
//! A collection is a folder `collections/<uuid>` with a `collection.json` in it. Making one writes
//! that file last, dropping one renames it first: at every instant, also after kill -9, a
//! collection is there whole or not at all. Names never become paths. Folders without the file
//! are swept up when the store opens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::collection::{COLLECTION_FILE, Collection, Draft, Manifest};
use crate::disk;
use crate::error::StoreError;
use crate::options::Limits;
use crate::wire::collection::{CollectionConfig, CreateCollection};

const COLLECTIONS_DIR: &str = "collections";
const ALIASES_FILE: &str = "aliases.json";
const DROPPED_FILE: &str = "dropped.json";

/// Every collection by name.
#[derive(Debug)]
pub(crate) struct Registry {
    dir: PathBuf,
    limits: Limits,
    collections: RwLock<BTreeMap<String, Arc<Collection>>>,
    aliases: RwLock<BTreeMap<String, String>>,
    /// One collection is made, dropped or renamed at a time; looking up never waits for it.
    changes: Mutex<()>,
    /// Where dropped collections go to have their folders removed.
    reaper: Sender<Arc<Collection>>,
    /// Dropped last, when everything in the folder is closed.
    _lock: File,
}

/// One step of `POST /collections/aliases`.
#[derive(Debug, Deserialize)]
pub(crate) enum AliasAction {
    #[serde(rename = "create_alias")]
    Create {
        collection_name: String,
        alias_name: String,
    },
    #[serde(rename = "delete_alias")]
    Delete { alias_name: String },
    #[serde(rename = "rename_alias")]
    Rename {
        old_alias_name: String,
        new_alias_name: String,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct AliasDescription {
    pub alias_name: String,
    pub collection_name: String,
}

impl Registry {
    /// Loads what lies in `dir`, which `lock` guards.
    pub(crate) fn open(
        dir: &Path,
        limits: Limits,
        reaper: Sender<Arc<Collection>>,
        lock: File,
    ) -> io::Result<Self> {
        let root = dir.join(COLLECTIONS_DIR);
        disk::create_private_dir(&root)?;
        let mut collections = BTreeMap::new();
        for entry in fs::read_dir(&root)? {
            let path = entry?.path();
            match disk::read_json::<Manifest>(&path.join(COLLECTION_FILE)) {
                Ok(manifest) => {
                    let name = manifest.name.clone();
                    collections.insert(name, Arc::new(Collection::open(&path, manifest)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => sweep(&path),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "this collection's file cannot be read; left as it is");
                }
            }
        }
        let aliases = match disk::read_json(&dir.join(ALIASES_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            read => read?,
        };
        Ok(Self {
            dir: dir.to_owned(),
            limits,
            collections: RwLock::new(collections),
            aliases: RwLock::new(aliases),
            changes: Mutex::new(()),
            reaper,
            _lock: lock,
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Names of all collections, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.all().into_iter().map(|(name, _)| name).collect()
    }

    /// All collections, in order of their names.
    pub(crate) fn all(&self) -> Vec<(String, Arc<Collection>)> {
        let collections = self
            .collections
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        collections
            .iter()
            .map(|(name, collection)| (name.clone(), collection.clone()))
            .collect()
    }

    /// The collection of that name or alias.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Collection>, StoreError> {
        let aliased = self
            .aliases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        let collections = self
            .collections
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        collections
            .get(aliased.as_deref().unwrap_or(name))
            .cloned()
            .ok_or_else(|| StoreError::no_collection(name))
    }

    /// Makes an empty collection.
    pub(crate) fn create(&self, name: &str, body: CreateCollection) -> Result<(), StoreError> {
        let config = body.into_config(&self.limits)?;
        self.insert(name, |dir, name| Draft::empty(dir, name, config))
    }

    /// Makes a collection by `build`, which gets its new folder and may take long: others come and
    /// go meanwhile. Nothing stays when it fails.
    pub(crate) fn insert(
        &self,
        name: &str,
        build: impl FnOnce(&Path, &str) -> Result<Draft, StoreError>,
    ) -> Result<(), StoreError> {
        check_name(name, self.limits.name_len_max)?;
        self.check_vacant(name)?;
        let dir = self
            .dir
            .join(COLLECTIONS_DIR)
            .join(Uuid::new_v4().to_string());
        disk::create_private_dir(&dir)?;
        let inserted = build(&dir, name).and_then(|draft| {
            let _changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            self.check_vacant(name)?;
            let collection = Arc::new(Collection::commit(&dir, draft)?);
            self.collections
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name.to_owned(), collection);
            Ok(())
        });
        if inserted.is_err() {
            sweep(&dir);
        }
        inserted
    }

    fn check_vacant(&self, name: &str) -> Result<(), StoreError> {
        let collections = self
            .collections
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let aliases = self.aliases.read().unwrap_or_else(PoisonError::into_inner);
        if collections.contains_key(name) {
            return Err(StoreError::Conflict(format!(
                "Collection `{name}` already exists!"
            )));
        }
        if aliases.contains_key(name) {
            return Err(StoreError::Conflict(format!(
                "Alias with name `{name}` already exists!"
            )));
        }
        if collections.len() >= self.limits.collections_max {
            return Err(StoreError::BadInput(format!(
                "the store holds {} collections, which is the most it may",
                self.limits.collections_max
            )));
        }
        Ok(())
    }

    /// Drops a collection and its aliases. Gives whether there was one. Its folder goes later, when
    /// nobody works in it any more.
    pub(crate) fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let _changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(collection) = self.get(name) else {
            return Ok(false);
        };
        let name = collection.manifest().name;
        fs::rename(
            collection.dir().join(COLLECTION_FILE),
            collection.dir().join(DROPPED_FILE),
        )?;
        disk::sync_dir(collection.dir())?;
        self.collections
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&name);
        self.write_aliases(|aliases| {
            aliases.retain(|_, target| *target != name);
            Ok(())
        })?;
        // At the end of the program nobody listens; the next start sweeps.
        let _ = self.reaper.send(collection);
        Ok(true)
    }

    /// Carries out all of `actions` or none.
    pub(crate) fn change_aliases(&self, actions: Vec<AliasAction>) -> Result<(), StoreError> {
        let _changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.names();
        self.write_aliases(|aliases| {
            actions
                .into_iter()
                .try_for_each(|action| apply(action, aliases, &names, &self.limits))
        })
    }

    fn write_aliases(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut aliases = self.aliases.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = aliases.clone();
        change(&mut changed)?;
        if changed != *aliases {
            disk::write_json_atomic(&self.dir.join(ALIASES_FILE), &changed)?;
            *aliases = changed;
        }
        Ok(())
    }

    /// Aliases, of one collection or of all.
    pub(crate) fn aliases(&self, of: Option<&str>) -> Vec<AliasDescription> {
        let aliases = self.aliases.read().unwrap_or_else(PoisonError::into_inner);
        aliases
            .iter()
            .filter(|(_, target)| of.is_none_or(|name| *target == name))
            .map(|(alias, target)| AliasDescription {
                alias_name: alias.clone(),
                collection_name: target.clone(),
            })
            .collect()
    }

    /// A configuration this store would accept, or why not.
    pub(crate) fn check_config(&self, config: &CollectionConfig) -> Result<(), StoreError> {
        config.check(&self.limits)
    }
}

fn apply(
    action: AliasAction,
    aliases: &mut BTreeMap<String, String>,
    collections: &[String],
    limits: &Limits,
) -> Result<(), StoreError> {
    let missing = |alias: &str| StoreError::NotFound(format!("Alias {alias} does not exists!"));
    let vacant = |alias: &String| {
        check_name(alias, limits.name_len_max)?;
        match collections.contains(alias) {
            true => Err(StoreError::Conflict(format!(
                "Collection `{alias}` already exists!"
            ))),
            false => Ok(()),
        }
    };
    match action {
        AliasAction::Create {
            collection_name,
            alias_name,
        } => {
            vacant(&alias_name)?;
            if !collections.contains(&collection_name) {
                return Err(StoreError::no_collection(&collection_name));
            }
            aliases.insert(alias_name, collection_name);
            if aliases.len() > limits.aliases_max {
                return Err(StoreError::BadInput(format!(
                    "more than {} aliases",
                    limits.aliases_max
                )));
            }
        }
        AliasAction::Delete { alias_name } => {
            aliases
                .remove(&alias_name)
                .ok_or_else(|| missing(&alias_name))?;
        }
        AliasAction::Rename {
            old_alias_name,
            new_alias_name,
        } => {
            vacant(&new_alias_name)?;
            let target = aliases
                .remove(&old_alias_name)
                .ok_or_else(|| missing(&old_alias_name))?;
            aliases.insert(new_alias_name, target);
        }
    }
    Ok(())
}

/// The characters a server refuses in names are refused here too.
fn check_name(name: &str, len_max: usize) -> Result<(), StoreError> {
    const FORBIDDEN: &[char] = &['<', '>', ':', '"', '/', '\\', '|', '?', '*', '\0', '\u{1f}'];
    if name.is_empty() || name.len() > len_max {
        return Err(StoreError::Invalid(format!(
            "a name has from 1 to {len_max} characters"
        )));
    }
    match name.contains(FORBIDDEN) {
        true => Err(StoreError::Invalid(format!(
            "the name `{}` has a character that is not allowed",
            name.escape_debug()
        ))),
        false => Ok(()),
    }
}

/// Removes what a crash left of a collection that never was or is no more.
pub(crate) fn sweep(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir) {
        tracing::warn!(path = %dir.display(), %error, "a dropped folder stays until the next start");
    }
}
