//! Two linked agents, what they ask of each other, and what came of it.

use seamesh_proto::chain::Hop;
use seamesh_proto::ipc::{AgentEvent, Response, TaskEvent};
use seamesh_proto::signaling::{ClientSignal, RegistrySignal, TaskAssign, TaskSubmit};
use seamesh_proto::task::Lineage;
use seamesh_proto::{Path, Payload, Problem, TaskState};
use serde_json::json;

use super::{Name, World};

/// `a` has agent alice with skill `plan`, `b` has agent bob with skill `add`; they are linked and know each other.
pub fn pair() -> World {
    let mut world = World::new(&["a", "b"]);
    world.agent("a", "alice", &["plan"]);
    world.agent("b", "bob", &["add"]);
    world.run(100);
    assert!(world.are_linked("a", "b"));
    clear(&mut world);
    world
}

pub fn clear(world: &mut World) {
    for name in ["a", "b"] {
        world.events(name);
        world.signals(name);
    }
}

pub fn request(world: &mut World, more: &str) {
    let line = format!(
        r#"{{"type":"request","payload":{{"request_id":"r1","skill":"add","payload":{{"x":1}}{more}}}}}"#
    );
    world.say_line("a", &line);
}

pub fn tasks(world: &mut World, name: Name) -> Vec<TaskEvent> {
    let tasks = world.events(name).into_iter().filter_map(|e| match e {
        AgentEvent::Task(task) => Some(task),
        _ => None,
    });
    tasks.collect()
}

pub fn response(world: &mut World) -> Response {
    let mut ends = world.events("a").into_iter().filter_map(|e| match e {
        AgentEvent::Response(response) => Some(response),
        _ => None,
    });
    let end = ends.next().expect("a response");
    assert_eq!(ends.next(), None, "one response");
    end
}

pub fn refusal(world: &mut World) -> Problem {
    let mut errors = world.events("a").into_iter().filter_map(|e| match e {
        AgentEvent::Error(problem) => Some(problem),
        _ => None,
    });
    errors.next().expect("an error")
}

pub fn accepted(world: &mut World) -> Vec<Path> {
    let accepted = world.events("a").into_iter().filter_map(|e| match e {
        AgentEvent::Accepted(accepted) => Some(accepted.path),
        _ => None,
    });
    accepted.collect()
}

pub fn submits(world: &mut World) -> Vec<TaskSubmit> {
    let submits = world.signals("a").into_iter().filter_map(|s| match s {
        ClientSignal::TaskSubmit(submit) => Some(submit),
        _ => None,
    });
    submits.collect()
}

pub fn respond(world: &mut World, task: &TaskEvent, outcome: &str) {
    let line = format!(
        r#"{{"type":"respond","payload":{{"task_id":"{}","attempt":{},"outcome":{outcome}}}}}"#,
        task.task_id, task.attempt
    );
    world.say_line("b", &line);
}

pub const DONE: &str = r#"{"state":"completed","result":42}"#;

pub fn hop(agent: &str, skill: &str) -> Hop {
    Hop {
        agent_id: agent.parse().unwrap(),
        skill: skill.to_owned(),
    }
}

pub fn assign(task: &str, attempt: u32, lease: u64) -> RegistrySignal {
    RegistrySignal::TaskAssign(TaskAssign {
        task_id: task.parse().unwrap(),
        agent_id: "bob".parse().unwrap(),
        skill: "add".to_owned(),
        payload: Payload::new(json!({"x": 1})),
        source_agent_id: "alice".to_owned(),
        attempt,
        lease,
        lease_ttl_ms: 15_000,
        timeout_ms: 60_000,
        listens: seamesh_proto::talk::Listens::default(),
        lineage: Lineage::default(),
    })
}

/// What `b` told the registry of leases: results and releases.
pub fn settled(world: &mut World) -> Vec<(u64, Option<TaskState>)> {
    let settled = world.signals("b").into_iter().filter_map(|s| match s {
        ClientSignal::TaskResult(r) => Some((r.lease, Some(r.outcome.state))),
        ClientSignal::TaskRelease(r) => Some((r.lease, None)),
        _ => None,
    });
    settled.collect()
}
