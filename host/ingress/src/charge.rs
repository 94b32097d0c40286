//! What a request takes: set aside of its key's tokens before it goes to the worker, settled when it is over, and
//! told to whoever writes it down.
//!
//! With an answer that is all there comes the worker's report. Of a stream the worker keeps a note, and is asked for it
//! afterwards; also when the client hung up: then the worker must be cut off to stop, so that nothing could come with
//! the answer itself (a header would be too early, a trailer too late).
//!
//! Invariant: what was set aside is charged until the worker says otherwise. A note that never comes, because the
//! worker died or does not know of notes, makes nothing free.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use gaia_openai::ApiError;
use gaia_trace::Report;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use serde::Deserialize;
use tokio::sync::{Semaphore, oneshot};

use crate::Worker;
use crate::forward::Pool;
use crate::handler::address_to;
use crate::keys::{KeyId, Keys, Reservation};
use crate::routes::Cost;

/// Header by which the worker is told under which name to keep its note.
pub(crate) const METER: &str = "x-gaia-meter";

/// Header with the worker's report on a request whose answer is all there.
const REPORT: &str = "x-gaia-report";

/// Requests whose notes are waited for at a time; of more, what was set aside stays charged.
const ASKING_MAX: usize = 256;

/// How long to wait before each time the worker is asked. It learns of a client that hung up when it looks at the
/// connection, and it may be busy with a step of the model.
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// How often the worker is asked where nothing but a line in the log hangs on it.
const PAUSES_FOR_THE_LOG: usize = 3;

/// How long the worker may take to tell.
const TELL_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest note, in bytes.
const NOTE_BYTES_MAX: usize = 32 << 10;

/// How long the node waits for notes when it stops.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a request for each token that is set aside for its text.
const BYTES_PER_TOKEN: u64 = 4;

/// The most answers to one request that are set aside for.
const CHOICES_MAX: u64 = 128;

/// Charges the requests of named keys.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) keys: Arc<Keys>,
    pool: Arc<Pool>,
    /// Tokens of an answer that says no maximum, and the most of any.
    answer_tokens_max: u64,
    asking: Arc<Semaphore>,
}

/// What one request may take. Dropped, it is settled.
#[derive(Debug)]
pub(crate) struct Charge {
    accounts: Arc<Accounts>,
    /// Of the key that pays, if one does.
    reservation: Option<Reservation>,
    meter: String,
    /// Who works on it; none: nobody got it.
    worker: Option<Worker>,
    /// What came with the answer.
    report: Option<Report>,
    /// Who is told.
    told: Option<oneshot::Sender<Report>>,
    /// Whether more than a line in the log hangs on it.
    matters: bool,
}

impl Accounts {
    pub(crate) fn new(keys: Keys, pool: Arc<Pool>, answer_tokens_max: u64) -> Self {
        Self {
            keys: Arc::new(keys),
            pool,
            answer_tokens_max,
            asking: Arc::new(Semaphore::new(ASKING_MAX)),
        }
    }

    /// Sets aside what a request with this body may take of `key`, if it has one.
    ///
    /// # Errors
    /// 429 if that is more than the key has left today.
    pub(crate) fn charge(
        self: &Arc<Self>,
        key: Option<&KeyId>,
        cost: Cost,
        body: &[u8],
    ) -> Result<Option<Charge>, ApiError> {
        if cost == Cost::Nothing {
            return Ok(None);
        }
        let reserve = |key| {
            let tokens = match self.keys.counts_tokens(key) {
                true => estimate(cost, body, self.answer_tokens_max),
                false => 0,
            };
            self.keys.reserve(key, tokens)
        };
        let reservation = key.map(reserve).transpose()?;
        Ok(Some(Charge {
            accounts: Arc::clone(self),
            matters: reservation.is_some(),
            reservation,
            meter: new_meter(),
            worker: None,
            report: None,
            told: None,
        }))
    }

    /// Waits a while until what is over has been settled.
    pub(crate) async fn settled(&self) {
        let all = u32::try_from(ASKING_MAX).unwrap_or(u32::MAX);
        let all = self.asking.acquire_many(all);
        if tokio::time::timeout(SETTLE_TIMEOUT, all).await.is_err() {
            tracing::warn!("some requests stay charged with what was set aside for them");
        }
    }

    /// What the worker says of the request `meter`, if it says so in time.
    async fn asked(&self, worker: &Worker, meter: &str, matters: bool) -> Option<Report> {
        let pauses = match matters {
            true => &PAUSES[..],
            false => &PAUSES[..PAUSES_FOR_THE_LOG],
        };
        let asked = self.ask(worker, meter, pauses);
        tokio::time::timeout(TELL_TIMEOUT, asked).await.ok()?
    }

    /// What was set aside becomes what was taken, if that is known.
    fn settle(&self, reservation: Option<&Reservation>, report: Option<&Report>) {
        match (reservation, report) {
            (Some(reservation), Some(report)) => self.keys.settle(reservation, report.tokens()),
            (Some(reservation), None) => {
                tracing::warn!(key = %reservation.key, "the worker did not say what a request took");
            }
            (None, _) => {}
        }
    }

    /// The worker's note; none if it has none, or is gone.
    async fn ask(&self, worker: &Worker, meter: &str, pauses: &[Duration]) -> Option<Report> {
        for pause in pauses {
            tokio::time::sleep(*pause).await;
            let mut request = Request::new(Full::default());
            *request.uri_mut() = format!("/gaia/usage/{meter}").parse().ok()?;
            address_to(worker, request.headers_mut());
            let (response, lease) = self.pool.send(worker.address, request).await.ok()?;
            let status = response.status();
            let body = Limited::new(response.into_body(), NOTE_BYTES_MAX)
                .collect()
                .await;
            let body = body.ok()?.to_bytes();
            lease.give_back();
            if status == StatusCode::OK {
                return serde_json::from_slice(&body).ok();
            }
        }
        None
    }
}

impl Charge {
    /// It goes to `worker`, which is to keep its note under this name.
    pub(crate) fn sent_to(&mut self, worker: &Worker) -> HeaderValue {
        self.worker = Some(worker.clone());
        HeaderValue::try_from(&self.meter).expect("hexadecimal digits are fine in a header")
    }

    /// It did not get there.
    pub(crate) fn not_sent(&mut self) {
        self.worker = None;
    }

    /// Whoever has the other end is told what the request took; for a trace the worker is asked with patience.
    pub(crate) fn tell(&mut self, told: oneshot::Sender<Report>, is_traced: bool) {
        self.told = Some(told);
        self.matters |= is_traced;
    }

    /// The answer has these headers, which may say what the request took.
    pub(crate) fn answered(&mut self, headers: &HeaderMap) {
        let report = headers.get(REPORT);
        self.report = report.and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let accounts = Arc::clone(&self.accounts);
        let (reservation, told) = (self.reservation.take(), self.told.take());
        let Some(worker) = self.worker.take() else {
            return accounts.settle(reservation.as_ref(), Some(&Report::default()));
        };
        let over = move |accounts: &Accounts, report: Option<Report>| {
            accounts.settle(reservation.as_ref(), report.as_ref());
            if let (Some(told), Some(report)) = (told, report) {
                // Nobody may want to know any more.
                let _told = told.send(report);
            }
        };
        if let Some(report) = self.report.take() {
            return over(&accounts, Some(report));
        }
        // Without either, what was set aside stays charged.
        let place = Arc::clone(&accounts.asking).try_acquire_owned();
        let runtime = tokio::runtime::Handle::try_current();
        if let (Ok(place), Ok(runtime)) = (place, runtime) {
            let (meter, matters) = (std::mem::take(&mut self.meter), self.matters);
            runtime.spawn(async move {
                let report = accounts.asked(&worker, &meter, matters).await;
                over(&accounts, report);
                drop(place);
            });
        }
    }
}

/// Not to be guessed by who may send requests but not see this one.
fn new_meter() -> String {
    let half = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", half(), half())
}

/// The fields that say how long an answer may be.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    n_predict: Option<u64>,
    n: Option<u64>,
}

/// What a request may take, before anybody has read it as what it is. What is no JSON takes little: it is refused.
fn estimate(cost: Cost, body: &[u8], answer_tokens_max: u64) -> u64 {
    let prompt = body.len() as u64 / BYTES_PER_TOKEN + 1;
    if cost != Cost::Answer {
        return prompt;
    }
    let asked: Asked = serde_json::from_slice(body).unwrap_or_default();
    let answer = [
        asked.max_completion_tokens,
        asked.max_tokens,
        asked.max_output_tokens,
        asked.n_predict,
    ];
    let answer = answer
        .into_iter()
        .flatten()
        .next()
        .unwrap_or(answer_tokens_max);
    let answers = asked.n.unwrap_or(1).clamp(1, CHOICES_MAX);
    prompt.saturating_add(answer.min(answer_tokens_max).saturating_mul(answers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApiKey;
    use crate::keys::{
        Instant, MintedKey, NamedKey, RANDOM_BYTES, Scope, keys_to_text, parse_usage,
    };

    #[test]
    fn what_is_set_aside_covers_prompt_and_answer() {
        let check = |body: &str, expected| {
            let got = estimate(Cost::Answer, body.as_bytes(), 1000);
            assert_eq!(got, body.len() as u64 / 4 + 1 + expected, "{body}");
        };
        check(r#"{"messages":[]}"#, 1000);
        check(r#"{"max_tokens":10}"#, 10);
        check(r#"{"max_tokens":10,"max_completion_tokens":20}"#, 20);
        check(r#"{"max_output_tokens":10,"n":3}"#, 30);
        check(r#"{"max_tokens":999999}"#, 1000);
        check(r#"{"max_tokens":1,"n":0}"#, 1);
        check(r#"{"max_tokens":1,"n":18446744073709551615}"#, CHOICES_MAX);
        check(r#"{"n_predict":7}"#, 7);
        check(r#"{"n_predict":-1}"#, 1000);
        check(r#"{"max_tokens":"many"}"#, 1000);
        check("no JSON", 1000);
        check("", 1000);
        assert_eq!(estimate(Cost::Prompt, &[b'x'; 40], 1000), 11);
    }

    #[tokio::test]
    async fn of_more_than_are_waited_for_all_stays_charged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("api-keys.toml");
        let minted = MintedKey::new(&[1; RANDOM_BYTES], None);
        let id = minted.id.clone();
        let key = NamedKey {
            id: minted.id,
            name: "bot".to_owned(),
            hash: minted.hash,
            scopes: vec![Scope::Inference],
            rate_per_minute: None,
            tokens_per_day: Some(1000),
            created: Instant::from_unix_seconds(0),
            expires: None,
        };
        std::fs::write(&file, keys_to_text(&[key])).unwrap();
        let keys = Keys::open(Vec::new(), Some(file)).unwrap();
        let accounts = Arc::new(Accounts::new(keys, Arc::default(), 100));
        let used = || parse_usage(&accounts.keys.unkept_usage().unwrap())[&id].tokens;
        let charge = || {
            accounts
                .charge(Some(&id), Cost::Answer, b"")
                .unwrap()
                .unwrap()
        };
        let all = u32::try_from(ASKING_MAX).unwrap();
        let taken = accounts.asking.try_acquire_many(all).unwrap();
        let worker = Worker {
            address: ([127, 0, 0, 1], 1).into(),
            key: ApiKey::new("k"),
        };
        let mut sent = charge();
        sent.sent_to(&worker);
        drop(sent);
        assert_eq!(accounts.asking.available_permits(), 0);
        assert_eq!(used(), 101);
        drop(charge());
        assert_eq!(used(), 101, "what was sent to nobody costs nothing");
        drop(taken);
        accounts.settled().await;
    }

    #[test]
    fn meters_differ() {
        assert_ne!(new_meter(), new_meter());
        assert_eq!(new_meter().len(), 32);
    }
}
