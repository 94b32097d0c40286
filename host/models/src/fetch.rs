//! Downloads one file over HTTP into a part file, and goes on where it stopped.
//!
//! A part is continued only if it is certain to belong to the same file: the server's ETag (or
//! the announced sum) of then is sent along, and the server answers with the whole file if it has
//! another by now.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use std::{io, thread};

use gaia_manifest::Sha256;
use serde::{Deserialize, Serialize};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::address;
use crate::event::Event;

/// How many redirects are followed.
const REDIRECT_COUNT_MAX: usize = 8;

/// How often a connection is made anew without a single new byte in between.
const RETRY_COUNT_MAX: u32 = 5;

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a download ended early.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server could not be asked, or stopped in the middle.
    #[error("the connection failed")]
    Connection(#[source] Box<ureq::Error>),
    /// The server says no.
    #[error("the server answers {status}{}", hint(*status))]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// Redirects go in circles, nowhere, or from `https` to `http`.
    #[error("the server redirects to nowhere useful")]
    Redirect,
    /// The body ended before the announced length.
    #[error("the connection ended after {found} of {expected} bytes")]
    Broken {
        /// Bytes here.
        found: u64,
        /// Bytes announced.
        expected: u64,
    },
    /// The server sends other bytes than it was asked for.
    #[error("the server answers with another part of the file")]
    WrongRange,
    /// The disk is too full.
    #[error("not enough space: {needed} bytes wanted, {free} free")]
    Space {
        /// What is needed, in bytes.
        needed: u64,
        /// What is there, in bytes.
        free: u64,
    },
    /// The part file cannot be written.
    #[error("the file cannot be written")]
    Write(#[source] io::Error),
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => " (the model may ask for consent or an account)",
        404 => " (there is no such file)",
        _ => "",
    }
}

impl FetchError {
    /// The message with all its causes.
    pub fn chain(&self) -> String {
        crate::pull::chain(self)
    }

    /// Whether a server answered at all.
    pub(crate) fn is_answer(&self) -> bool {
        !matches!(self, Self::Connection(_))
    }

    fn is_passing(&self) -> bool {
        match self {
            Self::Connection(error) => {
                !matches!(**error, ureq::Error::BadUri(_) | ureq::Error::Tls(_))
            }
            Self::Status { status } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::Broken { .. } | Self::WrongRange => true,
            Self::Redirect | Self::Space { .. } | Self::Write(_) => false,
        }
    }
}

impl From<ureq::Error> for FetchError {
    fn from(error: ureq::Error) -> Self {
        Self::Connection(Box::new(error))
    }
}

/// Where a download goes and what it may take.
pub(crate) struct Target<'a> {
    pub(crate) part: &'a Path,
    pub(crate) state: &'a Path,
    pub(crate) reserve_bytes: u64,
    pub(crate) retry_wait: Duration,
}

/// What the server says about a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    url: String,
    /// For `If-Range`.
    etag: Option<String>,
    /// The file's SHA-256, in hexadecimal.
    sum: Option<String>,
}

/// The HTTP client.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
}

struct Opened {
    response: Response<Body>,
    etag: Option<String>,
    sum: Option<Sha256>,
}

impl Client {
    pub(crate) fn new(stall_timeout: Duration) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Headers on the way matter, so redirects are followed here.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(stall_timeout.max(CONNECT_TIMEOUT)))
            .timeout_per_read(Some(stall_timeout))
            .user_agent(concat!("gaia/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .build()
            .new_agent();
        Self { agent }
    }

    /// Asks whether there is a file, for at most `timeout` a server.
    pub(crate) fn exists(&self, url: &str, timeout: Duration) -> Result<(), FetchError> {
        let ask = |url: &str| {
            let request = self
                .agent
                .head(url)
                .config()
                .timeout_global(Some(timeout))
                .build();
            Ok(request.call()?)
        };
        let status = open(url, ask)?.response.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(FetchError::Status {
                status: status.as_u16(),
            })
        }
    }

    /// Downloads `url` to the part file, resuming and retrying; gives the sum that the server
    /// announced.
    pub(crate) fn fetch(
        &self,
        url: &str,
        target: &Target<'_>,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Sha256>, FetchError> {
        let mut retries = 0;
        loop {
            let before = len(target.part);
            let error = match self.attempt(url, target, on) {
                Ok(sum) => return Ok(sum),
                Err(error) => error,
            };
            retries = if len(target.part) > before {
                0
            } else {
                retries + 1
            };
            if !error.is_passing() || retries > RETRY_COUNT_MAX {
                return Err(error);
            }
            on(Event::Retrying { why: error.chain() });
            thread::sleep(target.retry_wait * 2u32.pow(retries.saturating_sub(1)));
        }
    }

    fn attempt(
        &self,
        url: &str,
        target: &Target<'_>,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Sha256>, FetchError> {
        let (have, validator) = resumable(url, target);
        let mut opened = open(url, |url| {
            let request = self.agent.get(url);
            Ok(match &validator {
                Some(etag) => request
                    .header("range", format!("bytes={have}-"))
                    .header("if-range", etag)
                    .call()?,
                None => request.call()?,
            })
        })?;
        let start = match opened.response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => have,
            StatusCode::RANGE_NOT_SATISFIABLE => {
                // The part is as long as the file or longer: it cannot be trusted.
                fs::remove_file(target.part).map_err(FetchError::Write)?;
                return Err(FetchError::WrongRange);
            }
            status => {
                return Err(FetchError::Status {
                    status: status.as_u16(),
                });
            }
        };
        if start != 0 && range_start(opened.response.headers()) != Some(start) {
            return Err(FetchError::WrongRange);
        }
        let total = opened
            .response
            .body()
            .content_length()
            .map(|rest| start + rest);
        check_space(target, total.map_or(0, |total| total - start))?;
        let sum = opened.sum;
        remember(url, &opened, target.state)?;
        receive(opened.response.body_mut(), target.part, start, total, on)?;
        Ok(sum)
    }
}

/// Sends a request with `ask` and follows redirects. What the hub says about the file, it says
/// before it redirects to where the bytes are.
fn open(
    url: &str,
    ask: impl Fn(&str) -> Result<Response<Body>, FetchError>,
) -> Result<Opened, FetchError> {
    let mut url = url.to_owned();
    let mut linked = None;
    for _ in 0..=REDIRECT_COUNT_MAX {
        let response = ask(&url)?;
        let headers = response.headers();
        linked = linked.or_else(|| text(headers, "x-linked-etag"));
        let location = text(headers, "location").filter(|_| response.status().is_redirection());
        let Some(location) = location else {
            let etag = text(headers, "etag").filter(|etag| !etag.starts_with("W/"));
            let sum = linked.as_deref().or(etag.as_deref()).and_then(sum_of_etag);
            return Ok(Opened {
                response,
                etag,
                sum,
            });
        };
        url = address::follow(&url, &location).ok_or(FetchError::Redirect)?;
    }
    Err(FetchError::Redirect)
}

/// For large files the hub's ETag is the SHA-256; for others it is something shorter.
fn sum_of_etag(etag: &str) -> Option<Sha256> {
    etag.trim_start_matches("W/").trim_matches('"').parse().ok()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, "content-range")?;
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |it| it.len())
}

/// How much of the file is here and the ETag it belongs to, if it can be continued.
fn resumable(url: &str, target: &Target<'_>) -> (u64, Option<String>) {
    let have = len(target.part);
    let state = fs::read(target.state).ok();
    let state: Option<State> = state.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match state {
        Some(state) if state.url == url && have > 0 => (have, state.etag),
        _ => (0, None),
    }
}

fn remember(url: &str, opened: &Opened, path: &Path) -> Result<(), FetchError> {
    let sum = opened.sum.map(|sum| sum.to_string());
    let state = State {
        url: url.to_owned(),
        etag: opened.etag.clone(),
        sum,
    };
    let bytes = serde_json::to_vec(&state).map_err(|error| FetchError::Write(error.into()))?;
    fs::write(path, bytes).map_err(FetchError::Write)
}

fn check_space(target: &Target<'_>, needed: u64) -> Result<(), FetchError> {
    let folder = target.part.parent().unwrap_or(target.part);
    let free = free_bytes(folder).map_err(FetchError::Write)?;
    let needed = needed.saturating_add(target.reserve_bytes);
    if needed > free {
        Err(FetchError::Space { needed, free })
    } else {
        Ok(())
    }
}

/// What an ordinary user may still write to the disk of `folder`.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn receive(
    body: &mut Body,
    part: &Path,
    start: u64,
    total: Option<u64>,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<(), FetchError> {
    let mut file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(part)
        .map_err(FetchError::Write)?;
    file.set_len(start).map_err(FetchError::Write)?;
    file.seek(SeekFrom::Start(start))
        .map_err(FetchError::Write)?;
    let mut reader = body.with_config().limit(u64::MAX).reader();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = start;
    on(Event::Bytes { done, total });
    loop {
        let count = reader
            .read(&mut chunk)
            .map_err(|error| ureq::Error::from(error))?;
        if count == 0 {
            break;
        }
        file.write_all(&chunk[..count]).map_err(FetchError::Write)?;
        done += count as u64;
        on(Event::Bytes { done, total });
    }
    match total {
        Some(expected) if expected != done => Err(FetchError::Broken {
            found: done,
            expected,
        }),
        _ => Ok(()),
    }
}
