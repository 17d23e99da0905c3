use seamesh_proto::limits::{MAX_PAYLOAD_BYTES, MAX_TTL_S};
use seamesh_proto::signaling::RegistrySignal;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Code, Path, TaskState};
use seamesh_registry_core::{Op, Output, Reply};
use serde_json::json;

use crate::world::{World, agent_role, id, lease, operator, work};

fn refused(world: &mut World, task: SubmitTask) -> Code {
    let op = Op::SubmitTask(Box::new(task));
    world.ask(operator(), op).unwrap_err().code
}

#[test]
fn nobody_hears_of_a_task_before_it_is_durable() {
    let mut world = World::new();
    world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    let commit = |o: &Output| matches!(o, Output::Commit(b) if !b.writes.is_empty());
    let first = world.last.iter().position(commit).expect("a commit");
    let told = |o: &Output| matches!(o, Output::Reply { .. } | Output::Send { .. });
    assert!(!world.last[..first].iter().any(told));
    assert_eq!(world.last[first..].iter().filter(|o| told(o)).count(), 2);
}

/// Stores keep tasks in an index of their ids: ids that grow with time share its pages.
#[test]
fn ids_that_the_registry_chooses_grow_with_time_and_differ_within_it() {
    let mut world = World::new();
    let chosen = |world: &mut World| {
        let op = Op::SubmitTask(Box::new(SubmitTask {
            task_id: None,
            ..work("t", "s")
        }));
        match world.ask(operator(), op) {
            Ok(Reply::Submitted(id)) => id,
            other => panic!("{other:?}"),
        }
    };
    let now: Vec<_> = (0..100).map(|_| chosen(&mut world)).collect();
    world.pass(1);
    let later: Vec<_> = (0..100).map(|_| chosen(&mut world)).collect();
    assert!(now.iter().max() < later.iter().min());
    let all: std::collections::BTreeSet<_> = now.iter().chain(&later).collect();
    assert_eq!(all.len(), 200);
    // RFC 9562, sections 4.1, 4.2 and 5.7: version 7 and its variant.
    for id in all {
        let text = id.as_str().as_bytes();
        assert!(
            text.len() == 36 && text[14] == b'7' && b"89ab".contains(&text[19]),
            "{id}"
        );
    }
}

#[test]
fn the_same_submission_twice_is_one_task() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    assert_eq!(world.submit(work("t", "s")), id("t"));
    // A repeat after a reconnect has less time left.
    let again = SubmitTask {
        ttl: 100,
        ..work("t", "s")
    };
    assert_eq!(world.submit(again), id("t"));
    assert_eq!(world.assigned(a).len(), 1);
}

#[test]
fn the_same_id_for_other_work_is_a_conflict_while_it_lives_and_after() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    assert_eq!(refused(&mut world, work("t", "other")), Code::Conflict);
    let got = lease(&world.assigned(a)[0]);
    world.result(a, "a", &got, "r");
    assert_eq!(refused(&mut world, work("t", "other")), Code::Conflict);
    assert_eq!(world.submit(work("t", "s")), id("t"));
    assert_eq!(world.task("t").state, TaskState::Completed);
}

#[test]
fn a_sidecar_that_submits_ended_work_again_is_told_how_it_ended() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let w = world.sidecar("w");
    let submit = json!({"type": "task_submit", "peer_id": "w", "payload":
        {"request_id": "r1", "task": {"task_id": "t", "skill": "s", "payload": {"n": 1}}}});
    world.raw(w, submit.clone());
    let got = lease(&world.assigned(a)[0]);
    world.close(w);
    world.result(a, "a", &got, "42");
    let back = world.sidecar("w");
    world.heard(back);
    world.raw(back, submit);
    match &world.heard(back)[..] {
        [
            RegistrySignal::TaskSubmitted(submitted),
            RegistrySignal::TaskDone(done),
        ] => {
            assert_eq!(submitted.request_id, "r1");
            assert_eq!(done.outcome.result, json!("42"));
            assert_eq!(done.agent_id, "a");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_submitter_is_told_the_end_over_its_newest_socket() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let w = world.sidecar("w");
    world.raw(
        w,
        json!({"type": "task_submit", "peer_id": "w", "payload":
        {"request_id": "r", "task": {"task_id": "t", "skill": "s"}}}),
    );
    world.close(w);
    let back = world.sidecar("w");
    world.heard(back);
    let got = lease(&world.assigned(a)[0]);
    world.result(a, "a", &got, "r");
    assert_eq!(world.done(back).len(), 1);
}

#[test]
fn a_watcher_is_told_of_live_and_of_ended_work() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("ended", "s"));
    world.submit(work("live", "s"));
    let got = world.assigned(a);
    world.result(a, "a", &lease(&got[0]), "1");
    let w = world.sidecar("w");
    world.heard(w);
    world.raw(
        w,
        json!({"type": "task_watch", "peer_id": "w", "payload":
        {"task_ids": ["ended", "live", "never"]}}),
    );
    assert_eq!(world.done(w)[0].task_id, id("ended"));
    world.result(a, "a", &lease(&got[1]), "2");
    assert_eq!(world.done(w)[0].task_id, id("live"));
}

#[test]
fn an_agent_submits_in_its_own_name_whatever_it_says() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.agent("b", &["x"]);
    for (said, meant) in [("b", "a"), ("", "a"), ("a", "a")] {
        let task = SubmitTask {
            source_agent_id: said.to_owned(),
            skill: "none".to_owned(),
            ..SubmitTask::default()
        };
        let op = Op::SubmitTask(Box::new(task));
        let Ok(Reply::Submitted(task)) = world.ask(agent_role("p-a"), op) else {
            panic!("not accepted");
        };
        assert_eq!(world.task(task.as_str()).source_agent_id, meant);
    }
    world.heard(a);
}

#[test]
fn submissions_over_a_limit_are_refused_with_its_code() {
    let mut world = World::new();
    let bad = |change: fn(&mut SubmitTask)| {
        let mut task = work("t", "s");
        change(&mut task);
        task
    };
    let cases = [
        (bad(|t| t.ttl = MAX_TTL_S + 1), Code::BadField),
        (bad(|t| t.max_attempts = 0), Code::BadField),
        (bad(|t| t.max_attempts = 101), Code::BadField),
        (bad(|t| t.skill = "s".repeat(129)), Code::BadField),
        (
            bad(|t| t.target_agent_id = "a b".to_owned()),
            Code::BadField,
        ),
        (
            bad(|t| t.payload = json!("x".repeat(MAX_PAYLOAD_BYTES)).into()),
            Code::TooLarge,
        ),
    ];
    for (task, code) in cases {
        assert_eq!(refused(&mut world, task), code);
    }
    assert_eq!(world.core.stats().tasks_live, 0);
}

#[test]
fn a_result_over_the_limit_fails_the_task_instead_of_running_it_again() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    let got = lease(&world.assigned(a)[0]);
    world.result(a, "a", &got, &"x".repeat(MAX_PAYLOAD_BYTES));
    let task = world.task("t");
    assert_eq!(
        (task.state, task.error_code),
        (TaskState::Failed, Some(Code::TooLarge))
    );
}

#[test]
fn direct_work_is_kept_once_with_its_path_and_never_over_the_queues_own() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("queued", "nobody"));
    let now = world.now.0;
    let item = |task: &str| {
        json!({"task_id": task, "skill": "s", "source_agent_id": "somebody",
            "target_agent_id": "lib", "state": "completed", "started_ms": now - 30,
            "finished_ms": now - 10, "parent_id": "queued", "root_id": "queued", "depth": 1})
    };
    let report = json!({"type": "task_report", "peer_id": "p-a", "payload":
        {"tasks": [item("d"), item("queued"), item("d")]}});
    world.raw(a, report.clone());
    world.raw(a, report);
    let task = world.task("d");
    assert_eq!(
        (task.state, task.path),
        (TaskState::Completed, Path::Direct)
    );
    assert_eq!(
        (
            task.source_agent_id.as_str(),
            task.assigned_agent_id.as_str()
        ),
        ("a", "lib")
    );
    assert_eq!(task.lineage.parent_id, Some(id("queued")));
    assert_eq!(world.task("queued").state, TaskState::Pending);
    let told = world.store.events_after(0);
    let of_d = told.iter().filter(
        |e| matches!(&e.event, seamesh_proto::events::MeshEvent::TaskChanged(t) if t.id == id("d")),
    );
    assert_eq!(of_d.count(), 1);
}

#[test]
fn a_wait_is_answered_by_the_end_or_by_its_time() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    let wait = |timeout_ms| Op::WaitTask {
        task_id: id("t"),
        timeout_ms,
    };
    let short = world.begin(operator(), wait(1_000));
    let long = world.begin(operator(), wait(60_000));
    world.pass(999);
    assert_eq!(world.reply(short), None);
    world.pass(1);
    let state = |reply| match reply {
        Some(Ok(Reply::Task(task))) => task.state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state(world.reply(short)), TaskState::Assigned);
    assert_eq!(world.reply(long), None);
    let got = lease(&world.assigned(a)[0]);
    world.result(a, "a", &got, "r");
    assert_eq!(state(world.reply(long)), TaskState::Completed);
    let late = world.begin(operator(), wait(60_000));
    assert_eq!(state(world.reply(late)), TaskState::Completed);
}

#[test]
fn only_the_submitter_or_an_operator_cancels() {
    let mut world = World::new();
    world.agent("b", &["x"]);
    world.submit(work("t", "s"));
    let cancel = || Op::CancelTask(id("t"));
    let refused = world.ask(agent_role("p-b"), cancel()).unwrap_err();
    assert_eq!(refused.code, Code::Forbidden);
    world.ask(operator(), cancel()).unwrap();
    let again = world.ask(operator(), cancel()).unwrap_err();
    assert_eq!(again.code, Code::TaskState);
    let never = world
        .ask(operator(), Op::CancelTask(id("never")))
        .unwrap_err();
    assert_eq!(never.code, Code::TaskUnknown);
}
