//! The HTTP/1 server loop: accept, limit, hand to hyper, part politely.
//!
//! A peer that is refused or too slow is told why where HTTP allows it (408 for a head that does not end, 503
//! when there are too many connections), and a connection is closed only after a short, bounded drain, so that
//! the answer is not lost to a reset.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

use crate::phase::{Expired, Phase, ServeLimits};
use crate::{Sleep, TcpListener, TcpStream, sleep_until, spawn, timeout};

// Connections over the limit that are being told so; past this the next ones wait in the listener's backlog.
const REFUSALS_MAX: usize = 64;
const DRAIN_BYTES_MAX: usize = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Accepts connections for ever and answers their requests with `service`.
pub async fn serve<S, F, B>(listener: TcpListener, limits: ServeLimits, service: S)
where
    S: Fn(Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (open, refused) = (Rc::new(()), Rc::new(()));
    loop {
        let stream = listener.accept().await;
        if Rc::strong_count(&open) <= limits.connections_max {
            spawn(converse(stream, limits, service.clone(), Rc::clone(&open)));
        } else if Rc::strong_count(&refused) <= REFUSALS_MAX {
            spawn(refuse(stream, Rc::clone(&refused)));
        } else {
            refuse(stream, Rc::clone(&refused)).await;
        }
    }
}

// One connection, from its first byte to its end. `_open` counts it.
async fn converse<S, F, B>(stream: TcpStream, limits: ServeLimits, service: S, _open: Rc<()>)
where
    S: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let phase = SharedPhase::new(limits);
    let mut wire = Wire::new(stream, phase.clone(), limits.idle_timeout);
    let answer = service_fn(|request| {
        phase.get().requested();
        let (answer, phase) = (service(request), phase.clone());
        async move {
            let tracked = answer.await.map(|body| Tracked { body, phase });
            Ok::<_, std::convert::Infallible>(tracked)
        }
    });
    let served = http1::Builder::new()
        .writev(false)
        .max_buf_size(limits.buffer_bytes_max.max(8192))
        .serve_connection(&mut wire, answer)
        .await;
    if served.is_err() && wire.expired == Some(Expired::Head) {
        let _gone = wire.stream.write_all(&head_timed_out()).await;
    }
    if wire.expired.is_none() {
        part(wire.stream).await;
    }
}

async fn refuse(mut stream: TcpStream, _refused: Rc<()>) {
    let _gone = timeout(DRAIN_TIME_MAX, stream.write_all(&too_many_connections())).await;
    part(stream).await;
}

// Ends our direction and swallows what the peer still sends, so that closing does not reset the connection
// under an answer that is on its way.
async fn part(mut stream: TcpStream) {
    let drained = timeout(DRAIN_TIME_MAX, async {
        poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await?;
        let (mut buffer, mut total) = ([0; 4096], 0);
        while total < DRAIN_BYTES_MAX {
            match poll_fn(|cx| stream.poll_read_slice(cx, &mut buffer)).await? {
                0 => break,
                count => total += count,
            }
        }
        io::Result::Ok(())
    });
    let _gone = drained.await;
}

fn head_timed_out() -> Vec<u8> {
    canned(
        "408 Request Timeout",
        "",
        "the head of the request took too long",
        "invalid_request_error",
    )
}

fn too_many_connections() -> Vec<u8> {
    canned(
        "503 Service Unavailable",
        "retry-after: 1\r\n",
        "too many connections",
        "server_error",
    )
}

fn canned(status: &str, headers: &str, message: &str, kind: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":null}}}}"#
    );
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[derive(Clone)]
struct SharedPhase(Arc<Mutex<Phase>>);

impl SharedPhase {
    fn new(limits: ServeLimits) -> Self {
        Self(Arc::new(Mutex::new(Phase::new(limits, Instant::now()))))
    }

    fn get(&self) -> MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The stream with its deadlines: reading by the phase, writing by progress.
struct Wire {
    stream: TcpStream,
    phase: SharedPhase,
    stall_max: Duration,
    read_limit: Option<(Instant, Sleep)>,
    write_limit: Option<Sleep>,
    expired: Option<Expired>,
}

impl Wire {
    fn new(stream: TcpStream, phase: SharedPhase, stall_max: Duration) -> Self {
        Self {
            stream,
            phase,
            stall_max,
            read_limit: None,
            write_limit: None,
            expired: None,
        }
    }

    fn poll_read_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let deadline = self.phase.get().wait(Instant::now(), cx.waker());
        let Some(deadline) = deadline else {
            self.read_limit = None;
            return Poll::Pending;
        };
        let limit = match &mut self.read_limit {
            Some((known, limit)) if *known == deadline => limit,
            limit => &mut limit.insert((deadline, sleep_until(deadline))).1,
        };
        ready!(Pin::new(limit).poll(cx));
        self.expired = Some(self.phase.get().expired());
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            return self.poll_read_limit(cx);
        }
        self.phase.get().received(Instant::now());
        self.read_limit = None;
        read
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_ready() {
            self.write_limit = None;
            return written;
        }
        let until = Instant::now() + self.stall_max;
        let limit = self.write_limit.get_or_insert_with(|| sleep_until(until));
        ready!(Pin::new(limit).poll(cx));
        self.expired = Some(Expired::Idle);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

// A body that tells the connection when it is done with.
struct Tracked<B> {
    body: B,
    phase: SharedPhase,
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Tracked<B> {
    fn drop(&mut self) {
        self.phase.get().answered();
    }
}
