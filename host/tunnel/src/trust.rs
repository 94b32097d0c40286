//! Whose certificates are believed.

use std::path::Path;
use std::sync::Arc;

use gaia_authorities::{AuthoritiesError, public, with_file};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Whose certificates are believed: the public authorities (Mozilla's list, built in), and perhaps one's own.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// The public authorities.
    #[must_use]
    pub fn public() -> Self {
        Self::of(public())
    }

    /// The public authorities, and those in the PEM file at `path`: for domains that sign their own certificates.
    ///
    /// # Errors
    /// When the file is none.
    pub fn with_authorities(path: &Path) -> Result<Self, AuthoritiesError> {
        Ok(Self::of(with_file(public(), path)?))
    }

    pub(crate) fn connector(&self) -> &TlsConnector {
        &self.0
    }

    fn of(roots: RootCertStore) -> Self {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // The upgrade is HTTP/1.1's.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(TlsConnector::from(Arc::new(config)))
    }
}
