//! Whose certificates are believed: the public authorities (Mozilla's list, built in), or those in a PEM file.
//!
//! Invariant: a file that names none, or more than anybody has, is refused by name.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{self, RootCertStore};

/// The most authorities in a file.
pub const AUTHORITIES_MAX: usize = 256;

/// Why a file names no authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
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
        /// How many, up to one more than may be.
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

/// The public authorities.
#[must_use]
pub fn public() -> RootCertStore {
    RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned())
}

/// `roots`, and the authorities in the PEM file at `path`.
///
/// # Errors
/// When the file cannot be read, or holds none.
pub fn with_file(mut roots: RootCertStore, path: &Path) -> Result<RootCertStore, AuthoritiesError> {
    let read = |source| AuthoritiesError::Read {
        path: path.to_owned(),
        source,
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .take(AUTHORITIES_MAX + 1)
        .collect::<Result<_, _>>()
        .map_err(read)?;
    if found.is_empty() || found.len() > AUTHORITIES_MAX {
        return Err(AuthoritiesError::Number {
            path: path.to_owned(),
            found: found.len(),
        });
    }
    for certificate in found {
        let added = roots.add(certificate);
        added.map_err(|source| AuthoritiesError::Unusable {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let check = |part: &str| {
            let error = with_file(RootCertStore::empty(), &path).unwrap_err();
            let error = error.to_string();
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

    #[test]
    fn the_public_authorities_are_built_in() {
        assert!(public().len() > 50);
    }
}
