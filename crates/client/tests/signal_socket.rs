//! The signaling WebSocket and the HTTP calls against a server of the same WebSocket implementation, where the test can
//! do what no registry does: hang up, answer nonsense, ping.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use seamesh_client::{ClientError, Credential, Incoming, Registry, SignalSocket};
use seamesh_proto::limits::MAX_SIGNAL_BYTES;
use seamesh_proto::signaling::SignalFrame;
use seamesh_proto::{Code, Retry};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

async fn listen() -> (TcpListener, Registry) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let key = Credential::ApiKey("sk_test".to_owned());
    (listener, Registry::new(url.parse().unwrap(), key).unwrap())
}

/// Accepts one WebSocket; answers with it the path and the Authorization header it came with.
async fn accept(listener: TcpListener) -> (WebSocketStream<TcpStream>, String, String) {
    let (tcp, _) = listener.accept().await.unwrap();
    let (mut path, mut bearer) = (String::new(), String::new());
    #[allow(clippy::result_large_err)]
    let look = |request: &Request, response: Response| {
        path = request.uri().to_string();
        bearer = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        Ok(response)
    };
    let socket = accept_hdr_async(tcp, look).await.unwrap();
    (socket, path, bearer)
}

/// Reads one HTTP request's head and answers with `response`.
async fn answer_once(listener: TcpListener, response: String) -> String {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let n = tcp.read(&mut piece).await.unwrap();
        assert!(n > 0, "the client hung up");
        head.extend_from_slice(&piece[..n]);
    }
    tcp.write_all(response.as_bytes()).await.unwrap();
    String::from_utf8(head).unwrap()
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn frame(payload: serde_json::Value) -> SignalFrame {
    serde_json::from_value(json!({"type": "x", "peer_id": "a", "payload": payload})).unwrap()
}

#[tokio::test]
async fn frames_pass_both_ways_and_the_token_is_in_the_header_not_in_the_url() {
    let (listener, registry) = listen().await;
    let server = tokio::spawn(async move {
        let (mut socket, path, bearer) = accept(listener).await;
        assert_eq!((path.as_str(), bearer.as_str()), ("/ws", "Bearer t0k"));
        let got = socket.next().await.unwrap().unwrap();
        socket.send(Message::text("not json")).await.unwrap();
        socket.send(Message::binary(vec![1])).await.unwrap();
        socket.send(Message::Ping(vec![7].into())).await.unwrap();
        socket.send(got).await.unwrap();
        let pong = socket.next().await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong(vec![7].into()));
        socket.close(None).await.unwrap();
    });
    let socket = SignalSocket::connect(&registry, "t0k").await.unwrap();
    let (mut sender, mut receiver) = socket.split();
    let sent = frame(json!({"n": 1}));
    sender.send(&sent).await.unwrap();
    let Some(Incoming::Malformed(error)) = receiver.next().await.unwrap() else {
        panic!("text that is no frame is told as such");
    };
    assert_eq!(error.code, Code::BadJson);
    let Some(Incoming::Malformed(error)) = receiver.next().await.unwrap() else {
        panic!("a binary message is told as such");
    };
    assert_eq!(error.code, Code::BadEncoding);
    assert_eq!(receiver.next().await.unwrap(), Some(Incoming::Frame(sent)));
    assert_eq!(receiver.next().await.unwrap(), None, "closed in order");
    server.await.unwrap();
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_here_and_the_socket_goes_on() {
    let (listener, registry) = listen().await;
    let server = tokio::spawn(async move {
        let (mut socket, ..) = accept(listener).await;
        socket.next().await.unwrap().unwrap()
    });
    let socket = SignalSocket::connect(&registry, "t").await.unwrap();
    let (mut sender, _receiver) = socket.split();
    let error = sender
        .send(&frame(json!("x".repeat(MAX_SIGNAL_BYTES))))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
    sender.send(&frame(json!("small"))).await.unwrap();
    assert!(server.await.unwrap().into_text().unwrap().contains("small"));
}

#[tokio::test]
async fn a_ping_is_answered_with_a_pong_and_a_broken_socket_is_worth_a_retry() {
    let (listener, registry) = listen().await;
    let server = tokio::spawn(async move {
        let (mut socket, ..) = accept(listener).await;
        assert!(socket.next().await.unwrap().unwrap().is_ping());
        socket.flush().await.unwrap();
        // Dropped without a close frame: what a kill -9 looks like.
    });
    let socket = SignalSocket::connect(&registry, "t").await.unwrap();
    let (mut sender, mut receiver) = socket.split();
    sender.ping(7).await.unwrap();
    assert_eq!(receiver.next().await.unwrap(), Some(Incoming::Pong(7)));
    server.await.unwrap();
    let error = receiver.next().await.unwrap_err();
    assert_eq!(
        (error.code(), error.retry()),
        (Code::RegistryUnavailable, Retry::Later)
    );
}

#[tokio::test]
async fn a_refused_upgrade_tells_the_registrys_own_reason() {
    let (listener, registry) = listen().await;
    let body = json!({"code": "unauthorized", "detail": "token expired", "fault": "caller", "retry": "never"});
    tokio::spawn(answer_once(
        listener,
        http("401 Unauthorized", &body.to_string()),
    ));
    let error = SignalSocket::connect(&registry, "t").await.err().unwrap();
    assert_eq!(error.code(), Code::Unauthorized);
    assert!(error.to_string().contains("token expired"), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_unreachable_for_http_and_websocket_alike() {
    let (listener, registry) = listen().await;
    drop(listener);
    for error in [
        registry.health().await.err().unwrap(),
        SignalSocket::connect(&registry, "t").await.err().unwrap(),
    ] {
        assert!(
            matches!(error, ClientError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test]
async fn the_api_key_travels_in_its_header_and_is_never_printed() {
    let (listener, registry) = listen().await;
    assert!(!format!("{registry:?}").contains("sk_test"));
    let server = tokio::spawn(answer_once(listener, http("200 OK", "[]")));
    assert!(registry.agents().await.unwrap().is_empty());
    let head = server.await.unwrap();
    assert!(
        head.starts_with("GET /api/registry/agents HTTP/1.1"),
        "{head}"
    );
    assert!(head.contains("x-api-key: sk_test"), "{head}");
}

#[tokio::test]
async fn something_that_is_no_registry_is_told_apart_from_one_that_refuses() {
    for (status, body) in [("404 Not Found", "<html>nginx"), ("200 OK", "<html>hello")] {
        let (listener, registry) = listen().await;
        tokio::spawn(answer_once(listener, http(status, body)));
        let error = registry.agents().await.unwrap_err();
        assert!(matches!(error, ClientError::BadAnswer { .. }), "{error:?}");
        assert!(
            error.to_string().contains("html") || status == "200 OK",
            "{error}"
        );
    }
}

#[test]
fn a_client_of_a_plain_http_registry_is_built_within_five_milliseconds() {
    let url: seamesh_client::RegistryUrl = "http://127.0.0.1:1".parse().unwrap();
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            Registry::new(url.clone(), Credential::None).unwrap();
            start.elapsed()
        })
        .min()
        .unwrap();
    assert!(best < Duration::from_millis(5), "took {best:?}");
}
