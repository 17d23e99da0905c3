//! Every command of the IPC socket: who is heard, and what comes of one that names what is another's.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use seamesh_proto::ledger::Channel;
use seamesh_proto::surface::{Foreign, Heard, Row, rows};
use serde_json::{Value, json};

use crate::mesh::{Agent, Registry, Sidecar};

mod mesh;

fn commands() -> Vec<Row> {
    let rows = rows().into_iter();
    rows.filter(|row| row.channel == Channel::Ipc).collect()
}

/// A body that a sidecar would act on, if it heard it.
fn body(kind: &str, peer: &str) -> Value {
    let note = json!({"type": "note", "source_agent": "bob", "payload": {"n": kind}});
    match kind {
        "hello" => json!({"version": 1, "agent": {"agent_id": "bob"}}),
        "send" => json!({"target_peer": peer, "message": note}),
        "broadcast" => json!({"message": note}),
        "connect" => json!({"target_peer_id": peer}),
        "request" => json!({"request_id": "r", "skill": "s", "parent": "of-another"}),
        "cancel" => json!({"request_id": "r"}),
        "task_news" => json!({"task_id": "of-another", "attempt": 1, "progress": {"note": "x"}}),
        "request_input" => json!({"request_id": "r", "taken": 1}),
        "respond" => json!({"task_id": "of-another", "attempt": 1,
            "outcome": {"state": "completed", "result": "forged"}}),
        "agents" => json!({"request_id": "a"}),
        "list_peers" | "goodbye" => json!({}),
        other => panic!("say what `{other}` would be about"),
    }
}

fn still_serves(agent: &mut Agent) {
    agent.say("agents", json!({"request_id": "still"}));
    agent.wait_until("agents", |body| body["request_id"] == "still");
}

#[test]
fn no_command_of_a_second_client_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let sidecar = Sidecar::start("http://127.0.0.1:9", "a", dir.path());
    let mut first = sidecar.agent("alice", &[]);
    for row in commands() {
        assert_eq!(row.heard, Heard::OwnUser, "{}", row.name);
        let mut second = sidecar.connect();
        // It may be closed before it is done.
        second.try_say(row.name, body(row.name, "b"));
        assert_eq!(
            second.wait_for("error")["code"],
            "sidecar_busy",
            "{}",
            row.name
        );
        assert_eq!(
            second.next(),
            None,
            "{}: nothing else is answered",
            row.name
        );
        still_serves(&mut first);
    }
}

#[test]
fn a_command_about_what_is_anothers_does_what_its_row_says() {
    let registry = Registry::start(&["a", "b"]);
    let (one, other) = (registry.sidecar("a"), registry.sidecar("b"));
    let mut bob = other.agent("bob", &["s"]);
    let mut alice = one.agent("alice", &[]);
    alice.wait_for_link("b");
    alice.wait_for_agent("bob");
    for row in commands() {
        let kind = row.name;
        match row.foreign {
            // Last, because it takes another name.
            Foreign::Refused(_) if kind == "hello" => {}
            Foreign::Refused(code) => {
                alice.say(kind, body(kind, "b"));
                assert_eq!(alice.wait_for("error")["code"], code.as_str(), "{kind}");
            }
            // There is a link already: nothing is to be told.
            Foreign::Addressed if kind == "connect" => alice.say(kind, body(kind, "b")),
            Foreign::Addressed => {
                alice.say(kind, body(kind, "b"));
                let told = bob.wait_for("message");
                assert_eq!(told["from_peer"], "a", "whoever it says it is from");
                assert_eq!(told["message"]["payload"]["n"], kind);
            }
            Foreign::PutRight => panic!("say how `{kind}` is put right"),
            Foreign::Unsaid | Foreign::Shared => {}
        }
    }
    still_serves(&mut alice);
    alice.hang_up();

    let mut liar = one.agent("bob", &["lie"]);
    let refused = liar.wait_for("error");
    assert_eq!(refused["code"], "forbidden", "{refused}");
    still_serves(&mut bob);
    liar.wait_for_agent("bob");
    liar.say("agents", json!({"request_id": "bob"}));
    let agents = liar.wait_until("agents", |body| body["request_id"] == "bob");
    let bobs: Vec<&Value> = agents["agents"].as_array().unwrap().iter().collect();
    let bobs: Vec<_> = bobs.iter().filter(|a| a["agent_id"] == "bob").collect();
    assert_eq!(bobs.len(), 1);
    assert_eq!(bobs[0]["sidecar_peer_id"], "b", "{}", bobs[0]);
}
