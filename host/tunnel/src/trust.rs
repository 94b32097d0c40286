//! Whose certificates are believed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// The most authorities in a file.
pub const AUTHORITIES_MAX: usize = 256;

/// Whose certificates are believed: the public authorities (Mozilla's list, built in), and perhaps one's own.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

/// Why a file names no authorities.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("failed to read the certificates in `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// None in it, or more than anybody has.
    #[error("`{path}` holds {found} certificates, it must be between 1 and {AUTHORITIES_MAX}")]
    Number {
        /// The file.
        path: PathBuf,
        /// How many.
        found: usize,
    },
    /// One of them is no authority.
    #[error("a certificate in `{path}` is no authority's")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
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
    pub fn with_authorities(path: &Path) -> Result<Self, TrustError> {
        let read = |source| TrustError::Read {
            path: path.to_owned(),
            source,
        };
        let own: Vec<_> = CertificateDer::pem_file_iter(path)
            .map_err(read)?
            .take(AUTHORITIES_MAX + 1)
            .collect::<Result<_, _>>()
            .map_err(read)?;
        if own.is_empty() || own.len() > AUTHORITIES_MAX {
            return Err(TrustError::Number {
                path: path.to_owned(),
                found: own.len(),
            });
        }
        let mut roots = public();
        for certificate in own {
            roots
                .add(certificate)
                .map_err(|source| TrustError::Unusable {
                    path: path.to_owned(),
                    source,
                })?;
        }
        Ok(Self::of(roots))
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

fn public() -> RootCertStore {
    RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let check = |part: &str| {
            let error = Trust::with_authorities(&path).unwrap_err().to_string();
            assert!(error.contains("ca.pem") && error.contains(part), "{error}");
        };
        check("failed to read");
        std::fs::write(&path, "nothing").unwrap();
        check("holds 0 certificates");
        let one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, one.repeat(AUTHORITIES_MAX + 1)).unwrap();
        check("holds 257 certificates");
        std::fs::write(&path, one).unwrap();
        check("no authority's");
    }
}
