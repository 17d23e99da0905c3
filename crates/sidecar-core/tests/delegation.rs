//! What a handler may ask of others: how deep, how much, and of whom.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use seamesh_proto::ipc::AgentEvent;
use seamesh_proto::limits::{MAX_CALLERS, MAX_CHILDREN, MAX_DEPTH};
use seamesh_proto::signaling::{ClientSignal, RegistrySignal};
use seamesh_proto::{Code, Path, Problem};

use crate::world::World;
use crate::world::pair::{
    DONE, assign, hop, pair, refusal, request, respond, response, submits, tasks,
};

mod world;

/// `b`'s handler of `parent` asks for `x` through the queue, under this name.
fn delegate(world: &mut World, parent: &str, name: &str) {
    let line = format!(
        r#"{{"type":"request","payload":{{"request_id":"{name}","skill":"x","via":"queue","parent":"{parent}"}}}}"#
    );
    world.say_line("b", &line);
}

fn errors(world: &mut World, name: world::Name) -> Vec<Problem> {
    let told = world.events(name).into_iter();
    let errors = told.filter_map(|event| match event {
        AgentEvent::Error(problem) => Some(problem),
        _ => None,
    });
    errors.collect()
}

/// `a` has alice, `b` has bob, whose skill `add` only these may call; they are linked and know each other.
fn pair_with(callers: &str) -> World {
    let mut world = World::new(&["a", "b"]);
    world.agent("a", "alice", &["plan"]);
    world.connect_client("b", 1);
    let hello = format!(
        r#"{{"type":"hello","payload":{{"version":1,"agent":{{"agent_id":"bob","skills":[{{"name":"add","callers":{callers}}}]}}}}}}"#
    );
    world.say_line("b", &hello);
    world.run(100);
    assert!(world.are_linked("a", "b"));
    world::pair::clear(&mut world);
    world
}

#[test]
fn the_error_of_a_loop_shows_its_chain() {
    let mut world = pair();
    let mut deepest = assign("deep", 1, 5);
    if let RegistrySignal::TaskAssign(assign) = &mut deepest {
        assign.lineage.depth = MAX_DEPTH;
        let hops = ["alice", "bob"]
            .into_iter()
            .cycle()
            .take(MAX_DEPTH as usize);
        assign.lineage.chain = hops.map(|agent| hop(agent, "s")).collect();
    }
    world.tell("b", &deepest);
    world.events("b");
    delegate(&mut world, "deep", "r");
    let problem = errors(&mut world, "b").remove(0);
    assert_eq!(problem.code, Code::DepthExceeded);
    let seen = "alice.s -> bob.s -> alice.s -> bob.s";
    assert!(problem.detail.contains(seen), "{}", problem.detail);
    let end = "bob.s -> bob.add -> x";
    assert!(problem.detail.ends_with(end), "{}", problem.detail);
}

#[test]
fn a_chain_grows_by_one_hop_on_the_link() {
    let mut world = pair();
    let mut root = assign("root", 1, 5);
    if let RegistrySignal::TaskAssign(assign) = &mut root {
        assign.agent_id = "alice".parse().unwrap();
        assign.skill = "plan".to_owned();
    }
    world.tell("a", &root);
    request(&mut world, r#","parent":"root""#);
    world.run(20);
    let task = tasks(&mut world, "b").remove(0);
    assert_eq!(task.path, Path::Direct);
    assert_eq!(task.lineage.depth, 1);
    assert_eq!(task.lineage.chain, [hop("alice", "plan")]);
    let asking = tasks(&mut world, "a").remove(0).run_traceparent.unwrap();
    assert_eq!(task.lineage.traceparent, Some(asking));
    let run = task.run_traceparent.unwrap();
    assert_eq!(run.trace_id(), asking.trace_id());
    assert_ne!(run, asking);
}

#[test]
fn an_agent_that_traces_by_itself_names_the_span_that_asks() {
    let mut world = pair();
    let span = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request(&mut world, &format!(r#","traceparent":"{span}""#));
    world.run(20);
    let task = tasks(&mut world, "b").remove(0);
    assert_eq!(task.lineage.traceparent, span.parse().ok());
    assert_eq!(task.run_traceparent.unwrap().trace_id(), &span[3..35]);
}

#[test]
fn a_chain_over_its_limit_is_refused_by_the_one_that_is_asked() {
    let mut world = pair();
    let hops: Vec<_> = (0..=MAX_DEPTH).map(|_| hop("x", "s")).collect();
    let chain = serde_json::to_string(&hops).unwrap();
    let line = format!(
        r#"{{"type":"send","payload":{{"target_peer":"b","message":{{"type":"task_request","request_id":"1","payload":{{"skill":"add"}},"task":{{"task_id":"t","attempt":1,"timeout_ms":1000,"chain":{chain}}}}}}}}}"#
    );
    world.say_line("a", &line);
    world.run(20);
    assert_eq!(tasks(&mut world, "b"), []);
    let told = world.events("a");
    assert!(
        matches!(&told[..], [AgentEvent::Message(m)] if m.message.text().contains("bad_field")),
        "{told:?}"
    );
}

#[test]
fn a_task_asks_for_so_many_others_and_no_more_and_refusals_do_not_count() {
    let mut world = pair();
    world.tell("b", &assign("wide", 1, 5));
    world.tell("b", &assign("other", 1, 6));
    for n in 0..MAX_CHILDREN {
        let line = format!(
            r#"{{"type":"request","payload":{{"request_id":"r{n}","skill":"x","wait":false,"via":"queue","parent":"wide"}}}}"#
        );
        world.say_line("b", &line);
        // The registry takes each, so that none stays open.
        let told = world.signals("b");
        let Some(ClientSignal::TaskSubmit(submit)) = told.last() else {
            panic!("{n}: {told:?}");
        };
        let task_id = submit.task.task_id.clone().unwrap();
        let submitted = seamesh_proto::signaling::TaskSubmitted {
            request_id: submit.request_id.clone(),
            task_id,
        };
        world.tell("b", &RegistrySignal::TaskSubmitted(submitted));
        if n == 0 {
            world.say_line(
                "b",
                r#"{"type":"request","payload":{"request_id":"bad","skill":"","parent":"wide"}}"#,
            );
            assert_eq!(errors(&mut world, "b").len(), 1);
        }
    }
    assert_eq!(errors(&mut world, "b"), []);
    delegate(&mut world, "wide", "more");
    let problem = errors(&mut world, "b").remove(0);
    assert_eq!(problem.code, Code::FanOutExceeded);
    assert!(problem.detail.contains("wide"), "{}", problem.detail);
    delegate(&mut world, "other", "fine");
    assert_eq!(errors(&mut world, "b"), []);
}

#[test]
fn a_caller_that_is_named_is_served_directly() {
    let mut world = pair_with(r#"["zoe","alice"]"#);
    request(&mut world, "");
    world.run(20);
    let task = tasks(&mut world, "b").remove(0);
    assert_eq!(task.path, Path::Direct);
    respond(&mut world, &task, DONE);
    world.run(20);
    assert_eq!(response(&mut world).agent_id, "bob");
}

#[test]
fn an_agent_that_does_not_name_the_caller_is_not_asked_directly() {
    let mut world = pair_with(r#"["zoe"]"#);
    request(&mut world, r#","via":"direct""#);
    let problem = refusal(&mut world);
    assert_eq!(problem.code, Code::Forbidden);
    for name in ["\"add\"", "alice", "bob"].iter().take(2) {
        assert!(problem.detail.contains(name), "{}", problem.detail);
    }
    request(&mut world, "");
    assert_eq!(submits(&mut world).len(), 1, "the registry decides");
    world.run(20);
    assert_eq!(tasks(&mut world, "b"), []);
}

#[test]
fn a_caller_that_asks_all_the_same_is_refused_whatever_name_it_gives() {
    let mut world = pair_with(r#"["carol","zoe"]"#);
    // Zoe exists, behind another sidecar.
    let mut node = World::new(&["c"]);
    node.agent("c", "zoe", &[]);
    for (name, code) in [
        ("alice", "forbidden"),
        ("", "forbidden"),
        ("carol", "agent_away"),
    ] {
        let line = format!(
            r#"{{"type":"send","payload":{{"target_peer":"b","message":{{"type":"task_request","request_id":"{name}1","source_agent":"{name}","payload":{{"skill":"add"}},"task":{{"task_id":"t-{name}","attempt":1,"timeout_ms":1000}}}}}}}}"#
        );
        world.say_line("a", &line);
        world.run(20);
        assert_eq!(tasks(&mut world, "b"), [], "{name}");
        let told = world.events("a");
        assert!(
            matches!(&told[..], [AgentEvent::Message(m)] if m.message.text().contains(code)),
            "{name}: {told:?}"
        );
    }
}

#[test]
fn a_name_on_the_list_does_not_help_the_sidecar_of_another_agent() {
    let mut world = World::new(&["a", "b", "c"]);
    world.agent("a", "alice", &[]);
    world.agent("c", "zoe", &[]);
    world.connect_client("b", 1);
    world.say_line(
        "b",
        r#"{"type":"hello","payload":{"version":1,"agent":{"agent_id":"bob","skills":[{"name":"add","callers":["zoe"]}]}}}"#,
    );
    world.run(100);
    world.events("a");
    world.say_line(
        "a",
        r#"{"type":"send","payload":{"target_peer":"b","message":{"type":"task_request","request_id":"1","source_agent":"zoe","payload":{"skill":"add"},"task":{"task_id":"t","attempt":1,"timeout_ms":1000}}}}"#,
    );
    world.run(20);
    assert_eq!(tasks(&mut world, "b"), []);
    let told = world.events("a");
    assert!(
        matches!(&told[..], [AgentEvent::Message(m)] if m.message.text().contains("forbidden")),
        "{told:?}"
    );
}

#[test]
fn a_skill_names_at_most_so_many_callers() {
    let mut world = World::new(&["a"]);
    world.connect_client("a", 1);
    let callers: Vec<String> = (0..=MAX_CALLERS).map(|n| format!("a{n}")).collect();
    let callers = serde_json::to_string(&callers).unwrap();
    let hello = format!(
        r#"{{"type":"hello","payload":{{"version":1,"agent":{{"agent_id":"alice","skills":[{{"name":"s","callers":{callers}}}]}}}}}}"#
    );
    world.say_line("a", &hello);
    let told: Vec<_> = errors(&mut world, "a").iter().map(|p| p.code).collect();
    assert_eq!(told, [Code::TooLarge]);
}
