//! Skills that name their callers: who is refused, who waits, and who never gets whose work.

use seamesh_proto::agent::AgentInfo;
use seamesh_proto::limits::MAX_CALLERS;
use seamesh_proto::rest::Role;
use seamesh_proto::signaling::{AgentRegister, ClientSignal};
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Code, Problem, TaskId, TaskState};
use seamesh_registry_core::{Caller, ConnId, Op, Reply};
use serde_json::json;

use crate::world::{World, agent_role, beat, id, operator, peer, work};

fn closed(agent: &str, skill: &str, callers: &[&str]) -> AgentInfo {
    serde_json::from_value(json!({"agent_id": agent, "hostname": "h",
        "skills": [{"name": skill, "callers": callers}]}))
    .unwrap()
}

/// A sidecar with an agent whose skill `s` only these may call.
fn guarded(world: &mut World, agent: &str, callers: &[&str]) -> ConnId {
    let conn = world.sidecar(&peer(agent));
    register(world, conn, agent, callers);
    conn
}

fn register(world: &mut World, conn: ConnId, agent: &str, callers: &[&str]) {
    let agent_register = ClientSignal::AgentRegister(AgentRegister {
        agent: closed(agent, "s", callers),
        leases: Vec::new(),
    });
    world.say(conn, &peer(agent), &agent_register);
    world.heard(conn);
}

fn submit_as(world: &mut World, agent: &str, task: SubmitTask) -> Result<TaskId, Problem> {
    let op = Op::SubmitTask(Box::new(task));
    match world.ask(agent_role(&peer(agent)), op)? {
        Reply::Submitted(id) => Ok(id),
        other => panic!("{other:?}"),
    }
}

fn aimed(task: &str, target: &str) -> SubmitTask {
    SubmitTask {
        target_agent_id: target.to_owned(),
        ..work(task, "s")
    }
}

#[test]
fn a_caller_that_no_agent_names_is_refused_with_skill_and_caller() {
    let mut world = World::new();
    world.agent("zoe", &[]);
    world.agent("ann", &[]);
    let bob = guarded(&mut world, "bob", &["ann"]);
    for task in [work("t1", "s"), aimed("t2", "bob")] {
        let problem = submit_as(&mut world, "zoe", task).unwrap_err();
        assert_eq!(problem.code, Code::Forbidden);
        let says = problem.detail.contains("zoe") && problem.detail.contains("\"s\"");
        assert!(says, "{}", problem.detail);
    }
    assert_eq!(world.assigned(bob), []);
    for task in [work("t3", "s"), aimed("t4", "bob")] {
        submit_as(&mut world, "ann", task).unwrap();
    }
    assert_eq!(world.assigned(bob).len(), 2);
}

#[test]
fn an_empty_list_keeps_every_agent_out_and_lets_operators_in() {
    let mut world = World::new();
    world.agent("zoe", &[]);
    let bob = guarded(&mut world, "bob", &[]);
    let refused = submit_as(&mut world, "zoe", work("t1", "s")).unwrap_err();
    assert_eq!(refused.code, Code::Forbidden);
    // A key of the role agent that speaks for no agent is nobody a list could name.
    let nameless = submit_as(&mut world, "nobody", work("t2", "s")).unwrap_err();
    assert_eq!(nameless.code, Code::Forbidden);
    world.submit(work("t3", "s"));
    // Even in the name of an agent that is kept out: it is the operator who asks.
    world.submit(SubmitTask {
        source_agent_id: "zoe".to_owned(),
        ..aimed("t4", "bob")
    });
    assert_eq!(world.assigned(bob).len(), 2);
}

#[test]
fn work_goes_to_the_agent_that_lets_its_source_in_however_busy_that_is() {
    let mut world = World::new();
    world.agent("zoe", &[]);
    let bob = guarded(&mut world, "bob", &["ann"]);
    let eve = guarded(&mut world, "eve", &["zoe"]);
    for n in 0..4 {
        submit_as(&mut world, "zoe", work(&format!("t{n}"), "s")).unwrap();
    }
    assert_eq!(world.assigned(bob), []);
    assert_eq!(world.assigned(eve).len(), 4);
}

#[test]
fn what_waits_for_a_skill_is_not_handed_to_an_agent_that_comes_and_keeps_its_source_out() {
    let mut world = World::new();
    world.agent("zoe", &[]);
    world.agent("ann", &[]);
    submit_as(&mut world, "zoe", work("of-zoe", "s")).unwrap();
    submit_as(&mut world, "ann", work("of-ann", "s")).unwrap();
    let bob = world.sidecar("p-bob");
    let agent_register = ClientSignal::AgentRegister(AgentRegister {
        agent: closed("bob", "s", &["ann"]),
        leases: Vec::new(),
    });
    world.say(bob, "p-bob", &agent_register);
    let got = world.assigned(bob);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].task_id, id("of-ann"));
    // An agent over REST that everybody may ask gets the rest.
    let beat = serde_json::from_value(json!({"agent_id": "eve", "skill_names": ["s"]})).unwrap();
    let fetched = world.rest_beat(beat);
    assert_eq!(fetched.len(), 1);
    assert_eq!(fetched[0].id, id("of-zoe"));
}

#[test]
fn an_agent_over_rest_that_names_its_callers_fetches_only_their_work() {
    let mut world = World::new();
    world.agent("zoe", &[]);
    world.agent("ann", &[]);
    submit_as(&mut world, "zoe", work("of-zoe", "s")).unwrap();
    submit_as(&mut world, "ann", work("of-ann", "s")).unwrap();
    let info = Box::new(closed("bob", "s", &["ann"]));
    world
        .ask(agent_role("p-bob"), Op::RegisterAgent(info))
        .unwrap();
    let fetched = world.rest_beat(beat("bob"));
    assert_eq!(fetched.len(), 1);
    assert_eq!(fetched[0].id, id("of-ann"));
}

#[test]
fn a_task_for_one_agent_ends_forbidden_when_that_comes_and_keeps_its_source_out() {
    let mut world = World::new();
    let zoe = world.agent("zoe", &[]);
    submit_as(&mut world, "zoe", aimed("t", "bob")).unwrap();
    world.heard(zoe);
    let bob = guarded(&mut world, "bob", &["ann"]);
    assert_eq!(world.assigned(bob), []);
    let task = world.task("t");
    assert_eq!(
        (task.state, task.error_code),
        (TaskState::Failed, Some(Code::Forbidden))
    );
    assert_eq!(world.done(zoe).len(), 1, "its source is told");
}

#[test]
fn a_lease_that_ends_is_not_handed_on_to_an_agent_that_keeps_the_source_out() {
    let mut world = World::new();
    world.agent("zoe", &[]);
    let bob = guarded(&mut world, "bob", &["zoe"]);
    submit_as(&mut world, "zoe", work("t", "s")).unwrap();
    assert_eq!(world.assigned(bob).len(), 1);
    let eve = guarded(&mut world, "eve", &["ann"]);
    world.close(bob);
    world.pass(20_000);
    assert_eq!(world.assigned(eve), []);
    assert_eq!(world.task("t").state, TaskState::Pending);
}

#[test]
fn the_route_leads_to_an_agent_that_lets_the_caller_in() {
    let mut world = World::new();
    world.agent("zoe", &[]);
    guarded(&mut world, "bob", &["ann"]);
    let route = |world: &mut World, caller| world.ask(caller, Op::RouteSkill("s".to_owned()));
    let refused = route(&mut world, agent_role("p-zoe")).unwrap_err();
    assert_eq!(refused.code, Code::Forbidden);
    for role in [Role::Viewer, Role::Operator, Role::Admin] {
        let person = Caller { role, ..operator() };
        assert!(matches!(route(&mut world, person), Ok(Reply::Agent(_))));
    }
    guarded(&mut world, "eve", &["zoe"]);
    for _ in 0..3 {
        match route(&mut world, agent_role("p-zoe")).unwrap() {
            Reply::Agent(agent) => assert_eq!(agent.info.agent_id.as_str(), "eve"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_registry_that_restarts_still_keeps_out_who_is_not_named() {
    let mut world = World::new();
    world.agent("zoe", &[]);
    submit_as(&mut world, "zoe", work("of-zoe", "s")).unwrap();
    world.submit(work("of-op", "s"));
    world.restart();
    let bob = world.sidecar("p-bob");
    let agent_register = ClientSignal::AgentRegister(AgentRegister {
        agent: closed("bob", "s", &[]),
        leases: Vec::new(),
    });
    world.say(bob, "p-bob", &agent_register);
    let got = world.assigned(bob);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].task_id, id("of-op"));
}

#[test]
fn a_list_over_its_limit_is_a_bad_field() {
    let mut world = World::new();
    let callers: Vec<String> = (0..=MAX_CALLERS).map(|n| format!("a{n}")).collect();
    let callers: Vec<&str> = callers.iter().map(String::as_str).collect();
    let info = Box::new(closed("bob", "s", &callers));
    let refused = world.ask(agent_role("p-bob"), Op::RegisterAgent(info));
    assert_eq!(refused.unwrap_err().code, Code::BadField);
}
