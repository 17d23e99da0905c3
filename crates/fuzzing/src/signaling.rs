//! Signaling frames, one a line: at the registry, and at a sidecar whose registry may say anything.

use std::collections::VecDeque;

use seamesh_proto::rest::Role;
use seamesh_proto::signaling::{ClientSignal, Register, SignalFrame};
use seamesh_proto::{Now, PeerId};
use seamesh_registry_core::{Caller, Config, ConnId, Core, Input, MemoryStore, Output};
use seamesh_sidecar_core as sidecar;

use crate::{check_detail, vectors};

/// Milliseconds between two frames: some leases and graces lapse within an input.
const STEP_MS: u64 = 1_500;

/// A registry without its shell, with two sidecars.
struct Registry {
    core: Core,
    store: MemoryStore,
    now: Now,
}

fn peer(name: &str) -> PeerId {
    name.parse().expect("a valid id")
}

impl Registry {
    fn new() -> Self {
        let store = MemoryStore::new();
        let now = Now(1_800_000_000_000);
        let core = Core::new(Config { seed: [7; 32] }, store.load(), now);
        let mut registry = Self { core, store, now };
        for (conn, name) in [(1, "p1"), (2, "p2")] {
            let caller = Caller {
                peer: peer(name),
                role: Role::Agent,
            };
            let conn = ConnId(conn);
            registry.handle(Input::Connected { conn, caller });
            let register = ClientSignal::Register(Register { version: Some(1) });
            let frame = SignalFrame::from_client(peer(name), None, &register);
            registry.handle(Input::Frame { conn, frame });
        }
        registry
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.core.handle(input, self.now);
            while let Some(output) = self.core.poll() {
                match output {
                    Output::Commit(batch) => {
                        let committed = self.store.commit(&batch);
                        assert_eq!(committed, Ok(()), "nobody else writes");
                    }
                    Output::Lookup {
                        lookup,
                        task_ids,
                        key,
                    } => {
                        let mut tasks = self.store.find(&task_ids);
                        tasks.extend(key.and_then(|key| self.store.find_key(&key)));
                        inputs.push_back(Input::Found { lookup, tasks });
                    }
                    Output::Send { frame, .. } => {
                        let read = SignalFrame::parse(frame.to_text().as_bytes());
                        assert!(read.is_ok(), "what is sent can be read: {read:?}");
                    }
                    Output::Close { .. } | Output::Reply { .. } | Output::Note(_) => {}
                }
            }
        }
        self.now = self.now.plus(STEP_MS);
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut registry = Registry::new();
    let mut sidecar = sidecar::Sidecar::new(&sidecar::Config { seed: [7; 32] });
    let me = peer("p1");
    sidecar.handle(sidecar::Input::SignalingUp { peer_id: me }, registry.now);
    for line in data.split(|byte| *byte == b'\n') {
        let frame = match SignalFrame::parse(line) {
            Ok(frame) => frame,
            Err(error) => {
                check_detail(&error.detail);
                continue;
            }
        };
        if let Err(error) = frame.client_signal() {
            check_detail(&error.detail);
        }
        let conn = ConnId(if frame.peer_id.as_str() == "p2" { 2 } else { 1 });
        let input = Input::Frame {
            conn,
            frame: frame.clone(),
        };
        registry.handle(input);
        sidecar.handle(sidecar::Input::Signal { frame }, registry.now);
        while sidecar.poll().is_some() {}
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = vectors::of("signaling", |_| true)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    // What a sidecar's whole life says, in one input.
    let life = [
        r#"{"type":"agent_register","peer_id":"p1","payload":{"agent":{"agent_id":"a","hostname":"h","sidecar_peer_id":"p1","skills":[{"name":"s"}]}}}"#,
        r#"{"type":"task_submit","peer_id":"p2","payload":{"request_id":"r","task":{"task_id":"t-1","skill":"s","payload":{"x":1},"stream":true}}}"#,
        r#"{"type":"task_news","peer_id":"p1","payload":{"task_id":"t-1","lease":1,"chunk":{"seq":0,"data":"x"}}}"#,
        r#"{"type":"task_watch","peer_id":"p2","payload":{"task_ids":["t-1"]}}"#,
        r#"{"type":"heartbeat","peer_id":"p1","payload":{"agent_id":"a","leases":[{"task_id":"t-1","lease":1}]}}"#,
        r#"{"type":"task_result","peer_id":"p1","payload":{"task_id":"t-1","lease":1,"outcome":{"state":"completed","result":1}}}"#,
        r#"{"type":"agent_remove","peer_id":"p1","payload":{"agent_id":"a"}}"#,
    ];
    seeds.push(life.join("\n").into_bytes());
    seeds
}
