//! What every part of the core needs to act: the time, the deadlines, the queue of outputs, randomness, and whom we
//! talk to.

use std::collections::VecDeque;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use seamesh_proto::ipc::AgentEvent;
use seamesh_proto::signaling::{ClientSignal, SignalFrame};
use seamesh_proto::{Code, Now, PeerId, Problem, TaskId};

use crate::timers::{Reason, Timers};
use crate::{ClientId, Note, Output};

/// The means of acting.
#[derive(Debug)]
pub(crate) struct Effects {
    pub(crate) now: Now,
    pub(crate) timers: Timers,
    pub(crate) rng: ChaCha12Rng,
    /// Our name on the network, once a token told it.
    pub(crate) me: Option<PeerId>,
    /// Whether the signaling socket is open.
    pub(crate) is_up: bool,
    /// The client, once it is known which dialect it speaks.
    pub(crate) client: Option<ClientId>,
    /// Lines for an agent that is not there now.
    held: String,
    out: VecDeque<Output>,
}

impl Effects {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            now: Now::default(),
            timers: Timers::default(),
            rng: ChaCha12Rng::from_seed(seed),
            me: None,
            is_up: false,
            client: None,
            held: String::new(),
            out: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.out.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.push(Output::Note(note));
    }

    /// Notes what a peer did wrong.
    pub(crate) fn blame(&mut self, peer: &PeerId, code: Code, detail: impl Into<String>) {
        self.note(Note::BadPeer {
            peer: peer.clone(),
            code,
            detail: detail.into(),
        });
    }

    /// Sets a deadline this many milliseconds from now.
    pub(crate) fn after(&mut self, ms: u64, reason: Reason) {
        self.timers.set(reason, self.now.plus(ms));
    }

    /// Sends a frame to the registry, or through it to a peer. Nothing while the registry is away: whoever says it
    /// says it again when the registry is back.
    pub(crate) fn signal(&mut self, target: Option<&PeerId>, signal: &ClientSignal) {
        if let (Some(me), true) = (&self.me, self.is_up) {
            let frame = SignalFrame::from_client(me.clone(), target.cloned(), signal);
            self.push(Output::Signal { frame });
        }
    }

    /// Tells the client, if there is one.
    pub(crate) fn event(&mut self, event: AgentEvent) {
        if let Some(client) = self.client {
            self.push(Output::Ipc { client, event });
        }
    }

    /// Tells the client that something it sent was refused.
    pub(crate) fn refuse(&mut self, problem: Problem) {
        self.event(AgentEvent::Error(problem));
    }

    /// Tells the client now, or the agent when it comes back.
    pub(crate) fn event_or_hold(&mut self, event: AgentEvent) {
        if self.client.is_some() {
            self.event(event);
        } else {
            // Wire types serialise into memory without failing.
            self.held
                .push_str(&serde_json::to_string(&event).expect("wire types serialise"));
            self.held.push('\n');
        }
    }

    /// Passes a link's message on as the event `message`, byte for byte, now or when the agent is there.
    pub(crate) fn pass_on(&mut self, from: &PeerId, message: &str) {
        let lines = match self.client {
            Some(client) => {
                let appends = matches!(self.out.back(), Some(Output::IpcLines { client: c, .. }) if *c == client);
                if !appends {
                    let lines = String::new();
                    self.out.push_back(Output::IpcLines { client, lines });
                }
                match self.out.back_mut() {
                    Some(Output::IpcLines { lines, .. }) => lines,
                    _ => return,
                }
            }
            None => &mut self.held,
        };
        // Ids hold no character that JSON escapes.
        lines.reserve(message.len() + from.as_str().len() + 64);
        lines.push_str(r#"{"type":"message","payload":{"from_peer":""#);
        lines.push_str(from.as_str());
        lines.push_str(r#"","message":"#);
        lines.push_str(message);
        lines.push_str("}}\n");
    }

    /// Bytes held for an agent that is not there.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Hands over what was held, now that there is a client.
    pub(crate) fn release_held(&mut self) {
        if let Some(client) = self.client
            && !self.held.is_empty()
        {
            let lines = std::mem::take(&mut self.held);
            self.push(Output::IpcLines { client, lines });
        }
    }

    /// Drops what was held: it was for somebody else.
    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
    }

    /// 64 random bits as text: names a link attempt.
    pub(crate) fn link_tag(&mut self) -> String {
        format!("{:016x}", self.rng.next_u64())
    }

    /// A new task id.
    pub(crate) fn task_id(&mut self) -> TaskId {
        let (high, low) = (self.rng.next_u64(), self.rng.next_u64());
        TaskId::made(self.now, u128::from(high) << 64 | u128::from(low))
    }
}
