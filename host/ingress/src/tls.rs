//! Certificate and key from files, read again when they change.
//!
//! Invariant: what clients are shown is a certificate with its own key. New files that are none leave
//! the old pair in use and are warned of once.

use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::TlsFiles;

/// The name of HTTP/2 in a TLS handshake.
pub(crate) const HTTP_2: &[u8] = b"h2";

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of use.
    #[error("failed to read `{path}` as PEM")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The certificate file has no certificate in it.
    #[error("`{path}` holds no certificate")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not go together, or are not usable.
    #[error("certificate and key cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// The certificate in use, and where it came from.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    /// The files as they were when they were last read.
    seen: [Option<Stamp>; 2],
    shown: Arc<Shown>,
}

/// What tells a file from itself once it was changed or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    bytes: u64,
    place: (u64, u64),
}

/// What the next handshake shows.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown))
    }
}

impl Certificate {
    /// Reads the files.
    pub fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        // Before they are read: what changes meanwhile is seen at the next look.
        let seen = stamps(files);
        let shown = RwLock::new(Arc::new(read(files)?));
        Ok(Self {
            files: files.clone(),
            seen,
            shown: Arc::new(Shown(shown)),
        })
    }

    /// Prepares for handshakes, which show whatever certificate is in use then.
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let shown = Arc::clone(&self.shown);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(shown);
        config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks for new files again and again.
    pub async fn keep(mut self, interval: Duration) -> Infallible {
        loop {
            tokio::time::sleep(interval).await;
            match self.look() {
                None => {}
                Some(Ok(())) => {
                    let path = self.files.certificate.display();
                    tracing::info!("the new certificate in `{path}` is in use");
                }
                Some(Err(error)) => tracing::warn!(
                    "the new certificate or key is not used, the one before stays in use: {}",
                    chain(&error)
                ),
            }
        }
    }

    /// Reads the files again if they have changed since they were last read. `None`: they have not.
    fn look(&mut self) -> Option<Result<(), TlsError>> {
        let now = stamps(&self.files);
        if now == self.seen {
            return None;
        }
        self.seen = now;
        Some(read(&self.files).map(|new| {
            let mut shown = self.shown.0.write().unwrap_or_else(PoisonError::into_inner);
            *shown = Arc::new(new);
        }))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn stamps(files: &TlsFiles) -> [Option<Stamp>; 2] {
    [&files.certificate, &files.key].map(|path| stamp(path))
}

/// `None` for a file that is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let facts = fs::metadata(path).ok()?;
    Some(Stamp {
        changed: (facts.mtime(), facts.mtime_nsec()),
        bytes: facts.size(),
        place: (facts.dev(), facts.ino()),
    })
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let failed = |path: &PathBuf, source| TlsError::Read {
        path: path.clone(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| failed(&files.certificate, source))?;
    if chain.is_empty() {
        let path = files.certificate.clone();
        return Err(TlsError::NoCertificate { path });
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|source| failed(&files.key, source))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Unusable)
}

/// An error with all its causes in one line.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a certificate and its key, as `new` puts them there.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.put("certificate.pem", "certificate.pem");
            folder.put("key.pem", "key.pem");
            folder
        }

        fn files(&self) -> TlsFiles {
            TlsFiles {
                certificate: self.0.path().join("certificate.pem"),
                key: self.0.path().join("key.pem"),
            }
        }

        /// Puts a file of the tests in place of another, as an ACME client does: by renaming.
        fn put(&self, name: &str, from: &str) {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
            let new = self.0.path().join("new");
            fs::copy(source.join(from), &new).unwrap();
            fs::rename(new, self.0.path().join(name)).unwrap();
        }
    }

    fn shown(certificate: &Certificate) -> Vec<CertificateDer<'static>> {
        certificate.shown.0.read().unwrap().cert.clone()
    }

    #[test]
    fn a_new_certificate_is_used_once_its_key_is_there() {
        let folder = Folder::new();
        let mut certificate = Certificate::read(&folder.files()).unwrap();
        let first = shown(&certificate);
        assert!(certificate.look().is_none());
        folder.put("certificate.pem", "other-certificate.pem");
        let error = certificate.look().unwrap().unwrap_err();
        assert!(matches!(error, TlsError::Unusable(_)), "{error}");
        assert!(certificate.look().is_none(), "one warning is enough");
        assert_eq!(shown(&certificate), first);
        folder.put("key.pem", "other-key.pem");
        assert!(matches!(certificate.look(), Some(Ok(()))));
        assert_ne!(shown(&certificate), first);
        assert!(certificate.look().is_none());
    }

    #[test]
    fn files_that_are_none_leave_the_old_certificate_in_use() {
        let folder = Folder::new();
        let mut certificate = Certificate::read(&folder.files()).unwrap();
        let first = shown(&certificate);
        let path = folder.files().certificate;
        let check = |certificate: &mut Certificate, part: &str| {
            let error = certificate.look().unwrap().unwrap_err();
            assert!(chain(&error).contains(part), "{}", chain(&error));
            assert!(certificate.look().is_none(), "one warning is enough");
            assert_eq!(shown(certificate), first);
        };
        fs::remove_file(&path).unwrap();
        check(&mut certificate, "No such file");
        fs::write(&path, "half").unwrap();
        check(&mut certificate, "holds no certificate");
        folder.put("certificate.pem", "certificate.pem");
        assert!(matches!(certificate.look(), Some(Ok(()))));
    }
}
