//! What a submitter may ask for: order, delay, deadline, and a key that makes two submissions one.

use seamesh_proto::limits::{
    LEASE_TTL_MS, MAX_DEADLINE_MS, MAX_IDEMPOTENCY_KEY_BYTES, MAX_PRIORITY,
};
use seamesh_proto::signaling::RegistrySignal;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Code, TaskId, TaskState};
use seamesh_registry_core::{Op, Reply};
use serde_json::json;

use crate::world::{World, agent_role, lease, operator, work};

fn refused(world: &mut World, task: SubmitTask) -> Code {
    let op = Op::SubmitTask(Box::new(task));
    world.ask(operator(), op).unwrap_err().code
}

/// A task without an id, under a key.
fn named(key: &str, skill: &str) -> SubmitTask {
    SubmitTask {
        skill: skill.to_owned(),
        idempotency_key: Some(key.to_owned()),
        ..SubmitTask::default()
    }
}

fn prior(task: &str, priority: i32) -> SubmitTask {
    SubmitTask {
        priority,
        ..work(task, "s")
    }
}

#[test]
fn what_waits_goes_out_by_priority_and_then_in_order_even_after_a_restart() {
    let mut world = World::new();
    for (task, priority) in [("low", -100), ("one", 0), ("two", 0), ("high", 100)] {
        world.submit(prior(task, priority));
    }
    assert_eq!(world.task("high").priority, 100);
    world.restart();
    let a = world.agent("b", &["x"]);
    world.register(a, "b", &["x", "s"], &[]);
    let got = world.assigned(a);
    let order: Vec<_> = got.iter().map(|t| t.task_id.as_str()).collect();
    assert_eq!(order, ["high", "one", "two", "low"]);
}

#[test]
fn delayed_work_is_handed_out_when_its_time_has_come_and_no_sooner_even_after_a_restart() {
    let mut world = World::new();
    world.submit(SubmitTask {
        not_before_ms: Some(10_000),
        ..work("t", "s")
    });
    let told = world.task("t").not_before_at;
    assert_eq!(told, Some(world.now.plus(10_000).seconds()));
    world.pass(4_000);
    world.restart();
    let a = world.sidecar("p-a");
    world.register(a, "a", &["s"], &[]);
    world.pass(5_999);
    assert!(world.assigned(a).is_empty());
    world.pass(1);
    assert_eq!(world.assigned(a).len(), 1);
    assert_eq!(world.task("t").not_before_at, None);
}

#[test]
fn work_that_misses_its_deadline_fails_so_whether_it_waits_or_runs() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let urgent = |task: &str, skill: &str| SubmitTask {
        deadline_ms: Some(3_000),
        ..work(task, skill)
    };
    world.submit(urgent("runs", "s"));
    world.submit(urgent("waits", "nobody"));
    assert_eq!(world.assigned(a)[0].timeout_ms, 3_000);
    world.restart();
    world.pass(2_999);
    assert_eq!(world.task("waits").state, TaskState::Pending);
    world.pass(1);
    for task in ["runs", "waits"] {
        let task = world.task(task);
        assert_eq!(task.state, TaskState::Failed);
        assert_eq!(task.error_code, Some(Code::DeadlineExceeded));
    }
}

#[test]
fn whose_deadline_passes_while_it_runs_is_told_to_stop() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(SubmitTask {
        deadline_ms: Some(3_000),
        ..work("t", "s")
    });
    world.heard(a);
    world.pass(3_000);
    let heard = world.heard(a);
    assert!(
        matches!(&heard[..], [RegistrySignal::TaskRevoke(r)] if r.code == Code::DeadlineExceeded),
        "{heard:?}"
    );
}

#[test]
fn a_ttl_that_ends_before_the_deadline_comes_first() {
    let mut world = World::new();
    world.submit(SubmitTask {
        deadline_ms: Some(LEASE_TTL_MS),
        ttl: 1,
        ..work("t", "s")
    });
    world.pass(1_000);
    assert_eq!(world.task("t").error_code, Some(Code::Expired));
}

#[test]
fn options_out_of_range_are_refused_and_those_at_their_limits_taken() {
    let mut world = World::new();
    let plain = || work("t", "s");
    let deadline = |ms| SubmitTask {
        deadline_ms: Some(ms),
        ..plain()
    };
    let delay = |ms| SubmitTask {
        not_before_ms: Some(ms),
        ..plain()
    };
    let key = |bytes| SubmitTask {
        idempotency_key: Some("k".repeat(bytes)),
        ..plain()
    };
    let both = SubmitTask {
        deadline_ms: Some(500),
        ..delay(500)
    };
    let bad = [
        prior("t", MAX_PRIORITY + 1),
        prior("t", -MAX_PRIORITY - 1),
        prior("t", i32::MIN),
        deadline(0),
        deadline(MAX_DEADLINE_MS + 1),
        deadline(u64::MAX),
        delay(300_000),
        delay(u64::MAX),
        both,
        key(0),
        key(MAX_IDEMPOTENCY_KEY_BYTES + 1),
    ];
    for task in bad {
        let said = format!("{task:?}");
        assert_eq!(refused(&mut world, task), Code::BadField, "{said}");
    }
    let good = [
        prior("p", -MAX_PRIORITY),
        deadline(MAX_DEADLINE_MS),
        delay(299_999),
        key(MAX_IDEMPOTENCY_KEY_BYTES),
    ];
    for (n, task) in good.into_iter().enumerate() {
        world.submit(SubmitTask {
            task_id: Some(format!("good{n}").parse().unwrap()),
            ..task
        });
    }
}

#[test]
fn the_same_key_is_the_same_task_while_it_lives_after_it_ended_and_after_a_restart() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let first = world.submit(named("k", "s"));
    let later = SubmitTask {
        ttl: 100,
        ..named("k", "s")
    };
    assert_eq!(world.submit(later), first);
    let got = world.assigned(a);
    assert_eq!(got.len(), 1, "it runs once");
    world.result(a, "a", &lease(&got[0]), "r");
    assert_eq!(world.submit(named("k", "s")), first);
    world.restart();
    assert_eq!(world.submit(named("k", "s")), first);
    assert_eq!(world.store.tasks().count(), 1);
}

#[test]
fn the_same_key_for_other_work_is_a_conflict_while_the_first_lives_and_after() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(named("k", "s"));
    let other = || SubmitTask {
        payload: json!({"n": 2}).into(),
        ..named("k", "s")
    };
    assert_eq!(refused(&mut world, other()), Code::Conflict);
    let got = lease(&world.assigned(a)[0]);
    world.result(a, "a", &got, "r");
    assert_eq!(refused(&mut world, other()), Code::Conflict);
    let with_id = SubmitTask {
        task_id: "mine".parse().ok(),
        ..other()
    };
    assert_eq!(refused(&mut world, with_id), Code::Conflict);
}

#[test]
fn a_key_is_its_callers_own() {
    let mut world = World::new();
    let first = world.submit(named("k", "s"));
    let op = Op::SubmitTask(Box::new(named("k", "other")));
    let Ok(Reply::Submitted(second)) = world.ask(agent_role("p-x"), op) else {
        panic!("refused");
    };
    assert_ne!(first, second);
}

fn submitted(world: &mut World, request: seamesh_registry_core::RequestId) -> TaskId {
    match world.reply(request) {
        Some(Ok(Reply::Submitted(id))) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_submissions_under_one_key_at_once_are_one_task_however_slow_the_store_reads() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.slow_store = true;
    let submit = || Op::SubmitTask(Box::new(named("k", "s")));
    let requests = [(); 3].map(|()| world.begin(operator(), submit()));
    world.answer_lookup();
    let first = submitted(&mut world, requests[0]);
    world.answer_lookup();
    assert_eq!(submitted(&mut world, requests[1]), first);
    // It ends before the store's answer to the third comes, which is older than the first.
    let got = lease(&world.assigned(a)[0]);
    world.result(a, "a", &got, "r");
    world.slow_store = false;
    world.answer_lookup();
    assert_eq!(submitted(&mut world, requests[2]), first);
    assert_eq!(world.store.tasks().count(), 1);
}

#[test]
fn a_key_is_free_again_when_its_task_did_not_become_durable() {
    let mut world = World::new();
    world.disk_full = true;
    assert_eq!(refused(&mut world, named("k", "s")), Code::StoreUnavailable);
    world.submit(named("k", "other"));
}
