//! The client of the IPC socket: greetings, refusals, back-pressure.

use bytes::Bytes;
use seamesh_proto::ipc::AgentEvent;
use seamesh_proto::limits::{LINK_PIECE_BYTES, MAX_LINE_BYTES, MAX_QUEUED_BYTES};
use seamesh_proto::{Code, Problem};
use seamesh_sidecar_core::limits::HELLO_WAIT_MS;
use seamesh_sidecar_core::{ClientId, Input, Note, Piece};

use crate::world::{Name, World};

mod world;

fn linked() -> World {
    let mut world = World::new(&["a", "b"]);
    world.agent("a", "alice", &[]);
    world.agent("b", "bob", &[]);
    world.run(100);
    world.events("a");
    world.events("b");
    world
}

fn codes(world: &mut World, name: Name) -> Vec<Code> {
    let codes = world.events(name).into_iter().filter_map(|e| match e {
        AgentEvent::Error(problem) => Some(problem.code),
        _ => None,
    });
    codes.collect()
}

fn send(world: &mut World, to: &str, bytes: usize) {
    let text = "x".repeat(bytes);
    let line = format!(
        r#"{{"type":"send","payload":{{"target_peer":"{to}","message":{{"type":"note","payload":"{text}"}}}}}}"#
    );
    world.say_line("a", &line);
}

#[test]
fn hello_is_welcomed_and_the_open_links_are_told() {
    let mut world = World::new(&["a", "b"]);
    world.run(100);
    world.agent("a", "alice", &[]);
    let events = world.events("a");
    let kinds: Vec<&str> = events.iter().map(AgentEvent::kind).collect();
    assert_eq!(kinds, ["welcome", "peer_connected"]);
    assert!(
        matches!(&events[0], AgentEvent::Welcome(w) if w.registry_connected && w.peer_id.as_ref().unwrap().as_str() == "a")
    );
}

#[test]
fn a_second_client_is_refused_with_a_reason_and_the_first_goes_on() {
    let mut world = linked();
    world.input(
        "a",
        Input::IpcConnected {
            client: ClientId(9),
        },
    );
    let node = world.node("a");
    assert_eq!(node.refused[0].1.code, Code::SidecarBusy);
    assert_eq!(node.closed_clients, [ClientId(9)]);
    world.input(
        "a",
        Input::IpcDisconnected {
            client: ClientId(9),
        },
    );
    world.say_line("a", r#"{"type":"list_peers"}"#);
    assert!(matches!(&world.events("a")[..], [AgentEvent::PeerList(l)] if l.peers.len() == 1));
}

#[test]
fn a_wrong_version_is_refused_and_the_right_one_still_works() {
    let mut world = World::new(&["a"]);
    world.connect_client("a", 1);
    world.say_line(
        "a",
        r#"{"type":"hello","payload":{"version":99,"agent":{"agent_id":"x"}}}"#,
    );
    assert_eq!(codes(&mut world, "a"), [Code::VersionUnsupported]);
    world.hello("a", "alice", &[], "[]");
    assert!(matches!(world.events("a")[0], AgentEvent::Welcome(_)));
}

#[test]
fn commands_out_of_order_are_refused() {
    let mut world = World::new(&["a"]);
    world.connect_client("a", 1);
    world.say_line(
        "a",
        r#"{"type":"request","payload":{"request_id":"1","skill":"s"}}"#,
    );
    assert_eq!(codes(&mut world, "a"), [Code::OutOfOrder]);
    world.hello("a", "alice", &[], "[]");
    world.events("a");
    world.hello("a", "alice", &[], "[]");
    assert_eq!(codes(&mut world, "a"), [Code::OutOfOrder]);
}

#[test]
fn bad_commands_are_refused_with_their_codes() {
    let mut world = linked();
    let cases = [
        ("{", Code::BadJson),
        ("[]", Code::BadField),
        (r#"{"type":"fly"}"#, Code::UnknownType),
        (
            r#"{"type":"send","payload":{"target_peer":"b"}}"#,
            Code::BadField,
        ),
        (
            r#"{"type":"send","payload":{"target_peer":"b","message":7}}"#,
            Code::BadField,
        ),
        (
            r#"{"type":"send","payload":{"target_peer":"b","message":{"kind":"x"}}}"#,
            Code::BadField,
        ),
        (
            r#"{"type":"send","payload":{"target_peer":"nobody","message":{"type":"x"}}}"#,
            Code::NoLink,
        ),
        (
            r#"{"type":"request","payload":{"request_id":"","skill":"s"}}"#,
            Code::BadField,
        ),
        (
            r#"{"type":"request","payload":{"request_id":"1","skill":""}}"#,
            Code::BadField,
        ),
        (
            r#"{"type":"request","payload":{"request_id":"1","skill":"s","parent":"t"}}"#,
            Code::TaskUnknown,
        ),
        (
            r#"{"type":"respond","payload":{"task_id":"t","attempt":1,"outcome":{"state":"completed"}}}"#,
            Code::TaskUnknown,
        ),
    ];
    for (line, code) in cases {
        world.say_line("a", line);
        assert_eq!(codes(&mut world, "a"), [code], "{line}");
    }
    send(&mut world, "b", 10);
    world.run(20);
    assert_eq!(world.events("b").len(), 1, "and it goes on serving");
}

#[test]
fn an_old_client_is_told_of_links_though_it_says_nothing() {
    let mut world = World::new(&["a", "b"]);
    world.run(100);
    world.connect_client("a", 1);
    assert_eq!(world.events("a"), []);
    world.run(HELLO_WAIT_MS);
    assert!(matches!(
        &world.events("a")[..],
        [AgentEvent::PeerConnected(_)]
    ));
}

#[test]
fn messages_for_an_agent_that_is_not_there_wait_for_it() {
    let mut world = linked();
    world.disconnect_client("b");
    for n in 0..3 {
        send(&mut world, "b", n);
    }
    world.run(20);
    world.agent("b", "bob", &[]);
    let kinds: Vec<&str> = world
        .node("b")
        .events
        .iter()
        .map(AgentEvent::kind)
        .collect();
    assert_eq!(
        kinds,
        ["welcome", "peer_connected", "message", "message", "message"]
    );
}

#[test]
fn a_full_link_pauses_its_agent_until_half_of_it_is_gone() {
    let mut world = linked();
    world.node("a").is_clogged = true;
    for _ in 0..5 {
        send(&mut world, "b", MAX_QUEUED_BYTES / 4);
    }
    assert_eq!(world.node("a").pauses, [true]);
    let link = world.node("a").core.links()[0];
    world.node("a").is_clogged = false;
    world.input("a", Input::LinkWritable { link });
    world.run(20);
    assert_eq!(world.node("a").pauses, [true, false]);
    assert_eq!(world.events("b").len(), 5, "nothing is lost");
}

#[test]
fn a_full_link_that_goes_away_does_not_keep_its_agent_paused() {
    let mut world = linked();
    world.node("a").is_clogged = true;
    for _ in 0..5 {
        send(&mut world, "b", MAX_QUEUED_BYTES / 4);
    }
    world.cut("a", "b");
    world.run(1);
    assert_eq!(world.node("a").pauses, [true, false]);
}

#[test]
fn an_agent_that_does_not_read_stops_its_links() {
    let mut world = linked();
    let client = ClientId(1);
    world.input(
        "b",
        Input::IpcBlocked {
            client,
            blocked: true,
        },
    );
    world.input(
        "b",
        Input::IpcBlocked {
            client,
            blocked: false,
        },
    );
    assert_eq!(world.node("b").link_pauses, [true, false]);
    world.input(
        "b",
        Input::IpcBlocked {
            client,
            blocked: true,
        },
    );
    world.disconnect_client("b");
    assert_eq!(world.node("b").link_pauses, [true, false, true, false]);
}

#[test]
fn a_bad_line_is_answered_and_the_client_stays() {
    let mut world = linked();
    let problem = Problem::new(Code::TooLarge, "a line has at most so many bytes");
    world.input(
        "a",
        Input::IpcBad {
            client: ClientId(1),
            problem,
        },
    );
    assert_eq!(codes(&mut world, "a"), [Code::TooLarge]);
    assert_eq!(world.node("a").closed_clients, []);
}

#[test]
fn what_a_peer_sends_that_is_no_message_is_its_fault_and_the_rest_arrives() {
    let mut world = linked();
    let link = world.node("b").core.links()[0];
    let stream = b"garbage\n\xff\xfe\n{\"kind\":1}\n{\"type\":\"good\"}\n";
    for chunk in stream.chunks(7) {
        let piece = Piece::Binary(Bytes::copy_from_slice(chunk));
        world.input("b", Input::LinkMessage { link, piece });
    }
    let events = world.events("b");
    assert!(
        matches!(&events[..], [AgentEvent::Message(m)] if m.message.text() == r#"{"type":"good"}"#)
    );
    let blames = |n: &&Note| matches!(n, Note::BadPeer { .. });
    assert_eq!(world.node("b").notes.iter().filter(blames).count(), 3);
}

#[test]
fn a_text_message_of_an_old_peer_is_passed_on_as_one_line() {
    let mut world = linked();
    let link = world.node("b").core.links()[0];
    let piece = Piece::Text(Bytes::from_static(
        b"{\n  \"type\": \"note\",\n  \"x\": 1\n}",
    ));
    world.input("b", Input::LinkMessage { link, piece });
    let events = world.events("b");
    assert!(
        matches!(&events[..], [AgentEvent::Message(m)] if m.message.text() == r#"{"type":"note","x":1}"#)
    );
}

#[test]
fn a_peer_whose_line_never_ends_loses_its_link_and_gets_another() {
    let mut world = linked();
    let link = world.node("b").core.links()[0];
    for _ in 0..=MAX_LINE_BYTES / LINK_PIECE_BYTES {
        let piece = Piece::Binary(Bytes::from(vec![b'x'; LINK_PIECE_BYTES]));
        world.input("b", Input::LinkMessage { link, piece });
    }
    assert!(!world.are_linked("a", "b"));
    world.run(3_000);
    assert!(world.are_linked("a", "b"));
}
