//! Work that is held under a lease, or by an agent that comes and goes.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use seamesh_proto::ipc::AgentEvent;
use seamesh_proto::limits::HEARTBEAT_MS;
use seamesh_proto::signaling::{ClientSignal, LeaseRef, RegistrySignal, TaskAck, TaskRevoke};
use seamesh_proto::{Code, Path, Problem, TaskState};
use seamesh_sidecar_core::limits::AGENT_RETURN_MS;

use crate::world::pair::{DONE, assign, clear, pair, request, respond, settled, submits, tasks};

mod world;

#[test]
fn a_crashed_agents_work_has_most_of_a_second_left_to_begin_elsewhere() {
    let mut world = pair();
    world.tell("b", &assign("t", 1, 9));
    world.signals("b");
    world.disconnect_client("b");
    world.run(500);
    let told = world.signals("b");
    assert!(
        told.iter()
            .any(|s| matches!(s, ClientSignal::TaskRelease(r) if r.lease == 9)),
        "{told:?}"
    );
}

#[test]
fn an_agent_that_crashed_is_away_after_a_grace_and_its_work_fails_over() {
    let mut world = pair();
    request(&mut world, "");
    world.run(20);
    let task = tasks(&mut world, "b").remove(0);
    world.tell("b", &assign("queued", 1, 9));
    world.signals("b");
    world.events("b");
    world.disconnect_client("b");
    world.run(AGENT_RETURN_MS - 100);
    assert_eq!(settled(&mut world), []);
    world.run(200);
    let told = world.signals("b");
    assert!(
        told.iter().any(|s| matches!(s, ClientSignal::AgentAway(_))),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|s| matches!(s, ClientSignal::TaskRelease(r) if r.lease == 9))
    );
    assert_eq!(
        submits(&mut world)[0].task.task_id,
        Some(task.task_id.clone())
    );
    // Whoever asks again gets the same word: the attempt was started, it is not started twice.
    world.agent("b", "bob", &["add"]);
    world.tell("b", &assign(task.task_id.as_str(), 1, 11));
    assert_eq!(tasks(&mut world, "b"), []);
    assert_eq!(settled(&mut world), [(11, None)]);
}

#[test]
fn an_agent_that_returns_keeps_the_work_it_names_and_hands_the_rest_back() {
    let mut world = pair();
    world.tell("b", &assign("kept", 1, 5));
    world.tell("b", &assign("lost", 1, 6));
    let tasks = tasks(&mut world, "b");
    world.disconnect_client("b");
    world.connect_client("b", 2);
    world.hello("b", "bob", &["add"], r#"[{"task_id":"kept","attempt":1}]"#);
    assert_eq!(settled(&mut world), [(6, None)]);
    respond(&mut world, &tasks[0], DONE);
    assert_eq!(settled(&mut world), [(5, Some(TaskState::Completed))]);
}

#[test]
fn work_that_arrives_while_the_agent_is_briefly_gone_waits_for_it() {
    let mut world = pair();
    world.disconnect_client("b");
    world.tell("b", &assign("t", 1, 5));
    let away_ms = AGENT_RETURN_MS - 50;
    world.run(away_ms);
    world.agent("b", "bob", &["add"]);
    let tasks = tasks(&mut world, "b");
    assert_eq!((tasks.len(), tasks[0].timeout_ms), (1, 60_000 - away_ms));
}

#[test]
fn goodbye_hands_everything_back_after_nobody_can_hand_it_to_us_again() {
    let mut world = pair();
    world.tell("b", &assign("t", 1, 5));
    world.signals("b");
    world.say_line("b", r#"{"type":"goodbye"}"#);
    let told = world.signals("b");
    assert!(
        matches!(
            &told[..],
            [ClientSignal::AgentRemove(a), ClientSignal::TaskRelease(r)] if r.lease == 5 && a.agent_id.as_str() == "bob"
        ),
        "{told:?}"
    );
}

#[test]
fn heartbeats_renew_the_leases_of_running_work() {
    let mut world = pair();
    world.tell("b", &assign("t", 1, 5));
    world.signals("b");
    world.run(HEARTBEAT_MS);
    let beats: Vec<Vec<LeaseRef>> = world
        .signals("b")
        .into_iter()
        .filter_map(|s| match s {
            ClientSignal::Heartbeat(beat) => Some(beat.leases),
            _ => None,
        })
        .collect();
    assert_eq!(
        beats,
        [[LeaseRef {
            task_id: "t".parse().unwrap(),
            lease: 5
        }]]
    );
}

#[test]
fn a_result_is_told_again_after_a_reconnect_until_it_is_acknowledged() {
    let mut world = pair();
    world.tell("b", &assign("t", 1, 5));
    let task = tasks(&mut world, "b").remove(0);
    world.set_registry(false);
    respond(&mut world, &task, DONE);
    world.signals("b");
    world.set_registry(true);
    world.run(3_000);
    let done = Some(TaskState::Completed);
    assert_eq!(settled(&mut world), [(5, done)]);
    let ack = TaskAck {
        task_id: task.task_id,
        lease: 5,
        code: None,
    };
    world.tell("b", &RegistrySignal::TaskAck(ack));
    world.disconnect_signaling("b");
    world.run(3_000);
    assert_eq!(settled(&mut world), []);
}

#[test]
fn a_reconnect_names_the_leases_that_are_still_needed() {
    let mut world = pair();
    world.tell("b", &assign("t", 1, 5));
    world.disconnect_signaling("b");
    world.signals("b");
    world.run(3_000);
    let names = |s: &ClientSignal| matches!(s, ClientSignal::AgentRegister(r) if r.leases.len() == 1 && r.leases[0].lease == 5);
    assert!(world.signals("b").iter().any(names));
}

#[test]
fn a_revoked_lease_stops_the_work() {
    let mut world = pair();
    world.tell("b", &assign("t", 1, 5));
    world.events("b");
    let revoke = TaskRevoke {
        task_id: "t".parse().unwrap(),
        lease: 5,
        code: Code::Expired,
    };
    world.tell("b", &RegistrySignal::TaskRevoke(revoke));
    let told = world.events("b");
    assert!(
        matches!(&told[..], [AgentEvent::TaskCancel(c)] if c.code == Code::Expired && c.attempt == 1)
    );
}

#[test]
fn work_without_a_skill_is_a_prompt_on_both_paths() {
    let mut world = pair();
    world.disconnect_client("b");
    world.connect_client("b", 2);
    world.hello("b", "bob", &["agent_prompt"], "[]");
    let RegistrySignal::TaskAssign(mut prompt) = assign("t", 1, 7) else {
        panic!("an assignment");
    };
    prompt.skill = String::new();
    world.tell("b", &RegistrySignal::TaskAssign(prompt));
    let request = r#"{"type":"send","payload":{"target_peer":"b","message":{"type":"task_request","request_id":"q","payload":{"message":"hi"}}}}"#;
    world.say_line("a", request);
    world.run(20);
    let skills: Vec<_> = tasks(&mut world, "b")
        .into_iter()
        .map(|t| (t.path, t.skill))
        .collect();
    let prompt = || "agent_prompt".to_owned();
    assert_eq!(skills, [(Path::Queue, prompt()), (Path::Direct, prompt())]);
}

fn refused_heartbeat(code: Code) -> RegistrySignal {
    RegistrySignal::Error(Problem::new(code, "the heartbeat is refused").for_request("bob"))
}

#[test]
fn an_agent_that_was_removed_while_it_was_here_registers_again_with_the_leases_it_holds() {
    let mut world = pair();
    world.tell("b", &assign("t-1", 1, 7));
    clear(&mut world);
    world.tell("b", &refused_heartbeat(Code::AgentUnknown));
    let registered = world.signals("b").into_iter().find_map(|s| match s {
        ClientSignal::AgentRegister(register) => Some(register),
        _ => None,
    });
    let registered = registered.expect("a registration");
    assert_eq!(registered.agent.agent_id.as_str(), "bob");
    assert_eq!(registered.leases[0].lease, 7);
}

#[test]
fn an_agent_that_another_sidecar_has_is_told_once_and_does_not_take_its_place_back() {
    let mut world = pair();
    clear(&mut world);
    for _ in 0..2 {
        world.tell("b", &refused_heartbeat(Code::Conflict));
    }
    let is_registration = |s: &ClientSignal| matches!(s, ClientSignal::AgentRegister(_));
    assert!(!world.signals("b").iter().any(is_registration));
    let told = world.events("b");
    assert!(matches!(&told[..], [AgentEvent::Error(problem)] if problem.code == Code::Conflict));
}
