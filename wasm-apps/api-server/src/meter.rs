//! What a request took, for whoever asks afterwards.
//!
//! The ingress gives a request that it meters an id (`x-gaia-meter`) and asks for the tokens when the request is
//! over. A header could not say it of a stream, and a trailer never reaches somebody who had to close the connection
//! because his client hung up; a note that is kept for him is there in every case.
//!
//! Invariant: the note is written when nothing of the request is left that could take more, and read once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

/// Header with the id under which the ingress will ask.
const METER: HeaderName = HeaderName::from_static("x-gaia-meter");

/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 64;

/// Notes that are kept; the oldest goes first.
const NOTES_MAX: usize = 1024;

/// What requests took that are over.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    notes: Mutex<VecDeque<(String, u64)>>,
}

impl Ledger {
    fn write(&self, id: String, tokens: u64) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() == NOTES_MAX {
            notes.pop_front();
        }
        notes.push_back((id, tokens));
    }

    /// The tokens of the request `id`; none while it runs, or when they have been read.
    pub(crate) fn take(&self, id: &str) -> Option<u64> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let at = notes.iter().position(|(noted, _)| noted == id)?;
        notes.remove(at).map(|(_, tokens)| tokens)
    }
}

/// Counts for one request. Whoever works for it holds a copy; with the last one the note is written.
#[derive(Debug)]
pub(crate) struct Meter {
    id: String,
    tokens: AtomicU64,
    ledger: Arc<Ledger>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Meter>>> = const { RefCell::new(None) };
}

impl Meter {
    /// For a request with these headers, if somebody will ask.
    pub(crate) fn of(headers: &HeaderMap, ledger: &Arc<Ledger>) -> Option<Arc<Self>> {
        let id = headers.get(METER)?.to_str().ok()?;
        (1..=ID_BYTES_MAX).contains(&id.len()).then(|| {
            Arc::new(Self {
                id: id.to_owned(),
                tokens: AtomicU64::new(0),
                ledger: Arc::clone(ledger),
            })
        })
    }

    /// The meter of the request that is being worked on.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The request took so many more.
    pub(crate) fn add(&self, tokens: u64) {
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
    }

    /// Works on a request: whatever `future` does is counted here.
    pub(crate) async fn during<F: Future>(meter: &Option<Arc<Self>>, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let _scope = Scope::enter(meter);
            future.as_mut().poll(context)
        })
        .await
    }

    /// The response, with what its body takes counted too.
    pub(crate) fn follow(meter: Option<Arc<Self>>, response: Response) -> Response {
        match meter {
            None => response,
            some => response.map(|inner| Body::new(Metered { inner, meter: some })),
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let tokens = self.tokens.load(Ordering::Relaxed);
        self.ledger.write(std::mem::take(&mut self.id), tokens);
    }
}

/// While it lives, its meter is the current one.
struct Scope {
    before: Option<Arc<Meter>>,
}

impl Scope {
    fn enter(meter: &Option<Arc<Meter>>) -> Self {
        Self {
            before: CURRENT.replace(meter.clone()),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

struct Metered {
    inner: Body,
    meter: Option<Arc<Meter>>,
}

impl hyper::body::Body for Metered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let _scope = Scope::enter(&this.meter);
        Pin::new(&mut this.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn metered(id: &str, ledger: &Arc<Ledger>) -> Option<Arc<Meter>> {
        let mut headers = HeaderMap::new();
        headers.insert(METER, HeaderValue::from_str(id).unwrap());
        Meter::of(&headers, ledger)
    }

    fn add_to_current(tokens: u64) {
        if let Some(meter) = Meter::current() {
            meter.add(tokens);
        }
    }

    fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn a_note_is_there_when_all_is_over_and_is_read_once() {
        let ledger = Arc::default();
        let meter = metered("a", &ledger);
        {
            let work = std::pin::pin!(Meter::during(&meter, async { add_to_current(3) }));
            assert!(poll_once(work).is_ready());
        }
        add_to_current(100);
        assert_eq!(ledger.take("a"), None, "the body may take more");
        drop(meter);
        assert_eq!(ledger.take("a"), Some(3));
        assert_eq!(ledger.take("a"), None);
    }

    #[test]
    fn two_requests_in_turns_are_counted_apart() {
        let ledger = Arc::default();
        let (one, two) = (metered("1", &ledger), metered("2", &ledger));
        let work = |tokens| async move {
            add_to_current(tokens);
            std::future::poll_fn(|_| Poll::<()>::Pending).await;
        };
        {
            let mut first = std::pin::pin!(Meter::during(&one, work(1)));
            let mut second = std::pin::pin!(Meter::during(&two, work(10)));
            assert!(poll_once(first.as_mut()).is_pending());
            assert!(poll_once(second.as_mut()).is_pending());
        }
        drop((one, two));
        assert_eq!((ledger.take("1"), ledger.take("2")), (Some(1), Some(10)));
    }

    #[test]
    fn ids_and_notes_are_bounded() {
        let ledger = Arc::default();
        assert!(metered(&"x".repeat(ID_BYTES_MAX), &ledger).is_some());
        assert!(metered(&"x".repeat(ID_BYTES_MAX + 1), &ledger).is_none());
        assert!(metered("", &ledger).is_none());
        for id in 0..=NOTES_MAX {
            drop(metered(&format!("n{id}"), &ledger));
        }
        assert_eq!(ledger.notes.lock().unwrap().len(), NOTES_MAX);
        assert_eq!(ledger.take("n0"), None, "the oldest went first");
        assert_eq!(ledger.take("n1"), Some(0));
    }
}
