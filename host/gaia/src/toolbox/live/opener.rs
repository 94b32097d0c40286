//! Secrets of tools, opened when they are first needed and kept until they change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gaia_keystore::{Password, Secret, Secrets};
use tracing::warn;

use super::Stamp;
use crate::commands::chain;
use crate::environment::Environment;
use crate::home::Home;
use crate::password::{PasswordError, PasswordSources, generated_file, own_password};

/// Opens secrets.
#[derive(Debug)]
pub struct Opener {
    folder: PathBuf,
    sealing: Sealing,
    /// Locked while one is opened, which takes the memory and time of a password's check.
    opened: tokio::sync::Mutex<Opened>,
}

/// Where the password of the secrets comes from: nobody can be asked here.
#[derive(Debug, Clone)]
pub(super) struct Sealing {
    pub(super) environment: Option<Password>,
    pub(super) generated: PathBuf,
}

/// The secrets that were opened, and the folder that they lay in.
#[derive(Debug, Default)]
struct Opened {
    stamp: Option<Stamp>,
    secrets: BTreeMap<String, Secret>,
}

impl Opener {
    pub(super) fn new(folder: PathBuf, sealing: Sealing) -> Self {
        Self {
            folder,
            sealing,
            opened: tokio::sync::Mutex::default(),
        }
    }

    /// For the secrets of the node in `home`.
    pub fn of(home: &Home, environment: &Environment) -> Self {
        let sealing = Sealing {
            environment: environment.password.clone(),
            generated: generated_file(&environment.user_config, home.root()),
        };
        Self::new(home.secrets(), sealing)
    }

    /// The secrets called `names`.
    pub async fn open(&self, names: &[String]) -> Result<BTreeMap<String, Secret>, String> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut opened = self.opened.lock().await;
        let stamp = Stamp::of(&self.folder);
        if opened.stamp != stamp {
            *opened = Opened {
                stamp,
                secrets: BTreeMap::new(),
            };
        }
        for name in names {
            if !opened.secrets.contains_key(name) {
                let secret = self.open_one(name.clone()).await?;
                opened.secrets.insert(name.clone(), secret);
            }
        }
        let known = |name: &String| Some((name.clone(), opened.secrets.get(name)?.clone()));
        Ok(names.iter().filter_map(known).collect())
    }

    async fn open_one(&self, name: String) -> Result<Secret, String> {
        let closed = format!("the secret `{name}` of this tool cannot be opened");
        let sealing = self.sealing.clone();
        let secrets = Secrets::new(&self.folder);
        let open = move || {
            let password = sealing.password().map_err(|error| chain(&error))?;
            let secret = secrets.open(&name, &password);
            secret.map_err(|error| chain(&error))
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let opened = opened.unwrap_or_else(|error| Err(error.to_string()));
        opened.map_err(|error| {
            warn!(error, "a tool's secret cannot be opened");
            closed
        })
    }
}

impl Sealing {
    fn password(&self) -> Result<Password, PasswordError> {
        own_password(&PasswordSources {
            file: None,
            environment: self.environment.as_ref(),
            interactive: false,
            generated: self.generated.clone(),
        })
    }
}
