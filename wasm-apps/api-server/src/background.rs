//! Responses that are worked on after their caller was answered.
//!
//! Each is kept as it is before anybody works on it, when the model begins, and at its end. What a worker had not
//! brought to its end when it was restarted is shown as failed.
//!
//! Invariant: no more than [`BACKGROUND_MAX`] at a time, and each can be cancelled.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use gaia_openai::ApiError;
use gaia_openai::responses::{Kept, Response, ResponseRequest, Status};
use tokio::sync::watch;

use crate::app::App;
use crate::failure::Failure;
use crate::log;
use crate::meter::Meter;
use crate::records::Owner;
use crate::responding::Prepared;

/// Responses in the background at a time.
const BACKGROUND_MAX: usize = 16;
/// Seconds after which a caller may ask again when there are so many.
const RETRY_AFTER_SECONDS: u32 = 5;

/// What is being worked on, by the ids of responses.
#[derive(Default)]
pub(crate) struct Background {
    running: Mutex<HashMap<String, watch::Sender<bool>>>,
}

impl Background {
    fn running(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<bool>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, id: &str) -> Result<watch::Receiver<bool>, ApiError> {
        let mut running = self.running();
        if running.len() >= BACKGROUND_MAX {
            return Err(ApiError::too_many_requests(RETRY_AFTER_SECONDS));
        }
        let (stop, stopped) = watch::channel(false);
        running.insert(id.to_owned(), stop);
        Ok(stopped)
    }

    /// How a response that was kept stands now: nobody works on what an earlier worker left.
    pub(crate) fn as_it_stands(&self, response: Response) -> Response {
        let waits = matches!(response.status, Status::Queued | Status::InProgress);
        match waits && !self.running().contains_key(&response.id) {
            true => {
                let mut response = response;
                response.fail(&ApiError::internal("The node was restarted meanwhile."));
                response
            }
            false => response,
        }
    }
}

/// Answers that `request` will be worked on.
///
/// # Errors
/// What can be said of it before: also that nobody could fetch the response.
pub(crate) async fn begin(
    app: &Arc<App>,
    owner: Owner,
    request: ResponseRequest,
) -> Result<Response, Failure> {
    if request.stream {
        let message = "A response that is made in the background does not stream: fetch it later.";
        return Err(ApiError::unsupported("stream", message).into());
    }
    let cannot = match (request.store, app.records.is_there()) {
        (Some(false), _) => Some(
            "A response that is made in the background is fetched later, so it must be stored: leave out `store: false`.",
        ),
        (_, false) => Some("This node stores no responses, so none can be made in the background."),
        (_, true) => None,
    };
    if let Some(message) = cannot {
        return Err(ApiError::unsupported("background", message).into());
    }
    let prepared = Prepared::of(app, owner.clone(), request).await?;
    let queued = prepared.queued()?;
    let response = queued.response.clone();
    let stopped = app.background.enter(&response.id)?;
    if let Err(error) = app.records.put(&owner, &queued).await {
        log::warn(format_args!("a response is not kept: {error}"));
        app.background.running().remove(&response.id);
        let message = "The node could not keep this response.";
        return Err(ApiError::unavailable(message, RETRY_AFTER_SECONDS).into());
    }
    // Its tokens are those of the request, which is over long before.
    let meter = Meter::current();
    let app = Arc::clone(app);
    gaia_wasi_rt::spawn(async move {
        let work = work(&app, &owner, prepared, queued, stopped);
        Meter::during(&meter, work).await;
    });
    Ok(response)
}

async fn work(
    app: &App,
    owner: &Owner,
    prepared: Prepared,
    mut kept: Kept,
    mut stopped: watch::Receiver<bool>,
) {
    let ended = unless(&mut stopped, end(app, owner, prepared, &mut kept)).await;
    if ended.is_none() {
        kept.response.status = Status::Cancelled;
    }
    put(app, owner, &kept).await;
    app.background.running().remove(&kept.response.id);
}

/// Brings a response to its end; what it has come to is always in `kept`.
async fn end(app: &App, owner: &Owner, prepared: Prepared, kept: &mut Kept) {
    let created_at = kept.response.created_at;
    let mut responding = match prepared.begin().await {
        Ok(responding) => responding,
        Err(Failure(error)) => return kept.response.fail(&error),
    };
    loop {
        let went = responding.go_on().await;
        let began = kept.response.status == Status::Queued;
        *kept = responding.kept();
        kept.response.created_at = created_at;
        if began {
            put(app, owner, kept).await;
        }
        responding.events();
        if !matches!(went, Ok(true)) {
            return;
        }
    }
}

async fn put(app: &App, owner: &Owner, kept: &Kept) {
    if let Err(error) = app.records.put(owner, kept).await {
        log::warn(format_args!("a response is not kept: {error}"));
    }
}

/// Cancels a response, and waits until it is.
///
/// # Errors
/// 400 where nobody works on it.
pub(crate) async fn cancel(app: &App, id: &str) -> Result<(), ApiError> {
    let stop = app.background.running().get(id).cloned();
    let Some(stop) = stop else {
        let message = "Only a response that is being made in the background can be cancelled.";
        return Err(ApiError::invalid_value("id", message));
    };
    stop.send_replace(true);
    stop.closed().await;
    Ok(())
}

/// Does it, unless it is stopped before.
async fn unless<T>(
    stopped: &mut watch::Receiver<bool>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    let mut stop = pin!(stopped.wait_for(|stopped| *stopped));
    poll_fn(|cx| {
        if stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use gaia_openai::Limits;
    use gaia_openai::chat::ChunkHead;

    use super::*;
    use crate::options::Options;

    fn response(id: &str) -> Response {
        let request = ResponseRequest::parse(b"{\"input\": \"Hi\"}", &Limits::default());
        Response::new(
            id.to_owned(),
            ChunkHead::default(),
            request.unwrap().settings,
        )
    }

    #[test]
    fn what_nobody_works_on_any_more_has_failed() {
        let background = Background::default();
        let _stopped = background.enter("resp_1").unwrap();
        let status = |id: &str| background.as_it_stands(response(id)).status;
        assert_eq!(status("resp_1"), Status::InProgress);
        assert_eq!(status("resp_2"), Status::Failed);
        let mut done = response("resp_3");
        done.status = Status::Completed;
        assert_eq!(background.as_it_stands(done).status, Status::Completed);
    }

    #[test]
    fn there_are_only_so_many() {
        let background = Background::default();
        for number in 0..BACKGROUND_MAX {
            background.enter(&number.to_string()).unwrap();
        }
        assert_eq!(background.enter("one more").unwrap_err().status, 429);
        background.running().remove("0");
        assert!(background.enter("one more").is_ok());
    }

    #[test]
    fn work_ends_where_it_is_stopped() {
        gaia_wasi_rt::block_on(async {
            let (stop, mut stopped) = watch::channel(false);
            assert_eq!(unless(&mut stopped, async { 7 }).await, Some(7));
            stop.send_replace(true);
            let never = std::future::pending::<u8>();
            assert_eq!(unless(&mut stopped, never).await, None);
        });
    }

    #[test]
    fn without_a_host_nobody_could_fetch_it() {
        let app = Arc::new(App::new(Options::default()));
        let body = b"{\"input\": \"Hi\", \"background\": true}";
        let request = ResponseRequest::parse(body, &app.limits).unwrap();
        let owner = Owner::of(&axum::http::HeaderMap::new());
        let refused = gaia_wasi_rt::block_on(async move { begin(&app, owner, request).await });
        assert_eq!(refused.unwrap_err().0.param.as_deref(), Some("background"));
    }
}
