//! What one input decides: frames and replies in order, and the batch they may depend on.

use std::collections::{BTreeMap, VecDeque};

use seamesh_proto::events::MeshEvent;
use seamesh_proto::signaling::{RegistrySignal, SignalFrame};
use seamesh_proto::{Now, Problem, TaskId};

use crate::io::{ConnId, LookupId, Note, Output, Reply, RequestId};
use crate::store::{Batch, TaskKey, Write};

/// Collects the outputs of one input and seals them: urgent ones, then the commit, then what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    ready: VecDeque<Output>,
    waiting: Vec<Output>,
    writes: BTreeMap<(&'static str, String), Write>,
    order: Vec<(&'static str, String)>,
    events: Vec<MeshEvent>,
    next_lookup: u64,
}

impl Outbox {
    /// A frame of the registry's own, which waits for this input's commit.
    pub(crate) fn send(&mut self, to: Vec<ConnId>, signal: &RegistrySignal) {
        if !to.is_empty() {
            self.waiting.push(Output::Send {
                to,
                frame: Box::new(SignalFrame::from_registry(signal)),
                urgent: false,
            });
        }
    }

    /// A frame that depends on nothing.
    pub(crate) fn send_urgent(&mut self, to: ConnId, frame: SignalFrame) {
        self.ready.push_back(Output::Send {
            to: vec![to],
            frame: Box::new(frame),
            urgent: true,
        });
    }

    pub(crate) fn reply(&mut self, request: RequestId, result: Result<Reply, Problem>) {
        self.waiting.push(Output::Reply { request, result });
    }

    pub(crate) fn close(&mut self, conn: ConnId, problem: Problem) {
        self.waiting.push(Output::Close { conn, problem });
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.waiting.push(Output::Note(note));
    }

    /// Asks the store for tasks; the answer comes as `Input::Found`.
    pub(crate) fn lookup(&mut self, task_ids: Vec<TaskId>, key: Option<TaskKey>) -> LookupId {
        self.next_lookup += 1;
        let lookup = LookupId(self.next_lookup);
        self.waiting.push(Output::Lookup {
            lookup,
            task_ids,
            key,
        });
        lookup
    }

    pub(crate) fn event(&mut self, event: MeshEvent) {
        self.events.push(event);
    }

    /// Adds a write. A second write of the same entity replaces the first and keeps the version that one was decided
    /// on; the entity's own version counts on.
    pub(crate) fn write(&mut self, write: Write) {
        let (kind, key) = write.key();
        let slot = (kind, key.to_owned());
        let first = self.writes.remove(&slot).map(|earlier| earlier.expected());
        if first.is_none() {
            self.order.push(slot.clone());
        }
        let write = match first {
            Some(expected) => decided_on(write, expected),
            None => write,
        };
        self.writes.insert(slot, write);
    }

    /// Ends an input: what was decided becomes visible to `poll`.
    pub(crate) fn seal(&mut self, at: Now) {
        if !self.order.is_empty() || !self.events.is_empty() {
            let writes = self
                .order
                .drain(..)
                .filter_map(|slot| self.writes.remove(&slot))
                .filter(|write| !never_was(write))
                .collect();
            let events = std::mem::take(&mut self.events);
            self.ready
                .push_back(Output::Commit(Batch { at, writes, events }));
        }
        self.ready.extend(self.waiting.drain(..));
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }
}

/// A removal of what was made by the same input: the store never hears of it.
fn never_was(write: &Write) -> bool {
    matches!(
        write,
        Write::DeleteAgent { expected: 0, .. } | Write::DeleteInvite { expected: 0, .. }
    )
}

fn decided_on(mut write: Write, version: u64) -> Write {
    match &mut write {
        Write::PutTask { expected, .. }
        | Write::PutAgent { expected, .. }
        | Write::DeleteAgent { expected, .. }
        | Write::PutInvite { expected, .. }
        | Write::DeleteInvite { expected, .. }
        | Write::PutNewcomer { expected, .. } => *expected = version,
        Write::AddEnded { .. } => {}
    }
    write
}
