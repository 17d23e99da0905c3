use seamesh_proto::agent::Health;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::limits::{OFFLINE_AFTER_MS, RECONNECT_GRACE_MS, STALE_AFTER_MS};
use seamesh_proto::signaling::{AgentRef, ClientSignal, RegistrySignal};
use seamesh_proto::{AgentRecord, Code};
use seamesh_registry_core::{Op, Reply};
use serde_json::json;

use crate::world::{World, agent_role, beat, info, operator, work};

fn record(world: &mut World, agent: &str) -> AgentRecord {
    match world.ask(operator(), Op::GetAgent(agent.parse().unwrap())) {
        Ok(Reply::Agent(record)) => *record,
        other => panic!("no agent: {other:?}"),
    }
}

fn ups(signals: Vec<RegistrySignal>) -> Vec<AgentRecord> {
    let pick = |signal| match signal {
        RegistrySignal::AgentUp(up) => Some(up.agent),
        _ => None,
    };
    signals.into_iter().filter_map(pick).collect()
}

#[test]
fn a_newcomer_is_announced_to_those_who_are_there_and_they_are_in_its_directory() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let b = world.sidecar("p-b");
    let directory = world.heard(b).into_iter().find_map(|s| match s {
        RegistrySignal::Directory(directory) => Some(directory.agents),
        _ => None,
    });
    assert_eq!(directory.unwrap()[0].info.agent_id.as_str(), "a");
    world.register(b, "b", &["t"], &[]);
    let told = ups(world.heard(a));
    assert_eq!(told.len(), 1, "once");
    assert_eq!(told[0].info.sidecar_peer_id, "p-b");
    assert_eq!(told[0].health, Health::Active);
}

#[test]
fn a_reconnect_that_changes_nothing_is_not_announced() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let b = world.agent("b", &["t"]);
    world.heard(a);
    world.close(b);
    let back = world.sidecar("p-b");
    world.register(back, "b", &["t"], &[]);
    assert!(world.heard(a).is_empty());
}

#[test]
fn an_agent_belongs_to_the_credential_that_registered_it() {
    let mut world = World::new();
    world.agent("a", &["s"]);
    let thief = world.sidecar("p-thief");
    world.heard(thief);
    let frame = json!({"type": "agent_register", "peer_id": "p-thief", "payload":
        {"agent": {"agent_id": "a", "hostname": "h"}}});
    world.raw(thief, frame);
    assert_eq!(world.errors(thief)[0].code, Code::Forbidden);
    for op in [
        Op::RegisterAgent(Box::new(info("a", &[]))),
        Op::Heartbeat(Box::new(beat("a"))),
        Op::RemoveAgent("a".parse().unwrap()),
    ] {
        let refused = world.ask(agent_role("p-thief"), op).unwrap_err();
        assert_eq!(refused.code, Code::Forbidden);
    }
    assert_eq!(record(&mut world, "a").info.capabilities.skills, ["s"]);
    let remove = Op::RemoveAgent("a".parse().unwrap());
    assert_eq!(world.ask(operator(), remove), Ok(Reply::Done));
}

#[test]
fn health_follows_the_beats() {
    let mut world = World::new();
    world.rest_beat(beat("a"));
    world.pass(STALE_AFTER_MS);
    assert_eq!(record(&mut world, "a").health, Health::Active);
    world.pass(1);
    assert_eq!(record(&mut world, "a").health, Health::Stale);
    world.pass(OFFLINE_AFTER_MS - STALE_AFTER_MS);
    assert_eq!(record(&mut world, "a").health, Health::Offline);
    let health = |e: seamesh_proto::events::EventRecord| match e.event {
        MeshEvent::AgentHealth(change) => Some(change.health),
        _ => None,
    };
    let told: Vec<Health> = world
        .store
        .events_after(0)
        .into_iter()
        .filter_map(health)
        .collect();
    assert_eq!(told, [Health::Stale, Health::Offline]);
}

#[test]
fn an_agent_whose_sidecar_vanished_is_stale_after_the_grace_not_after_minutes() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let w = world.agent("w", &[]);
    world.heard(w);
    world.close(a);
    world.pass(RECONNECT_GRACE_MS);
    assert_eq!(ups(world.heard(w))[0].health, Health::Stale);
    let back = world.sidecar("p-a");
    world.register(back, "a", &["s"], &[]);
    assert_eq!(ups(world.heard(w))[0].health, Health::Active);
}

#[test]
fn an_agent_that_is_away_is_offline_and_gets_nothing_until_it_is_back() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let away = AgentRef {
        agent_id: "a".parse().unwrap(),
    };
    world.say(a, "p-a", &ClientSignal::AgentAway(away));
    assert_eq!(record(&mut world, "a").health, Health::Offline);
    world.submit(work("t", "s"));
    assert!(world.assigned(a).is_empty());
    world.register(a, "a", &["s"], &[]);
    assert_eq!(world.assigned(a).len(), 1);
}

#[test]
fn a_beat_of_an_agent_that_never_registered_here_asks_it_to() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.close(a);
    let back = world.sidecar("p-a");
    world.heard(back);
    world.raw(
        back,
        json!({"type": "heartbeat", "peer_id": "p-a", "payload": {"agent_id": "a"}}),
    );
    assert_eq!(world.errors(back)[0].code, Code::AgentUnknown);
}

#[test]
fn a_beat_of_a_sidecar_that_lost_its_agent_to_another_of_its_own_is_told_so_and_takes_nothing_back()
{
    let mut world = World::new();
    let old = world.agent("a", &["s"]);
    let new = world.sidecar("p-a");
    world.register(new, "a", &["s"], &[]);
    world.heard(old);
    let beat = json!({"type": "heartbeat", "peer_id": "p-a", "payload": {"agent_id": "a"}});
    world.raw(old, beat);
    assert_eq!(world.errors(old)[0].code, Code::Conflict);
    world.submit(work("t", "s"));
    assert_eq!(world.assigned(new).len(), 1);
}

#[test]
fn a_beat_of_an_agent_that_was_removed_asks_it_to_register_and_it_is_back() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    let id = "a".parse().unwrap();
    world.ask(agent_role("p-a"), Op::RemoveAgent(id)).unwrap();
    world.heard(a);
    let beat = json!({"type": "heartbeat", "peer_id": "p-a", "payload": {"agent_id": "a"}});
    world.raw(a, beat);
    assert_eq!(world.errors(a)[0].code, Code::AgentUnknown);
    world.register(a, "a", &["s"], &[]);
    world.submit(work("t", "s"));
    assert_eq!(world.assigned(a).len(), 1);
}

#[test]
fn an_agent_without_a_sidecar_names_none_and_one_with_a_guess_gets_its_own() {
    let mut world = World::new();
    for (agent, guess, told) in [("a", "", ""), ("b", "b-sidecar", "p-b")] {
        let mut info = info(agent, &[]);
        info.sidecar_peer_id = guess.to_owned();
        let op = Op::RegisterAgent(Box::new(info));
        world.ask(agent_role(&format!("p-{agent}")), op).unwrap();
        assert_eq!(record(&mut world, agent).info.sidecar_peer_id, told);
    }
}

#[test]
fn times_are_rfc_3339() {
    let mut world = World::new();
    world.rest_beat(beat("a"));
    let at = record(&mut world, "a").last_heartbeat;
    assert_eq!(at, "2023-11-14T22:13:20Z");
}

#[test]
fn records_over_a_limit_are_refused() {
    let mut world = World::new();
    let many: Vec<String> = (0..257).map(|n| format!("s{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "h".repeat(5_000);
    let mut wordy = info("a", &[]);
    wordy.hostname = long;
    for bad in [info("a", &many), info("a", &[""]), wordy] {
        let op = Op::RegisterAgent(Box::new(bad));
        let refused = world.ask(agent_role("p-a"), op).unwrap_err();
        assert_eq!(refused.code, Code::BadField);
    }
}
