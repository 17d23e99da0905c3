//! The golden vectors in `vectors/`, read by Rust: what is accepted, in which canonical form, and what is refused with
//! which code. `vectors/README.md` tells the format.
#![allow(clippy::unwrap_used, reason = "a test suite asserts")]

mod channels;
mod file;

use std::collections::BTreeSet;

use seamesh_proto::{events, ipc, link, signaling};

use channels::rest_kinds;
use file::{Vector, all};

#[test]
fn every_kind_of_every_channel_has_a_vector() {
    let have: BTreeSet<String> = all().iter().map(Vector::id).collect();
    let missing: Vec<String> = expected()
        .into_iter()
        .filter(|id| !have.contains(id))
        .collect();
    assert!(
        missing.is_empty(),
        "no vectors for {missing:?}; see vectors/README.md"
    );
}

#[test]
fn every_vector_is_of_a_kind_that_exists() {
    let expected = expected();
    for vector in all() {
        assert!(
            expected.contains(&vector.id()),
            "{} is of no kind that proto declares: {}",
            vector.path,
            vector.id()
        );
    }
}

#[test]
fn every_vector_accepts_and_refuses_something_under_distinct_names() {
    for vector in all() {
        assert!(!vector.accept.is_empty(), "{} accepts nothing", vector.path);
        assert!(!vector.reject.is_empty(), "{} refuses nothing", vector.path);
        let names = vector.accept.iter().map(|c| &c.name);
        let mut seen = BTreeSet::new();
        for name in names.chain(vector.reject.iter().map(|c| &c.name)) {
            assert!(
                seen.insert(name),
                "{}: two cases are named {name:?}",
                vector.path
            );
        }
    }
}

#[test]
fn accepted_messages_are_written_in_their_canonical_form() {
    for vector in all() {
        for case in &vector.accept {
            let place = format!("{}: {}", vector.path, case.name);
            let written = channels::rewrite(&vector, &case.bytes())
                .unwrap_or_else(|e| panic!("{place}: {e}"));
            assert_eq!(written, case.canonical(), "{place}");
            let again = channels::rewrite(&vector, written.to_string().as_bytes());
            assert_eq!(again.as_ref(), Ok(&written), "{place}: written twice");
        }
    }
}

#[test]
fn refused_messages_give_their_code() {
    for vector in all() {
        for case in &vector.reject {
            let place = format!("{}: {}", vector.path, case.name);
            match channels::rewrite(&vector, &case.bytes()) {
                Ok(value) => panic!("{place}: accepted as {value}"),
                Err(error) => assert_eq!(error.code.as_str(), case.code, "{place}: {error}"),
            }
        }
    }
}

#[test]
fn an_error_never_quotes_more_than_a_line_of_what_was_sent() {
    for vector in all() {
        for case in &vector.reject {
            let error = channels::rewrite(&vector, &case.bytes()).unwrap_err();
            assert!(error.detail.len() < 1_500, "{}: {}", vector.path, case.name);
            assert!(
                !error.detail.contains('\n'),
                "{}: {}",
                vector.path,
                case.name
            );
        }
    }
}

#[test]
fn a_relayed_frame_keeps_every_member() {
    for vector in all().iter().filter(|v| v.channel == "signaling") {
        for case in &vector.accept {
            let mut sent: serde_json::Value = serde_json::from_slice(&case.bytes()).unwrap();
            let relayed = signaling::SignalFrame::parse(&case.bytes())
                .unwrap()
                .to_text();
            let relayed: serde_json::Value = serde_json::from_str(&relayed).unwrap();
            if sent.get("payload").is_none() {
                sent["payload"] = serde_json::Value::Null;
            }
            assert_eq!(relayed, sent, "{}: {}", vector.path, case.name);
        }
    }
}

#[test]
fn a_message_passed_on_over_ipc_keeps_its_text_byte_for_byte() {
    let message =
        r#"{ "type":"x", "payload":{"n":1.00,"big":12345678901234567890123}, "extra" : [ ] }"#;
    let line = format!(r#"{{"type":"send","payload":{{"target_peer":"p","message":{message}}}}}"#);
    let ipc::AgentCommand::Send(send) = ipc::AgentCommand::parse(line.as_bytes()).unwrap() else {
        panic!("not a send");
    };
    assert_eq!(send.message.text(), message);
    let event = ipc::AgentEvent::Message(ipc::Message {
        from_peer: "p".parse().unwrap(),
        message: send.message,
    });
    let mut out = Vec::new();
    event.write_line(&mut out);
    assert!(String::from_utf8(out).unwrap().contains(message));
}

/// `channel/direction/kind` of everything that proto declares.
fn expected() -> BTreeSet<String> {
    let mut expected = BTreeSet::new();
    let mut add = |direction: &str, kinds: &[&str]| {
        expected.extend(kinds.iter().map(|kind| format!("{direction}/{kind}")));
    };
    add("ipc/agent_to_sidecar", ipc::AgentCommand::KINDS);
    add("ipc/sidecar_to_agent", ipc::AgentEvent::KINDS);
    add("link/sidecar_to_sidecar", link::SidecarLink::KINDS);
    add("link/agent_to_agent", link::AgentLink::KINDS);
    add(
        "signaling/sidecar_to_registry",
        signaling::ClientSignal::KINDS,
    );
    add(
        "signaling/registry_to_sidecar",
        signaling::RegistrySignal::KINDS,
    );
    add("event_stream/registry_to_watcher", events::MeshEvent::KINDS);
    expected.extend(rest_kinds());
    expected
}
