use seamesh_proto::events::MeshEvent;
use seamesh_proto::limits::{HEARTBEAT_MS, LEASE_TTL_MS, RECONNECT_GRACE_MS};
use seamesh_proto::rest::TaskUpdate;
use seamesh_proto::signaling::{
    AgentRef, ClientSignal, Heartbeat, LeaseRef, RegistrySignal, TaskRelease,
};
use seamesh_proto::task::{DirectAttempt, SubmitTask};
use seamesh_proto::{Code, TaskId, TaskState};
use seamesh_registry_core::{ConnId, Note, Op};
use serde_json::json;

use crate::world::{World, agent_role, id, lease, peer, work};

fn renew(world: &mut World, conn: ConnId, agent: &str, leases: &[LeaseRef]) {
    let beat = Heartbeat {
        agent_id: agent.parse().ok(),
        leases: leases.to_vec(),
    };
    world.say(conn, &peer(agent), &ClientSignal::Heartbeat(beat));
}

#[test]
fn a_submitted_task_is_pushed_at_once_to_the_agent_that_offers_its_skill() {
    let mut world = World::new();
    let lib = world.agent("lib", &["search"]);
    world.agent("other", &["translate"]);
    world.submit(SubmitTask {
        payload: json!({"q": 1}).into(),
        ..work("t", "search")
    });
    let got = world.assigned(lib);
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].attempt, got[0].lease), (1, 1));
    assert_eq!(got[0].payload.to_value(), json!({"q": 1}));
    assert_eq!(got[0].lease_ttl_ms, LEASE_TTL_MS);
    assert_eq!(world.task("t").assigned_agent_id, "lib");
}

#[test]
fn a_waiting_task_is_pushed_when_its_agent_comes() {
    let mut world = World::new();
    world.submit(work("t", "search"));
    let conn = world.sidecar("p-lib");
    world.heard(conn);
    world.register(conn, "lib", &["search"], &[]);
    assert_eq!(world.assigned(conn).len(), 1);
}

#[test]
fn a_task_with_a_target_waits_for_it_though_others_offer_the_skill() {
    let mut world = World::new();
    let lib = world.agent("lib", &["search"]);
    world.submit(SubmitTask {
        target_agent_id: "late".to_owned(),
        ..work("t", "search")
    });
    assert!(world.assigned(lib).is_empty());
    let late = world.sidecar("p-late");
    world.register(late, "late", &[], &[]);
    assert_eq!(world.assigned(late).len(), 1);
}

#[test]
fn an_agent_holds_no_more_than_it_takes_at_once_and_gets_the_next_with_its_result() {
    let mut world = World::new();
    let conn = world.sidecar("p-lib");
    let one = json!({"agent_id": "lib", "hostname": "h", "max_concurrent": 1,
        "capabilities": {"skills": ["search"]}});
    let frame = json!({"type": "agent_register", "peer_id": "p-lib", "payload": {"agent": one}});
    world.raw(conn, frame);
    world.submit(work("a", "search"));
    world.submit(work("b", "search"));
    let first = world.assigned(conn);
    assert_eq!(first.len(), 1);
    let signal = ClientSignal::TaskRelease(TaskRelease {
        task_id: id("b"),
        lease: 1,
    });
    world.say(conn, "p-lib", &signal);
    assert!(world.assigned(conn).is_empty(), "b was never its own");
    let frame = json!({"type": "task_result", "peer_id": "p-lib", "payload":
        {"task_id": "a", "lease": 1, "outcome": {"state": "completed", "result": 1}}});
    world.raw(conn, frame);
    let next = world.assigned(conn);
    assert_eq!(next[0].task_id, id("b"));
}

#[test]
fn work_goes_to_the_least_loaded_and_ties_to_the_least_recently_chosen() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", &["s"]), world.agent("b", &["s"]));
    for n in 0..4 {
        world.submit(work(&format!("t{n}"), "s"));
    }
    let (to_a, to_b) = (world.assigned(a), world.assigned(b));
    assert_eq!((to_a.len(), to_b.len()), (2, 2));
    // Both are idle again; a was chosen longer ago.
    for (conn, agent, got) in [(b, "b", &to_b), (a, "a", &to_a)] {
        for assign in got {
            world.result(conn, agent, &lease(assign), "r");
        }
    }
    world.submit(work("next", "s"));
    assert_eq!(world.assigned(a).len(), 1);
}

#[test]
fn a_lease_that_is_renewed_lives_and_one_that_is_not_lapses() {
    let mut world = World::new();
    let lib = world.agent("lib", &["search"]);
    world.submit(work("kept", "search"));
    world.submit(work("lost", "search"));
    let got = world.assigned(lib);
    for _ in 0..4 {
        world.pass(HEARTBEAT_MS);
        renew(&mut world, lib, "lib", &[lease(&got[0])]);
    }
    assert_eq!(world.task("kept").lease, Some(1));
    assert_eq!(world.task("lost").attempt, 2);
    let heard = world.heard(lib);
    let revoked = heard.iter().find_map(|s| match s {
        RegistrySignal::TaskRevoke(revoke) => Some(revoke.clone()),
        _ => None,
    });
    let revoked = revoked.expect("the holder is told to stop");
    assert_eq!(
        (revoked.task_id, revoked.code),
        (id("lost"), Code::LeaseStale)
    );
}

#[test]
fn a_vanished_holders_task_goes_to_another_and_its_late_result_is_refused() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    let first = world.assigned(a);
    let b = world.agent("b", &["s"]);
    world.pass(LEASE_TTL_MS - 1);
    assert!(world.assigned(b).is_empty());
    // a hangs: it is still connected, so it must not be the one that gets it again.
    world.pass(1);
    let second = world.assigned(b);
    assert_eq!((second[0].attempt, second[0].lease), (2, 2));
    let ack = world.result(a, "a", &lease(&first[0]), "late");
    assert_eq!(ack.code, Some(Code::LeaseStale));
    assert_eq!(world.task("t").state, TaskState::Assigned);
    let ack = world.result(b, "b", &lease(&second[0]), "good");
    assert_eq!(ack.code, None);
    assert_eq!(world.task("t").result, json!("good"));
    let stale = |n: &Note| matches!(n, Note::StaleResult { lease: 1, .. });
    assert!(world.notes.iter().any(stale), "it is noted");
    assert_eq!(stale_results(&world), [(id("t"), 1, peer("a"))]);
}

/// Task, lease and sender of each refusal in the event log.
fn stale_results(world: &World) -> Vec<(TaskId, u64, String)> {
    let events = world.store.events_after(0).into_iter();
    let stale = events.filter_map(|record| match record.event {
        MeshEvent::StaleResult(stale) => {
            Some((stale.task_id, stale.lease, stale.peer_id.to_string()))
        }
        _ => None,
    });
    stale.collect()
}

#[test]
fn under_a_stale_lease_a_failure_is_recorded_and_a_hand_back_only_refused() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    let got = lease(&world.assigned(a)[0]);
    let old = LeaseRef {
        task_id: id("t"),
        lease: 9,
    };
    let hand_back = |lease: &LeaseRef| {
        ClientSignal::TaskRelease(TaskRelease {
            task_id: lease.task_id.clone(),
            lease: lease.lease,
        })
    };
    world.say(a, "p-a", &hand_back(&old));
    let is_refused = |signal: &RegistrySignal| matches!(signal, RegistrySignal::TaskAck(ack) if ack.code == Some(Code::LeaseStale));
    assert!(world.heard(a).iter().any(is_refused));
    let failed = TaskUpdate {
        state: TaskState::Failed,
        result: json!(null),
        error: "it raised".to_owned(),
        lease: Some(8),
    };
    let op = Op::UpdateTask {
        task_id: id("t"),
        update: Box::new(failed),
    };
    let refused = world.ask(agent_role("p-a"), op).unwrap_err();
    assert_eq!(refused.code, Code::LeaseStale);
    world.result(a, "a", &got, "r");
    world.say(a, "p-a", &hand_back(&got));
    assert!(world.heard(a).iter().any(is_refused), "after its end, too");
    let leases: Vec<_> = stale_results(&world).iter().map(|s| s.1).collect();
    assert_eq!(leases, [8]);
    // Of a task that never was there is no history.
    let never = LeaseRef {
        task_id: id("never"),
        lease: 1,
    };
    assert_eq!(
        world.result(a, "a", &never, "r").code,
        Some(Code::TaskUnknown)
    );
    assert_eq!(stale_results(&world).len(), 1);
}

#[test]
fn a_result_that_comes_twice_is_taken_once_and_acknowledged_twice() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    let got = lease(&world.assigned(a)[0]);
    assert_eq!(world.result(a, "a", &got, "one").code, None);
    assert_eq!(world.result(a, "a", &got, "two").code, None);
    assert_eq!(world.task("t").result, json!("one"));
}

#[test]
fn a_result_for_a_task_that_never_was_is_refused_as_unknown() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let never = LeaseRef {
        task_id: id("never"),
        lease: 1,
    };
    assert_eq!(
        world.result(a, "a", &never, "x").code,
        Some(Code::TaskUnknown)
    );
}

#[test]
fn another_peer_cannot_end_a_task_though_it_knows_the_lease() {
    let mut world = World::new();
    let (a, thief) = (world.agent("a", &["s"]), world.agent("thief", &["x"]));
    world.submit(work("t", "s"));
    let got = lease(&world.assigned(a)[0]);
    assert_eq!(
        world.result(thief, "thief", &got, "x").code,
        Some(Code::LeaseStale)
    );
    let update = TaskUpdate {
        state: TaskState::Completed,
        result: json!("x"),
        error: String::new(),
        lease: Some(got.lease),
    };
    let update = Box::new(update);
    let op = Op::UpdateTask {
        task_id: id("t"),
        update,
    };
    let refused = world.ask(agent_role("p-thief"), op).unwrap_err();
    assert_eq!(refused.code, Code::LeaseStale);
    assert_eq!(world.task("t").state, TaskState::Assigned);
}

#[test]
fn attempts_end_and_the_task_says_so() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let watcher = world.sidecar("w");
    world.raw(
        watcher,
        json!({"type": "task_submit", "peer_id": "w", "payload":
        {"request_id": "r", "task": {"task_id": "t", "skill": "s", "max_attempts": 2}}}),
    );
    world.pass(LEASE_TTL_MS);
    assert_eq!(world.assigned(a).len(), 2);
    world.heard(watcher);
    world.pass(LEASE_TTL_MS);
    let done = world.done(watcher);
    assert_eq!(
        done[0].outcome.error.as_ref().unwrap().code,
        Code::AttemptsExhausted
    );
    assert_eq!(world.task("t").state, TaskState::Failed);
}

#[test]
fn a_closed_socket_ends_its_leases_after_the_grace() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", &["s"]), world.agent("b", &["x"]));
    world.submit(work("t", "s"));
    world.register(b, "b", &["x", "s"], &[]);
    world.heard(b);
    world.close(a);
    world.pass(RECONNECT_GRACE_MS - 1);
    assert!(world.assigned(b).is_empty());
    world.pass(1);
    assert_eq!(world.assigned(b)[0].attempt, 2);
}

#[test]
fn a_reconnect_keeps_the_leases_it_names_and_hands_out_the_others() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("kept", "s"));
    world.submit(work("lost", "s"));
    let got = world.assigned(a);
    world.close(a);
    world.pass(RECONNECT_GRACE_MS / 2);
    let back = world.sidecar("p-a");
    world.heard(back);
    world.register(back, "a", &["s"], &[lease(&got[0])]);
    let again = world.assigned(back);
    assert_eq!(again.len(), 1);
    assert_eq!((&again[0].task_id, again[0].attempt), (&id("lost"), 2));
    world.pass(RECONNECT_GRACE_MS * 2);
    assert_eq!(world.task("kept").lease, Some(1));
    assert_eq!(world.result(back, "a", &lease(&got[0]), "r").code, None);
}

#[test]
fn registering_again_over_the_same_socket_takes_no_assignment_away() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    world.register(a, "a", &["s", "more"], &[]);
    assert_eq!(world.task("t").attempt, 1);
}

#[test]
fn a_lease_named_that_is_over_is_revoked_at_once() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let over = LeaseRef {
        task_id: id("old"),
        lease: 3,
    };
    renew(&mut world, a, "a", &[over]);
    let heard = world.heard(a);
    assert!(matches!(&heard[..], [RegistrySignal::TaskRevoke(r)] if r.lease == 3));
}

#[test]
fn released_work_goes_on_elsewhere_at_once() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    let got = lease(&world.assigned(a)[0]);
    let b = world.agent("b", &["s"]);
    let release = TaskRelease {
        task_id: got.task_id,
        lease: got.lease,
    };
    world.say(a, "p-a", &ClientSignal::TaskRelease(release));
    assert_eq!(world.assigned(b)[0].attempt, 2);
}

#[test]
fn an_agent_that_says_goodbye_hands_its_work_on() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    let b = world.agent("b", &["s"]);
    let gone = AgentRef {
        agent_id: "a".parse().unwrap(),
    };
    world.say(a, "p-a", &ClientSignal::AgentRemove(gone));
    assert_eq!(world.assigned(b)[0].attempt, 2);
}

#[test]
fn after_a_direct_attempt_the_same_agent_gets_the_same_attempt_number() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let b = world.agent("b", &["s"]);
    let direct = |task: &str, agent: &str| SubmitTask {
        direct_attempt: Some(DirectAttempt {
            agent_id: agent.parse().unwrap(),
            attempt: 1,
            instance: String::new(),
        }),
        ..work(task, "s")
    };
    // It is preferred, because it may know the outcome already.
    world.submit(direct("t1", "b"));
    world.submit(direct("t2", "b"));
    let to_b = world.assigned(b);
    assert_eq!((to_b[0].attempt, to_b[1].attempt), (1, 1));
    world.submit(direct("t3", "gone"));
    assert_eq!(world.assigned(a)[0].attempt, 2);
    // A new process of that agent remembers nothing: what it gets is an attempt of its own.
    let frame = json!({"type": "agent_register", "peer_id": "p-b", "payload": {"agent":
        {"agent_id": "b", "hostname": "h", "instance": "2", "capabilities": {"skills": ["s"]}}}});
    world.raw(b, frame);
    world.assigned(b);
    world.submit(direct("t4", "b"));
    assert_eq!(world.assigned(b)[0].attempt, 2);
}

#[test]
fn canceled_work_is_revoked_and_its_submitter_told() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let w = world.sidecar("w");
    world.raw(
        w,
        json!({"type": "task_submit", "peer_id": "w", "payload":
        {"request_id": "r", "task": {"task_id": "t", "skill": "s"}}}),
    );
    world.heard(a);
    world.raw(
        w,
        json!({"type": "task_cancel", "peer_id": "w", "payload": {"task_id": "t"}}),
    );
    let heard = world.heard(a);
    assert!(matches!(&heard[..], [RegistrySignal::TaskRevoke(r)] if r.code == Code::Canceled));
    assert_eq!(world.done(w)[0].outcome.state, TaskState::Canceled);
}

#[test]
fn expired_work_is_revoked_and_fails_with_the_text_existing_clients_know() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(SubmitTask {
        ttl: 10,
        ..work("t", "s")
    });
    world.heard(a);
    world.pass(10_000);
    let heard = world.heard(a);
    assert!(matches!(&heard[..], [RegistrySignal::TaskRevoke(r)] if r.code == Code::Expired));
    let task = world.task("t");
    assert_eq!(
        (task.state, task.error.as_str()),
        (TaskState::Failed, "TTL expired")
    );
    assert_eq!(task.error_code, Some(Code::Expired));
}
