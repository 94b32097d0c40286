//! One call, from the allow-list to the last byte.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gaia_outbound::{AllowList, Host, Origin, Target};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::connect::{self, Stream};
use crate::hidden::Redaction;
use crate::resolve::{Resolve, System};
use crate::{Ask, Got, Limits, Refusal, Turn};

/// The most bytes that a reply's status line and headers may have.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest header of a reply that is passed on, in bytes.
const REPLY_HEADER_BYTES_MAX: usize = 1024;

/// The way out.
pub struct Egress {
    allow: AllowList,
    limits: Limits,
    resolver: Box<dyn Resolve>,
    tls: TlsConnector,
    places: Arc<Semaphore>,
    stream_places: Arc<Semaphore>,
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress")
            .field("allow", &self.allow)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Egress {
    /// A way out to what `allow` names, within `limits`.
    pub fn new(allow: AllowList, limits: Limits) -> Self {
        let places = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self {
            places: places(limits.running_max),
            stream_places: places(limits.streams_max),
            allow,
            limits,
            resolver: Box::new(System),
            tls: connect::tls(Vec::new()),
        }
    }

    /// With another resolver than the system's.
    #[must_use]
    pub fn resolving(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Box::new(resolver);
        self
    }

    /// With certificates that are trusted beside those of the public authorities.
    #[must_use]
    pub fn trusting(mut self, own: Vec<CertificateDer<'static>>) -> Self {
        self.tls = connect::tls(own);
        self
    }

    /// A new turn, with all its calls left.
    pub fn turn(&self) -> Turn {
        Turn::new(&self.limits)
    }

    /// Makes one call of `turn`. A status that says no is a reply too.
    ///
    /// # Errors
    /// See [`Refusal`]: the place may not be reached, it cannot be, or a limit was.
    pub async fn fetch(&self, turn: &Turn, ask: Ask) -> Result<Got, Refusal> {
        let started = Instant::now();
        let origin = ask.target.origin().clone();
        let limits = &self.limits;
        let max = ask.time_max.unwrap_or(limits.time_max).min(limits.time_max);
        let place = self.take_place(turn)?;
        let fetched = tokio::time::timeout(max, self.run(ask)).await;
        drop(place);
        let got = fetched.unwrap_or(Err(Refusal::TooSlow { max }));
        let took = started.elapsed();
        match &got {
            Ok(got) => {
                tracing::debug!(%origin, status = got.status, bytes = got.body.len(), ?took, "fetched");
            }
            Err(refusal) => tracing::debug!(%origin, %refusal, ?took, "not fetched"),
        }
        got.map(|got| Got { took, ..got })
    }

    /// Counts a call of `turn` that is not made by [`Egress::fetch`].
    ///
    /// # Errors
    /// The turn has made all its calls.
    pub fn count(&self, turn: &Turn) -> Result<(), Refusal> {
        let max = self.limits.calls_per_turn_max;
        match turn.take() {
            true => Ok(()),
            false => Err(Refusal::TurnSpent { max }),
        }
    }

    fn take_place(&self, turn: &Turn) -> Result<OwnedSemaphorePermit, Refusal> {
        self.count(turn)?;
        place_of(&self.places, self.limits.running_max)
    }

    /// A place among those that stay open.
    pub(crate) fn take_stream_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        place_of(&self.stream_places, self.limits.streams_max)
    }

    async fn run(&self, ask: Ask) -> Result<Got, Refusal> {
        let reply_bytes_max = ask.reply_bytes_max;
        let reached = self.reach(ask).await?;
        self.read(reached, reply_bytes_max).await
    }

    /// Resolves once, and follows redirections to the same addresses.
    pub(crate) async fn reach(&self, mut ask: Ask) -> Result<Reached, Refusal> {
        let redaction = Redaction::of(ask.headers.iter().flat_map(|(_, value)| value.secrets()));
        let addresses = self.resolve(&ask.target).await?;
        for _ in 0..=self.limits.redirects_max {
            // Dropped with the answer, and its connection with it.
            let mut connections = JoinSet::new();
            let stream = connect::connect(&self.tls, ask.target.origin(), &addresses).await?;
            let response = send(stream, &ask, &mut connections).await?;
            match redirection(&ask.target, &response, &redaction)? {
                Some(target) => redirect(&mut ask, target, response.status()),
                None => {
                    return Reached {
                        origin: ask.target.origin().clone(),
                        response,
                        redaction,
                        _connections: connections,
                    }
                    .uncompressed();
                }
            }
        }
        Err(Refusal::TooManyRedirects {
            origin: ask.target.origin().clone(),
            max: self.limits.redirects_max,
        })
    }

    /// The addresses of the target's host, all of them judged.
    async fn resolve(&self, target: &Target) -> Result<Vec<IpAddr>, Refusal> {
        let origin = target.origin();
        self.allow.check_origin(origin)?;
        let addresses = match &origin.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let found = self.resolver.resolve(name).await;
                found.map_err(|source| Refusal::Resolve {
                    origin: origin.clone(),
                    source,
                })?
            }
        };
        self.allow.check(origin, &addresses)?;
        Ok(addresses)
    }

    async fn read(&self, reached: Reached, reply_bytes_max: Option<usize>) -> Result<Got, Refusal> {
        let content_type = reached.header(&header::CONTENT_TYPE);
        let status = reached.response.status().as_u16();
        let limit = self.limits.reply_bytes_max;
        let max = reply_bytes_max.unwrap_or(limit).min(limit);
        let body = read_body(reached.response.into_body(), max).await?;
        let body = body.map_err(|source| Refusal::Http {
            origin: reached.origin,
            source,
        })?;
        Ok(Got {
            status,
            content_type,
            body: reached.redaction.apply(body),
            took: Duration::ZERO,
        })
    }
}

/// A server that has begun to reply.
pub(crate) struct Reached {
    pub(crate) origin: Origin,
    pub(crate) response: Response<Incoming>,
    pub(crate) redaction: Redaction,
    pub(crate) _connections: JoinSet<()>,
}

impl Reached {
    fn uncompressed(self) -> Result<Self, Refusal> {
        let coding = self.response.headers().get(header::CONTENT_ENCODING);
        match coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            true => Err(Refusal::Compressed(self.origin)),
            false => Ok(self),
        }
    }

    /// A header of the reply, unless it is too long.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<String> {
        let value = self.response.headers().get(name)?;
        let text = value.to_str().ok();
        text.filter(|text| text.len() <= REPLY_HEADER_BYTES_MAX)
            .map(|text| self.redaction.apply_to_text(text))
    }
}

fn place_of(places: &Arc<Semaphore>, max: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    let place = Arc::clone(places).try_acquire_owned();
    place.map_err(|_| Refusal::Busy { max })
}

/// The body up to `max` bytes; one that announces more is not read at all.
async fn read_body(
    mut body: Incoming,
    max: usize,
) -> Result<Result<Vec<u8>, hyper::Error>, Refusal> {
    let too_long = Refusal::TooLong { max };
    if body.size_hint().lower() > max as u64 {
        return Err(too_long);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => return Ok(Err(error)),
        };
        if bytes.len() + data.len() > max {
            return Err(too_long);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Ok(bytes))
}

/// Sends the request; `connections` keeps the connection going.
async fn send(
    stream: Box<dyn Stream>,
    ask: &Ask,
    connections: &mut JoinSet<()>,
) -> Result<Response<Incoming>, Refusal> {
    let failed = |source| Refusal::Http {
        origin: ask.target.origin().clone(),
        source,
    };
    let request = request(ask)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    connections.spawn(async move {
        // How it ends, the body says as well.
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(failed)
}

/// The tool's headers first, so that the egress's own stand above them.
fn request(ask: &Ask) -> Result<Request<Full<Bytes>>, Refusal> {
    let (kind, body) = ask.body.clone().unzip();
    let mut request = Request::new(Full::new(body.unwrap_or_default()));
    *request.method_mut() = ask.method.clone();
    let unsendable = |name: &str| Refusal::Header(name.to_owned());
    let path = ask.target.path_and_query().parse();
    *request.uri_mut() = path.map_err(|_| unsendable("path"))?;
    let headers = request.headers_mut();
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("application/json, text/*;q=0.9, */*;q=0.5"),
    );
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("gaia/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &ask.headers {
        let key = HeaderName::try_from(name).map_err(|_| unsendable(name))?;
        headers.insert(key, value.reveal().map_err(|_| unsendable(name))?);
    }
    let host = HeaderValue::try_from(ask.target.origin().authority());
    headers.insert(header::HOST, host.map_err(|_| unsendable("host"))?);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    for own in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::EXPECT,
    ] {
        headers.remove(own);
    }
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(request)
}

/// Where the response leads, if it does and that is allowed.
fn redirection(
    target: &Target,
    response: &Response<Incoming>,
    redaction: &Redaction,
) -> Result<Option<Target>, Refusal> {
    let leads = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(header::LOCATION).filter(|_| leads);
    let Some(location) = location else {
        return Ok(None);
    };
    let elsewhere = |to: &str| Refusal::OtherOrigin {
        origin: target.origin().clone(),
        to: redaction.apply_to_text(to),
    };
    let location = location.to_str().unwrap_or("what is no URL");
    match target.redirected(location) {
        Ok(to) if to.origin() == target.origin() => Ok(Some(to)),
        Ok(to) => Err(elsewhere(&to.origin().to_string())),
        Err(_) => Err(elsewhere("what is no URL")),
    }
}

/// As browsers do: only 307 and 308 ask for the same once more.
fn redirect(ask: &mut Ask, target: Target, status: StatusCode) {
    ask.target = target;
    let again =
        matches!(status.as_u16(), 307 | 308) || matches!(ask.method, Method::GET | Method::HEAD);
    if !again {
        ask.method = Method::GET;
        ask.body = None;
    }
}
