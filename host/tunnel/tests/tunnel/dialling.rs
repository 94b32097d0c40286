//! Who is reached, and what is said when nobody is.

use std::net::SocketAddr;
use std::time::Duration;

use gaia_outbound::Origin;
use gaia_tunnel::limits::{HEAD_BYTES_MAX, REFUSAL_BYTES_MAX};
use gaia_tunnel::{Channel, DialError, Ended, Trust, dial};
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::scene::{Gateway, full, get, proof, text, tunnel};

/// A server that gives the same bytes to everybody.
async fn says(bytes: &'static [u8]) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 2048];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("http://{address}").parse().unwrap()
}

async fn refusal(origin: &Origin, may: impl Fn(SocketAddr) -> bool) -> DialError {
    dial(origin, &Trust::public(), may, &proof())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_node_that_dials_is_asked_by_the_gateway() {
    let (_gateway, channel, _node) = tunnel(|request| async move {
        Response::new(full(format!(
            "{} {}",
            request.method(),
            request.uri().path()
        )))
    })
    .await;
    let response = channel.send(get("/v1/models")).await.unwrap();
    assert_eq!(text(response).await, "GET /v1/models");
}

#[tokio::test]
async fn a_refusal_brings_its_reason() {
    let origin = says(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 10\r\n\r\nnot\x07 today").await;
    let error = refusal(&origin, |_| true).await;
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
    assert!(
        error.to_string().ends_with("403 Forbidden: not today"),
        "{error}"
    );
}

#[tokio::test]
async fn a_reason_that_is_too_long_is_not_read() {
    let refuses = |len: usize| {
        let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {len}\r\n\r\n");
        let text = format!("{head}{}", "x".repeat(len));
        says(Box::leak(text.into_boxed_str()).as_bytes())
    };
    let longest = refusal(&refuses(REFUSAL_BYTES_MAX).await, |_| true).await;
    assert!(longest.to_string().ends_with("xxx"), "{longest}");
    let longer = refusal(&refuses(REFUSAL_BYTES_MAX + 1).await, |_| true).await;
    assert!(matches!(longer, DialError::Refused { .. }), "{longer}");
    assert!(!longer.to_string().contains("xxx"), "{longer}");
}

#[tokio::test]
async fn a_head_that_is_too_long_never_gets_to_the_node() {
    let (asked, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (_gateway, channel, _node) = tunnel(move |request| {
        asked.send(request.uri().path().to_owned()).unwrap();
        async { Response::new(full("")) }
    })
    .await;
    let send = async |path: &str, bytes: usize| {
        let mut request = get(path);
        let value = "x".repeat(bytes).parse().unwrap();
        request.headers_mut().insert("x-long", value);
        let answer = channel.send(request).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    let max = HEAD_BYTES_MAX as usize;
    assert!(!send("/long", max).await);
    assert!(send("/short", max / 2).await, "the tunnel goes on");
    assert_eq!(told.recv().await.unwrap(), "/short");
}

#[tokio::test]
async fn agreement_to_something_else_is_no_tunnel() {
    let other = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let error = refusal(&says(other).await, |_| true).await;
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
    let error = refusal(&says(b"SSH-2.0-server\r\n").await, |_| true).await;
    assert!(matches!(error, DialError::Http { .. }), "{error}");
}

#[tokio::test]
async fn an_address_that_may_not_be_dialled_is_not() {
    let gateway = Gateway::start().await;
    let error = refusal(&gateway.origin(), |address| !address.ip().is_loopback()).await;
    assert!(matches!(error, DialError::Forbidden { .. }), "{error}");
}

#[tokio::test]
async fn nobody_there_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin: Origin = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let error = refusal(&origin, |_| true).await;
    assert!(matches!(error, DialError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn without_tls_there_is_no_https() {
    let mut origin = says(b"HTTP/1.1 101 Plain\r\n\r\n").await;
    origin.scheme = gaia_outbound::Scheme::Https;
    let error = refusal(&origin, |_| true).await;
    assert!(matches!(error, DialError::Plain { .. }), "{error}");
    assert!(error.to_string().contains("is it http://?"), "{error}");
}

#[tokio::test]
async fn a_gateway_that_dials_asks_as_well() {
    // Who listens here is the node: it takes the tunnel and answers in it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin: Origin = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(|mut request: Request<_>| {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let link = gaia_tunnel::Link::over(upgrade.await.unwrap());
                let answer = |_| async { Response::new(full("here")) };
                link.serve(answer, std::future::pending(), Duration::ZERO)
                    .await
            });
            async { Ok::<_, std::io::Error>(gaia_tunnel::switching::<String>()) }
        });
        let io = hyper_util::rt::TokioIo::new(stream);
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
        connection.with_upgrades().await.unwrap();
    });
    let channel = Channel::dial(&origin, &Trust::public(), |_| true, &proof())
        .await
        .unwrap();
    assert_eq!(text(channel.send(get("/")).await.unwrap()).await, "here");
}

#[tokio::test]
async fn a_gateway_that_restarts_is_dialled_again() {
    let mut gateway = Gateway::start().await;
    let address = gateway.address;
    let link = gateway.dialled().await;
    let channel = gateway.channels.recv().await.unwrap();
    drop(gateway);
    channel.close();
    let answer = |_| async { Response::new(full("")) };
    let ended = link
        .serve(answer, std::future::pending(), Duration::ZERO)
        .await;
    assert!(!matches!(ended, Ended::Asked));
    let mut gateway = Gateway::start_at(address).await;
    let link = gateway.dialled().await;
    tokio::spawn(async move {
        let answer = |_| async { Response::new(full("again")) };
        link.serve(answer, std::future::pending(), Duration::ZERO)
            .await
    });
    let channel = gateway.channels.recv().await.unwrap();
    assert_eq!(text(channel.send(get("/")).await.unwrap()).await, "again");
}
