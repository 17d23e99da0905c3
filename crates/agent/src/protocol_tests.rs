use seamesh_proto::limits::MAX_PAYLOAD_BYTES;
use serde_json::{Value, json};

use super::*;

fn profile() -> AgentProfile {
    serde_json::from_value(json!({"agent_id": "a", "max_concurrent": 2})).unwrap()
}

/// Takes what waits to be written, as parsed lines.
fn written(protocol: &mut Protocol) -> Vec<Value> {
    let mut bytes = Vec::new();
    protocol.take(&mut bytes);
    let lines = bytes.split(|&b| b == b'\n').filter(|l| !l.is_empty());
    lines.map(|l| serde_json::from_slice(l).unwrap()).collect()
}

fn say(protocol: &mut Protocol, event: Value) -> Option<AgentEvent> {
    protocol.receive(event.to_string().as_bytes()).unwrap()
}

fn welcome() -> Value {
    json!({"type": "welcome", "payload": {"version": 1, "registry_connected": true, "max_line_bytes": 16_777_216}})
}

fn task(id: &str, attempt: u32) -> Value {
    json!({"type": "task", "payload": {"task_id": id, "attempt": attempt, "skill": "s", "timeout_ms": 1000}})
}

fn key(id: &str) -> Key {
    (id.parse().unwrap(), 1)
}

fn welcomed() -> Protocol {
    let mut protocol = Protocol::new(profile());
    protocol.connected();
    assert_eq!(written(&mut protocol)[0]["type"], "hello");
    assert!(say(&mut protocol, welcome()).is_some());
    protocol
}

#[test]
fn a_task_handed_over_twice_runs_once_and_is_answered_again_once_done() {
    let mut protocol = welcomed();
    assert!(say(&mut protocol, task("t", 1)).is_some());
    assert!(
        say(&mut protocol, task("t", 1)).is_none(),
        "it runs already"
    );
    protocol.respond(key("t"), Vec::new(), Outcome::completed(json!(7)));
    assert_eq!(written(&mut protocol).len(), 1);
    assert!(say(&mut protocol, task("t", 1)).is_none(), "it is done");
    let again = written(&mut protocol);
    assert_eq!(again[0]["payload"]["outcome"]["result"], 7);
    assert!(
        say(&mut protocol, task("t", 2)).is_some(),
        "another attempt is other work"
    );
}

#[test]
fn work_that_outlives_the_connection_is_named_in_hello_and_its_answer_delivered() {
    let mut protocol = welcomed();
    say(&mut protocol, task("runs", 1));
    say(&mut protocol, task("ends", 1));
    protocol.disconnected();
    protocol.respond(key("ends"), Vec::new(), Outcome::completed(Value::Null));
    protocol.connected();
    let hello = written(&mut protocol);
    assert_eq!(hello.len(), 1, "before welcome only hello is said");
    let named = &hello[0]["payload"]["running"];
    assert_eq!(named[0]["task_id"], "runs");
    assert_eq!(named[1]["task_id"], "ends");
    say(&mut protocol, welcome());
    let answers = written(&mut protocol);
    assert_eq!(answers[0]["payload"]["task_id"], "ends");
}

#[test]
fn an_answer_that_was_never_written_is_delivered_over_the_next_connection() {
    let mut protocol = welcomed();
    say(&mut protocol, task("t", 1));
    protocol.respond(key("t"), Vec::new(), Outcome::completed(json!("x")));
    protocol.disconnected();
    protocol.connected();
    written(&mut protocol);
    say(&mut protocol, welcome());
    assert_eq!(written(&mut protocol)[0]["type"], "respond");
}

#[test]
fn an_answer_made_without_a_connection_comes_after_all_of_its_stream_that_was_not_taken() {
    let mut protocol = welcomed();
    say(&mut protocol, task("t", 1));
    protocol.disconnected();
    let mut speech = crate::talk::Speech::default();
    speech.chunk(json!("part"), None);
    let untaken = speech.into_end();
    protocol.respond(key("t"), untaken, Outcome::completed(json!("x")));
    protocol.connected();
    written(&mut protocol);
    say(&mut protocol, welcome());
    let lines = written(&mut protocol);
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str()).collect();
    let chunk = |line: &Value| line["payload"]["chunk"]["last"].clone();
    assert_eq!(
        kinds,
        [Some("task_news"), Some("task_news"), Some("respond")]
    );
    assert_eq!(
        (chunk(&lines[0]), chunk(&lines[1])),
        (json!(false), json!(true))
    );
}

#[test]
fn a_lost_connection_ends_every_open_request() {
    let mut protocol = welcomed();
    protocol
        .agents(AgentsQuery {
            request_id: "q".into(),
            skill: None,
        })
        .unwrap();
    assert_eq!(protocol.disconnected(), ["q"]);
    assert!(protocol.disconnected().is_empty(), "once");
}

#[test]
fn without_a_welcome_nothing_can_be_asked() {
    let mut protocol = Protocol::new(profile());
    protocol.connected();
    let query = AgentsQuery {
        request_id: "q".into(),
        skill: None,
    };
    assert_eq!(protocol.agents(query).unwrap_err().code, Code::AgentAway);
}

#[test]
fn an_answer_to_no_open_request_is_nobodys() {
    let mut protocol = welcomed();
    let answer = json!({"type": "agents", "payload": {"request_id": "q", "agents": []}});
    assert!(say(&mut protocol, answer.clone()).is_none());
    protocol
        .agents(AgentsQuery {
            request_id: "q".into(),
            skill: None,
        })
        .unwrap();
    assert!(say(&mut protocol, answer.clone()).is_some());
    assert!(say(&mut protocol, answer).is_none(), "the second answer");
}

#[test]
fn a_canceled_request_is_given_up_once() {
    let mut protocol = welcomed();
    protocol
        .agents(AgentsQuery {
            request_id: "q".into(),
            skill: None,
        })
        .unwrap();
    written(&mut protocol);
    protocol.cancel("q");
    protocol.cancel("q");
    let said = written(&mut protocol);
    assert_eq!(said.len(), 1);
    assert_eq!(
        said[0],
        json!({"type": "cancel", "payload": {"request_id": "q"}})
    );
}

#[test]
fn more_work_than_the_agent_takes_is_refused_with_a_code() {
    let mut protocol = welcomed();
    assert!(say(&mut protocol, task("a", 1)).is_some());
    assert!(say(&mut protocol, task("b", 1)).is_some());
    assert!(say(&mut protocol, task("c", 1)).is_none());
    let refused = written(&mut protocol);
    assert_eq!(
        refused[0]["payload"]["outcome"]["error"]["code"],
        "overloaded"
    );
}

#[test]
fn a_line_over_the_sidecars_limit_is_not_written() {
    let mut protocol = Protocol::new(profile());
    protocol.connected();
    written(&mut protocol);
    let small = json!({"type": "welcome", "payload": {"version": 1, "registry_connected": true, "max_line_bytes": 100}});
    say(&mut protocol, small);
    let request: Request = serde_json::from_value(
        json!({"request_id": "r", "skill": "s", "payload": "x".repeat(200)}),
    )
    .unwrap();
    assert_eq!(protocol.request(request).unwrap_err().code, Code::TooLarge);
    assert_eq!(protocol.queued(), 0);
    assert!(
        protocol.disconnected().is_empty(),
        "the request was never open"
    );
}

#[test]
fn malformed_lines_are_told_with_their_code() {
    let mut protocol = welcomed();
    for (line, code) in [
        (&b"{"[..], Code::BadJson),
        (b"{\"type\":\"task\",\"payload\":{}}", Code::BadField),
        (b"{\"type\":\"no_such\"}", Code::UnknownType),
        (b"\xff", Code::BadEncoding),
    ] {
        assert_eq!(protocol.receive(line).unwrap_err().code, code);
    }
    assert!(say(&mut protocol, task("t", 1)).is_some(), "it goes on");
}

#[test]
fn too_many_open_requests_are_refused() {
    let mut protocol = welcomed();
    for n in 0..MAX_OPEN_REQUESTS {
        protocol
            .agents(AgentsQuery {
                request_id: n.to_string(),
                skill: None,
            })
            .unwrap();
    }
    let query = AgentsQuery {
        request_id: "one more".into(),
        skill: None,
    };
    assert_eq!(protocol.agents(query).unwrap_err().code, Code::Overloaded);
    const { assert!(MAX_PAYLOAD_BYTES < MAX_LINE_BYTES) };
}
