//! Whatever comes in: a clear problem with a stable code, and everybody else is served on.

use reqwest::Method;
use seamesh_proto::limits::{MAX_HTTP_BODY_BYTES, MAX_SIGNAL_BYTES};
use seamesh_proto::signaling::RegistrySignal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::fixture::{Registry, ok, refused, soon};

const JSON: &str = "application/json";

#[tokio::test]
async fn bad_bodies_are_told_apart() {
    let registry = Registry::start().await;
    let deep = "[".repeat(100_000);
    let cases: [(&str, &str, Vec<u8>, u16, &str); 12] = [
        ("malformed", JSON, b"{\"skill\": ".to_vec(), 400, "bad_json"),
        ("empty", JSON, vec![], 400, "bad_json"),
        ("two values", JSON, b"{} {}".to_vec(), 400, "bad_json"),
        (
            "too deep",
            JSON,
            format!("{{\"payload\": {deep}").into_bytes(),
            400,
            "bad_json",
        ),
        (
            "not UTF-8",
            JSON,
            b"{\"skill\": \"\xff\xfe\"}".to_vec(),
            400,
            "bad_encoding",
        ),
        (
            "lone surrogate",
            JSON,
            br#"{"skill": "\ud800"}"#.to_vec(),
            400,
            "bad_json",
        ),
        (
            "wrong type",
            JSON,
            b"{\"skill\": 7}".to_vec(),
            422,
            "bad_field",
        ),
        ("not an object", JSON, b"[]".to_vec(), 422, "bad_field"),
        (
            "negative",
            JSON,
            b"{\"ttl\": -1}".to_vec(),
            422,
            "bad_field",
        ),
        (
            "bad id",
            JSON,
            b"{\"task_id\": \"a/b\"}".to_vec(),
            422,
            "bad_field",
        ),
        (
            "plain text",
            "text/plain",
            b"{}".to_vec(),
            415,
            "unsupported_media_type",
        ),
        (
            "oversized",
            JSON,
            vec![b' '; MAX_HTTP_BODY_BYTES + 1],
            413,
            "too_large",
        ),
    ];
    for (name, kind, body, status, code) in cases {
        let request = registry.request(Method::POST, "/api/hub/tasks", &registry.admin);
        let answer = refused(request.header("content-type", kind).body(body)).await;
        assert_eq!(answer, (status, code.to_owned()), "{name}");
    }
    let typeless = registry
        .request(Method::POST, "/api/hub/tasks", &registry.admin)
        .body("{}");
    assert_eq!(
        refused(typeless).await,
        (415, "unsupported_media_type".into())
    );
    ok(registry.bare(Method::GET, "/healthz")).await;
}

#[tokio::test]
async fn a_body_at_the_limit_is_still_read() {
    let registry = Registry::start().await;
    let mut body = br#"{"skill": "x"}"#.to_vec();
    body.resize(MAX_HTTP_BODY_BYTES, b' ');
    let request = registry.request(Method::POST, "/api/hub/tasks", &registry.admin);
    ok(request.header("content-type", JSON).body(body)).await;
}

#[tokio::test]
async fn an_oversized_body_without_a_declared_length_is_cut_off_at_the_limit() {
    let registry = Registry::start().await;
    let piece = vec![b' '; 64 * 1024];
    let pieces = std::iter::repeat_with(move || Ok::<_, std::io::Error>(piece.clone())).take(64);
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let request = registry.request(Method::POST, "/api/hub/tasks", &registry.admin);
    let answer = refused(request.header("content-type", JSON).body(body)).await;
    assert_eq!(answer, (413, "too_large".into()));
}

#[tokio::test]
async fn bad_addresses_are_told_apart() {
    let registry = Registry::start().await;
    let admin = registry.admin.as_str();
    let cases = [
        (Method::GET, "/api/nothing", 404, "not_found"),
        (Method::GET, "/api", 404, "not_found"),
        (Method::PUT, "/api/hub/tasks", 405, "method_not_allowed"),
        (Method::POST, "/api/hub/tasks/all/x/y", 404, "not_found"),
        (Method::POST, "/nowhere", 404, "not_found"),
        (Method::GET, "/missing.js", 404, "not_found"),
        (Method::GET, "/api/hub/tasks/none", 404, "task_unknown"),
        (Method::GET, "/api/hub/tasks/%ff", 400, "bad_encoding"),
        (Method::GET, "/api/hub/tasks/a%20b", 404, "task_unknown"),
        (
            Method::GET,
            "/api/registry/agents/none",
            404,
            "agent_unknown",
        ),
        (Method::GET, "/api/registry/route", 422, "bad_field"),
        (
            Method::GET,
            "/api/registry/route?skill=none",
            404,
            "no_agent",
        ),
        (Method::GET, "/api/hub/tasks?limit=0", 422, "bad_field"),
        (Method::GET, "/api/hub/tasks?limit=1001", 422, "bad_field"),
        (Method::GET, "/api/hub/tasks?limit=x", 422, "bad_field"),
        (Method::GET, "/api/hub/tasks?state=odd", 422, "bad_field"),
        (Method::GET, "/api/hub/tasks?cursor=odd", 422, "bad_field"),
        (Method::GET, "/api/hub/tasks?cursor=n-1", 422, "bad_field"),
        (
            Method::GET,
            "/api/hub/tasks?cursor=n99999999999999999999",
            422,
            "bad_field",
        ),
        (Method::GET, "/api/hub/tasks?root=a/b", 422, "bad_field"),
        (Method::GET, "/api/hub/tasks?text=", 422, "bad_field"),
        (Method::GET, "/api/hub/tasks?since_ms=-1", 422, "bad_field"),
        (
            Method::GET,
            "/api/hub/tasks/none/chunks",
            404,
            "task_unknown",
        ),
        (
            Method::GET,
            "/api/hub/tasks/none/chunks?taken=x",
            422,
            "bad_field",
        ),
        (Method::DELETE, "/api/keys/none", 404, "not_found"),
        (Method::POST, "/api/pairing/none/approve", 404, "not_found"),
    ];
    for (method, path, status, code) in cases {
        let answer = refused(registry.request(method.clone(), path, admin)).await;
        assert_eq!(answer, (status, code.to_owned()), "{method} {path}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_only() {
    let registry = Registry::start().await;
    let address = registry.url.strip_prefix("http://").unwrap().to_owned();
    let mut raw = tokio::net::TcpStream::connect(&address).await.unwrap();
    raw.write_all(b"\x16\x03\x01\x00\xff\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    soon("the connection ends", raw.read_to_end(&mut answer))
        .await
        .unwrap();
    ok(registry.bare(Method::GET, "/healthz")).await;
}

#[tokio::test]
async fn bad_frames_are_answered_and_the_socket_stays() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let mut socket = registry.socket("p1", &key).await;
    let register =
        json!({"type": "register", "peer_id": "p1", "payload": {"version": 1}}).to_string();
    socket.send(Message::text(register.clone())).await;
    let large = format!("\"{}\"", "x".repeat(MAX_SIGNAL_BYTES));
    let unknown = json!({"type": "sing", "peer_id": "p1"}).to_string();
    let no_agent = json!({"type": "agent_register", "peer_id": "p1", "payload": {}});
    for (message, code) in [
        (Message::text("{"), "bad_json"),
        (Message::text("{\"peer_id\": \"p1\"}"), "bad_field"),
        (Message::text(large), "too_large"),
        (Message::binary(b"{}".to_vec()), "bad_encoding"),
        (Message::text(unknown), "unknown_type"),
        (Message::text(no_agent.to_string()), "bad_field"),
    ] {
        socket.send(message).await;
        assert_eq!(socket.error().await, code);
    }
    // The same socket still works.
    socket.send(Message::text(register)).await;
    let list = |signal| matches!(signal, RegistrySignal::PeerList(_)).then_some(());
    socket.hear(list).await;
}

#[tokio::test]
async fn an_old_sidecar_which_knows_no_error_frames_is_served_on_without_one() {
    let registry = Registry::start().await;
    let key = registry.key("old", "agent").await;
    let mut socket = registry.socket("old", &key).await;
    socket.send(Message::text("{")).await;
    socket.send(Message::binary(vec![0xff])).await;
    let register = json!({"type": "register", "peer_id": "old", "payload": null});
    socket.send(Message::text(register.to_string())).await;
    assert_eq!(
        socket.frame().await.kind,
        "peer_list",
        "the first thing it hears"
    );
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_any_more_is_closed_with_the_reason_and_others_stay() {
    let registry = Registry::start().await;
    let register = |peer: &str| {
        let frame = json!({"type": "register", "peer_id": peer, "payload": {"version": 1}});
        Message::text(frame.to_string())
    };
    let (good, bad) = (
        registry.key("good", "agent").await,
        registry.key("bad", "agent").await,
    );
    let mut other = registry.socket("good", &good).await;
    other.send(register("good")).await;
    let no_mask = [0, 0, 0, 0];
    let not_utf8 = [&[0x81, 0x82], &no_mask[..], &[0xff, 0xfe]].concat();
    // 127: the length follows in eight bytes; 16 MiB are over what is read at all.
    let endless = [&[0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0], &no_mask[..]].concat();
    let reserved = [&[0xf1, 0x80], &no_mask[..]].concat();
    for (bytes, code, close) in [
        (not_utf8, "bad_encoding", 1007),
        (endless, "too_large", 1009),
        (reserved, "bad_encoding", 1007),
    ] {
        let mut socket = registry.socket("bad", &bad).await;
        socket.send(register("bad")).await;
        let list = |signal| matches!(signal, RegistrySignal::PeerList(_)).then_some(());
        socket.hear(list).await;
        socket.send_raw(&bytes).await;
        assert_eq!(socket.error().await, code);
        assert_eq!(u16::from(socket.closed().await.code), close);
    }
    other.send(register("good")).await;
    let list = |signal| matches!(signal, RegistrySignal::PeerList(_)).then_some(());
    other.hear(list).await;
}

#[tokio::test]
async fn a_get_of_the_socket_that_is_no_upgrade_is_told_so() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let answer = refused(registry.request(Method::GET, "/ws", &key)).await;
    assert_eq!(answer, (422, "bad_field".into()));
}
