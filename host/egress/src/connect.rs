//! Connections to addresses that were judged, as the host that they were judged for.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gaia_outbound::{Host, Origin, Scheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Refusal;

/// How long one address may take to answer, so that there is time for the next.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes both ways, with TLS around them or without.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// TLS that trusts the public authorities (Mozilla's list, built in) and `own` certificates.
pub(crate) fn tls(own: Vec<CertificateDer<'static>>) -> TlsConnector {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots.add_parsable_certificates(own);
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Connects to the first of `addresses` that answers. No name is resolved here.
pub(crate) async fn connect(
    tls: &TlsConnector,
    origin: &Origin,
    addresses: &[IpAddr],
) -> Result<Box<dyn Stream>, Refusal> {
    let stream = dial(origin, addresses).await?;
    match origin.scheme {
        Scheme::Http => Ok(Box::new(stream)),
        Scheme::Https => {
            let failed = |source| Refusal::Tls {
                origin: origin.clone(),
                source,
            };
            let name = server_name(&origin.host).map_err(failed)?;
            let stream = tls.connect(name, stream).await.map_err(failed)?;
            Ok(Box::new(stream))
        }
    }
}

async fn dial(origin: &Origin, addresses: &[IpAddr]) -> Result<TcpStream, Refusal> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let connecting = TcpStream::connect((*address, origin.port));
        match tokio::time::timeout(CONNECT_TIME_MAX, connecting).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(Refusal::Connect {
        origin: origin.clone(),
        source: last,
    })
}

fn server_name(host: &Host) -> io::Result<ServerName<'static>> {
    match host {
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(io::Error::other),
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
    }
}
