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

/// How often a server is asked again that has not answered yet: likely there is no network, and
/// the next source is waiting.
const FIRST_RETRY_COUNT_MAX: u32 = 1;

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a download ended early.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server could not be asked.
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
    /// The server began to answer and stopped in the middle.
    #[error("the connection broke")]
    Interrupted(#[source] io::Error),
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
    /// The file is longer than it may be.
    #[error("the file is longer than {bytes_max} bytes")]
    TooLong {
        /// The most it may have.
        bytes_max: u64,
    },
    /// The bytes are not those the server announced.
    #[error("the file does not have the sum that the server announces; try again")]
    WrongSum,
    /// The part file cannot be written.
    #[error("the file cannot be written")]
    Write(#[source] io::Error),
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => " (it may ask for consent or an account)",
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
            Self::Interrupted(_) | Self::Broken { .. } | Self::WrongRange => true,
            Self::Redirect
            | Self::Space { .. }
            | Self::TooLong { .. }
            | Self::WrongSum
            | Self::Write(_) => false,
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
    /// The most bytes the file may have.
    pub(crate) bytes_max: u64,
}

/// What the server says about a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    url: String,
    /// For `If-Range`.
    etag: Option<String>,
    /// The file's SHA-256, in hexadecimal.
    sum: Option<String>,
    /// The file's length in bytes.
    total: Option<u64>,
    /// When it changed last, in the server's words.
    #[serde(default)]
    modified: Option<String>,
}

impl State {
    fn of(url: &str, opened: &Opened, total: Option<u64>) -> Self {
        Self {
            url: url.to_owned(),
            etag: opened.etag.clone(),
            sum: opened.sum.map(|sum| sum.to_string()),
            total,
            modified: text(opened.response.headers(), "last-modified"),
        }
    }

    /// Whether `now` says that the file is another. What only one of them says tells nothing: servers answer HEAD with
    /// less than GET, and the time is looked at only where nothing better is there, since mirrors have times of their
    /// own.
    fn differs(&self, now: &Self) -> bool {
        let differ =
            |one: &Option<String>, other: &Option<String>| Some(one.as_ref()? != other.as_ref()?);
        let sums = differ(&self.sum, &now.sum).or(differ(&self.etag, &now.etag));
        self.total != now.total || sums.or(differ(&self.modified, &now.modified)) == Some(true)
    }
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
        let status = self.head(url, timeout)?.response.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(FetchError::Status {
                status: status.as_u16(),
            })
        }
    }

    fn head(&self, url: &str, timeout: Duration) -> Result<Opened, FetchError> {
        open(url, |url| {
            let request = self
                .agent
                .head(url)
                .config()
                .timeout_global(Some(timeout))
                .build();
            Ok(request.call()?)
        })
    }

    /// Whether the server has another file by now than the one that is here whole. It has not as far as it does
    /// not say so: what is here was good enough a while ago, and a server may be gone.
    pub(crate) fn has_changed(&self, url: &str, target: &Target<'_>, timeout: Duration) -> bool {
        let (have, state) = begun(url, target);
        if state.total != Some(have) {
            return false;
        }
        match self.head(url, timeout) {
            Ok(now) if now.response.status().is_success() => {
                let total = text(now.response.headers(), "content-length");
                let total = total.and_then(|total| total.parse().ok()).or(state.total);
                state.differs(&State::of(url, &now, total))
            }
            Ok(_) | Err(_) => false,
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
        let (mut retries, mut has_answered) = (0, false);
        loop {
            let before = len(target.part);
            let error = match self.attempt(url, target, on) {
                Ok(sum) => return Ok(sum),
                Err(error) => error,
            };
            let has_grown = len(target.part) > before;
            retries = if has_grown { 0 } else { retries + 1 };
            has_answered |= has_grown || error.is_answer();
            let max = if has_answered {
                RETRY_COUNT_MAX
            } else {
                FIRST_RETRY_COUNT_MAX
            };
            if !error.is_passing() || retries > max {
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
        let (have, state) = begun(url, target);
        if state.total.is_some_and(|total| total == have) {
            // Only the last step is missing.
            on(Event::Bytes {
                done: have,
                total: state.total,
            });
            return Ok(state.sum.and_then(|sum| sum.parse().ok()));
        }
        let mut opened = self.ask_for_rest(url, have, state.etag)?;
        let start = match start(&opened.response, have)? {
            Some(start) => start,
            None => {
                // The part is as long as the file or longer: it cannot be trusted.
                fs::remove_file(target.part).map_err(FetchError::Write)?;
                return Err(FetchError::WrongRange);
            }
        };
        let rest = opened.response.body().content_length();
        let total = rest.map(|rest| start + rest);
        check_length(target, total.unwrap_or(0))?;
        if start == 0 {
            // Before the new state is written: the old part must never meet it. And before the
            // space is looked at: nothing of the old part is used, so what it takes is free.
            File::create(target.part).map_err(FetchError::Write)?;
        }
        check_space(target, rest.unwrap_or(0))?;
        remember(url, &opened, total, target.state)?;
        receive(opened.response.body_mut(), target, start, total, on)?;
        Ok(opened.sum)
    }

    fn ask_for_rest(
        &self,
        url: &str,
        have: u64,
        etag: Option<String>,
    ) -> Result<Opened, FetchError> {
        let etag = etag.filter(|_| have > 0);
        open(url, |url| {
            let request = self.agent.get(url);
            Ok(match &etag {
                None => request.call()?,
                Some(etag) => {
                    let range = format!("bytes={have}-");
                    request
                        .header("range", range)
                        .header("if-range", etag)
                        .call()?
                }
            })
        })
    }
}

/// Where in the file the answer's body starts; none if there is no such place.
fn start(response: &Response<Body>, have: u64) -> Result<Option<u64>, FetchError> {
    match response.status() {
        StatusCode::OK => Ok(Some(0)),
        StatusCode::PARTIAL_CONTENT if range_start(response.headers()) == Some(have) => {
            Ok(Some(have))
        }
        StatusCode::PARTIAL_CONTENT => Err(FetchError::WrongRange),
        StatusCode::RANGE_NOT_SATISFIABLE => Ok(None),
        status => Err(FetchError::Status {
            status: status.as_u16(),
        }),
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

/// How much of the file is here, and what the server said about it then.
fn begun(url: &str, target: &Target<'_>) -> (u64, State) {
    let state = fs::read(target.state).ok();
    let state: Option<State> = state.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match state {
        Some(state) if state.url == url => (len(target.part), state),
        _ => (0, State::default()),
    }
}

fn remember(url: &str, opened: &Opened, total: Option<u64>, path: &Path) -> Result<(), FetchError> {
    let state = State::of(url, opened, total);
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
///
/// # Errors
/// When the system does not say.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn check_length(target: &Target<'_>, bytes: u64) -> Result<(), FetchError> {
    let bytes_max = target.bytes_max;
    if bytes > bytes_max {
        Err(FetchError::TooLong { bytes_max })
    } else {
        Ok(())
    }
}

fn receive(
    body: &mut Body,
    target: &Target<'_>,
    start: u64,
    total: Option<u64>,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<(), FetchError> {
    let mut file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(target.part)
        .map_err(FetchError::Write)?;
    file.set_len(start).map_err(FetchError::Write)?;
    file.seek(SeekFrom::Start(start))
        .map_err(FetchError::Write)?;
    let mut reader = body.with_config().limit(u64::MAX).reader();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = start;
    on(Event::Bytes { done, total });
    loop {
        let count = reader.read(&mut chunk).map_err(FetchError::Interrupted)?;
        if count == 0 {
            break;
        }
        done += count as u64;
        // A server that announces no length may go on for ever.
        check_length(target, done)?;
        file.write_all(&chunk[..count]).map_err(FetchError::Write)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_one_answer_says_tells_nothing() {
        let state = |etag: &str, modified: &str, total| {
            let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            State {
                url: "http://hub/file".to_owned(),
                etag: said(etag),
                sum: None,
                total: Some(total),
                modified: said(modified),
            }
        };
        let here = state("a", "Monday", 10);
        for same in [("a", "Tuesday"), ("", "Monday"), ("", "")] {
            assert!(!here.differs(&state(same.0, same.1, 10)), "{same:?}");
        }
        for (etag, modified, total) in
            [("b", "Monday", 10), ("", "Tuesday", 10), ("a", "Monday", 9)]
        {
            assert!(
                here.differs(&state(etag, modified, total)),
                "{etag} {modified} {total}"
            );
        }
        assert!(
            !state("", "", 10).differs(&here),
            "as kept by an earlier version"
        );
    }
}
