use seamesh_proto::Code;
use seamesh_proto::signaling::RegistrySignal;
use seamesh_registry_core::{Note, Output};
use serde_json::json;

use crate::world::World;

#[test]
fn an_offer_reaches_its_target_with_members_nobody_knows() {
    let mut world = World::new();
    let (a, b) = (world.sidecar("a"), world.connect("b"));
    world.frames(b);
    let offer = json!({
        "type": "offer", "peer_id": "a", "target_id": "b", "trace": {"id": 7},
        "payload": {"sdp": "v=0", "future": [1]},
    });
    world.raw(a, offer.clone());
    let got = world.frames(b);
    assert_eq!(serde_json::to_value(&got).unwrap(), json!([offer]));
}

#[test]
fn relays_and_peer_lists_do_not_wait_for_the_disk() {
    let mut world = World::new();
    let (a, _b) = (world.sidecar("a"), world.sidecar("b"));
    let frame = json!({"type": "answer", "peer_id": "a", "target_id": "b", "payload": {"sdp": ""}});
    world.raw(a, frame);
    assert!(matches!(
        world.last[..],
        [Output::Send { urgent: true, .. }]
    ));
}

#[test]
fn a_frame_under_another_name_is_refused_and_the_socket_stays() {
    let mut world = World::new();
    let (a, b) = (world.sidecar("a"), world.sidecar("b"));
    world.frames(a);
    world.frames(b);
    let forged = json!({"type": "offer", "peer_id": "b", "target_id": "b", "payload": {"sdp": ""}});
    world.raw(a, forged);
    assert_eq!(world.errors(a)[0].code, Code::Forbidden);
    assert!(world.frames(b).is_empty());
    assert!(world.closed.is_empty());
    assert!(matches!(world.notes[0], Note::ForgedSender { .. }));
}

#[test]
fn an_offer_to_nobody_comes_back_naming_the_peer() {
    let mut world = World::new();
    let a = world.sidecar("a");
    world.frames(a);
    let offer =
        json!({"type": "offer", "peer_id": "a", "target_id": "gone", "payload": {"sdp": ""}});
    world.raw(a, offer);
    let errors = world.errors(a);
    assert_eq!(errors[0].code, Code::NoLink);
    assert_eq!(errors[0].request_id.as_deref(), Some("gone"));
}

#[test]
fn an_old_sidecar_gets_its_peers_and_not_one_frame_it_does_not_know() {
    let mut world = World::new();
    let lib = world.agent("lib", &["search"]);
    let old = world.connect("old");
    world.raw(
        old,
        json!({"type": "register", "peer_id": "old", "payload": null}),
    );
    let told = serde_json::to_value(world.frames(old)).unwrap();
    let list =
        json!([{"type": "peer_list", "peer_id": "registry", "payload": {"peers": ["p-lib"]}}]);
    assert_eq!(told, list);

    // Each of these is answered or broadcast to a native sidecar.
    world.raw(old, json!({"type": "heartbeat", "peer_id": "old"}));
    world.raw(
        old,
        json!({"type": "offer", "peer_id": "old", "target_id": "gone", "payload": {}}),
    );
    world.raw(
        old,
        json!({"type": "offer", "peer_id": "lib", "target_id": "p-lib", "payload": {}}),
    );
    world.register(lib, "lib", &["search", "index"], &[]);
    world.agent("other", &["x"]);
    assert!(world.frames(old).is_empty());
}

#[test]
fn closing_a_stale_socket_leaves_the_live_one_routed() {
    let mut world = World::new();
    let a = world.sidecar("a");
    let (stale, live) = (world.sidecar("b"), world.sidecar("b"));
    world.frames(live);
    world.close(stale);
    let offer = json!({"type": "offer", "peer_id": "a", "target_id": "b", "payload": {"sdp": ""}});
    world.raw(a, offer);
    assert_eq!(world.frames(live).len(), 1);
}

#[test]
fn of_two_newcomers_only_the_second_is_told_of_the_first() {
    let mut world = World::new();
    let (a, b) = (world.connect("a"), world.connect("b"));
    for (conn, name) in [(a, "a"), (b, "b")] {
        world.raw(
            conn,
            json!({"type": "register", "peer_id": name, "payload": {"version": 1}}),
        );
    }
    let peers = |signals: Vec<RegistrySignal>| match &signals[0] {
        RegistrySignal::PeerList(list) => list.peers.len(),
        other => panic!("no peer_list: {other:?}"),
    };
    assert_eq!(peers(world.heard(a)), 0);
    assert_eq!(peers(world.heard(b)), 1);
}

#[test]
fn native_frames_before_register_are_out_of_order() {
    let mut world = World::new();
    let a = world.connect("a");
    world.raw(
        a,
        json!({"type": "links", "peer_id": "a", "payload": {"links": []}}),
    );
    assert_eq!(world.errors(a)[0].code, Code::OutOfOrder);
}

#[test]
fn a_version_from_the_future_is_refused_with_ours() {
    let mut world = World::new();
    let a = world.connect("a");
    world.raw(
        a,
        json!({"type": "register", "peer_id": "a", "payload": {"version": 99}}),
    );
    assert_eq!(world.errors(a)[0].code, Code::VersionUnsupported);
}

#[test]
fn unknown_kinds_and_wrong_bodies_are_told_to_a_native_sidecar() {
    let mut world = World::new();
    let a = world.sidecar("a");
    world.frames(a);
    world.raw(a, json!({"type": "nonsense", "peer_id": "a"}));
    world.raw(
        a,
        json!({"type": "task_result", "peer_id": "a", "payload": {"lease": "x"}}),
    );
    let codes: Vec<Code> = world.errors(a).iter().map(|p| p.code).collect();
    assert_eq!(codes, [Code::UnknownType, Code::BadField]);
}
