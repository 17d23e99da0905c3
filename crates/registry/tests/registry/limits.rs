//! How much one caller may ask for: rates, connections, a socket that does not read and one that says nothing.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use reqwest::header::RETRY_AFTER;
use seamesh_client::{Credential, Trust};
use seamesh_proto::ledger::Party;
use seamesh_proto::limits::{MAX_SIGNAL_BYTES, UNREADABLE_FRAMES_PER_MINUTE};
use seamesh_proto::signaling::RegistrySignal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::fixture::{Registry, Socket, ok, problem, refused, soon};

/// Bytes that wait towards one socket at most: the registry's own limit.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that the system's buffers of both ends may hold beside them: several times what Linux gives a socket.
const SYSTEM_BYTES: usize = 16 * 1024 * 1024;

async fn slow_for_identities() -> Registry {
    Registry::with(|options| {
        options.limits.identity_requests_per_second = 1;
        options.limits.identity_requests_burst = 3;
    })
    .await
}

#[tokio::test]
async fn an_identity_over_its_rate_is_429_with_a_time_to_wait_and_others_are_not() {
    let registry = slow_for_identities().await;
    let (one, other) = (
        registry.key("v1", "viewer").await,
        registry.key("v2", "viewer").await,
    );
    let ask = |key: &str| registry.request(Method::GET, "/api/session", key);
    for _ in 0..3 {
        ok(ask(&one)).await;
    }
    let answer = ask(&one).send().await.unwrap();
    let wait = answer.headers()[RETRY_AFTER].to_str().unwrap().to_owned();
    assert_eq!(problem(answer).await, (429, "rate_limited".into()));
    assert_eq!(wait, "1");
    // A second key of the same identity does not help, and another identity is not touched.
    let second = registry.key("v1", "viewer").await;
    assert_eq!(refused(ask(&second)).await.0, 429);
    ok(ask(&other)).await;
    // Operators hand in work for many, and the administrator has to be able to end a flood.
    let operator = registry.key("o1", "operator").await;
    for _ in 0..10 {
        ok(ask(&registry.admin)).await;
        ok(ask(&operator)).await;
    }
}

#[tokio::test]
async fn a_client_waits_as_long_as_it_is_told_and_then_gets_its_answer() {
    let registry = slow_for_identities().await;
    let key = registry.key("v1", "viewer").await;
    let url = registry.url.parse().unwrap();
    let credential = Credential::ApiKey(key);
    let client =
        seamesh_client::Registry::trusting(&Trust::default(), Party::Cli, url, credential).unwrap();
    let begun = Instant::now();
    for _ in 0..4 {
        client.agents().await.unwrap();
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn without_a_credential_an_address_has_its_rate_too() {
    let registry = Registry::with(|options| {
        options.limits.open_requests_per_second = 1;
        options.limits.open_requests_burst = 2;
    })
    .await;
    let ask = || registry.bare(Method::GET, "/healthz");
    ok(ask()).await;
    ok(ask()).await;
    assert_eq!(refused(ask()).await, (429, "rate_limited".into()));
    registry.get("/api/session", &registry.admin).await;
}

#[tokio::test]
async fn one_connection_too_many_of_an_address_is_told_so_and_a_closed_one_makes_room() {
    let registry = Registry::with(|options| options.limits.connections_per_address = 2).await;
    let address = registry.url.trim_start_matches("http://").to_owned();
    let ask = async |stream: &mut TcpStream| {
        let request = b"GET /healthz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let first = TcpStream::connect(&address).await.unwrap();
    let second = TcpStream::connect(&address).await.unwrap();
    let mut third = TcpStream::connect(&address).await.unwrap();
    let answer = soon("an answer", ask(&mut third)).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(
        answer.contains("retry-after: 1") && answer.contains("rate_limited"),
        "{answer}"
    );
    drop(first);
    let let_in = async {
        loop {
            let mut next = TcpStream::connect(&address).await.unwrap();
            if ask(&mut next).await.starts_with("HTTP/1.1 200") {
                break;
            }
        }
    };
    soon("a place is free again", let_in).await;
    drop(second);
}

async fn registered(registry: &Registry, peer: &str) -> Socket {
    let key = registry.key(peer, "agent").await;
    let mut socket = registry.socket(peer, &key).await;
    socket.send(register(peer)).await;
    is_listed(&mut socket).await;
    socket
}

fn register(peer: &str) -> Message {
    let frame = json!({"type": "register", "peer_id": peer, "payload": {"version": 1}});
    Message::text(frame.to_string())
}

async fn is_listed(socket: &mut Socket) {
    let list = |signal| matches!(signal, RegistrySignal::PeerList(_)).then_some(());
    socket.hear(list).await;
}

#[tokio::test]
async fn an_identity_over_its_rate_of_frames_is_told_and_slowed_and_loses_nothing() {
    let registry = Registry::with(|options| {
        options.limits.identity_frames_per_second = 1;
        options.limits.identity_frames_burst = 3;
    })
    .await;
    let (mut loud, mut other) = (
        registered(&registry, "loud").await,
        registered(&registry, "other").await,
    );
    let begun = Instant::now();
    for _ in 0..3 {
        loud.send(register("loud")).await;
    }
    // Two are within the burst; the third is told of, and answered all the same.
    is_listed(&mut loud).await;
    is_listed(&mut loud).await;
    assert_eq!(loud.error().await, "rate_limited");
    other.send(register("other")).await;
    is_listed(&mut other).await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "others are not slowed"
    );
    is_listed(&mut loud).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(500),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_socket_that_sends_nothing_but_garbage_is_closed_and_others_stay() {
    let registry = Registry::start().await;
    let (mut bad, mut other) = (
        registered(&registry, "bad").await,
        registered(&registry, "other").await,
    );
    let half = UNREADABLE_FRAMES_PER_MINUTE / 2;
    for _ in 0..half {
        bad.send(Message::text("{")).await;
    }
    for _ in 0..half {
        assert_eq!(bad.error().await, "bad_json", "so much is borne");
    }
    // A few more than are left: some come back with time.
    for _ in 0..half + 10 {
        bad.send(Message::binary(vec![0xff])).await;
    }
    while bad.error().await != "rate_limited" {}
    assert_eq!(u16::from(bad.closed().await.code), 1013, "try again later");
    other.send(register("other")).await;
    is_listed(&mut other).await;
}

async fn sockets(registry: &Registry, name: &str) -> u64 {
    let request = registry.request(Method::GET, "/metrics", &registry.admin);
    let text = request.send().await.unwrap().text().await.unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_socket_that_never_reads_is_cut_before_more_than_its_queue_waits_for_it() {
    let registry = Registry::start().await;
    let (reads_not, sends) = (
        registry.key("deaf", "agent").await,
        registry.key("loud", "agent").await,
    );
    // Held open, and never polled again.
    let _deaf = registry.socket("deaf", &reads_not).await;
    let mut loud = registry.socket("loud", &sends).await;
    let sdp = "x".repeat(MAX_SIGNAL_BYTES - 4096);
    let offer = json!({"type": "offer", "peer_id": "loud", "target_id": "deaf",
        "payload": {"sdp": sdp}})
    .to_string();
    let mut sent = 0;
    while sockets(&registry, "seamesh_signaling_sockets_overflowed_total").await == 0 {
        assert!(
            sent <= QUEUE_BYTES + SYSTEM_BYTES,
            "{sent} bytes wait for a socket that reads nothing"
        );
        loud.send(Message::text(offer.clone())).await;
        sent += offer.len();
    }
    assert!(sent > QUEUE_BYTES / 2, "cut after {sent} bytes already");
    let gone = async { while sockets(&registry, "seamesh_signaling_sockets").await != 1 {} };
    soon("only the other socket is left", gone).await;
}

async fn raw_socket(
    registry: &Registry,
    token: &str,
) -> tokio_tungstenite::WebSocketStream<TcpStream> {
    let address = registry.url.trim_start_matches("http://").to_owned();
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let stream = TcpStream::connect(&address).await.unwrap();
    let opened = tokio_tungstenite::client_async(request, stream).await;
    opened.unwrap().0
}

async fn quick() -> Registry {
    Registry::with(|options| {
        options.limits.ping = Duration::from_millis(50);
        options.limits.idle = Duration::from_millis(400);
    })
    .await
}

#[tokio::test]
async fn a_socket_that_answers_no_ping_is_closed() {
    let registry = quick().await;
    let token = registry.token(&registry.key("p1", "agent").await).await;
    let silent = raw_socket(&registry, &token).await;
    // Reading below the WebSocket: nothing answers the pings.
    let mut stream = silent.into_inner();
    let mut heard = Vec::new();
    drop(soon("the registry closes it", stream.read_to_end(&mut heard)).await);
    let pings = heard.iter().filter(|byte| **byte == 0x89).count();
    assert!(
        pings >= 2,
        "it was asked {pings} times whether it lives: {heard:?}"
    );
    assert_eq!(sockets(&registry, "seamesh_signaling_sockets").await, 0);
}

#[tokio::test]
async fn a_socket_that_only_answers_pings_stays() {
    let registry = quick().await;
    let token = registry.token(&registry.key("p1", "agent").await).await;
    let mut quiet = raw_socket(&registry, &token).await;
    let begun = Instant::now();
    let mut pings = 0;
    while begun.elapsed() < Duration::from_millis(1_200) {
        match soon("a ping", quiet.next()).await {
            // Reading answered it already; the answer leaves with the next flush.
            Some(Ok(Message::Ping(_))) => {
                quiet.flush().await.unwrap();
                pings += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(pings >= 6, "{pings}");
    assert_eq!(sockets(&registry, "seamesh_signaling_sockets").await, 1);
}
