//! Exactly one link per pair, whoever dials and whatever the network does.

use proptest::prelude::*;
use seamesh_proto::Now;
use seamesh_proto::ipc::AgentEvent;
use seamesh_proto::limits::MAX_EARLY_CANDIDATES;
use seamesh_proto::signaling::{ClientSignal, Description, IceCandidate, PeerList, RegistrySignal};
use seamesh_sidecar_core::limits::{GLARE_PATIENCE_MS, HELLO_WAIT_MS};
use seamesh_sidecar_core::{CloseReason, Config, DescriptionKind, Input, Note, Output, Sidecar};

use crate::world::{LATENCY_MS, Name, World, id};

mod world;

fn peer_events(events: &[AgentEvent]) -> Vec<(bool, String)> {
    events
        .iter()
        .filter_map(|e| match e {
            AgentEvent::PeerConnected(p) => Some((true, p.peer_id.to_string())),
            AgentEvent::PeerDisconnected(p) => Some((false, p.peer_id.to_string())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_newcomer_offers_to_those_listed_and_the_link_opens() {
    let mut world = World::new(&["a"]);
    world.run(10);
    world.start("b");
    world.run(10 * LATENCY_MS);
    assert!(world.are_linked("a", "b"));
    let is_offer = |s: &ClientSignal| matches!(s, ClientSignal::Offer(_));
    assert!(world.signals("b").iter().any(is_offer));
    assert!(!world.signals("a").iter().any(is_offer));
}

#[test]
fn two_that_dial_each_other_at_once_end_with_one_link_and_tell_it_once() {
    let mut world = World::new(&["a", "b"]);
    world.connect_client("a", 1);
    world.connect_client("b", 1);
    for (from, to) in [("a", "b"), ("b", "a")] {
        world.tell(
            from,
            &RegistrySignal::PeerList(PeerList {
                peers: vec![id(to)],
            }),
        );
    }
    world.run(HELLO_WAIT_MS + 100);
    assert!(world.are_linked("a", "b"));
    assert_eq!(peer_events(&world.events("a")), [(true, "b".to_owned())]);
    assert_eq!(peer_events(&world.events("b")), [(true, "a".to_owned())]);
}

#[test]
fn a_lost_link_is_told_once_and_dialed_again() {
    let mut world = World::new(&["a", "b"]);
    world.connect_client("a", 1);
    world.run(HELLO_WAIT_MS + 100);
    world.events("a");
    world.cut("a", "b");
    world.run(1_000);
    assert!(world.are_linked("a", "b"));
    let expected = [(false, "b".to_owned()), (true, "b".to_owned())];
    assert_eq!(peer_events(&world.events("a")), expected);
}

#[test]
fn a_peer_that_was_killed_and_restarted_is_linked_within_a_second_and_stays_linked() {
    for killed in ["a", "b"] {
        let mut world = World::new(&["a", "b"]);
        world.run(100);
        world.start(killed);
        world.run(1_000);
        assert!(world.are_linked("a", "b"), "{killed} is linked again");
        world.run(30_000);
        assert!(
            world.are_linked("a", "b"),
            "the old link's end changes nothing"
        );
    }
}

#[test]
fn a_peer_that_comes_back_long_after_it_was_given_up_is_linked_within_a_second() {
    let mut world = World::new(&["a", "b"]);
    world.run(100);
    world.kill("b");
    world.run(600_000);
    assert_eq!(world.nodes["a"].core.links(), []);
    world.start("b");
    world.run(1_000);
    assert!(world.are_linked("a", "b"));
}

#[test]
fn a_dead_peer_that_is_being_redialed_is_linked_within_a_second_of_its_return() {
    for killed in ["a", "b"] {
        for pause in (5_000..9_000).step_by(250) {
            let mut world = World::new(&["a", "b"]);
            world.run(100);
            world.kill(killed);
            world.run(pause);
            world.start(killed);
            world.run(1_000);
            assert!(world.are_linked("a", "b"), "{killed} after {pause} ms");
        }
    }
}

#[test]
fn links_outlive_the_registry_and_new_ones_open_when_it_returns() {
    let mut world = World::new(&["a", "b"]);
    world.run(100);
    world.set_registry(false);
    world.start("c");
    world.run(60_000);
    assert!(world.are_linked("a", "b"));
    world.set_registry(true);
    world.run(3_000);
    for (x, y) in [("a", "b"), ("a", "c"), ("b", "c")] {
        assert!(world.are_linked(x, y), "{x} and {y}");
    }
}

#[test]
fn an_outage_of_the_registry_is_noted_once() {
    let mut world = World::new(&[]);
    world.is_registry_up = false;
    world.start("a");
    world.run(60_000);
    let away = |n: &&Note| matches!(n, Note::RegistryAway { .. });
    assert_eq!(world.node("a").notes.iter().filter(away).count(), 1);
}

/// A core that is connected as `me` and has said its outputs so far.
fn core(me: &str) -> Sidecar {
    let mut core = Sidecar::new(&Config { seed: [1; 32] });
    core.handle(Input::SignalingUp { peer_id: id(me) }, Now(0));
    while core.poll().is_some() {}
    core
}

fn hear(core: &mut Sidecar, from: &str, signal: ClientSignal, now: u64) -> Vec<Output> {
    let frame =
        seamesh_proto::signaling::SignalFrame::from_client(id(from), Some(id("me")), &signal);
    core.handle(Input::Signal { frame }, Now(now));
    std::iter::from_fn(|| core.poll()).collect()
}

fn offer(sdp: &str, link: Option<&str>, version: Option<u32>) -> ClientSignal {
    ClientSignal::Offer(Description {
        sdp: sdp.to_owned(),
        link: link.map(String::from),
        version,
        identity: None,
    })
}

fn candidate(n: usize, link: Option<&str>) -> ClientSignal {
    ClientSignal::IceCandidate(IceCandidate {
        candidate: format!("candidate:{n}"),
        sdp_mid: None,
        sdp_m_line_index: None,
        link: link.map(String::from),
    })
}

fn applied(outputs: &[Output]) -> Vec<&str> {
    outputs
        .iter()
        .filter_map(|o| match o {
            Output::LinkCandidate { candidate, .. } => Some(candidate.candidate.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn candidates_that_arrive_before_their_offer_are_kept_and_others_are_not_applied() {
    let mut core = core("me");
    hear(&mut core, "peer", candidate(1, Some("x")), 1);
    hear(&mut core, "peer", candidate(2, Some("old")), 1);
    let outputs = hear(&mut core, "peer", offer("sdp", Some("x"), Some(1)), 2);
    assert_eq!(applied(&outputs), ["candidate:1"]);
}

#[test]
fn early_candidates_are_bounded() {
    let mut core = core("me");
    for n in 0..MAX_EARLY_CANDIDATES + 10 {
        hear(&mut core, "peer", candidate(n, Some("x")), 1);
    }
    let outputs = hear(&mut core, "peer", offer("sdp", Some("x"), Some(1)), 2);
    assert_eq!(applied(&outputs).len(), MAX_EARLY_CANDIDATES);
    assert_eq!(applied(&outputs)[0], "candidate:10");
}

#[test]
fn an_answer_to_an_attempt_that_is_over_is_ignored() {
    let mut core = core("me");
    let list = RegistrySignal::PeerList(PeerList {
        peers: vec![id("peer")],
    });
    let frame = seamesh_proto::signaling::SignalFrame::from_registry(&list);
    core.handle(Input::Signal { frame }, Now(1));
    while core.poll().is_some() {}
    let answer = |link: &str| {
        ClientSignal::Answer(Description {
            sdp: "sdp".to_owned(),
            link: Some(link.to_owned()),
            version: Some(1),
            identity: None,
        })
    };
    assert_eq!(hear(&mut core, "peer", answer("older"), 2), []);
}

#[test]
fn towards_an_old_peer_our_offer_stands_and_is_repeated_when_it_was_not_heard() {
    for me in ["a", "z"] {
        let mut core = core(me);
        let list = RegistrySignal::PeerList(PeerList {
            peers: vec![id("old")],
        });
        let frame = seamesh_proto::signaling::SignalFrame::from_registry(&list);
        core.handle(Input::Signal { frame }, Now(1));
        while core.poll().is_some() {}
        assert_eq!(hear(&mut core, "old", offer("theirs", None, None), 2), []);
        core.handle(Input::Tick, Now(2 + GLARE_PATIENCE_MS));
        core.handle(Input::Tick, Now(10 + 2 * GLARE_PATIENCE_MS + 2_000));
        let outputs: Vec<Output> = std::iter::from_fn(|| core.poll()).collect();
        let dials = |o: &Output| matches!(o, Output::LinkOffer { .. });
        assert!(outputs.iter().any(dials), "{outputs:?}");
    }
}

#[test]
fn an_unusable_description_is_its_peers_error_and_the_next_one_works() {
    let mut core = core("me");
    let outputs = hear(&mut core, "peer", offer("garbage", Some("x"), Some(1)), 1);
    let Some(Output::LinkAccept { link, .. }) = outputs.first() else {
        panic!("{outputs:?}");
    };
    let (link, reason) = (*link, CloseReason::Malformed);
    core.handle(Input::LinkClosed { link, reason }, Now(2));
    let outputs: Vec<Output> = std::iter::from_fn(|| core.poll()).collect();
    let blames = |o: &Output| matches!(o, Output::Note(Note::BadPeer { .. }));
    assert!(outputs.iter().any(blames));
    let outputs = hear(&mut core, "peer", offer("good", Some("y"), Some(1)), 3);
    assert!(matches!(&outputs[0], Output::LinkAccept { sdp, .. } if sdp == "good"));
}

#[test]
fn a_link_names_its_attempt_in_the_answer_as_the_offer_did() {
    let mut core = core("me");
    let outputs = hear(&mut core, "peer", offer("theirs", Some("x"), Some(1)), 1);
    let Some(Output::LinkAccept { link, .. }) = outputs.first() else {
        panic!("{outputs:?}");
    };
    let input = Input::LinkDescription {
        link: *link,
        kind: DescriptionKind::Answer,
        sdp: "ours".to_owned(),
    };
    core.handle(input, Now(2));
    let Some(Output::Signal { frame }) = core.poll() else {
        panic!("no answer");
    };
    assert_eq!(frame.target_id, Some(id("peer")));
    assert_eq!(frame.payload["link"], "x");
    assert_eq!(frame.payload["sdp"], "ours");
}

/// Something that goes wrong.
#[derive(Clone, Debug)]
enum Trouble {
    Cut(usize, usize),
    Restart(usize),
    Registry(bool),
    Disconnect(usize),
    Wait(u64),
}

const NAMES: [Name; 4] = ["a", "b", "c", "d"];

fn trouble() -> impl Strategy<Value = Trouble> {
    let n = 0..NAMES.len();
    prop_oneof![
        (n.clone(), n.clone()).prop_map(|(a, b)| Trouble::Cut(a, b)),
        n.clone().prop_map(Trouble::Restart),
        any::<bool>().prop_map(Trouble::Registry),
        n.prop_map(Trouble::Disconnect),
        (0u64..4_000).prop_map(Trouble::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_any_trouble_every_pair_has_exactly_one_link(
        troubles in prop::collection::vec(trouble(), 0..25),
        losses in prop::collection::vec(any::<bool>(), 0..200),
    ) {
        let mut world = World::new(&NAMES);
        world.losses = losses.into();
        for trouble in troubles {
            match trouble {
                Trouble::Cut(a, b) => world.cut(NAMES[a], NAMES[b]),
                Trouble::Restart(n) => world.start(NAMES[n]),
                Trouble::Registry(up) => world.set_registry(up),
                Trouble::Disconnect(n) => world.disconnect_signaling(NAMES[n]),
                Trouble::Wait(ms) => world.run(ms),
            }
        }
        world.losses.clear();
        world.set_registry(true);
        world.run(60_000);
        for (i, a) in NAMES.iter().enumerate() {
            for b in &NAMES[i + 1..] {
                prop_assert!(world.are_linked(a, b), "{a} and {b}");
            }
        }
    }
}
