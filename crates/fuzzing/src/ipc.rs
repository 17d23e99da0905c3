//! Lines that an agent says to its sidecar, one a line as on the socket.

use seamesh_proto::Now;
use seamesh_proto::ipc::AgentCommand;
use seamesh_sidecar_core::{ClientId, Config, Input, Output, Sidecar};

use crate::{check_detail, vectors};

const START: Now = Now(1_800_000_000_000);
const CLIENT: ClientId = ClientId(1);

pub(crate) fn run(data: &[u8]) {
    let mut sidecar = Sidecar::new(&Config { seed: [7; 32] });
    let peer_id = "p1".parse().expect("a valid id");
    sidecar.handle(Input::SignalingUp { peer_id }, START);
    sidecar.handle(Input::IpcConnected { client: CLIENT }, START);
    for (count, line) in data.split(|byte| *byte == b'\n').enumerate() {
        match AgentCommand::parse(line) {
            Ok(command) => {
                let mut text = Vec::new();
                command.write_line(&mut text);
                let again = AgentCommand::parse(&text);
                let kind = again.as_ref().map(AgentCommand::kind);
                assert_eq!(kind, Ok(command.kind()), "written and read again");
            }
            Err(error) => check_detail(&error.detail),
        }
        sidecar.handle_line(CLIENT, line, START.plus(count as u64 * 50));
        while let Some(output) = sidecar.poll() {
            check(&output);
        }
    }
}

/// An agent reads lines: none may have a line break in it.
pub(crate) fn check(output: &Output) {
    match output {
        Output::Ipc { event, .. } => {
            let mut line = Vec::new();
            event.write_line(&mut line);
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
        Output::IpcLines { lines, .. } => {
            for line in lines.lines() {
                let read: Result<serde_json::Value, _> = serde_json::from_str(line);
                assert!(read.is_ok(), "an event is JSON: {line}");
            }
        }
        _ => {}
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let vectors = vectors::of("ipc", |direction| direction == "agent_to_sidecar");
    let hello = br#"{"type":"hello","payload":{"version":1,"agent":{"agent_id":"a","skills":[{"name":"s"}]}}}"#;
    let mut seeds = Vec::new();
    for (_, line) in vectors {
        seeds.push([&hello[..], b"\n", &line].concat());
        seeds.push(line);
    }
    seeds
}
