//! Requests and work: direct first, the queue behind, a handler at most once per attempt, and every request ends.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use seamesh_proto::ipc::{AgentEvent, TaskEvent};
use seamesh_proto::limits::{MAX_DEPTH, MAX_TTL_S};
use seamesh_proto::signaling::{ClientSignal, RegistrySignal, TaskDone, TaskSubmitted};
use seamesh_proto::task::Lineage;
use seamesh_proto::{Code, Outcome, Path, TaskState};
use seamesh_sidecar_core::limits::{AGENT_RETURN_MS, HELLO_WAIT_MS, MAX_ASKERS, REPORT_DELAY_MS};
use serde_json::json;

use crate::world::World;
use crate::world::pair::{
    DONE, accepted, assign, hop, pair, refusal, request, respond, response, settled, submits, tasks,
};

mod world;

#[test]
fn a_request_goes_over_the_link_and_its_answer_comes_back() {
    let mut world = pair();
    request(&mut world, "");
    world.run(20);
    let task = tasks(&mut world, "b").remove(0);
    assert_eq!(
        (task.skill.as_str(), task.path, task.attempt),
        ("add", Path::Direct, 1)
    );
    assert_eq!(
        (task.from_agent.as_str(), task.payload.to_value()),
        ("alice", json!({"x": 1}))
    );
    respond(&mut world, &task, DONE);
    world.run(20);
    let response = response(&mut world);
    assert_eq!(response.outcome, Outcome::completed(json!(42)));
    assert_eq!(
        (response.path, response.agent_id.as_str()),
        (Path::Direct, "bob")
    );
    world.run(REPORT_DELAY_MS);
    let reports = |s: &ClientSignal| matches!(s, ClientSignal::TaskReport(r) if r.tasks[0].task_id == task.task_id);
    assert!(
        world.signals("a").iter().any(reports),
        "the registry hears of it"
    );
}

#[test]
fn the_registry_hears_of_delegated_work_before_the_result_it_led_to() {
    let mut world = pair();
    let RegistrySignal::TaskAssign(mut parent) = assign("parent", 1, 7) else {
        panic!("an assignment");
    };
    parent.agent_id = "alice".parse().unwrap();
    parent.skill = "plan".to_owned();
    world.tell("a", &RegistrySignal::TaskAssign(parent));
    request(&mut world, r#","parent":"parent""#);
    world.run(20);
    let child = tasks(&mut world, "b").remove(0);
    respond(&mut world, &child, DONE);
    world.run(20);
    world.say_line(
        "a",
        &format!(
            r#"{{"type":"respond","payload":{{"task_id":"parent","attempt":1,"outcome":{DONE}}}}}"#
        ),
    );
    let told: Vec<_> = world.signals("a").iter().map(ClientSignal::kind).collect();
    let at = |kind: &str| told.iter().position(|k| *k == kind);
    assert!(
        at("task_report").is_some() && at("task_report") < at("task_result"),
        "a tree is whole when its root has ended: {told:?}"
    );
}

#[test]
fn a_broken_link_sends_the_request_to_the_queue_under_the_same_id() {
    let mut world = pair();
    request(&mut world, "");
    world.run(20);
    let task = tasks(&mut world, "b").remove(0);
    world.cut("a", "b");
    world.run(10);
    let submit = submits(&mut world).remove(0);
    assert_eq!(submit.task.task_id, Some(task.task_id.clone()));
    let attempt = submit.task.direct_attempt.unwrap();
    assert_eq!((attempt.agent_id.as_str(), attempt.attempt), ("bob", 1));
    // The queue hands it to the same agent, which runs it still: it is not run again, and its result settles the lease.
    world.tell("b", &assign(task.task_id.as_str(), 1, 7));
    assert_eq!(tasks(&mut world, "b"), []);
    respond(&mut world, &task, DONE);
    assert_eq!(settled(&mut world), [(7, Some(TaskState::Completed))]);
}

#[test]
fn an_attempt_that_ended_is_answered_again_and_not_run_again() {
    let mut world = pair();
    world.tell("b", &assign("t", 1, 7));
    let task = tasks(&mut world, "b").remove(0);
    respond(&mut world, &task, DONE);
    world.tell("b", &assign("t", 1, 8));
    assert_eq!(tasks(&mut world, "b"), []);
    let done = Some(TaskState::Completed);
    assert_eq!(settled(&mut world), [(7, done), (8, done)]);
    world.tell("b", &assign("t", 2, 9));
    assert_eq!(tasks(&mut world, "b").len(), 1, "another attempt runs");
}

#[test]
fn without_a_link_the_work_is_queued_and_its_end_told() {
    let mut world = pair();
    request(&mut world, r#","via":"queue""#);
    let submit = submits(&mut world).remove(0);
    let task_id = submit.task.task_id.unwrap();
    let submitted = TaskSubmitted {
        request_id: submit.request_id,
        task_id: task_id.clone(),
    };
    world.tell("a", &RegistrySignal::TaskSubmitted(submitted));
    assert_eq!(accepted(&mut world), [Path::Queue]);
    let done = TaskDone {
        task_id,
        outcome: Outcome::completed(json!("ok")),
        agent_id: "bob".to_owned(),
        path: Path::Queue,
    };
    world.tell("a", &RegistrySignal::TaskDone(done.clone()));
    assert_eq!(response(&mut world).outcome.result, "ok");
    world.tell("a", &RegistrySignal::TaskDone(done));
    assert_eq!(world.events("a"), [], "once");
}

#[test]
fn a_request_that_does_not_wait_ends_with_accepted() {
    let mut world = pair();
    request(&mut world, r#","wait":false"#);
    let submit = submits(&mut world).remove(0);
    let task_id = submit.task.task_id.unwrap();
    let submitted = TaskSubmitted {
        request_id: submit.request_id,
        task_id,
    };
    world.tell("a", &RegistrySignal::TaskSubmitted(submitted));
    assert_eq!(accepted(&mut world), [Path::Queue]);
    world.run(600_000);
    assert_eq!(
        world
            .events("a")
            .iter()
            .filter(|e| !matches!(e, AgentEvent::Registry(_)))
            .count(),
        0
    );
}

#[test]
fn while_registry_and_link_are_away_a_submit_waits_for_the_registry() {
    let mut world = pair();
    world.set_registry(false);
    world.cut("a", "b");
    world.run(10);
    request(&mut world, "");
    world.run(5_000);
    assert_eq!(submits(&mut world), []);
    world.set_registry(true);
    world.run(3_000);
    assert_eq!(submits(&mut world).len(), 1);
}

#[test]
fn a_submit_that_was_not_confirmed_is_repeated_unchanged_after_a_reconnect() {
    let mut world = pair();
    request(&mut world, r#","via":"queue""#);
    world.run(1_500);
    world.disconnect_signaling("a");
    world.run(3_000);
    let submits = submits(&mut world);
    assert_eq!(submits.len(), 2);
    assert_eq!(submits[0], submits[1]);
}

#[test]
fn a_queued_request_is_watched_again_after_a_reconnect() {
    let mut world = pair();
    request(&mut world, r#","via":"queue""#);
    let submit = submits(&mut world).remove(0);
    let task_id = submit.task.task_id.unwrap();
    let submitted = TaskSubmitted {
        request_id: submit.request_id,
        task_id: task_id.clone(),
    };
    world.tell("a", &RegistrySignal::TaskSubmitted(submitted));
    world.disconnect_signaling("a");
    world.run(3_000);
    let watches = |s: &ClientSignal| matches!(s, ClientSignal::TaskWatch(w) if w.task_ids == [task_id.clone()]);
    assert!(world.signals("a").iter().any(watches));
}

#[test]
fn a_direct_only_request_ends_when_there_is_no_link() {
    let mut world = pair();
    world.kill("b");
    world.run(10_000);
    clear_a(&mut world);
    request(&mut world, r#","via":"direct""#);
    let problem = refusal(&mut world);
    assert_eq!(
        (problem.code, problem.request_id.as_deref()),
        (Code::NoLink, Some("r1"))
    );
}

fn clear_a(world: &mut World) {
    world.events("a");
    world.signals("a");
}

#[test]
fn a_direct_only_request_ends_when_its_link_breaks() {
    let mut world = pair();
    request(&mut world, r#","via":"direct""#);
    world.run(20);
    world.cut("a", "b");
    world.run(10);
    assert_eq!(
        response(&mut world).outcome.error.unwrap().code,
        Code::LinkLost
    );
    assert_eq!(submits(&mut world), []);
}

#[test]
fn a_deadline_ends_the_request_and_stops_the_work() {
    let mut world = pair();
    request(&mut world, r#","timeout_ms":500"#);
    world.run(20);
    assert_eq!(tasks(&mut world, "b").len(), 1);
    world.run(600);
    assert_eq!(
        response(&mut world).outcome.error.unwrap().code,
        Code::DeadlineExceeded
    );
    let stops = |e: &AgentEvent| matches!(e, AgentEvent::TaskCancel(_));
    assert_eq!(world.events("b").iter().filter(|e| stops(e)).count(), 1);
}

#[test]
fn a_canceled_request_stops_the_work_and_ends_canceled() {
    let mut world = pair();
    request(&mut world, "");
    world.run(20);
    let task = tasks(&mut world, "b").remove(0);
    world.say_line("a", r#"{"type":"cancel","payload":{"request_id":"r1"}}"#);
    world.run(20);
    assert_eq!(response(&mut world).outcome.state, TaskState::Canceled);
    let told: Vec<AgentEvent> = world.events("b");
    assert!(matches!(&told[..], [AgentEvent::TaskCancel(c)] if c.code == Code::Canceled));
    respond(
        &mut world,
        &task,
        r#"{"state":"canceled","error":{"code":"canceled","message":""}}"#,
    );
    assert_eq!(world.events("b"), [], "its late word is no error");
}

#[test]
fn a_cancel_that_went_with_its_link_is_said_again_over_the_next() {
    // The link breaks after the word, or before it: then the work has fallen back to the queue, which has not begun it.
    for is_said_first in [true, false] {
        let mut world = pair();
        request(&mut world, "");
        world.run(20);
        assert_eq!(tasks(&mut world, "b").len(), 1);
        let cancel = |world: &mut World| {
            world.say_line("a", r#"{"type":"cancel","payload":{"request_id":"r1"}}"#);
        };
        if is_said_first {
            cancel(&mut world);
            world.cut("a", "b");
        } else {
            world.cut("a", "b");
            world.run(5);
            cancel(&mut world);
        }
        world.run(10);
        let stops =
            |e: &AgentEvent| matches!(e, AgentEvent::TaskCancel(c) if c.code == Code::Canceled);
        assert!(!world.events("b").iter().any(stops), "it did not come");
        world.run(10_000);
        assert!(world.are_linked("a", "b"));
        assert_eq!(world.events("b").iter().filter(|e| stops(e)).count(), 1);
    }
}

#[test]
fn work_that_may_only_go_directly_is_stopped_when_the_link_that_broke_is_back() {
    let mut world = pair();
    request(&mut world, r#","via":"direct""#);
    world.run(20);
    assert_eq!(tasks(&mut world, "b").len(), 1);
    world.cut("a", "b");
    world.run(5);
    assert_eq!(
        response(&mut world).outcome.error.unwrap().code,
        Code::LinkLost
    );
    world.run(10_000);
    assert!(world.are_linked("a", "b"));
    let told = world.events("b");
    let stops =
        |e: &&AgentEvent| matches!(e, AgentEvent::TaskCancel(c) if c.code == Code::Canceled);
    assert_eq!(told.iter().filter(stops).count(), 1);
}

#[test]
fn a_canceled_queued_request_is_canceled_at_the_registry_even_when_that_was_away() {
    let mut world = pair();
    request(&mut world, r#","via":"queue""#);
    world.set_registry(false);
    world.say_line("a", r#"{"type":"cancel","payload":{"request_id":"r1"}}"#);
    world.signals("a");
    world.set_registry(true);
    world.run(3_000);
    let cancels = |s: &ClientSignal| matches!(s, ClientSignal::TaskCancel(_));
    assert_eq!(world.signals("a").iter().filter(|s| cancels(s)).count(), 1);
}

#[test]
fn a_cancel_that_a_dying_socket_swallowed_is_said_again_until_the_end_of_the_task_is_told() {
    let mut world = pair();
    request(&mut world, r#","via":"queue""#);
    let task_id = submits(&mut world).remove(0).task.task_id.unwrap();
    world.say_line("a", r#"{"type":"cancel","payload":{"request_id":"r1"}}"#);
    let mut cancels_after_reconnect = || {
        world.signals("a");
        world.disconnect_signaling("a");
        world.run(3_000);
        let cancels = |s: &ClientSignal| matches!(s, ClientSignal::TaskCancel(_));
        let count = world.signals("a").iter().filter(|s| cancels(s)).count();
        let done = RegistrySignal::TaskDone(TaskDone {
            task_id: task_id.clone(),
            outcome: Outcome::canceled("canceled by its submitter"),
            agent_id: String::new(),
            path: Path::Queue,
        });
        world.tell("a", &done);
        count
    };
    assert_eq!(cancels_after_reconnect(), 1);
    assert_eq!(cancels_after_reconnect(), 0, "it has ended");
}

#[test]
fn a_skill_the_agent_lacks_is_refused_without_asking_it() {
    let mut world = pair();
    let line = r#"{"type":"request","payload":{"request_id":"r1","skill":"fly","to":"bob"}}"#;
    world.say_line("a", line);
    world.run(20);
    assert_eq!(tasks(&mut world, "b"), []);
    assert_eq!(
        response(&mut world).outcome.error.unwrap().code,
        Code::SkillUnknown
    );
}

fn delegate(world: &mut World, parent: &str, timeout_ms: u64) {
    let line = format!(
        r#"{{"type":"request","payload":{{"request_id":"sub","skill":"x","via":"queue","parent":"{parent}","timeout_ms":{timeout_ms}}}}}"#
    );
    world.say_line("b", &line);
}

#[test]
fn a_delegation_hangs_under_its_parent_and_ends_no_later() {
    let mut world = pair();
    let mut root = assign("child", 1, 5);
    if let RegistrySignal::TaskAssign(assign) = &mut root {
        assign.timeout_ms = 4_000;
        assign.lineage = Lineage {
            parent_id: Some("root".parse().unwrap()),
            root_id: Some("root".parse().unwrap()),
            depth: 1,
            chain: vec![hop("root-agent", "begin")],
            traceparent: None,
        };
    }
    world.tell("b", &root);
    world.signals("b");
    world.run(1_000);
    // The agent knows the span of its run, and what it asks for stands under it.
    let run = tasks(&mut world, "b").remove(0).run_traceparent.unwrap();
    delegate(&mut world, "child", 60_000);
    let told = world.signals("b");
    let Some(ClientSignal::TaskSubmit(submit)) = told.last() else {
        panic!("{told:?}");
    };
    let expected = Lineage {
        parent_id: Some("child".parse().unwrap()),
        root_id: Some("root".parse().unwrap()),
        depth: 2,
        chain: vec![hop("root-agent", "begin"), hop("bob", "add")],
        traceparent: Some(run),
    };
    assert_eq!((&submit.task.lineage, submit.task.ttl), (&expected, 3));
}

#[test]
fn a_chain_of_delegations_that_is_too_deep_is_refused() {
    let mut world = pair();
    let mut deepest = assign("deep", 1, 5);
    if let RegistrySignal::TaskAssign(assign) = &mut deepest {
        assign.lineage.depth = MAX_DEPTH;
    }
    world.tell("b", &deepest);
    world.events("b");
    delegate(&mut world, "deep", 1_000);
    let told = world.events("b");
    assert!(matches!(&told[..], [AgentEvent::Error(p)] if p.code == Code::DepthExceeded));
}

#[test]
fn of_two_agents_the_one_with_less_to_do_is_asked() {
    let mut world = World::new(&["a", "b", "c"]);
    world.agent("a", "alice", &[]);
    world.agent("b", "bob", &["add"]);
    world.agent("c", "carol", &["add"]);
    world.run(100);
    for n in 0..6 {
        let line =
            format!(r#"{{"type":"request","payload":{{"request_id":"r{n}","skill":"add"}}}}"#);
        world.say_line("a", &line);
    }
    world.run(20);
    assert_eq!(
        (tasks(&mut world, "b").len(), tasks(&mut world, "c").len()),
        (3, 3)
    );
}

#[test]
fn a_client_of_the_old_dialect_gets_messages_as_they_are() {
    let mut world = World::new(&["a", "b"]);
    world.agent("a", "alice", &[]);
    world.connect_client("b", 1);
    world.run(HELLO_WAIT_MS + 50);
    world.events("b");
    for kind in ["task_request", "ping", "task_response", "anything"] {
        let line = format!(
            r#"{{"type":"send","payload":{{"target_peer":"b","message":{{"type":"{kind}","request_id":"1","payload":{{"skill":"s"}}}}}}}}"#
        );
        world.say_line("a", &line);
    }
    world.run(20);
    let seen: Vec<String> = world
        .events("b")
        .iter()
        .filter_map(|e| match e {
            AgentEvent::Message(m) => Some(m.message.text().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(seen.len(), 4);
    assert!(seen[0].contains(r#""type":"task_request","request_id":"1""#));
}

#[test]
fn a_native_sidecar_answers_ping_itself() {
    let mut world = pair();
    world.say_line("a", r#"{"type":"send","payload":{"target_peer":"b","message":{"type":"ping","request_id":"7"}}}"#);
    world.run(20);
    assert_eq!(world.events("b"), []);
    let told = world.events("a");
    assert!(
        matches!(&told[..], [AgentEvent::Message(m)] if m.message.text().contains("pong") && m.message.text().contains("\"7\""))
    );
}

#[test]
fn a_hostile_task_request_is_bounded_and_harms_nobody() {
    let mut world = pair();
    for n in 0..20 {
        let line = format!(
            r#"{{"type":"send","payload":{{"target_peer":"b","message":{{"type":"task_request","request_id":"{n}","payload":{{"skill":"add"}},"task":{{"task_id":"t","attempt":4294967295,"timeout_ms":18446744073709551615,"depth":4294967295}}}}}}}}"#
        );
        world.say_line("a", &line);
    }
    world.run(20);
    let tasks = tasks(&mut world, "b");
    assert_eq!(tasks.len(), 1, "one attempt, one run");
    assert_eq!(tasks[0].timeout_ms, MAX_TTL_S * 1000);
    let refused = world.events("a");
    assert_eq!(refused.len(), 20 - MAX_ASKERS, "the others are told");
    delegate(&mut world, "t", 1_000);
    assert!(
        matches!(&world.events("b")[..], [AgentEvent::Error(p)] if p.code == Code::DepthExceeded)
    );
}

/// What may happen while requests are open.
#[derive(Clone, Debug)]
enum Step {
    Ask(u8, bool),
    Answer(u8),
    Cut,
    Registry(bool),
    RestartPeer,
    CrashAgent,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<u8>(), any::<bool>()).prop_map(|(via, wait)| Step::Ask(via % 3, wait)),
        2 => any::<u8>().prop_map(Step::Answer),
        1 => Just(Step::Cut),
        1 => any::<bool>().prop_map(Step::Registry),
        1 => Just(Step::RestartPeer),
        1 => Just(Step::CrashAgent),
        2 => (0u64..6_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_request_ends_exactly_once_and_no_attempt_runs_twice(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = pair();
        let (mut asked, mut ended) = (0, BTreeMap::<String, u32>::new());
        let (mut handed, mut runs) = (Vec::new(), BTreeMap::<(String, u32), u32>::new());
        for step in steps {
            match step {
                Step::Ask(via, wait) => {
                    let via = ["auto", "direct", "queue"][usize::from(via)];
                    let line = format!(
                        r#"{{"type":"request","payload":{{"request_id":"r{asked}","skill":"add","via":"{via}","wait":{wait},"timeout_ms":9000}}}}"#
                    );
                    world.say_line("a", &line);
                    asked += 1;
                }
                Step::Answer(n) if !handed.is_empty() => {
                    let task: TaskEvent = handed.remove(usize::from(n) % handed.len());
                    respond(&mut world, &task, DONE);
                }
                Step::Answer(_) => {}
                Step::Cut => world.cut("a", "b"),
                Step::Registry(up) => world.set_registry(up),
                Step::RestartPeer => {
                    world.start("b");
                    world.agent("b", "bob", &["add"]);
                    handed.clear();
                    runs.clear();
                }
                Step::CrashAgent => {
                    world.disconnect_client("b");
                    world.run(AGENT_RETURN_MS / 2);
                    world.agent("b", "bob", &["add"]);
                    handed.clear();
                }
                Step::Wait(ms) => world.run(ms),
            }
            world.run(5);
            collect(&mut world, &mut handed, &mut runs, &mut ended);
        }
        world.run(20_000);
        collect(&mut world, &mut handed, &mut runs, &mut ended);
        prop_assert_eq!(ended.len(), asked);
        prop_assert!(ended.values().all(|times| *times == 1), "{ended:?}");
        prop_assert!(runs.values().all(|times| *times == 1), "{runs:?}");
    }
}

fn collect(
    world: &mut World,
    handed: &mut Vec<TaskEvent>,
    runs: &mut BTreeMap<(String, u32), u32>,
    ended: &mut BTreeMap<String, u32>,
) {
    for task in tasks(world, "b") {
        *runs
            .entry((task.task_id.to_string(), task.attempt))
            .or_default() += 1;
        handed.push(task);
    }
    for event in world.events("a") {
        let end = match event {
            AgentEvent::Response(response) => Some(response.request_id),
            AgentEvent::Error(problem) => problem.request_id,
            _ => None,
        };
        if let Some(request_id) = end {
            *ended.entry(request_id).or_default() += 1;
        }
    }
}
