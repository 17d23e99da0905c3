//! The world: its nodes, its clock and the queue of what happens next.

use std::collections::BTreeMap;

use seamesh_proto::signaling::SignalFrame;
use seamesh_proto::{Now, TaskId};
use seamesh_registry_core::ConnId;
use seamesh_sidecar_core::{Input as SidecarInput, Piece};

use crate::agents::ModelAgent;
use crate::channels::{Channels, End};
use crate::network::Network;
use crate::registry::RegistryNode;
use crate::sidecars::SidecarNode;
use crate::transcript::Transcript;

/// The virtual time 0, in Unix milliseconds: late enough that ages can be subtracted.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// Something that happens at a node at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A sidecar's connection reaches the registry (or fails there).
    Dial { node: String, boot: u32 },
    /// The sidecar learns that its signaling socket is open.
    Up { node: String, conn: ConnId },
    /// A signaling socket ends, as the registry sees it.
    Hangup { conn: ConnId },
    /// A signaling socket ends, or did not open, as the sidecar sees it.
    Down { node: String, boot: u32 },
    /// A frame reaches the registry.
    ToRegistry { conn: ConnId, frame: SignalFrame },
    /// A frame reaches a sidecar.
    ToSidecar {
        conn: ConnId,
        frame: Box<SignalFrame>,
    },
    /// The handshake of a link is over.
    Open { end: End },
    /// A message reaches an end of a link.
    Deliver { end: End, piece: Piece },
    /// An end learns that its link is gone.
    Gone { end: End, silent: bool },
    /// An input of the sidecar's own machine.
    Local {
        node: String,
        boot: u32,
        input: Box<SidecarInput>,
    },
    /// A REST agent's handler ended.
    RestDone {
        agent: String,
        task_id: TaskId,
        attempt: u32,
        lease: u64,
    },
}

/// Everything there is.
pub struct World {
    pub(crate) at: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    /// What a cut network holds up: connections deliver it, in order, when the cut heals.
    held: Vec<(String, String, Event)>,
    pub(crate) network: Network,
    pub(crate) channels: Channels,
    pub(crate) registry: RegistryNode,
    pub(crate) sidecars: BTreeMap<String, SidecarNode>,
    pub(crate) rest_agents: BTreeMap<String, ModelAgent>,
    pub(crate) transcript: Transcript,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty world at virtual time 0, its registry not started.
    pub fn new() -> Self {
        Self {
            at: 0,
            queue: BTreeMap::new(),
            queued: 0,
            held: Vec::new(),
            network: Network::default(),
            channels: Channels::default(),
            registry: RegistryNode::default(),
            sidecars: BTreeMap::new(),
            rest_agents: BTreeMap::new(),
            transcript: Transcript::default(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now(EPOCH_MS + self.at)
    }

    /// Lets something happen `ms` from now, after everything that was set for the same time before.
    pub(crate) fn after(&mut self, ms: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((self.at + ms, self.queued), event);
    }

    /// Keeps an event until the network between two nodes heals.
    pub(crate) fn hold(&mut self, a: &str, b: &str, event: Event) {
        self.held.push((a.to_owned(), b.to_owned(), event));
    }

    /// Heals the network between two nodes: what was held up arrives now.
    pub(crate) fn heal(&mut self, a: &str, b: &str) {
        self.network.heal(a, b);
        let held = std::mem::take(&mut self.held);
        for (from, to, event) in held {
            match self.network.is_cut(&from, &to) {
                true => self.hold(&from, &to, event),
                false => self.after(0, event),
            }
        }
    }

    /// Lets virtual time pass, event by event and deadline by deadline.
    pub fn run(&mut self, ms: u64) {
        let until = self.at + ms;
        loop {
            let event_at = self.queue.first_key_value().map(|((at, _), _)| *at);
            let due_at = self.next_deadline();
            match (event_at, due_at) {
                (Some(at), due) if at <= until && due.is_none_or(|due| at <= due) => {
                    self.at = self.at.max(at);
                    if let Some((_, event)) = self.queue.pop_first() {
                        self.happen(event);
                    }
                }
                (_, Some(due)) if due <= until => {
                    self.at = self.at.max(due);
                    self.tick();
                }
                _ => break,
            }
        }
        self.at = until;
    }

    fn next_deadline(&self) -> Option<u64> {
        let registry = self.registry.core.as_ref().and_then(|c| c.next_deadline());
        let sidecars = self
            .sidecars
            .values()
            .filter_map(|s| s.core.as_ref().and_then(|c| c.next_deadline()))
            .map(|(at, _)| at);
        let first = sidecars.chain(registry.map(|(at, _)| at)).min();
        first.map(|at| at.0.saturating_sub(EPOCH_MS))
    }

    fn tick(&mut self) {
        let now = self.now();
        let due = |deadline: Option<Now>| deadline.is_some_and(|at| at <= now);
        let core = self.registry.core.as_ref();
        if due(core.and_then(|c| c.next_deadline()).map(|(at, _)| at)) {
            self.tell_registry(seamesh_registry_core::Input::Tick);
        }
        let is_due = |s: &SidecarNode| {
            let core = s.core.as_ref();
            due(core.and_then(|c| c.next_deadline()).map(|(at, _)| at))
        };
        let names: Vec<String> = self
            .sidecars
            .iter()
            .filter(|(_, s)| is_due(s))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.tell_sidecar(&name, SidecarInput::Tick);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Dial { node, boot } => self.dial_registry(&node, boot),
            Event::Up { node, conn } => self.signaling_up(&node, conn),
            Event::Hangup { conn } => self.hang_up(conn),
            Event::Down { node, boot } => self.signaling_down(&node, boot),
            Event::ToRegistry { conn, frame } => self.frame_to_registry(conn, frame),
            Event::ToSidecar { conn, frame } => self.frame_to_sidecar(conn, *frame),
            Event::Open { end } => self.open_link(&end),
            Event::Deliver { end, piece } => self.deliver(end, piece),
            Event::Gone { end, silent } => self.link_gone(&end, silent),
            Event::Local { node, boot, input } => {
                if self.boot_of(&node) == Some(boot) {
                    self.tell_sidecar(&node, *input);
                }
            }
            Event::RestDone {
                agent,
                task_id,
                attempt,
                lease,
            } => self.rest_done(&agent, task_id, attempt, lease),
        }
    }
}
