//! The REST heartbeat: the seam where work was thrown away.

use seamesh_proto::limits::{HTTP_LEASE_TTL_MS, STALE_AFTER_MS};
use seamesh_proto::rest::{HeartbeatBody, TaskUpdate};
use seamesh_proto::signaling::LeaseRef;
use seamesh_proto::{Code, Problem, TaskState};
use seamesh_registry_core::{Op, Reply};
use serde_json::json;

use crate::world::{World, agent_role, beat, id, info, operator, work};

fn skilled(agent: &str) -> HeartbeatBody {
    HeartbeatBody {
        skill_names: Some(vec!["s".to_owned()]),
        ..beat(agent)
    }
}

fn update(
    world: &mut World,
    agent: &str,
    task: &str,
    body: serde_json::Value,
) -> Result<Reply, Problem> {
    let update: TaskUpdate = serde_json::from_value(body).unwrap();
    let op = Op::UpdateTask {
        task_id: id(task),
        update: Box::new(update),
    };
    world.ask(agent_role(&format!("p-{agent}")), op)
}

#[test]
fn a_beat_is_answered_with_the_work_and_the_work_is_leased() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    let got = world.rest_beat(skilled("a"));
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].state, got[0].lease), (TaskState::Assigned, Some(1)));
    assert!(
        world.rest_beat(skilled("b")).is_empty(),
        "one lease at a time"
    );
    update(
        &mut world,
        "a",
        "t",
        json!({"state": "completed", "result": "42"}),
    )
    .unwrap();
    assert_eq!(world.task("t").result, json!("42"));
}

#[test]
fn work_waits_for_the_beat_of_a_rest_agent_and_is_not_pushed() {
    let mut world = World::new();
    let op = Op::RegisterAgent(Box::new(info("a", &["s"])));
    world.ask(agent_role("p-a"), op).unwrap();
    world.submit(work("t", "s"));
    assert_eq!(world.task("t").state, TaskState::Pending);
    assert_eq!(world.rest_beat(beat("a")).len(), 1);
}

#[test]
fn a_beat_with_one_field_leaves_the_others_as_they_are() {
    let mut world = World::new();
    let op = Op::RegisterAgent(Box::new(info("a", &["s"])));
    world.ask(agent_role("p-a"), op).unwrap();
    world.rest_beat(HeartbeatBody {
        status: Some("busy".to_owned()),
        ..beat("a")
    });
    let op = Op::GetAgent("a".parse().unwrap());
    let Ok(Reply::Agent(record)) = world.ask(operator(), op) else {
        panic!("no agent");
    };
    assert_eq!(record.info.hostname, "h");
    assert_eq!(record.info.capabilities.skills, ["s"]);
    assert_eq!(record.info.status, "busy");
}

#[test]
fn a_lost_answer_is_given_again_to_a_beat_that_names_its_leases() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    world.rest_beat(skilled("a"));
    world.pass(5_000);
    let names = |leases: Vec<LeaseRef>| HeartbeatBody {
        leases: Some(leases),
        ..skilled("a")
    };
    let again = world.rest_beat(names(vec![]));
    assert_eq!((again.len(), again[0].attempt), (1, 2));
    let held = LeaseRef {
        task_id: id("t"),
        lease: 2,
    };
    assert!(world.rest_beat(names(vec![held])).is_empty());
    assert_eq!(world.task("t").attempt, 2);
}

#[test]
fn an_existing_client_that_lost_an_answer_gets_the_work_again_within_its_ttl() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    world.rest_beat(skilled("a"));
    let mut beats = 0;
    let again = loop {
        world.pass(15_000);
        beats += 1;
        let got = world.rest_beat(skilled("a"));
        if !got.is_empty() || beats == 100 {
            break got;
        }
    };
    assert_eq!(again[0].attempt, 2);
    assert_eq!(world.task("t").state, TaskState::Assigned);
    assert!(beats >= 8, "beats keep the lease while its callers wait");
}

#[test]
fn a_rest_agent_that_falls_silent_loses_its_lease() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    world.rest_beat(skilled("a"));
    world.pass(HTTP_LEASE_TTL_MS);
    assert_eq!(world.task("t").state, TaskState::Pending);
    let late = update(
        &mut world,
        "a",
        "t",
        json!({"state": "completed", "result": 1, "lease": 1}),
    );
    assert_eq!(late.unwrap_err().code, Code::LeaseStale);
}

#[test]
fn a_rest_agent_that_registers_again_hands_its_work_back() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    world.rest_beat(skilled("a"));
    let op = Op::RegisterAgent(Box::new(info("a", &["s"])));
    world.ask(agent_role("p-a"), op).unwrap();
    assert_eq!(world.rest_beat(beat("a"))[0].attempt, 2);
}

#[test]
fn a_beat_takes_no_more_than_it_asks_for() {
    let mut world = World::new();
    for n in 0..3 {
        world.submit(work(&format!("t{n}"), "s"));
    }
    let two = HeartbeatBody {
        max_tasks: Some(2),
        ..skilled("a")
    };
    let ids: Vec<_> = world.rest_beat(two).into_iter().map(|t| t.id).collect();
    assert_eq!(ids, [id("t0"), id("t1")]);
}

#[test]
fn a_holder_renews_waits_for_input_hands_back_and_fails() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    world.rest_beat(skilled("a"));
    world.pass(HTTP_LEASE_TTL_MS - 1);
    update(&mut world, "a", "t", json!({"state": "assigned"})).unwrap();
    world.pass(HTTP_LEASE_TTL_MS - 1);
    update(&mut world, "a", "t", json!({"state": "input_required"})).unwrap();
    assert_eq!(world.task("t").state, TaskState::InputRequired);
    update(&mut world, "a", "t", json!({"state": "assigned"})).unwrap();
    update(&mut world, "a", "t", json!({"state": "pending"})).unwrap();
    assert_eq!(world.task("t").state, TaskState::Pending);
    world.rest_beat(skilled("a"));
    let failed = json!({"state": "failed", "error": "it raised", "lease": 2});
    update(&mut world, "a", "t", failed.clone()).unwrap();
    let task = world.task("t");
    assert_eq!(
        (task.state, task.error.as_str()),
        (TaskState::Failed, "it raised")
    );
    // The same again, because its answer was lost; and something else, too late.
    update(&mut world, "a", "t", failed).unwrap();
    let other = update(&mut world, "a", "t", json!({"state": "completed"}));
    assert_eq!(other.unwrap_err().code, Code::TaskState);
}

#[test]
fn a_stale_agent_is_not_routed_to_and_a_beat_brings_it_back() {
    let mut world = World::new();
    world.rest_beat(skilled("a"));
    let route = || Op::RouteSkill("s".to_owned());
    assert!(world.ask(operator(), route()).is_ok());
    world.pass(STALE_AFTER_MS + 1);
    assert_eq!(
        world.ask(operator(), route()).unwrap_err().code,
        Code::NoAgent
    );
    world.rest_beat(beat("a"));
    assert!(world.ask(operator(), route()).is_ok());
}
