//! What comes through a tunnel reaches the node, and only what may.

use alloy_primitives::B256;
use hyper::body::{Bytes, Frame};
use hyper::{Method, Request, StatusCode};

use crate::scene::{Scene, full, piece, text};

#[tokio::test]
async fn a_request_reaches_the_node_with_the_nodes_own_key_and_nothing_of_the_users() {
    let scene = Scene::start().await;
    let response = scene.chat(B256::repeat_byte(7), false).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(response).await.contains("yes"));
    assert_eq!(
        scene.node.asked(),
        ["POST /v1/chat/completions Bearer node-secret - -"]
    );
}

#[tokio::test]
async fn pieces_come_as_the_node_writes_them() {
    let mut scene = Scene::start().await;
    let mut response = scene.chat(B256::ZERO, true).await;
    let pipe = scene.node.pipes.recv().await.unwrap();
    for event in ["data: a\n\n", "data: b\n\n"] {
        pipe.send(Ok(Frame::data(Bytes::from(event))))
            .await
            .unwrap();
        assert_eq!(piece(&mut response).await.unwrap(), event);
    }
}

#[tokio::test]
async fn a_node_that_breaks_off_breaks_the_answer_off() {
    let mut scene = Scene::start().await;
    let mut response = scene.chat(B256::ZERO, true).await;
    let pipe = scene.node.pipes.recv().await.unwrap();
    pipe.send(Ok(Frame::data(Bytes::from("data: a\n\n"))))
        .await
        .unwrap();
    piece(&mut response).await.unwrap();
    pipe.send(Err(std::io::ErrorKind::BrokenPipe.into()))
        .await
        .unwrap();
    assert!(piece(&mut response).await.is_err());
    let response = scene.chat(B256::ZERO, false).await;
    assert_eq!(
        response.status(),
        StatusCode::OK,
        "the next one is answered"
    );
}

#[tokio::test]
async fn a_user_who_goes_frees_the_node() {
    let mut scene = Scene::start().await;
    let response = scene.chat(B256::ZERO, true).await;
    let pipe = scene.node.pipes.recv().await.unwrap();
    drop(response);
    pipe.closed().await;
}

#[tokio::test]
async fn nothing_private_of_the_node_is_reached() {
    let scene = Scene::start().await;
    for path in [
        "/v1/files",
        "/v1/files/file-1/content",
        "/v1/vector_stores",
        "/v1/responses/resp_1",
        "/metrics",
        "/mcp",
        "/gaia/usage/1",
        "/config_pub.json",
        "/v1/chat/completions/../../metrics",
        "/",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let request = Request::builder()
                .method(method)
                .uri(format!("http://node{path}"))
                .body(full(""))
                .unwrap();
            let response = scene.channel.send(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(text(response).await.contains("nothing else"), "{path}");
        }
    }
    assert_eq!(scene.node.asked(), [""; 0]);
}

#[tokio::test]
async fn a_node_that_is_not_there_is_said() {
    let scene = Scene::start().await;
    scene.agent.node.send_replace(None);
    let response = scene.chat(B256::ZERO, false).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let mut gone = scene.node.now();
    gone.address.set_port(1);
    scene.agent.node.send_replace(Some(gone));
    let response = scene.chat(B256::ZERO, false).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}
