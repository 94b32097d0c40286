//! Dialling: a name, an address, TLS where it is wanted, and a request over HTTP/1.1.

use std::io;
use std::net::SocketAddr;

use gaia_outbound::{Host, Origin, Scheme};
use gaia_registry::{Heartbeat, Signed};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, InvalidMessage};

use crate::channel::Channel;
use crate::limits::{ADDRESSES_MAX, CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, REFUSAL_BYTES_MAX};
use crate::link::Link;
use crate::proof::{PATH, PROOF_HEADER, PROTOCOL, asks_for_upgrade, proof_header};
use crate::trust::Trust;

/// Why nobody answered, or no.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("failed to resolve the name in {origin}")]
    Resolve {
        /// Where to.
        origin: Origin,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// None of its addresses may be dialled.
    #[error("{origin} has no address that may be dialled ({found}): register one that is public")]
    Forbidden {
        /// Where to.
        origin: Origin,
        /// The address that it has.
        found: SocketAddr,
    },
    /// Nobody listens there.
    #[error("failed to connect to {origin}")]
    Connect {
        /// Where to.
        origin: Origin,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else than TLS is spoken there.
    #[error("{origin} does not speak TLS: is it http://?")]
    Plain {
        /// Where to.
        origin: Origin,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not who was to be spoken to.
    #[error("{origin} has no certificate that is believed; for a private one name its authority")]
    Tls {
        /// Where to.
        origin: Origin,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("{0} does not answer in time")]
    Timeout(Origin),
    /// No HTTP.
    #[error("failed to ask {origin}")]
    Http {
        /// Where to.
        origin: Origin,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// It said no.
    #[error("{origin} refused with status {status}: {reason}")]
    Refused {
        /// Where to.
        origin: Origin,
        /// Its status.
        status: StatusCode,
        /// The beginning of what it said.
        reason: String,
    },
    /// The connection was opened, and ended before anything was said.
    #[error("the tunnel to {origin} could not be begun")]
    Begin {
        /// Where to.
        origin: Origin,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A connection that the other side has agreed to make a tunnel of.
#[derive(Debug)]
pub struct Dialled(Upgraded);

impl Dialled {
    /// The node dialled: it answers.
    #[must_use]
    pub fn into_link(self) -> Link {
        Link::over(self.0)
    }

    /// The gateway dialled: it asks.
    ///
    /// # Errors
    /// When HTTP/2 cannot be begun.
    pub async fn into_channel(self) -> Result<Channel, io::Error> {
        Channel::over(self.0).await
    }
}

impl Channel {
    /// The gateway dials a node that has registered an address. `may` says which addresses.
    ///
    /// Who answers there is to be asked for a proof: an address is no identity.
    ///
    /// # Errors
    /// When nobody is there, or says no.
    pub async fn dial(
        origin: &Origin,
        trust: &Trust,
        may: impl Fn(SocketAddr) -> bool,
        proof: &Signed<Heartbeat>,
    ) -> Result<Self, DialError> {
        let dialled = dial(origin, trust, may, proof).await?;
        dialled
            .into_channel()
            .await
            .map_err(|source| DialError::Begin {
                origin: origin.clone(),
                source,
            })
    }
}

/// Asks `origin` for a tunnel. `may` says which addresses may be dialled.
///
/// # Errors
/// When nobody is there, or says no.
pub async fn dial(
    origin: &Origin,
    trust: &Trust,
    may: impl Fn(SocketAddr) -> bool,
    proof: &Signed<Heartbeat>,
) -> Result<Dialled, DialError> {
    let stream = reach(origin, may).await?;
    let opening = async {
        let request = Request::get(PATH)
            .header(HOST, origin.authority())
            .header(CONNECTION, HeaderValue::from_static("upgrade"))
            .header(UPGRADE, HeaderValue::from_static(PROTOCOL))
            .header(PROOF_HEADER, proof_header(proof))
            .body(Full::default())
            .expect("all parts of the request are checked before");
        let response = over(origin, trust, stream, request).await?;
        upgraded(origin, response).await
    };
    within(origin, opening).await
}

/// Asks `origin` once, for anything: for the facts of a domain, to join it. The answer's head must come within
/// [`HANDSHAKE_TIMEOUT`]; its body is the caller's to bound.
///
/// # Errors
/// When there is no answer.
pub async fn ask(
    origin: &Origin,
    trust: &Trust,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Response<Incoming>, DialError> {
    let stream = reach(origin, |_| true).await?;
    let asking = async {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, origin.authority())
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .expect("paths here are constants");
        over(origin, trust, stream, request).await
    };
    within(origin, asking).await
}

async fn within<T>(
    origin: &Origin,
    work: impl Future<Output = Result<T, DialError>>,
) -> Result<T, DialError> {
    let late = |_| DialError::Timeout(origin.clone());
    timeout(HANDSHAKE_TIMEOUT, work).await.map_err(late)?
}

async fn upgraded(origin: &Origin, response: Response<Incoming>) -> Result<Dialled, DialError> {
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS || !asks_for_upgrade(response.headers()) {
        return Err(DialError::Refused {
            origin: origin.clone(),
            status,
            reason: reason(response.into_body()).await,
        });
    }
    let upgraded = hyper::upgrade::on(response).await;
    upgraded.map(Dialled).map_err(|source| DialError::Http {
        origin: origin.clone(),
        source,
    })
}

/// What a refusal says, for people: printable, and not more than they read.
async fn reason(body: Incoming) -> String {
    let body = Limited::new(body, REFUSAL_BYTES_MAX).collect().await;
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.chars().filter(|char| !char.is_control()).collect()
}

async fn over(
    origin: &Origin,
    trust: &Trust,
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, DialError> {
    match origin.scheme {
        Scheme::Http => exchange(origin, stream, request).await,
        Scheme::Https => {
            let failed = |source| DialError::Tls {
                origin: origin.clone(),
                source,
            };
            let name = server_name(&origin.host).map_err(failed)?;
            let stream = trust.connector().connect(name, stream).await;
            let stream = stream.map_err(|source| match speaks_no_tls(&source) {
                true => DialError::Plain {
                    origin: origin.clone(),
                    source,
                },
                false => failed(source),
            })?;
            exchange(origin, stream, request).await
        }
    }
}

async fn exchange<S>(
    origin: &Origin,
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |source| DialError::Http {
        origin: origin.clone(),
        source,
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection that was dialled ended");
        }
    });
    sender.send_request(request).await.map_err(failed)
}

async fn reach(origin: &Origin, may: impl Fn(SocketAddr) -> bool) -> Result<TcpStream, DialError> {
    let addresses = resolve(origin).await?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let (allowed, forbidden): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|at| may(*at));
    if let ([], [found, ..]) = (allowed.as_slice(), forbidden.as_slice()) {
        return Err(DialError::Forbidden {
            origin: origin.clone(),
            found: *found,
        });
    }
    for address in allowed {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Tokens are small and not to wait for one another.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(DialError::Connect {
        origin: origin.clone(),
        source: last,
    })
}

async fn resolve(origin: &Origin) -> Result<Vec<SocketAddr>, DialError> {
    let name = match &origin.host {
        Host::Address(address) => return Ok(vec![SocketAddr::new(*address, origin.port)]),
        Host::Name(name) => name.as_str(),
    };
    let failed = |source| DialError::Resolve {
        origin: origin.clone(),
        source,
    };
    let looking = timeout(
        CONNECT_TIMEOUT,
        tokio::net::lookup_host((name, origin.port)),
    );
    let found = looking
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?;
    Ok(found.map_err(failed)?.take(ADDRESSES_MAX).collect())
}

fn server_name(host: &Host) -> io::Result<ServerName<'static>> {
    match host {
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(io::Error::other),
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
    }
}

/// What came back is no record of TLS's.
fn speaks_no_tls(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        inner,
        Some(rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
        ))
    )
}
