//! A worker that somebody else keeps: waited for, watched, and taken up again when it is back.
//!
//! The node neither starts nor ends it. Invariant: requests go to it only after it has shown that it knows the
//! node's key.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::keeper::drain;
use super::{NodeError, NodePlan, StopSignal};
use crate::supervisor::front::Front;
use crate::supervisor::port_owner;
use crate::supervisor::probe::{self, Answer};
use crate::supervisor::state::{Phase, Service, State, WorkerProcess};

/// So long the node waits for its worker when it starts. Loading a large model from a slow disk is in it.
pub const COME_LIMIT: Duration = Duration::from_secs(600);
/// How often it is looked for, and at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How often the log says that the node still waits.
const TOLD_INTERVAL: Duration = Duration::from_secs(30);
/// How long one question waits.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// A worker that listens and answers nothing for so long counts as gone.
const SILENT_LIMIT: Duration = Duration::from_secs(60);

/// What is seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// It answers, with its models loaded.
    Ready,
    /// It is there, and says that it cannot answer yet.
    NotReady(u16),
    /// It was told of another key.
    OtherKey,
    /// It listens and says nothing.
    Silent,
    /// Nobody listens there.
    Absent,
}

impl Sight {
    async fn of(service: &Service) -> Self {
        match probe::ask(service, "/ready", ASK_LIMIT).await {
            Answer::Yes => Self::Ready,
            Answer::No(401 | 403) => Self::OtherKey,
            Answer::No(status) => Self::NotReady(status),
            Answer::Nothing if listens(service).await => Self::Silent,
            Answer::Nothing => Self::Absent,
        }
    }

    /// In one line, with what to do.
    fn line(self, url: &str) -> String {
        match self {
            Self::Ready => format!("the worker at {url} is ready"),
            Self::NotReady(status) => {
                format!(
                    "the worker at {url} is there but not ready (status {status}); its own log says why"
                )
            }
            Self::OtherKey => format!(
                "the worker at {url} does not know this node's key; `gaia worker` says how to start it"
            ),
            Self::Silent => format!("the worker at {url} listens but answers nothing"),
            Self::Absent => {
                format!("no worker listens at {url}; `gaia worker` says how to start it")
            }
        }
    }
}

async fn listens(service: &Service) -> bool {
    let address = service.url.trim_start_matches("http://");
    TcpStream::connect(address).await.is_ok()
}

/// Serves by a worker that somebody else keeps until the node is told to stop.
pub struct Outside<'a> {
    /// The node.
    pub plan: &'a NodePlan<'a>,
    /// What forwards to the worker.
    pub front: &'a mut Front,
    /// Where the worker is, and the key it was told.
    pub service: Service,
}

impl Outside<'_> {
    /// Waits for the worker, serves while it is there, and waits again.
    pub async fn serve(
        &mut self,
        state: &mut State,
        stop: &mut StopSignal,
        on_ready: impl FnOnce(&State),
    ) -> Result<(), NodeError> {
        let mut on_ready = Some(on_ready);
        loop {
            state.write(self.plan.home)?;
            let limit = on_ready.as_ref().map(|_| COME_LIMIT);
            tokio::select! {
                came = until_ready(&self.service, limit) => came.map_err(|seen| {
                    NodeError::NeverCame { seen, seconds: COME_LIMIT.as_secs() }
                })?,
                () = stop.wait() => return Ok(()),
            }
            self.take_up(state)?;
            if let Some(on_ready) = on_ready.take() {
                on_ready(state);
            }
            tokio::select! {
                gone = until_gone(&self.service, self.plan, state) => self.let_go(state, gone),
                () = stop.wait() => {
                    drain(self.front, self.plan, state, stop).await;
                    return Ok(());
                }
            }
        }
    }

    fn take_up(&self, state: &mut State) -> Result<(), NodeError> {
        let port = self.service.url.rsplit(':').next();
        let port = port.and_then(|port| port.parse().ok());
        let pid = port.and_then(port_owner::find).map(|owner| owner.pid);
        self.front.processes().set("worker", pid);
        self.front.forward_to(Some(&self.service));
        state.worker = Some(WorkerProcess {
            pid,
            service: self.service.clone(),
        });
        state.phase = Phase::Ready;
        state.write(self.plan.home)?;
        info!(
            url = state.url,
            worker = self.service.url,
            "ready, by a worker that somebody else keeps"
        );
        Ok(())
    }

    fn let_go(&self, state: &mut State, gone: Sight) {
        let why = gone.line(&self.service.url);
        error!("{why}; requests get 503 until it is back");
        self.front.forward_to(None);
        self.front.processes().set("worker", None);
        state.worker = None;
        state.phase = Phase::Waiting;
        state.restarts += 1;
        state.last_failure = Some(why);
    }
}

/// Waits until the worker is ready, for at most `limit`; the error is what was seen of it last.
async fn until_ready(service: &Service, limit: Option<Duration>) -> Result<(), String> {
    let began = Instant::now();
    let mut told: Option<(Instant, Sight)> = None;
    loop {
        let sight = Sight::of(service).await;
        if sight == Sight::Ready {
            return Ok(());
        }
        let waited = began.elapsed();
        if limit.is_some_and(|limit| waited >= limit) {
            return Err(sight.line(&service.url));
        }
        let is_due = told.is_none_or(|(at, seen)| seen != sight || at.elapsed() >= TOLD_INTERVAL);
        if is_due {
            told = Some((Instant::now(), sight));
            let limit = limit.map_or_else(String::new, |limit| format!(" of {}", limit.as_secs()));
            let seen = sight.line(&service.url);
            warn!(
                "waiting for the worker, {}{limit} s: {seen}",
                waited.as_secs()
            );
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Watches a worker that was ready; gives how it was seen to be gone. One that says it is not ready, because it was
/// started again meanwhile, still gets the requests and answers them itself.
async fn until_gone(service: &Service, plan: &NodePlan<'_>, state: &mut State) -> Sight {
    let mut heard = Instant::now();
    loop {
        sleep(LOOK_INTERVAL).await;
        let sight = Sight::of(service).await;
        match sight {
            Sight::Ready | Sight::NotReady(_) => heard = Instant::now(),
            Sight::Silent if heard.elapsed() < SILENT_LIMIT => {}
            Sight::Silent | Sight::OtherKey | Sight::Absent => return sight,
        }
        let phase = match sight {
            Sight::NotReady(_) => Phase::Waiting,
            Sight::Ready => Phase::Ready,
            _ => state.phase,
        };
        if phase != state.phase {
            state.phase = phase;
            state.last_failure = Some(sight.line(&service.url)).filter(|_| phase != Phase::Ready);
            warn!("{}", sight.line(&service.url));
            if let Err(error) = state.write(plan.home) {
                warn!("{}", super::with_source(&error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn service(url: String) -> Service {
        Service {
            url,
            key: "wk".into(),
        }
    }

    /// A worker that answers each question with the next of `replies`, and the last one on and on.
    fn worker(replies: &'static [&'static str]) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let _asked = stream.read(&mut [0; 1024]);
                let reply = replies[at.min(replies.len() - 1)];
                let _gone = write!(stream, "HTTP/1.1 {reply}\r\ncontent-length: 0\r\n\r\n");
            }
        });
        service(url)
    }

    #[tokio::test]
    async fn what_is_seen() {
        let check = async |replies, expected| {
            assert_eq!(Sight::of(&worker(replies)).await, expected);
        };
        check(&["200 OK"], Sight::Ready).await;
        check(&["503 No"], Sight::NotReady(503)).await;
        check(&["401 No"], Sight::OtherKey).await;
        let nobody = service("http://127.0.0.1:1".into());
        assert_eq!(Sight::of(&nobody).await, Sight::Absent);
    }

    #[tokio::test]
    async fn it_is_waited_for_while_it_loads() {
        let service = worker(&["503 Loading", "200 OK"]);
        until_ready(&service, None).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_never_comes_is_told_of_when_the_time_is_over() {
        let nobody = service("http://127.0.0.1:1".into());
        let told = until_ready(&nobody, Some(Duration::from_millis(1))).await;
        let told = told.unwrap_err();
        assert!(
            told.starts_with("no worker listens at http://127.0.0.1:1;"),
            "{told}"
        );
        let stranger = worker(&["401 No"]);
        let told = until_ready(&stranger, Some(Duration::ZERO)).await;
        assert!(told.unwrap_err().contains("does not know this node's key"));
    }
}
