//! Many requests in one connection, and what one of them can do to the others.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use gaia_tunnel::limits::{HEADS_WAITING_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX};
use gaia_tunnel::{Body, Ended, SendError};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use tokio::sync::{Notify, mpsc};

use crate::scene::{Count, Gateway, full, get, text, tunnel};

/// A body whose pieces somebody else sends.
fn piped() -> (mpsc::Sender<io::Result<Frame<Bytes>>>, Body) {
    let (send, pieces) = mpsc::channel(1);
    let stream = futures::stream::unfold(pieces, |mut pieces| async move {
        Some((pieces.recv().await?, pieces))
    });
    (send, BodyExt::boxed(StreamBody::new(stream)))
}

async fn piece(response: &mut Response<hyper::body::Incoming>) -> Bytes {
    let frame = response.body_mut().frame().await.unwrap().unwrap();
    frame.into_data().unwrap()
}

#[tokio::test]
async fn pieces_come_one_by_one_while_others_wait() {
    let (hand, mut pipes) = mpsc::unbounded_channel();
    let (_gateway, channel, _node) = tunnel(move |_| {
        let (send, body) = piped();
        hand.send(send).unwrap();
        async move { Response::new(body) }
    })
    .await;
    let mut one = channel.send(get("/")).await.unwrap();
    let mut two = channel.send(get("/")).await.unwrap();
    let (first, second) = (pipes.recv().await.unwrap(), pipes.recv().await.unwrap());
    for text in ["a", "b"] {
        for (pipe, response) in [(&second, &mut two), (&first, &mut one)] {
            pipe.send(Ok(Frame::data(Bytes::from(text)))).await.unwrap();
            assert_eq!(piece(response).await, text);
        }
    }
}

#[tokio::test]
async fn who_reads_slowly_holds_up_nobody() {
    let (_gateway, channel, _node) = tunnel(|request| async move {
        match request.uri().path() {
            "/long" => Response::new(full(vec![0; STREAM_WINDOW_BYTES as usize * 4])),
            _ => Response::new(full("short")),
        }
    })
    .await;
    let mut unread = Vec::new();
    for _ in 0..STREAMS_MAX - 1 {
        unread.push(channel.send(get("/long")).await.unwrap());
    }
    assert_eq!(text(channel.send(get("/")).await.unwrap()).await, "short");
    // Read at last, each is there to its end.
    let last = unread.pop().unwrap();
    assert_eq!(text(last).await.len(), STREAM_WINDOW_BYTES as usize * 4);
}

#[tokio::test]
async fn a_full_tunnel_says_so() {
    let (_gateway, channel, _node) =
        tunnel(|_| async { std::future::pending::<Response<Body>>().await }).await;
    let waiting: futures::stream::FuturesUnordered<_> = (0..HEADS_WAITING_MAX)
        .map(|_| channel.send(get("/")))
        .collect();
    let mut waiting = std::pin::pin!(waiting);
    let polled = tokio::time::timeout(Duration::from_millis(50), waiting.next()).await;
    assert!(polled.is_err(), "none is answered: {polled:?}");
    let refused = channel.send(get("/")).await.unwrap_err();
    assert!(matches!(refused, SendError::Full), "{refused}");
    assert!(refused.is_unsent());
}

/// Counts down when it is dropped.
struct InFlight(Count, Arc<Notify>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.1.notify_one();
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_ends_at_the_node() {
    let (count, ended) = (Count::default(), Arc::new(Notify::new()));
    let (counted, told) = (Arc::clone(&count), Arc::clone(&ended));
    let arrived = Arc::new(Notify::new());
    let arrival = Arc::clone(&arrived);
    let (_gateway, channel, _node) = tunnel(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let held = InFlight(Arc::clone(&counted), Arc::clone(&told));
        arrival.notify_one();
        async move {
            let _held = held;
            std::future::pending::<Response<Body>>().await
        }
    })
    .await;
    let asking = tokio::spawn({
        let channel = channel.clone();
        async move { channel.send(get("/")).await.map(|_| ()) }
    });
    arrived.notified().await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
    asking.abort();
    ended.notified().await;
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert!(!channel.is_closed(), "the others go on");
}

#[tokio::test]
async fn a_node_that_dies_breaks_its_streams_and_is_noticed() {
    let (hand, mut pipes) = mpsc::unbounded_channel();
    let (_gateway, channel, node) = tunnel(move |_| {
        let (send, body) = piped();
        hand.send(send).unwrap();
        async move { Response::new(body) }
    })
    .await;
    let mut response = channel.send(get("/")).await.unwrap();
    let pipe = pipes.recv().await.unwrap();
    pipe.send(Ok(Frame::data(Bytes::from("half"))))
        .await
        .unwrap();
    assert_eq!(piece(&mut response).await, "half");
    node.abort();
    channel.closed().await;
    let broken = response.body_mut().frame().await.unwrap();
    assert!(broken.is_err(), "half an answer must not look whole");
    let after = channel.send(get("/")).await.unwrap_err();
    assert!(after.is_unsent(), "{after}");
}

#[tokio::test]
async fn a_stream_that_fails_at_the_node_fails_at_the_gateway() {
    let (hand, mut pipes) = mpsc::unbounded_channel();
    let (_gateway, channel, _node) = tunnel(move |_| {
        let (send, body) = piped();
        hand.send(send).unwrap();
        async move { Response::new(body) }
    })
    .await;
    let mut response = channel.send(get("/")).await.unwrap();
    let pipe = pipes.recv().await.unwrap();
    pipe.send(Err(io::ErrorKind::BrokenPipe.into()))
        .await
        .unwrap();
    assert!(response.body_mut().frame().await.unwrap().is_err());
    assert!(!channel.is_closed(), "the others go on");
}

#[tokio::test]
async fn a_node_that_goes_lets_answers_finish() {
    let mut gateway = Gateway::start().await;
    let link = gateway.dialled().await;
    let (hand, mut pipes) = mpsc::unbounded_channel();
    let (go, going) = tokio::sync::oneshot::channel::<()>();
    let node = tokio::spawn(async move {
        let answer = move |_: hyper::Request<_>| {
            let (send, body) = piped();
            hand.send(send).unwrap();
            async move { Response::new(body) }
        };
        let shutdown = async { going.await.unwrap_or_default() };
        link.serve(answer, shutdown, Duration::from_secs(60)).await
    });
    let channel = gateway.channels.recv().await.unwrap();
    let response = channel.send(get("/")).await.unwrap();
    let pipe = pipes.recv().await.unwrap();
    go.send(()).unwrap();
    pipe.send(Ok(Frame::data(Bytes::from("whole"))))
        .await
        .unwrap();
    drop(pipe);
    assert_eq!(text(response).await, "whole");
    assert!(matches!(node.await.unwrap(), Ended::Asked));
    channel.closed().await;
}
