//! Two and more sidecars and a registry, all over real sockets.

use serde_json::json;

use crate::mesh::Registry;

mod mesh;

#[test]
fn a_message_crosses_a_link_as_it_was_sent() {
    let registry = Registry::start(&["a", "b"]);
    let (a, b) = (registry.sidecar("a"), registry.sidecar("b"));
    let (mut a, mut b) = (a.agent("alice", &[]), b.agent("bob", &[]));
    a.wait_for_link("b");
    b.wait_for_link("a");
    let message = json!({"type": "note", "payload": {"n": 1}, "unknown": [1, null, "ü"]});
    a.send("b", message.clone());
    let seen = b.wait_for("message");
    assert_eq!(seen, json!({"from_peer": "a", "message": message}));
}
