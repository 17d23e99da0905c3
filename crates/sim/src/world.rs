//! The world: its nodes, its clock and the queue of what happens next.

use std::collections::{BTreeMap, VecDeque};

use seamesh_proto::signaling::SignalFrame;
use seamesh_proto::{Now, TaskId};
use seamesh_registry_core::ConnId;
use seamesh_sidecar_core::{Input as SidecarInput, Piece};

use crate::agents::Key;
use crate::channels::{Channels, End};
use crate::history::History;
use crate::network::{LINK_TIMEOUT_MS, Name, Network};
use crate::registry::RegistryNode;
use crate::rest::RestAgent;
use crate::sidecars::SidecarNode;
use crate::sometimes::Sometimes;
use crate::transcript::Transcript;

/// The virtual time 0, in Unix milliseconds: late enough that ages can be subtracted.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;

/// The registry's name among the nodes.
pub(crate) const REGISTRY: &str = "registry";

/// Something that happens at a node at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A sidecar's connection reaches the registry (or fails there).
    Dial { node: Name, boot: u32 },
    /// The sidecar learns that its signaling socket is open.
    Up { node: Name, conn: ConnId },
    /// A signaling socket ends, as the registry sees it.
    Hangup { conn: ConnId },
    /// A signaling socket ends, or did not open, as the sidecar sees it.
    Down {
        node: Name,
        boot: u32,
        conn: Option<ConnId>,
    },
    /// A sidecar has heard nothing of the registry for too long, if the network is still cut.
    Silence { node: Name, conn: ConnId },
    /// The registry has heard nothing on a socket for too long, if nobody is there.
    Idle { conn: ConnId },
    /// A frame reaches the registry.
    ToRegistry { conn: ConnId, frame: SignalFrame },
    /// A frame reaches a sidecar.
    ToSidecar {
        conn: ConnId,
        frame: Box<SignalFrame>,
    },
    /// The handshake of a link is over.
    Open { end: End },
    /// A link had its time to open.
    Overdue { end: End },
    /// A message reaches an end of a link.
    Deliver { end: End, piece: Piece },
    /// An end learns that its link is gone.
    Gone { end: End, silent: bool },
    /// An input of the sidecar's own machine.
    Local {
        node: Name,
        boot: u32,
        input: Box<SidecarInput>,
    },
    /// A handler goes on.
    Deed { node: Name, life: u32, key: Key },
    /// The registry's disk has the batch that is written.
    Written { boot: u32 },
    /// A REST agent's handler ended.
    RestDone {
        agent: Name,
        task_id: TaskId,
        attempt: u32,
        lease: u64,
    },
    /// A REST agent beats, and again after so long.
    Beat { agent: Name, every_ms: u64 },
}

/// Everything there is.
pub struct World {
    pub(crate) at: u64,
    queue: BTreeMap<(u64, u64), (Event, bool)>,
    queued: u64,
    /// What a cut network holds up: connections deliver it, in order, when the cut heals.
    held: Vec<(Name, Name, Event)>,
    /// What waits for a node that is paused.
    paused: BTreeMap<Name, VecDeque<Event>>,
    /// Milliseconds by which a node is late with everything.
    pub(crate) slow: BTreeMap<Name, u64>,
    /// When a node takes the last of what came while it was slow.
    late_until: BTreeMap<Name, u64>,
    pub(crate) network: Network,
    pub(crate) channels: Channels,
    pub(crate) registry: RegistryNode,
    pub(crate) sidecars: BTreeMap<Name, SidecarNode>,
    pub(crate) rest_agents: BTreeMap<Name, RestAgent>,
    pub(crate) transcript: Transcript,
    /// What the witnesses saw: submitters, senders and handlers; the registry's events are added when it is asked for.
    pub(crate) history: History,
    /// Milliseconds that each request's work may live.
    pub(crate) history_ttls: BTreeMap<String, u64>,
    pub(crate) sometimes: Sometimes,
    /// Sidecars that were not linked when they had to be.
    pub(crate) unlinked: Vec<(Name, Name)>,
    /// Sidecars that were not connected to the registry then.
    pub(crate) unreached: Vec<Name>,
    /// Requests whose deadline was over then: of whom, and their names.
    pub(crate) overdue: Vec<(Name, String)>,
    /// Messages on links that agents sent.
    pub(crate) sent: u64,
    /// Things that happened.
    pub(crate) events: u64,
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
            paused: BTreeMap::new(),
            slow: BTreeMap::new(),
            late_until: BTreeMap::new(),
            network: Network::default(),
            channels: Channels::default(),
            registry: RegistryNode::default(),
            sidecars: BTreeMap::new(),
            rest_agents: BTreeMap::new(),
            transcript: Transcript::default(),
            history: History::default(),
            history_ttls: BTreeMap::new(),
            sometimes: Sometimes::default(),
            unlinked: Vec::new(),
            unreached: Vec::new(),
            overdue: Vec::new(),
            sent: 0,
            events: 0,
        }
    }

    /// The registry's time.
    pub(crate) fn now(&self) -> Now {
        Now(EPOCH_MS + self.at)
    }

    /// Lets something happen `ms` from now, after everything that was set for the same time before.
    pub(crate) fn after(&mut self, ms: u64, event: Event) {
        self.at_time(self.at + ms, event, false);
    }

    /// Lets something happen at a time that the network named.
    pub(crate) fn at_time(&mut self, at: u64, event: Event, is_late: bool) {
        self.queued += 1;
        self.queue.insert((at, self.queued), (event, is_late));
    }

    /// Keeps an event until the network between two nodes heals.
    pub(crate) fn hold(&mut self, a: &Name, b: &Name, event: Event) {
        self.held.push((a.clone(), b.clone(), event));
    }

    /// Heals the network between two nodes: what was held up arrives now.
    pub(crate) fn heal(&mut self, a: &str, b: &str) {
        self.network.heal(a, b);
        self.release_held();
    }

    pub(crate) fn release_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        for (from, to, event) in held {
            match self.network.is_blocked(&from, &to) {
                true => self.hold(&from, &to, event),
                false => self.after(0, event),
            }
        }
    }

    /// A node's processes stand still; what comes waits for them. Its peers find it silent.
    pub(crate) fn pause(&mut self, node: &Name) {
        self.paused.entry(node.clone()).or_default();
        if &**node == REGISTRY {
            self.registry.out_since.get_or_insert(self.at);
        }
        for end in self.channels.of(node) {
            self.after(LINK_TIMEOUT_MS, Event::Gone { end, silent: true });
        }
    }

    /// A paused node goes on.
    pub(crate) fn resume(&mut self, node: &Name) {
        if &**node == REGISTRY && self.registry.core.is_some() {
            self.registry_is_back();
        }
        for event in self.paused.remove(node).unwrap_or_default() {
            self.after(0, event);
        }
    }

    pub(crate) fn resume_all(&mut self) {
        let paused: Vec<Name> = self.paused.keys().cloned().collect();
        for node in paused {
            self.resume(&node);
        }
    }

    /// What waits for a node goes with it.
    pub(crate) fn forget_paused(&mut self, node: &str) {
        self.paused.remove(node);
    }

    pub(crate) fn is_paused(&self, node: &str) -> bool {
        self.paused.contains_key(node)
    }

    /// Lets virtual time pass, event by event and deadline by deadline.
    pub fn run(&mut self, ms: u64) {
        let until = self.at + ms;
        loop {
            let event_at = self.queue.first_key_value().map(|((at, _), _)| *at);
            let due = self.next_deadline();
            match (event_at, due) {
                (Some(at), due) if at <= until && due.as_ref().is_none_or(|(d, _)| at <= *d) => {
                    self.at = self.at.max(at);
                    if let Some((_, (event, is_late))) = self.queue.pop_first() {
                        self.reach(event, is_late);
                    }
                }
                (_, Some((at, node))) if at <= until => {
                    self.at = self.at.max(at);
                    self.events += 1;
                    self.tick(&node);
                }
                _ => break,
            }
        }
        self.at = until;
    }

    /// The first deadline of a node that is not paused, in virtual time.
    fn next_deadline(&self) -> Option<(u64, Name)> {
        let late = |node: &Name| self.slow.get(node).copied().unwrap_or_default();
        let sidecars = self.sidecars.iter().filter_map(|(name, node)| {
            let (at, _) = node.core.as_ref()?.next_deadline()?;
            let at = at.0.saturating_sub(EPOCH_MS + node.skew_ms);
            Some((at + late(name), name))
        });
        let core = self.registry.core.as_ref();
        let registry = core.and_then(|core| core.next_deadline()).map(|(at, _)| {
            let at = at.0.saturating_sub(EPOCH_MS);
            (at, &self.registry.name)
        });
        let all = registry.into_iter().chain(sidecars);
        let running = all.filter(|(_, name)| !self.is_paused(name));
        running
            .min_by_key(|(at, _)| *at)
            .map(|(at, name)| (at, name.clone()))
    }

    fn tick(&mut self, node: &Name) {
        match &**node {
            REGISTRY => self.tell_registry(seamesh_registry_core::Input::Tick),
            _ => self.tell_sidecar(node, SidecarInput::Tick),
        }
    }

    /// The node at which an event happens.
    fn node_of(&self, event: &Event) -> Option<Name> {
        match event {
            Event::Up { node, .. }
            | Event::Down { node, .. }
            | Event::Local { node, .. }
            | Event::Deed { node, .. } => Some(node.clone()),
            Event::ToSidecar { conn, .. } => self.registry.conns.get(conn).cloned(),
            Event::Deliver { end, .. } | Event::Gone { end, .. } => Some(end.node.clone()),
            Event::Dial { .. } | Event::Hangup { .. } | Event::ToRegistry { .. } => {
                Some(self.registry.name.clone())
            }
            _ => None,
        }
    }

    /// An event reaches its node, which may be paused or slow.
    fn reach(&mut self, event: Event, is_late: bool) {
        if !self.paused.is_empty() || !self.slow.is_empty() || !self.late_until.is_empty() {
            let node = self.node_of(&event);
            if let Some(waiting) = node.as_ref().and_then(|node| self.paused.get_mut(node)) {
                waiting.push_back(event);
                return;
            }
            if let Some(node) = node.filter(|_| !is_late) {
                let late_ms = self.slow.get(&node).copied().unwrap_or_default();
                // What comes later is not taken earlier, also when the node is faster again.
                let last = self.late_until.entry(node).or_default();
                *last = (*last).max(self.at + late_ms);
                let at = *last;
                if at > self.at {
                    return self.at_time(at, event, true);
                }
            }
        }
        self.events += 1;
        self.happen(event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Dial { node, boot } => self.dial_registry(&node, boot),
            Event::Up { node, conn } => self.signaling_up(&node, conn),
            Event::Hangup { conn } => self.hang_up(conn),
            Event::Down { node, boot, conn } => self.signaling_down(&node, boot, conn),
            Event::Silence { node, conn } => self.signaling_silent(&node, conn),
            Event::Idle { conn } => self.socket_idle(conn),
            Event::ToRegistry { conn, frame } => self.frame_to_registry(conn, frame),
            Event::ToSidecar { conn, frame } => self.frame_to_sidecar(conn, *frame),
            Event::Open { end } => self.open_link(&end),
            Event::Overdue { end } => self.link_overdue(&end),
            Event::Deliver { end, piece } => self.deliver(end, piece),
            Event::Gone { end, silent } => self.link_gone(&end, silent),
            Event::Local { node, boot, input } => {
                if self.boot_of(&node) == Some(boot) {
                    self.tell_sidecar(&node, *input);
                }
            }
            Event::Deed { node, life, key } => self.work_done(&node, life, &key),
            Event::Written { boot } => self.written(boot),
            Event::RestDone {
                agent,
                task_id,
                attempt,
                lease,
            } => self.rest_done(&agent, task_id, attempt, lease),
            Event::Beat { agent, every_ms } => {
                self.rest_beat(&agent, true);
                self.after(every_ms, Event::Beat { agent, every_ms });
            }
        }
    }
}
