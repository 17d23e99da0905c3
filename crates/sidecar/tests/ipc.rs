//! The IPC socket: bad input, a second client, a client that comes back. No registry is needed for any of it.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use seamesh_proto::limits::MAX_LINE_BYTES;
use serde_json::json;

use crate::mesh::{Agent, Sidecar};

mod mesh;

/// A sidecar whose registry does not exist.
fn sidecar() -> (tempfile::TempDir, Sidecar) {
    let dir = tempfile::tempdir().unwrap();
    let sidecar = Sidecar::start("http://127.0.0.1:9", "a", dir.path());
    (dir, sidecar)
}

fn still_serves(agent: &mut Agent) {
    agent.say("list_peers", json!({}));
    assert_eq!(agent.wait_for("peer_list"), json!({"peers": []}));
}

#[test]
fn bad_lines_are_answered_with_their_codes_and_the_client_is_served_on() {
    let (_dir, sidecar) = sidecar();
    let mut agent = sidecar.agent("alice", &[]);
    let cases: [(&[u8], &str); 8] = [
        (b"{\"type\":", "bad_json"),
        (b"\xff\xfe{}", "bad_encoding"),
        (b"[]", "bad_field"),
        (b"{\"type\":7}", "bad_field"),
        (b"{\"type\":\"dance\"}", "unknown_type"),
        (b"{\"type\":\"send\",\"payload\":[1]}", "bad_field"),
        (
            b"{\"type\":\"send\",\"payload\":{\"target_peer\":\"\",\"message\":{\"type\":\"x\"}}}",
            "no_link",
        ),
        (
            b"{\"type\":\"hello\",\"payload\":{\"version\":1,\"agent\":{\"agent_id\":\"x\"}}}",
            "out_of_order",
        ),
    ];
    for (line, code) in cases {
        agent.write(line);
        assert_eq!(
            agent.wait_for("error")["code"],
            code,
            "{}",
            String::from_utf8_lossy(line)
        );
        still_serves(&mut agent);
    }
}

#[test]
fn a_line_over_the_limit_is_refused_and_the_next_one_is_served() {
    let (_dir, sidecar) = sidecar();
    let mut agent = sidecar.agent("alice", &[]);
    agent.write(&vec![b'x'; MAX_LINE_BYTES + 1]);
    assert_eq!(agent.wait_for("error")["code"], "too_large");
    still_serves(&mut agent);
}

#[test]
fn a_deeply_nested_line_is_refused_and_the_next_one_is_served() {
    let (_dir, sidecar) = sidecar();
    let mut agent = sidecar.agent("alice", &[]);
    let deep = format!("{{\"type\":\"request\",\"payload\":{}", "[".repeat(100_000));
    agent.write(deep.as_bytes());
    assert_eq!(agent.wait_for("error")["code"], "bad_json");
    still_serves(&mut agent);
}

#[test]
fn a_second_client_is_refused_with_a_reason_while_the_first_is_served() {
    let (_dir, sidecar) = sidecar();
    let mut first = sidecar.agent("alice", &[]);
    let mut second = sidecar.connect();
    let refusal = second.wait_for("error");
    assert_eq!(refusal["code"], "sidecar_busy");
    assert_eq!(second.next(), None);
    still_serves(&mut first);
}

#[test]
fn a_client_may_go_and_come_back_at_once() {
    let (_dir, sidecar) = sidecar();
    for _ in 0..100 {
        sidecar.agent("alice", &[]).hang_up();
    }
    still_serves(&mut sidecar.agent("alice", &[]));
}

#[test]
fn the_end_of_a_client_in_the_middle_of_a_line_harms_nobody() {
    let (_dir, sidecar) = sidecar();
    let mut rude = sidecar.agent("alice", &[]);
    rude.write_part(b"{\"type\":\"list_pe");
    rude.hang_up();
    still_serves(&mut sidecar.agent("alice", &[]));
}

#[test]
fn a_client_that_never_says_hello_is_served_the_old_dialect() {
    let (_dir, sidecar) = sidecar();
    let mut old = sidecar.connect();
    old.write(b"{\"type\":\"list_peers\"}");
    assert_eq!(
        old.next().unwrap(),
        json!({"type": "peer_list", "payload": {"peers": []}})
    );
}

#[test]
fn requests_end_though_there_is_no_registry() {
    let (_dir, sidecar) = sidecar();
    let mut agent = sidecar.agent("alice", &[]);
    agent.say(
        "request",
        json!({"request_id": "1", "skill": "s", "timeout_ms": 50}),
    );
    let response = agent.wait_for("response");
    assert_eq!(response["outcome"]["error"]["code"], "registry_unavailable");
    agent.say(
        "request",
        json!({"request_id": "2", "skill": "s", "via": "direct"}),
    );
    assert_eq!(agent.wait_for("error")["code"], "no_agent");
}
