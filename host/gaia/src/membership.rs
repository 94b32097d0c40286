//! The node as its domains see it: what it serves with, what it brings, and its key.

pub mod knowledge;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use alloy_primitives::B256;
use anyhow::Context as _;
use gaia_keystore::NodeKey;
use gaia_keystore::load_key;
use gaia_member::Joins;
use gaia_registry::NodeConfig;
use gaia_registry::config::prompts_digest;
use gaia_tunnel::messages::{Offer, Service};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::Config;
use crate::environment::Environment;
use crate::exit::{Exit, failure};
use crate::home::{Home, write_private};
use crate::password::{PasswordSources, generated_file, own_password};
use crate::prompts::Folder;
use crate::supervisor::state::ModelInUse;

/// How much of a model's file is read at a time, in bytes.
const READ_BYTES: usize = 1 << 20;

/// A digest, and the file that it is of: reading gigabytes takes a while.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    path: std::path::PathBuf,
    bytes: u64,
    changed: (i64, i64),
    digest: B256,
}

/// The domains that the node of `home` has joined.
pub fn joins(home: &Home) -> Joins {
    Joins::new(home.domains())
}

/// What a node with this chat model and the digest `knowledge` (zero: none) serves with. Reads the model's file where
/// that was not done before.
pub fn node_config(home: &Home, chat: &ModelInUse, knowledge: B256) -> anyhow::Result<NodeConfig> {
    let model = digest_of(home, &chat.file)
        .with_context(|| format!("failed to read the model `{}`", chat.file.display()))?;
    let folder = Folder::read(home)?;
    // A version changes with its file.
    let prompts: Vec<(&str, &str)> = folder
        .set
        .all()
        .map(|(_, prompt)| (prompt.name(), prompt.version()))
        .collect();
    Ok(NodeConfig {
        model,
        knowledge,
        prompts: match prompts.is_empty() {
            true => B256::ZERO,
            false => prompts_digest(&prompts),
        },
        engine: format!("gaia {}", env!("CARGO_PKG_VERSION")),
    })
}

/// What it can be asked for: its models, and its chat model with what it answers from.
pub fn offer(
    config: &Config,
    knowledge: B256,
    chat: &ModelInUse,
    others: [Option<&ModelInUse>; 2],
) -> Offer {
    let service = |model: &ModelInUse, knowledge: Option<B256>| Service {
        model: model.name.clone(),
        knowledge: knowledge.map(|digest| digest.to_string()),
    };
    let models = [Some(chat)].into_iter().chain(others).flatten();
    let models = models.map(|model| service(model, None));
    let with_knowledge = (!knowledge.is_zero()).then(|| service(chat, Some(knowledge)));
    Offer {
        services: models.chain(with_knowledge).collect(),
        sequences: config.requests_running_max,
        reading: None,
    }
}

/// The node's key, opened with the password that is known, or asked for where somebody sits there.
pub fn open_key(
    home: &Home,
    environment: &Environment,
    file: Option<&Path>,
    interactive: bool,
) -> anyhow::Result<NodeKey> {
    if !home.keystore().exists() {
        let words = format!(
            "there is no node in `{}` yet; `gaia start` makes one",
            home.root().display()
        );
        return Err(failure(Exit::NotRunning, words));
    }
    let password = own_password(&PasswordSources {
        file,
        environment: environment.password.as_ref(),
        interactive,
        generated: generated_file(&environment.user_config, home.root()),
    })?;
    Ok(load_key(&home.keystore(), &password)?)
}

fn digest_of(home: &Home, path: &Path) -> io::Result<B256> {
    let facts = path.metadata()?;
    let is_known = |known: &Known| {
        known.path == path
            && known.bytes == facts.size()
            && known.changed == (facts.mtime(), facts.mtime_nsec())
    };
    let kept = std::fs::read(home.model_digest()).ok();
    let kept = kept.and_then(|text| serde_json::from_slice::<Known>(&text).ok());
    if let Some(known) = kept.filter(is_known) {
        return Ok(known.digest);
    }
    let known = Known {
        path: path.to_owned(),
        bytes: facts.size(),
        changed: (facts.mtime(), facts.mtime_nsec()),
        digest: read_digest(path)?,
    };
    let text = serde_json::to_vec(&known)?;
    if let Err(error) = write_private(&home.model_digest(), &text) {
        tracing::debug!(%error, "the model's digest is not kept");
    }
    Ok(known.digest)
}

fn read_digest(path: &Path) -> io::Result<B256> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(B256::from(<[u8; 32]>::from(hash.finalize()))),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_model_has_another_digest() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path()).unwrap();
        home.make_folders().unwrap();
        let file = folder.path().join("m.gguf");
        std::fs::write(&file, "one").unwrap();
        let chat = ModelInUse {
            name: "m".to_owned(),
            reason: String::new(),
            file: file.clone(),
        };
        let none = B256::ZERO;
        let first = node_config(&home, &chat, none).unwrap();
        assert_eq!(
            first.model.to_string(),
            "0x7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
        );
        assert_eq!(
            node_config(&home, &chat, none).unwrap(),
            first,
            "from what is kept"
        );
        let knowledge = B256::repeat_byte(7);
        let taught = node_config(&home, &chat, knowledge).unwrap();
        assert_ne!(taught.hash(), first.hash());
        std::fs::write(&file, "other").unwrap();
        assert_ne!(
            node_config(&home, &chat, none).unwrap().hash(),
            first.hash()
        );
        let config = Config::default();
        let plain = offer(&config, none, &chat, [None, Some(&chat)]);
        assert_eq!(plain.services.len(), 2);
        let taught = offer(&config, knowledge, &chat, [None, Some(&chat)]);
        assert_eq!(taught.services[..2], plain.services);
        let named = taught.services[2].knowledge.as_deref().unwrap();
        assert_eq!(named, format!("0x{}", "07".repeat(32)));
    }
}
