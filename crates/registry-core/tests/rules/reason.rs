//! What a task says of itself when it is asked why it stands where it does.

use seamesh_proto::rest::TaskUpdate;
use seamesh_proto::signaling::{ClientSignal, Heartbeat, LeaseRef, TaskRelease};
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{AgentId, TaskState};
use seamesh_registry_core::{Op, Reply};
use serde_json::json;

use crate::world::{World, agent_role, beat, id, lease, operator, peer, work};

fn reason(world: &mut World, task: &str) -> String {
    world.task(task).reason.expect("a reason")
}

fn away(world: &mut World, conn: seamesh_registry_core::ConnId, agent: &str) {
    let agent_id: AgentId = agent.parse().unwrap();
    let signal = ClientSignal::AgentAway(seamesh_proto::signaling::AgentRef { agent_id });
    world.say(conn, &peer(agent), &signal);
}

fn release(world: &mut World, conn: seamesh_registry_core::ConnId, agent: &str, held: &LeaseRef) {
    let signal = ClientSignal::TaskRelease(TaskRelease {
        task_id: held.task_id.clone(),
        lease: held.lease,
    });
    world.say(conn, &peer(agent), &signal);
}

#[test]
fn a_task_without_an_agent_says_what_is_missing() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    let none = reason(&mut world, "t");
    assert!(
        none.starts_with("no live agent offers skill \"s\": start one"),
        "{none}"
    );
    let bob = world.agent("bob", &["other"]);
    world.submit(SubmitTask {
        target_agent_id: "eve".to_owned(),
        ..work("aimed", "s")
    });
    let unknown = reason(&mut world, "aimed");
    assert!(
        unknown.starts_with("agent eve is not registered"),
        "{unknown}"
    );
    world.submit(work("nobodys", ""));
    let nobody = reason(&mut world, "nobodys");
    assert!(nobody.contains("neither a skill nor an agent"), "{nobody}");
    world.heard(bob);
}

#[test]
fn an_agent_that_is_away_is_named_with_what_to_do() {
    let mut world = World::new();
    let bob = world.agent("bob", &["s"]);
    away(&mut world, bob, "bob");
    world.pass(5_000);
    world.submit(SubmitTask {
        target_agent_id: "bob".to_owned(),
        ..work("aimed", "s")
    });
    let aimed = reason(&mut world, "aimed");
    assert_eq!(
        aimed,
        "agent bob is away, heard of last 5 s ago: start it again on h, or cancel the task"
    );
    world.submit(work("open", "s"));
    let open = reason(&mut world, "open");
    assert_eq!(
        open,
        "no live agent offers skill \"s\": bob is away; start one again, or cancel the task"
    );
}

#[test]
fn agents_that_are_full_are_counted() {
    let mut world = World::new();
    let most = seamesh_proto::limits::DEFAULT_MAX_CONCURRENT;
    world.agent("bob", &["s"]);
    for n in 0..=most {
        world.submit(work(&format!("t{n}"), "s"));
    }
    let last = format!("t{most}");
    assert_eq!(
        reason(&mut world, &last),
        "the only agent that offers \"s\" is full"
    );
    world.agent("eve", &["s", "x"]);
    for n in 0..=most {
        world.submit(work(&format!("u{n}"), "s"));
    }
    let last = format!("u{most}");
    assert_eq!(
        reason(&mut world, &last),
        "all 2 agents that offer \"s\" are full"
    );
    world.submit(SubmitTask {
        target_agent_id: "eve".to_owned(),
        ..work("aimed", "x")
    });
    let full = reason(&mut world, "aimed");
    assert!(
        full.starts_with("agent eve is full: it works on 64 tasks"),
        "{full}"
    );
}

#[test]
fn a_task_that_nobody_may_take_from_its_caller_says_so() {
    let mut world = World::new();
    world.agent("zoe", &[]);
    let op = Op::SubmitTask(Box::new(work("t", "s")));
    world.ask(agent_role("p-zoe"), op).unwrap();
    let info = serde_json::from_value(json!({"agent_id": "bob", "hostname": "h",
        "skills": [{"name": "s", "callers": []}]}))
    .unwrap();
    let op = Op::RegisterAgent(Box::new(info));
    world.ask(agent_role("p-bob"), op).unwrap();
    assert_eq!(
        reason(&mut world, "t"),
        "no agent that offers \"s\" allows caller zoe"
    );
}

#[test]
fn a_delay_is_told_by_the_clock_and_a_pause_by_the_attempt_before_it() {
    let mut world = World::new();
    world.submit(SubmitTask {
        not_before_ms: Some(5_000),
        ..work("later", "s")
    });
    // The world begins at 22:13:20 UTC.
    assert_eq!(
        reason(&mut world, "later"),
        "not before 22:13:25 UTC, in 5 s"
    );
    let bob = world.agent("bob", &["s"]);
    world.submit(work("t", "s"));
    for _ in 0..2 {
        let got = lease(&world.assigned(bob)[0]);
        release(&mut world, bob, "bob", &got);
    }
    world.pass(100);
    assert_eq!(
        reason(&mut world, "t"),
        "attempt 2 of 3 ended with its agent handing it back; the next begins in 400 ms"
    );
    world.restart();
    assert_eq!(
        reason(&mut world, "t"),
        "attempt 2 of 3 ended without a result; the next begins in 400 ms"
    );
}

#[test]
fn an_assigned_task_names_its_holder_and_the_age_of_its_lease() {
    let mut world = World::new();
    let bob = world.agent("bob", &["s"]);
    world.submit(work("t", "s"));
    let got = lease(&world.assigned(bob)[0]);
    world.pass(10_000);
    let heartbeat = ClientSignal::Heartbeat(Heartbeat {
        agent_id: Some("bob".parse().unwrap()),
        leases: vec![got.clone()],
    });
    world.say(bob, "p-bob", &heartbeat);
    world.pass(2_000);
    assert_eq!(
        reason(&mut world, "t"),
        "agent bob holds lease 1 since 12 s ago, renewed 2 s ago"
    );
    let update = TaskUpdate {
        state: TaskState::InputRequired,
        result: json!(""),
        error: String::new(),
        lease: Some(got.lease),
    };
    let op = Op::UpdateTask {
        task_id: id("t"),
        update: Box::new(update),
    };
    world.ask(agent_role("p-bob"), op).unwrap();
    let waits = reason(&mut world, "t");
    assert!(
        waits.starts_with("waiting for input: agent bob holds lease 1"),
        "{waits}"
    );
    world.result(bob, "bob", &got, "r");
    assert_eq!(
        reason(&mut world, "t"),
        "completed by agent bob in attempt 1"
    );
}

#[test]
fn a_task_that_ended_otherwise_says_how() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    world.ask(operator(), Op::CancelTask(id("t"))).unwrap();
    let canceled = reason(&mut world, "t");
    assert!(canceled.starts_with("ended with canceled: "), "{canceled}");
    world.submit(SubmitTask {
        ttl: 1,
        ..work("old", "s")
    });
    world.pass(1_000);
    assert_eq!(
        reason(&mut world, "old"),
        "failed with expired: TTL expired"
    );
}

#[test]
fn an_agent_that_fetches_its_work_is_waited_for() {
    let mut world = World::new();
    let info = Box::new(crate::world::info("bob", &["s"]));
    world
        .ask(agent_role("p-bob"), Op::RegisterAgent(info))
        .unwrap();
    world.submit(work("t", "s"));
    assert_eq!(
        reason(&mut world, "t"),
        "agent bob takes it with its next heartbeat"
    );
    assert_eq!(world.rest_beat(beat("bob")).len(), 1);
}

#[test]
fn whoever_waits_is_told_the_reason_when_the_time_is_up() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    let op = Op::WaitTask {
        task_id: id("t"),
        timeout_ms: 1_000,
    };
    let request = world.begin(operator(), op);
    world.pass(1_000);
    match world.reply(request) {
        Some(Ok(Reply::Task(task))) => {
            assert!(task.reason.unwrap().starts_with("no live agent"));
        }
        other => panic!("{other:?}"),
    }
}
