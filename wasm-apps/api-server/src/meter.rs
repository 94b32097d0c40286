//! What a request took, for whoever asks afterwards.
//!
//! The ingress gives a request whose tokens it wants to know an id (`x-gaia-meter`), and `x-gaia-trace` to hear of its
//! phases too. A reply that is all there carries the report as a header. Of a stream none could say it: a header would
//! be too early, and a trailer never reaches somebody who had to close the connection because his client hung up. So a
//! note is kept, for which the ingress asks when the request is over.
//!
//! Invariant: the note is written when nothing of the request is left that could take more, and read once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use gaia_trace::{PHASES_MAX, Phase, Report, SpanId, TraceParent, What};
use hyper::body::{Body as _, Frame, SizeHint};

use crate::random;

/// Header with the id under which the ingress will ask.
const METER: HeaderName = HeaderName::from_static("x-gaia-meter");

/// Header by which the ingress says that it traces the request: the trace and its own span.
const TRACE: HeaderName = HeaderName::from_static("x-gaia-trace");

/// Header with the report, of a reply that is all there.
const REPORT: HeaderName = HeaderName::from_static("x-gaia-report");

/// The longest report that goes into a header, in bytes; of a longer one a note is kept.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 64;

/// Notes that are kept; the oldest goes first.
const NOTES_MAX: usize = 1024;

/// What requests took that are over.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    notes: Mutex<VecDeque<(String, Report)>>,
}

impl Ledger {
    fn write(&self, id: String, report: Report) {
        let mut notes = lock(&self.notes);
        if notes.len() == NOTES_MAX {
            notes.pop_front();
        }
        notes.push_back((id, report));
    }

    /// What the request `id` took; none while it runs, or when that has been read.
    pub(crate) fn take(&self, id: &str) -> Option<Report> {
        let mut notes = lock(&self.notes);
        let at = notes.iter().position(|(noted, _)| noted == id)?;
        notes.remove(at).map(|(_, report)| report)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What belongs to one request. Whoever works for it holds a copy; with the last one the note is written.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The request's id, as its caller knows it.
    request: HeaderValue,
    /// Under which somebody will ask.
    note: Option<String>,
    trace: Option<TraceParent>,
    started: Instant,
    report: Mutex<Report>,
    ledger: Arc<Ledger>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Meter>>> = const { RefCell::new(None) };
}

impl Meter {
    /// For the request `request`, with these headers.
    pub(crate) fn of(
        headers: &HeaderMap,
        request: &HeaderValue,
        ledger: &Arc<Ledger>,
    ) -> Arc<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let note = text(METER).filter(|id| (1..=ID_BYTES_MAX).contains(&id.len()));
        Arc::new(Self {
            request: request.clone(),
            note: note.map(str::to_owned),
            trace: text(TRACE).and_then(|trace| trace.parse().ok()),
            started: Instant::now(),
            report: Mutex::default(),
            ledger: Arc::clone(ledger),
        })
    }

    /// The meter of the request that is being worked on.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The id of the request that is being worked on.
    pub(crate) fn current_request() -> Option<HeaderValue> {
        CURRENT.with_borrow(|current| Some(current.as_ref()?.request.clone()))
    }

    /// The request took so many more tokens, read and written.
    pub(crate) fn add(&self, prompt: u64, completion: u64) {
        let mut report = lock(&self.report);
        report.prompt_tokens = report.prompt_tokens.saturating_add(prompt);
        report.completion_tokens = report.completion_tokens.saturating_add(completion);
    }

    /// An id for a phase that somebody else is to be told of before it is over, and how he is told; nothing where
    /// nobody traces.
    pub(crate) fn begin(&self) -> Option<(SpanId, TraceParent)> {
        let trace = self.trace?;
        let span = SpanId::from_random(random::number());
        Some((span, TraceParent { span, ..trace }))
    }

    /// Since its request came, in microseconds.
    pub(crate) fn micros(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.started);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Something was done since `start`, which ends now.
    pub(crate) fn phase(
        &self,
        start: Instant,
        what: What,
        id: Option<SpanId>,
        failed: Option<&str>,
    ) {
        let mut report = lock(&self.report);
        if self.trace.is_some() && report.phases.len() < PHASES_MAX {
            report.phases.push(Phase {
                start: self.micros(start),
                end: self.micros(Instant::now()),
                what,
                id,
                failed: failed.map(str::to_owned),
            });
        }
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
    pub(crate) fn follow(meter: Arc<Self>, mut response: Response) -> Response {
        let whole = response.body().size_hint().exact().is_some();
        match Arc::try_unwrap(meter) {
            Ok(mut last) if whole => {
                if let Some(report) = last.as_header() {
                    response.headers_mut().insert(REPORT, report);
                    last.note = None;
                }
                response
            }
            Ok(last) => Self::count(Arc::new(last), response),
            Err(shared) => Self::count(shared, response),
        }
    }

    fn count(meter: Arc<Self>, response: Response) -> Response {
        let meter = Some(meter);
        response.map(|inner| Body::new(Metered { inner, meter }))
    }

    /// The report for a header, if somebody wants it and it fits.
    fn as_header(&mut self) -> Option<HeaderValue> {
        self.note.as_ref()?;
        let report = self
            .report
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let text = serde_json::to_vec(report).ok()?;
        let fits = text.len() <= HEADER_BYTES_MAX;
        fits.then(|| HeaderValue::from_bytes(&text).ok())?
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(note) = self.note.take() {
            let report = std::mem::take(&mut *lock(&self.report));
            self.ledger.write(note, report);
        }
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
    use super::*;

    fn meter(headers: &[(HeaderName, &str)], ledger: &Arc<Ledger>) -> Arc<Meter> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        Meter::of(&map, &HeaderValue::from_static("req-1"), ledger)
    }

    fn metered(id: &str, ledger: &Arc<Ledger>) -> Option<Arc<Meter>> {
        Some(meter(&[(METER, id)], ledger))
    }

    fn tokens(ledger: &Ledger, id: &str) -> Option<u64> {
        ledger.take(id).map(|report| report.tokens())
    }

    fn add_to_current(tokens: u64) {
        if let Some(meter) = Meter::current() {
            meter.add(tokens, 0);
        }
    }

    fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn a_note_is_there_when_all_is_over_and_is_read_once() {
        let ledger: Arc<Ledger> = Arc::default();
        let meter = metered("a", &ledger);
        {
            let work = std::pin::pin!(Meter::during(&meter, async { add_to_current(3) }));
            assert!(poll_once(work).is_ready());
        }
        add_to_current(100);
        assert_eq!(tokens(&ledger, "a"), None, "the body may take more");
        drop(meter);
        assert_eq!(tokens(&ledger, "a"), Some(3));
        assert_eq!(tokens(&ledger, "a"), None);
    }

    #[test]
    fn two_requests_in_turns_are_counted_apart() {
        let ledger: Arc<Ledger> = Arc::default();
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
        let taken = (tokens(&ledger, "1"), tokens(&ledger, "2"));
        assert_eq!(taken, (Some(1), Some(10)));
    }

    #[test]
    fn a_whole_reply_carries_its_report_and_leaves_no_note() {
        let ledger: Arc<Ledger> = Arc::default();
        let counted = meter(&[(METER, "a")], &ledger);
        counted.add(5, 2);
        let response = Meter::follow(counted, Response::new(Body::from("all")));
        let report = response.headers()[REPORT].to_str().unwrap();
        assert_eq!(report, r#"{"prompt_tokens":5,"completion_tokens":2}"#);
        assert_eq!(tokens(&ledger, "a"), None);
        let unasked = meter(&[], &ledger);
        let response = Meter::follow(unasked, Response::new(Body::from("all")));
        assert!(!response.headers().contains_key(REPORT));
    }

    #[test]
    fn what_goes_on_beside_a_whole_reply_is_in_a_note() {
        let ledger: Arc<Ledger> = Arc::default();
        let counted = meter(&[(METER, "a")], &ledger);
        let beside = Arc::clone(&counted);
        let response = Meter::follow(counted, Response::new(Body::from("all")));
        assert!(!response.headers().contains_key(REPORT));
        drop(response);
        assert_eq!(tokens(&ledger, "a"), None);
        beside.add(1, 1);
        drop(beside);
        assert_eq!(tokens(&ledger, "a"), Some(2));
    }

    #[test]
    fn phases_are_told_to_who_traces_and_are_bounded() {
        const TRACED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let ledger: Arc<Ledger> = Arc::default();
        let what = || What::Retrieval {
            collection: "c".to_owned(),
            hits: 1,
        };
        let phases = |meter: Arc<Meter>| {
            for _ in 0..=PHASES_MAX {
                meter.phase(Instant::now(), what(), None, None);
            }
            drop(meter);
            ledger.take("a").unwrap().phases.len()
        };
        assert_eq!(phases(meter(&[(METER, "a")], &ledger)), 0);
        let traced = meter(&[(METER, "a"), (TRACE, TRACED)], &ledger);
        let (span, told) = traced.begin().unwrap();
        assert_eq!(told.span, span);
        assert_eq!(phases(traced), PHASES_MAX);
    }

    #[test]
    fn ids_and_notes_are_bounded() {
        let ledger: Arc<Ledger> = Arc::default();
        let noted = |id: &str| metered(id, &ledger).unwrap().note.is_some();
        assert!(noted(&"x".repeat(ID_BYTES_MAX)));
        assert!(!noted(&"x".repeat(ID_BYTES_MAX + 1)));
        assert!(!noted(""));
        for id in 0..=NOTES_MAX {
            drop(metered(&format!("n{id}"), &ledger));
        }
        assert_eq!(lock(&ledger.notes).len(), NOTES_MAX);
        assert_eq!(tokens(&ledger, "n0"), None, "the oldest went first");
        assert_eq!(tokens(&ledger, "n1"), Some(0));
    }
}
