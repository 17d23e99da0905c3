//! Delegation trees: how deep they grow, how wide, and what of them is known.

use seamesh_proto::chain::Hop;
use seamesh_proto::limits::{MAX_CHILDREN, MAX_DEPTH, MAX_SKILL_BYTES};
use seamesh_proto::task::{Lineage, SubmitTask};
use seamesh_proto::{Code, Problem, TraceContext};
use seamesh_registry_core::Op;
use serde_json::json;

use crate::world::{World, id, operator, work};

fn refused(world: &mut World, task: SubmitTask) -> Problem {
    world
        .ask(operator(), Op::SubmitTask(Box::new(task)))
        .unwrap_err()
}

fn child(task: &str, parent: &str) -> SubmitTask {
    SubmitTask {
        lineage: Lineage {
            parent_id: Some(id(parent)),
            ..Lineage::default()
        },
        ..work(task, "nobody")
    }
}

fn hop(agent: &str, skill: &str) -> Hop {
    Hop {
        agent_id: agent.parse().unwrap(),
        skill: skill.to_owned(),
    }
}

#[test]
fn a_chain_that_is_too_deep_is_refused_whatever_depth_it_names() {
    let mut world = World::new();
    let child = |n: u32, depth: u32| SubmitTask {
        lineage: Lineage {
            parent_id: (n > 0).then(|| id(&format!("t{}", n - 1))),
            root_id: None,
            depth,
            ..Lineage::default()
        },
        ..work(&format!("t{n}"), "s")
    };
    for n in 0..=MAX_DEPTH {
        world.submit(child(n, 0));
    }
    let too_deep = refused(&mut world, child(MAX_DEPTH + 1, 0));
    assert_eq!(too_deep.code, Code::DepthExceeded);
    assert_eq!(
        refused(&mut world, child(3_000, 17)).code,
        Code::DepthExceeded
    );
    let deepest = world.task(&format!("t{MAX_DEPTH}"));
    assert_eq!(deepest.lineage.depth, MAX_DEPTH);
    assert_eq!(deepest.lineage.root_id, Some(id("t0")));
}

#[test]
fn the_chain_is_worked_out_from_the_parent_and_survives_a_restart() {
    let mut world = World::new();
    let a = world.agent("a", &["plan"]);
    world.submit(work("root", "plan"));
    assert_eq!(world.assigned(a).len(), 1);
    // It says nothing of its own chain, as an agent over REST does.
    world.submit(child("kid", "root"));
    assert_eq!(world.task("kid").lineage.chain, [hop("a", "plan")]);
    world.restart();
    let kid = world.task("kid");
    assert_eq!(kid.lineage.chain, [hop("a", "plan")]);
    let b = world.agent("b", &["nobody"]);
    world.pass(20_000);
    world.register(b, "b", &["nobody"], &[]);
    assert_eq!(kid.lineage.root_id, Some(id("root")));
}

#[test]
fn the_error_of_a_loop_names_every_hop() {
    let mut world = World::new();
    let a = world.agent("a", &["plan"]);
    let b = world.agent("b", &["check"]);
    let skill = |n: u32| if n.is_multiple_of(2) { "plan" } else { "check" };
    for n in 0..=MAX_DEPTH {
        let task = SubmitTask {
            skill: skill(n).to_owned(),
            lineage: Lineage {
                parent_id: (n > 0).then(|| id(&format!("t{}", n - 1))),
                ..Lineage::default()
            },
            ..work(&format!("t{n}"), "")
        };
        world.submit(task);
    }
    assert_eq!(world.assigned(a).len() + world.assigned(b).len(), 17);
    let last = format!("t{MAX_DEPTH}");
    let detail = refused(&mut world, child("more", &last)).detail;
    let begins = "a.plan -> b.check -> a.plan -> b.check -> ";
    assert!(detail.contains(begins), "{detail}");
    assert!(detail.ends_with("a.plan -> nobody"), "{detail}");
}

#[test]
fn a_chain_over_its_limits_is_a_bad_field() {
    let mut world = World::new();
    let with = |chain: Vec<Hop>| SubmitTask {
        lineage: Lineage {
            parent_id: Some(id("elsewhere")),
            chain,
            ..Lineage::default()
        },
        ..work("t", "s")
    };
    let long = vec![hop("a", "s"); MAX_DEPTH as usize + 1];
    assert_eq!(refused(&mut world, with(long)).code, Code::BadField);
    let wide = vec![hop("a", &"s".repeat(MAX_SKILL_BYTES + 1))];
    assert_eq!(refused(&mut world, with(wide)).code, Code::BadField);
    world.submit(with(vec![hop("a", "s"); MAX_DEPTH as usize]));
    assert_eq!(world.task("t").lineage.depth, MAX_DEPTH);
}

#[test]
fn a_task_asks_for_so_many_others_over_its_life_and_a_restart_forgets_none() {
    let mut world = World::new();
    let a = world.agent("a", &["plan"]);
    world.submit(work("wide", "plan"));
    world.assigned(a);
    for n in 1..MAX_CHILDREN {
        world.submit(child(&format!("c{n}"), "wide"));
    }
    // The same again is the same child.
    world.submit(child("c1", "wide"));
    // The last one went directly, and is told of twice.
    let now = world.now.0;
    let report = json!({"type": "task_report", "peer_id": "p-a", "payload": {"tasks": [
        {"task_id": "d", "skill": "s", "source_agent_id": "a", "target_agent_id": "b", "state": "completed",
            "started_ms": now, "finished_ms": now, "parent_id": "wide", "root_id": "wide", "depth": 1}]}});
    world.raw(a, report.clone());
    world.raw(a, report);
    let problem = refused(&mut world, child("more", "wide"));
    assert_eq!(problem.code, Code::FanOutExceeded);
    assert!(problem.detail.contains("wide (plan)"), "{}", problem.detail);
    world.submit(child("c1", "wide"));
    world.submit(child("other", "c1"));
    world.restart();
    assert_eq!(
        refused(&mut world, child("more", "wide")).code,
        Code::FanOutExceeded
    );
}

#[test]
fn a_report_whose_chain_is_over_its_limit_is_refused_and_the_others_are_kept() {
    let mut world = World::new();
    let a = world.agent("a", &[]);
    let now = world.now.0;
    let item = |task: &str, hops: usize| {
        json!({"task_id": task, "skill": "s", "source_agent_id": "a", "target_agent_id": "b", "state": "completed",
            "started_ms": now, "finished_ms": now, "parent_id": "p", "root_id": "p", "depth": 1,
            "chain": vec![json!({"agent_id": "a", "skill": "s"}); hops]})
    };
    let over = MAX_DEPTH as usize + 1;
    let tasks = [item("long", over), item("fine", 1)];
    let report = json!({"type": "task_report", "peer_id": "p-a", "payload": {"tasks": tasks}});
    world.raw(a, report);
    let told = world.errors(a);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].code, Code::BadField);
    assert_eq!(world.task("fine").lineage.chain, [hop("a", "s")]);
}

#[test]
fn a_reported_error_that_is_too_long_is_cut_and_the_report_is_kept() {
    let mut world = World::new();
    let a = world.agent("a", &[]);
    let now = world.now.0;
    let tasks = [
        json!({"task_id": "long", "skill": "s", "source_agent_id": "a", "target_agent_id": "b", "state": "failed",
        "error_code": "skill_failed", "error": "é".repeat(5_000), "started_ms": now, "finished_ms": now}),
    ];
    let report = json!({"type": "task_report", "peer_id": "p-a", "payload": {"tasks": tasks}});
    world.raw(a, report);
    assert!(world.errors(a).is_empty());
    let task = world.task("long");
    assert_eq!(task.error_code, Some(Code::SkillFailed));
    assert_eq!(task.error, "é".repeat(2_048));
}

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn given(task: SubmitTask) -> SubmitTask {
    SubmitTask {
        lineage: Lineage {
            traceparent: GIVEN.parse().ok(),
            ..task.lineage
        },
        ..task
    }
}

#[test]
fn whoever_runs_a_task_is_told_the_span_of_the_run_in_its_callers_trace() {
    let mut world = World::new();
    let a = world.agent("a", &["plan"]);
    world.submit(given(work("root", "plan")));
    let assign = world.assigned(a).remove(0);
    assert_eq!(assign.lineage.traceparent, GIVEN.parse().ok());
    let run = world.task("root").run_traceparent.unwrap();
    let expected = TraceContext::of_run(&id("root"), 1, &assign.lineage);
    assert_eq!(run, expected);
    assert_eq!(run.trace_id(), &GIVEN[3..35]);
    world.restart();
    assert_eq!(world.task("root").run_traceparent, Some(run));
}

#[test]
fn a_child_that_names_no_span_stands_under_the_run_of_its_parent_and_another_under_the_one_it_names()
 {
    let mut world = World::new();
    let a = world.agent("a", &["plan"]);
    world.submit(work("root", "plan"));
    world.assigned(a);
    let run = world.task("root").run_traceparent;
    assert!(run.is_some());
    // As an agent over REST asks.
    world.submit(child("kid", "root"));
    assert_eq!(world.task("kid").lineage.traceparent, run);
    assert_eq!(world.task("kid").run_traceparent, None);
    world.submit(given(child("named", "root")));
    let named = world.task("named").lineage.traceparent;
    assert_eq!(named, GIVEN.parse().ok());
}
