//! What a crash leaves and what a full disk does.

use seamesh_proto::limits::LEASE_TTL_MS;
use seamesh_proto::signaling::{ClientSignal, DirectTask, TaskReport};
use seamesh_proto::{Code, TaskState};
use seamesh_registry_core::Op;
use serde_json::json;

use crate::world::{World, beat, id, lease, operator, work};

#[test]
fn a_restart_loses_no_task_and_its_holder_keeps_its_lease() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("held", "s"));
    world.submit(work("waiting", "t"));
    let got = lease(&world.assigned(a)[0]);
    world.restart();
    world.pass(LEASE_TTL_MS - 1);
    let back = world.sidecar("p-a");
    world.heard(back);
    world.register(back, "a", &["s", "t"], std::slice::from_ref(&got));
    assert_eq!(world.assigned(back)[0].task_id, id("waiting"));
    assert_eq!(world.result(back, "a", &got, "r").code, None);
    assert_eq!(world.task("held").result, json!("r"));
}

#[test]
fn after_a_restart_a_holder_that_stays_away_loses_its_lease() {
    let mut world = World::new();
    world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    world.restart();
    let b = world.agent("b", &["s"]);
    world.pass(LEASE_TTL_MS);
    assert_eq!(world.assigned(b)[0].attempt, 2);
}

#[test]
fn a_full_disk_is_told_and_nothing_of_it_is_remembered() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.disk_full = true;
    let op = Op::SubmitTask(Box::new(work("t", "s")));
    let refused = world.ask(operator(), op).unwrap_err();
    assert_eq!(refused.code, Code::StoreUnavailable);
    assert!(world.assigned(a).is_empty());
    assert_eq!(world.closed[&a].code, Code::StoreUnavailable);
    let unknown = world.ask(operator(), Op::GetTask(id("t"))).unwrap_err();
    assert_eq!(unknown.code, Code::TaskUnknown);
    // And it goes on as before.
    let back = world.sidecar("p-a");
    world.register(back, "a", &["s"], &[]);
    world.heard(back);
    world.submit(work("t", "s"));
    assert_eq!(world.assigned(back).len(), 1);
}

#[test]
fn a_request_that_waits_is_told_when_the_disk_is_full() {
    let mut world = World::new();
    world.submit(work("t", "s"));
    let wait = Op::WaitTask {
        task_id: id("t"),
        timeout_ms: 60_000,
    };
    let waiting = world.begin(operator(), wait);
    world.disk_full = true;
    let other = world.begin(operator(), Op::CancelTask(id("t")));
    for request in [waiting, other] {
        let told = world.reply(request).expect("told").unwrap_err();
        assert_eq!(told.code, Code::StoreUnavailable);
    }
    assert_eq!(world.task("t").state, TaskState::Pending);
}

#[test]
fn beats_do_not_wear_the_disk_out() {
    let mut world = World::new();
    world.rest_beat(beat("a"));
    let written = world.store.load().agents[0].version;
    for _ in 0..11 {
        world.pass(5_000);
        world.rest_beat(beat("a"));
    }
    assert_eq!(world.store.load().agents[0].version, written);
    world.pass(5_000);
    world.rest_beat(beat("a"));
    assert_eq!(world.store.load().agents[0].version, written + 1);
}

#[test]
fn an_answer_of_the_store_that_is_older_than_the_tasks_end_is_asked_for_again() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.slow_store = true;
    let submit = || Op::SubmitTask(Box::new(work("t", "s")));
    let first = world.begin(operator(), submit());
    let second = world.begin(operator(), submit());
    world.answer_lookup();
    assert!(world.reply(first).expect("accepted").is_ok());
    let got = lease(&world.assigned(a)[0]);
    world.result(a, "a", &got, "r");
    // The store was asked before there was a task, and answers now that it has ended.
    world.slow_store = false;
    world.answer_lookup();
    assert!(world.reply(second).expect("answered").is_ok());
    assert_eq!(world.task("t").result, json!("r"));
}

fn reported(task: &str, root: &str) -> DirectTask {
    serde_json::from_value(json!({
        "task_id": task, "skill": "s", "source_agent_id": "a", "target_agent_id": "b", "state": "completed",
        "started_ms": 1, "finished_ms": 2,
        "parent_id": root, "root_id": root, "depth": 1,
    }))
    .unwrap()
}

#[test]
fn direct_work_told_before_a_result_is_kept_before_it_however_slow_the_store_reads() {
    let mut world = World::new();
    let a = world.agent("a", &["ask"]);
    world.submit(work("root", "ask"));
    let got = lease(&world.assigned(a)[0]);
    world.slow_store = true;
    let report = |tasks| ClientSignal::TaskReport(TaskReport { tasks });
    world.say(a, "p-a", &report(vec![reported("hop", "root")]));
    world.result(a, "a", &got, "r");
    let kept: Vec<_> = world.store.tasks().map(|t| t.spec.id.clone()).collect();
    assert_eq!(kept, [id("hop"), id("root")]);

    // Told again, with another end: the first one stands, and is not told twice.
    let told = world.store.events_after(0).len();
    let mut again = reported("hop", "root");
    again.state = TaskState::Failed;
    world.say(a, "p-a", &report(vec![again]));
    let hop = world.store.find(&[id("hop")]);
    assert_eq!(hop[0].state, TaskState::Completed);
    assert_eq!(world.store.events_after(0).len(), told);
}
