//! What lies where in a domain's folder.

use std::path::{Path, PathBuf};

/// A domain's folder: `domain` in a home of Gaia's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The domain's folder in the home at `home`.
    #[must_use]
    pub fn in_home(home: &Path) -> Self {
        Self(home.join("domain"))
    }

    /// The folder at `root`.
    #[must_use]
    pub fn at_root(root: PathBuf) -> Self {
        Self(root)
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// `domain.toml`.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.0.join("domain.toml")
    }

    /// `policy.toml`: who may join.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.0.join("policy.toml")
    }

    /// The gateway's key, sealed.
    #[must_use]
    pub fn keystore(&self) -> PathBuf {
        self.0.join("keystore.json")
    }

    /// Where the contracts are.
    #[must_use]
    pub fn deployment(&self) -> PathBuf {
        self.0.join("deployment.json")
    }

    /// Held by the running gateway.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("gateway.lock")
    }

    /// What the running gateway says of itself.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.0.join("gateway.json")
    }

    /// The token that opens the gateway's status and metrics.
    #[must_use]
    pub fn operator_token(&self) -> PathBuf {
        self.0.join("operator-token")
    }

    /// What the gateway writes.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("gateway.log")
    }

    /// `path`, and where it is not absolute, in this folder.
    #[must_use]
    pub fn at(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }
}
