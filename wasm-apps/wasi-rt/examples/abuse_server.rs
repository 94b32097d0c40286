//! A small server for the abuse tests and for measuring the runtime alone.
//!
//! `wasmedge abuse_server.wasm [HEADER_MS] [IDLE_MS] [CONNECTIONS_MAX]` prints `listening on http://…` and answers
//! `/` with a small JSON, `/events` with 50 events 10 ms apart, `/meeting/COUNT` with the same as soon as COUNT
//! such requests have begun, `/big` with 64 MiB, `/echo` with the request's body and `/relay/PORT` with what
//! `127.0.0.1:PORT/` answers.

#[cfg(not(target_os = "wasi"))]
fn main() {
    eprintln!("this program runs inside WasmEdge");
    std::process::exit(2);
}

#[cfg(target_os = "wasi")]
fn main() -> std::io::Result<()> {
    wasi::main()
}

#[cfg(target_os = "wasi")]
mod wasi {
    use std::convert::Infallible;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::pin::Pin;
    use std::sync::atomic::{AtomicU16, Ordering};
    use std::task::{Context, Poll, ready};
    use std::time::Duration;

    use gaia_wasi_rt::{ServeLimits, Sleep, TcpListener, block_on, send_request, serve, sleep};
    use http_body_util::{BodyExt, Full, combinators::BoxBody};
    use hyper::body::{Body, Bytes, Frame, Incoming};
    use hyper::{Request, Response, StatusCode};

    type Answer = Response<BoxBody<Bytes, Infallible>>;

    const EVENTS: u32 = 50;
    const EVENT_GAP: Duration = Duration::from_millis(10);
    const BIG_CHUNKS: u32 = 1024;
    const BIG_CHUNK: &[u8] = &[b'x'; 64 * 1024];

    pub(crate) fn main() -> std::io::Result<()> {
        let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<u64>().ok());
        let mut next = |default| numbers.next().flatten().unwrap_or(default);
        let limits = ServeLimits {
            header_timeout: Duration::from_millis(next(2_000)),
            idle_timeout: Duration::from_millis(next(60_000)),
            connections_max: next(2_048) as usize,
            ..ServeLimits::default()
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(address)?;
        let port = listener.local_addr()?.port();
        println!("listening on http://127.0.0.1:{port}");
        block_on(serve(listener, limits, answer));
        Ok(())
    }

    async fn answer(request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/" => text("{\"ok\":true}"),
            "/events" => Response::new(BodyExt::boxed(Chunks::events())),
            "/big" => Response::new(BodyExt::boxed(Chunks::big())),
            "/echo" => match request.into_body().collect().await {
                Ok(body) => Response::new(Full::new(body.to_bytes()).boxed()),
                Err(_) => refusal(),
            },
            _ => match path
                .rsplit_once('/')
                .map(|(at, number)| (at, number.parse()))
            {
                Some(("/relay", Ok(port))) => relay(port).await,
                Some(("/meeting", Ok(count))) => {
                    Response::new(BodyExt::boxed(Chunks::meeting(count)))
                }
                _ => text("no such path"),
            },
        }
    }

    async fn relay(port: u16) -> Answer {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let request = Request::get("/").header("host", "127.0.0.1");
        let Ok(request) = request.body(Full::default()) else {
            return text("bad request");
        };
        match send_request(address, request, 1 << 20, Duration::from_secs(5)).await {
            Ok(response) => Response::new(Full::new(response.into_body()).boxed()),
            Err(error) => text(format!("{error}")),
        }
    }

    fn refusal() -> Answer {
        let mut answer = text("broken");
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        answer
    }

    fn text(text: impl Into<Bytes>) -> Answer {
        Response::new(Full::new(text.into()).boxed())
    }

    /// Requests for `/meeting/…` that have begun.
    static MET: AtomicU16 = AtomicU16::new(0);

    struct Chunks {
        left: u32,
        meeting: u16,
        chunk: &'static [u8],
        gap: Option<Duration>,
        pause: Option<Sleep>,
    }

    impl Chunks {
        fn events() -> Self {
            Self {
                left: EVENTS,
                meeting: 0,
                chunk: b"data: event\n\n",
                gap: Some(EVENT_GAP),
                pause: None,
            }
        }

        fn meeting(count: u16) -> Self {
            MET.fetch_add(1, Ordering::Relaxed);
            Self {
                meeting: count,
                ..Self::events()
            }
        }

        fn big() -> Self {
            Self {
                left: BIG_CHUNKS,
                meeting: 0,
                chunk: BIG_CHUNK,
                gap: None,
                pause: None,
            }
        }
    }

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            loop {
                if let Some(pause) = &mut self.pause {
                    ready!(Pin::new(pause).poll(cx));
                }
                if MET.load(Ordering::Relaxed) >= self.meeting {
                    break;
                }
                self.pause = Some(sleep(EVENT_GAP));
            }
            self.left -= 1;
            self.pause = self.gap.map(sleep);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.chunk)))))
        }
    }
}
