use seamesh_proto::events::MeshEvent;
use seamesh_proto::limits::OFFLINE_AFTER_MS;
use seamesh_registry_core::limits::LINKS_KEPT_MS;
use seamesh_registry_core::{ConnId, Op, Reply};
use serde_json::json;

use crate::world::{World, operator};

fn report(world: &mut World, conn: ConnId, peer: &str, links: &[&str]) {
    let links: Vec<_> = links.iter().map(|p| json!({ "peer_id": p })).collect();
    world.raw(
        conn,
        json!({"type": "links", "peer_id": peer, "payload": {"links": links}}),
    );
}

/// What a watcher of the event stream saw: `+a-b` and `-a-b`.
fn seen(world: &World) -> Vec<String> {
    let text = |e: seamesh_proto::events::EventRecord| match e.event {
        MeshEvent::LinkUp(l) => Some(format!("+{}-{}", l.from_peer, l.to_peer)),
        MeshEvent::LinkDown(l) => Some(format!("-{}-{}", l.from_peer, l.to_peer)),
        _ => None,
    };
    world
        .store
        .events_after(0)
        .into_iter()
        .filter_map(text)
        .collect()
}

#[test]
fn a_link_is_one_edge_though_both_ends_report_it() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", &[]), world.agent("b", &[]));
    report(&mut world, b, "p-b", &["p-a"]);
    report(&mut world, a, "p-a", &["p-b"]);
    report(&mut world, a, "p-a", &["p-b"]);
    assert_eq!(seen(&world), ["+p-a-p-b"]);
    let Ok(Reply::Topology(topology)) = world.ask(operator(), Op::Topology) else {
        panic!("no topology");
    };
    assert_eq!(topology.mesh_edges.len(), 1);
    assert_eq!(topology.nodes[0].mesh_peers[0].as_str(), "p-b");
}

#[test]
fn a_watcher_learns_that_a_link_came_to_be_identified_and_that_it_is_no_more() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", &[]), world.agent("b", &[]));
    let say = |world: &mut World, conn, peer: &str, other: &str, identified: bool| {
        let links = json!([{ "peer_id": other, "identified": identified }]);
        let payload = json!({ "links": links });
        world.raw(
            conn,
            json!({"type": "links", "peer_id": peer, "payload": payload}),
        );
    };
    say(&mut world, a, "p-a", "p-b", true);
    say(&mut world, b, "p-b", "p-a", true);
    say(&mut world, b, "p-b", "p-a", true);
    say(&mut world, a, "p-a", "p-b", false);
    let told: Vec<_> = world
        .store
        .events_after(0)
        .into_iter()
        .filter_map(|e| match e.event {
            MeshEvent::LinkUp(link) => Some(link.identified),
            _ => None,
        })
        .collect();
    assert_eq!(told, [false, true, false]);
    report(&mut world, a, "p-a", &[]);
    report(&mut world, b, "p-b", &[]);
    assert_eq!(seen(&world).last().map(String::as_str), Some("-p-a-p-b"));
}

#[test]
fn a_link_is_relayed_when_either_end_says_so() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", &[]), world.agent("b", &[]));
    let say = |world: &mut World, conn, peer: &str, other: &str, relayed: bool| {
        let links = json!([{ "peer_id": other, "relayed": relayed }]);
        let payload = json!({ "links": links });
        world.raw(
            conn,
            json!({"type": "links", "peer_id": peer, "payload": payload}),
        );
    };
    say(&mut world, a, "p-a", "p-b", false);
    say(&mut world, b, "p-b", "p-a", true);
    say(&mut world, a, "p-a", "p-b", true);
    let Ok(Reply::Topology(topology)) = world.ask(operator(), Op::Topology) else {
        panic!("no topology");
    };
    assert!(topology.mesh_edges[0].relayed);
    say(&mut world, a, "p-a", "p-b", false);
    say(&mut world, b, "p-b", "p-a", false);
    let events = world.store.events_after(0).into_iter();
    let told: Vec<_> = events
        .filter_map(|e| match e.event {
            MeshEvent::LinkUp(link) => Some(link.relayed),
            _ => None,
        })
        .collect();
    assert_eq!(told, [false, true, false]);
}

#[test]
fn a_link_is_down_when_neither_end_reports_it() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", &[]), world.agent("b", &[]));
    report(&mut world, a, "p-a", &["p-b"]);
    report(&mut world, b, "p-b", &["p-a"]);
    report(&mut world, b, "p-b", &[]);
    assert_eq!(seen(&world), ["+p-a-p-b"]);
    report(&mut world, a, "p-a", &[]);
    assert_eq!(seen(&world), ["+p-a-p-b", "-p-a-p-b"]);
}

#[test]
fn links_outlive_a_signaling_socket_while_the_other_end_reports_them() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", &[]), world.agent("b", &[]));
    report(&mut world, a, "p-a", &["p-b"]);
    report(&mut world, b, "p-b", &["p-a"]);
    world.close(a);
    world.pass(OFFLINE_AFTER_MS);
    report(&mut world, b, "p-b", &["p-a"]);
    assert_eq!(seen(&world), ["+p-a-p-b"]);
    report(&mut world, b, "p-b", &[]);
    assert_eq!(seen(&world), ["+p-a-p-b", "-p-a-p-b"]);
}

#[test]
fn the_other_ends_report_decides_over_a_crashed_sidecars_last_one() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", &[]), world.agent("b", &[]));
    report(&mut world, a, "p-a", &["p-b"]);
    world.close(a);
    report(&mut world, b, "p-b", &[]);
    assert_eq!(seen(&world), ["+p-a-p-b", "-p-a-p-b"]);
}

#[test]
fn links_between_two_that_stay_away_are_forgotten() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", &[]), world.agent("b", &[]));
    report(&mut world, a, "p-a", &["p-b"]);
    report(&mut world, b, "p-b", &["p-a"]);
    world.close(a);
    world.close(b);
    world.pass(LINKS_KEPT_MS - 1);
    assert_eq!(seen(&world), ["+p-a-p-b"]);
    world.pass(1);
    assert_eq!(seen(&world), ["+p-a-p-b", "-p-a-p-b"]);
}
