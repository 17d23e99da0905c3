//! Two and more sidecars and a registry, all over real sockets.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mesh::{Agent, Registry, Sidecar, cap};

mod mesh;

/// Sidecars `a` and `b` with agents alice and bob (skill `add`), linked.
fn pair(registry: &Registry) -> (Sidecar, Sidecar, Agent, Agent) {
    let (a, b) = (registry.sidecar("a"), registry.sidecar("b"));
    let (mut alice, mut bob) = (a.agent("alice", &[]), b.agent("bob", &["add"]));
    alice.wait_for_link("b");
    bob.wait_for_link("a");
    (a, b, alice, bob)
}

#[test]
fn a_message_crosses_a_link_as_it_was_sent() {
    let registry = Registry::start(&["a", "b"]);
    let (_a, _b, mut alice, mut bob) = pair(&registry);
    let message = json!({"type": "note", "payload": {"n": 1}, "unknown": [1, null, "ü"]});
    alice.send("b", message.clone());
    let seen = bob.wait_for("message");
    assert_eq!(seen, json!({"from_peer": "a", "message": message}));
}

#[test]
fn a_large_message_crosses_whole_and_in_its_place() {
    let registry = Registry::start(&["a", "b"]);
    let (_a, _b, mut alice, mut bob) = pair(&registry);
    let large = "x".repeat(5_000_000);
    for payload in [json!(1), json!(large), json!(2)] {
        alice.send("b", json!({"type": "note", "payload": payload}));
    }
    let mut payload = || bob.wait_for("message")["message"]["payload"].clone();
    assert_eq!(payload(), 1);
    assert!(payload() == Value::String(large));
    assert_eq!(payload(), 2);
}

#[test]
fn an_agent_that_does_not_read_stops_the_sender_and_misses_nothing() {
    let registry = Registry::start(&["a", "b"]);
    let (_a, _b, alice, mut bob) = pair(&registry);
    let line = |n: usize| {
        let message = json!({"type": "note", "n": n, "payload": "x".repeat(10_000)});
        let send = json!({"type": "send", "payload": {"target_peer": "b", "message": message}});
        format!("{send}\n").into_bytes()
    };
    let mut socket = alice.stream();
    socket
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    // Until the socket takes no more: every buffer between here and there is full.
    let (mut sent, mut rest) = (0, Vec::new());
    while rest.is_empty() {
        let line = line(sent);
        let mut written = 0;
        while written < line.len() {
            match socket.write(&line[written..]) {
                Ok(n) => written += n,
                Err(_) => break,
            }
        }
        rest = line[written..].to_vec();
        sent += 1;
        assert!(sent < 20_000, "the sender is never stopped");
    }
    socket.set_write_timeout(Some(cap())).unwrap();
    let writer = std::thread::spawn(move || {
        socket.write_all(&rest).unwrap();
        for n in sent..sent + 2_000 {
            socket.write_all(&line(n)).unwrap();
        }
    });
    for n in 0..sent + 2_000 {
        assert_eq!(bob.wait_for("message")["message"]["n"], n);
    }
    writer.join().unwrap();
}

#[test]
fn a_sidecar_that_stops_is_missed_at_once_and_linked_again_within_a_second_of_its_return() {
    let registry = Registry::start(&["a", "b"]);
    let (_a, b, mut alice, bob) = pair(&registry);
    drop(bob);
    let stopped = Instant::now();
    b.stop();
    let gone = alice.wait_for("peer_disconnected");
    assert_eq!(gone["peer_id"], "b");
    assert!(stopped.elapsed() < Duration::from_secs(2), "it said so");
    let b = registry.sidecar("b");
    let returned = Instant::now();
    alice.wait_for_link("b");
    assert!(returned.elapsed() < Duration::from_secs(1));
    let mut bob = b.agent("bob", &[]);
    bob.wait_for_link("a");
    alice.send("b", json!({"type": "again"}));
    assert_eq!(bob.wait_for("message")["message"]["type"], "again");
}

#[test]
fn links_outlive_the_registry_which_is_found_again() {
    let mut registry = Registry::start(&["a", "b"]);
    let (_a, _b, mut alice, mut bob) = pair(&registry);
    registry.pause();
    alice.wait_until("registry", |r| r["connected"] == false);
    alice.send("b", json!({"type": "still"}));
    assert_eq!(bob.wait_for("message")["message"]["type"], "still");
    registry.resume();
    alice.wait_until("registry", |r| r["connected"] == true);
}

#[test]
fn a_sidecar_serves_its_agent_before_there_is_a_registry_and_joins_when_there_is_one() {
    let mut registry = Registry::start(&["a", "b"]);
    registry.pause();
    let (a, b) = (registry.sidecar("a"), registry.sidecar("b"));
    let (mut alice, mut bob) = (a.connect(), b.connect());
    alice.hello("alice", &[]);
    bob.hello("bob", &[]);
    assert_eq!(alice.wait_for("welcome")["registry_connected"], false);
    registry.resume();
    alice.wait_for_link("b");
    bob.wait_for_link("a");
}

#[test]
fn eight_that_start_at_once_end_with_a_link_for_every_pair() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let registry = Registry::start(&names);
    let sidecars = names.map(|name| registry.sidecar(name));
    let mut agents: Vec<Agent> = sidecars
        .iter()
        .zip(names)
        .map(|(s, n)| s.agent(n, &[]))
        .collect();
    for (agent, own) in agents.iter_mut().zip(names) {
        let mut missing: Vec<&str> = names.into_iter().filter(|n| *n != own).collect();
        while !missing.is_empty() {
            let peer = agent.wait_for("peer_connected")["peer_id"].clone();
            missing.retain(|name| peer != *name);
        }
    }
    // A message each way proves each link.
    for (agent, own) in agents.iter_mut().zip(names) {
        for peer in names.into_iter().filter(|n| *n != own) {
            agent.send(peer, json!({"type": "hi"}));
        }
    }
    for (agent, own) in agents.iter_mut().zip(names) {
        let mut missing: Vec<&str> = names.into_iter().filter(|n| *n != own).collect();
        while !missing.is_empty() {
            let from = agent.wait_for("message")["from_peer"].clone();
            missing.retain(|name| from != *name);
        }
    }
}

fn answer_one(bob: &mut Agent) -> Value {
    let task = bob.wait_for("task");
    let outcome = json!({"state": "completed", "result": {"sum": 3}});
    let ids = json!({"task_id": task["task_id"], "attempt": task["attempt"], "outcome": outcome});
    bob.say("respond", ids);
    task
}

#[test]
fn task_request_and_task_response_cross_a_link_and_the_work_is_done() {
    let registry = Registry::start(&["a", "b"]);
    let (_a, _b, mut alice, mut bob) = pair(&registry);
    alice.wait_for_agent("bob");
    let ask = json!({"request_id": "1", "skill": "add", "payload": {"x": 1}, "via": "direct"});
    alice.say("request", ask);
    let task = answer_one(&mut bob);
    assert_eq!(
        (&task["payload"], &task["path"]),
        (&json!({"x": 1}), &json!("direct"))
    );
    let response = alice.wait_for("response");
    assert_eq!(response["outcome"]["result"], json!({"sum": 3}));
    assert_eq!(
        (&response["path"], &response["agent_id"]),
        (&json!("direct"), &json!("bob"))
    );
}

#[test]
fn task_submit_task_assign_and_task_result_pass_through_the_queue_and_the_work_is_done() {
    let registry = Registry::start(&["a", "b"]);
    let (_a, _b, mut alice, mut bob) = pair(&registry);
    alice.wait_for_agent("bob");
    let ask = json!({"request_id": "1", "skill": "add", "payload": {"x": 1}, "via": "queue"});
    alice.say("request", ask);
    assert_eq!(alice.wait_for("accepted")["path"], "queue");
    assert_eq!(answer_one(&mut bob)["path"], "queue");
    let response = alice.wait_for("response");
    assert_eq!(response["outcome"]["result"], json!({"sum": 3}));
    assert_eq!(response["path"], "queue");
}

#[test]
fn a_request_survives_the_death_of_its_link_through_the_queue() {
    let registry = Registry::start(&["a", "b"]);
    let (_a, b, mut alice, mut bob) = pair(&registry);
    alice.wait_for_agent("bob");
    alice.say("request", json!({"request_id": "1", "skill": "add"}));
    let first = bob.wait_for("task");
    drop(bob);
    b.stop();
    let b = registry.sidecar("b");
    let mut bob = b.agent("bob", &["add"]);
    let again = answer_one(&mut bob);
    assert_eq!(again["task_id"], first["task_id"]);
    let response = alice.wait_for("response");
    assert_eq!(response["outcome"]["state"], "completed");
    assert_eq!(response["path"], "queue");
}
