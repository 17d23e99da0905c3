//! When a task is handed out again, or for the first time.

use seamesh_proto::limits::{LEASE_TTL_MS, RETRY_FIRST_MS, RETRY_LAST_MS};
use seamesh_proto::signaling::{ClientSignal, LeaseRef, TaskRelease};
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Code, TaskState};
use seamesh_registry_core::{ConnId, Reason};

use crate::world::{World, lease, work};

fn stubborn(task: &str) -> SubmitTask {
    SubmitTask {
        max_attempts: 20,
        ttl: 3_600,
        ..work(task, "s")
    }
}

fn release(world: &mut World, conn: ConnId, held: &LeaseRef) {
    let release = TaskRelease {
        task_id: held.task_id.clone(),
        lease: held.lease,
    };
    world.say(conn, "p-a", &ClientSignal::TaskRelease(release));
}

/// Milliseconds until the agent gets the task again.
fn pause(world: &mut World, conn: ConnId) -> (u64, LeaseRef) {
    let from = world.now;
    loop {
        if let [assign] = &world.assigned(conn)[..] {
            return (world.now.since(from), lease(assign));
        }
        let (at, _) = world.core.next_deadline().expect("something is due");
        world.pass(at.since(world.now));
    }
}

#[test]
fn work_that_is_handed_back_again_and_again_comes_again_more_and_more_slowly() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(stubborn("t"));
    let mut held = lease(&world.assigned(a)[0]);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        release(&mut world, a, &held);
        let (pause, next) = pause(&mut world, a);
        pauses.push(pause);
        held = next;
        world.register(a, "a", &["s"], std::slice::from_ref(&held));
    }
    let doubled = [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
    assert_eq!(pauses, doubled);
    assert_eq!((doubled[1], doubled[8]), (RETRY_FIRST_MS, RETRY_LAST_MS));
}

#[test]
fn a_pause_of_one_task_holds_no_other_up() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(stubborn("t"));
    for _ in 0..2 {
        let held = lease(&world.assigned(a)[0]);
        release(&mut world, a, &held);
    }
    assert!(world.assigned(a).is_empty(), "t pauses");
    world.submit(stubborn("other"));
    assert_eq!(world.assigned(a)[0].task_id.as_str(), "other");
    assert_eq!(world.core.stats().tasks_pending, 0);
    world.pass(RETRY_FIRST_MS - 1);
    assert!(world.assigned(a).is_empty());
    world.pass(1);
    assert_eq!(world.assigned(a)[0].task_id.as_str(), "t");
}

#[test]
fn a_pause_goes_on_after_a_restart() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(stubborn("t"));
    for _ in 0..2 {
        let held = lease(&world.assigned(a)[0]);
        release(&mut world, a, &held);
    }
    world.restart();
    let due = world.now.plus(RETRY_FIRST_MS);
    assert_eq!(world.core.next_deadline(), Some((due, Reason::TaskReady)));
    let a = world.agent("a", &["s"]);
    assert!(world.assigned(a).is_empty());
    world.pass(RETRY_FIRST_MS);
    assert_eq!(world.assigned(a)[0].attempt, 3);
}

#[test]
fn work_in_a_pause_is_canceled_and_expires_like_any_other() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(SubmitTask {
        ttl: LEASE_TTL_MS / 1000,
        ..stubborn("t")
    });
    for _ in 0..6 {
        let (_, held) = pause(&mut world, a);
        release(&mut world, a, &held);
    }
    world.pass(LEASE_TTL_MS);
    let task = world.task("t");
    assert_eq!(task.state, TaskState::Failed);
    assert_eq!(task.error_code, Some(Code::Expired));
    assert!(world.assigned(a).is_empty(), "it is never handed out again");
}
