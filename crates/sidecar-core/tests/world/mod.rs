//! Cores, a relay between them and a model of the transport, all in virtual time.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

pub mod pair;

use std::collections::{BTreeMap, VecDeque};

use seamesh_proto::ipc::{AgentCommand, AgentEvent};
use seamesh_proto::signaling::{AgentUp, ClientSignal, PeerList, RegistrySignal, SignalFrame};
use seamesh_proto::{AgentInfo, AgentRecord, Health, Now, PeerId, Problem};
use seamesh_sidecar_core::{
    ClientId, CloseReason, Config, DescriptionKind, Input, LinkId, Note, Output, Piece, Sidecar,
};

/// Milliseconds from one end of anything to the other.
pub const LATENCY_MS: u64 = 2;

/// What a transport gives a link to open, in milliseconds.
const OPEN_LIMIT_MS: u64 = 15_000;

pub type Name = &'static str;
type End = (Name, LinkId);

/// One sidecar of the world.
pub struct Node {
    pub core: Sidecar,
    pub events: Vec<AgentEvent>,
    pub signals: Vec<ClientSignal>,
    pub notes: Vec<Note>,
    pub pauses: Vec<bool>,
    pub link_pauses: Vec<bool>,
    pub closed_clients: Vec<ClientId>,
    pub refused: Vec<(ClientId, Problem)>,
    pub client: Option<ClientId>,
    is_up: bool,
    /// Tells it from those that had its name before.
    generation: u64,
    links: BTreeMap<LinkId, ModelLink>,
    /// The transport takes nothing.
    pub is_clogged: bool,
}

#[derive(Default)]
struct ModelLink {
    other: Option<End>,
    is_open: bool,
    open_by: u64,
}

enum Arrival {
    Frame(SignalFrame),
    Opened(LinkId),
    Closed(LinkId, CloseReason),
    Message(LinkId, Piece),
}

/// Everything.
pub struct World {
    pub now: Now,
    pub nodes: BTreeMap<Name, Node>,
    arrivals: BTreeMap<(u64, u64), (Name, Arrival)>,
    arrival_no: u64,
    pub is_registry_up: bool,
    /// Decides which relayed frame is lost: popped for each; empty: none is.
    pub losses: VecDeque<bool>,
    agents: BTreeMap<String, AgentRecord>,
    generation: u64,
}

impl World {
    pub fn new(names: &[Name]) -> Self {
        let mut world = Self {
            now: Now(1_000_000),
            nodes: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            arrival_no: 0,
            is_registry_up: true,
            losses: VecDeque::new(),
            agents: BTreeMap::new(),
            generation: 0,
        };
        for name in names {
            world.start(name);
        }
        world
    }

    /// Starts a sidecar, or replaces one that was killed: its links just fall silent.
    pub fn start(&mut self, name: Name) {
        self.generation += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.generation.to_le_bytes());
        seed[8..8 + name.len()].copy_from_slice(name.as_bytes());
        self.kill(name);
        let node = Node {
            core: Sidecar::new(&Config { seed }),
            events: Vec::new(),
            signals: Vec::new(),
            notes: Vec::new(),
            pauses: Vec::new(),
            link_pauses: Vec::new(),
            closed_clients: Vec::new(),
            refused: Vec::new(),
            client: None,
            is_up: false,
            generation: self.generation,
            links: BTreeMap::new(),
            is_clogged: false,
        };
        self.nodes.insert(name, node);
        self.settle(name);
    }

    /// Kills a sidecar; its peers notice five seconds later.
    pub fn kill(&mut self, name: Name) {
        let Some(node) = self.nodes.remove(name) else {
            return;
        };
        for link in node.links.into_values() {
            if let Some((peer, theirs)) = link.other {
                self.arrive(5_000, peer, Arrival::Closed(theirs, CloseReason::TimedOut));
            }
        }
        let others = self.nodes.values_mut().flat_map(|n| n.links.values_mut());
        for link in others.filter(|l| l.other.is_some_and(|(peer, _)| peer == name)) {
            link.other = None;
        }
        self.arrivals.retain(|_, (to, _)| *to != name);
    }

    pub fn node(&mut self, name: Name) -> &mut Node {
        self.nodes.get_mut(name).unwrap()
    }

    pub fn input(&mut self, name: Name, input: Input) {
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(name) {
            node.core.handle(input, now);
        }
        self.settle(name);
    }

    pub fn connect_client(&mut self, name: Name, client: u64) {
        let client = ClientId(client);
        let node = self.node(name);
        node.client = node.client.or(Some(client));
        self.input(name, Input::IpcConnected { client });
    }

    pub fn disconnect_client(&mut self, name: Name) {
        let client = self.node(name).client.take().unwrap();
        self.input(name, Input::IpcDisconnected { client });
    }

    /// The agent says something.
    pub fn say(&mut self, name: Name, command: AgentCommand) {
        let client = self.node(name).client.unwrap();
        self.input(name, Input::IpcCommand { client, command });
    }

    /// The agent says something, as JSON.
    pub fn say_line(&mut self, name: Name, line: &str) {
        let now = self.now;
        let client = self.node(name).client.unwrap();
        self.node(name)
            .core
            .handle_line(client, line.as_bytes(), now);
        self.settle(name);
    }

    /// An agent with these skills connects and says hello.
    pub fn agent(&mut self, name: Name, agent_id: &str, skills: &[&str]) {
        self.connect_client(name, 1);
        self.hello(name, agent_id, skills, "[]");
    }

    pub fn hello(&mut self, name: Name, agent_id: &str, skills: &[&str], running: &str) {
        let skills: Vec<String> = skills
            .iter()
            .map(|s| format!(r#"{{"name":"{s}"}}"#))
            .collect();
        let skills = skills.join(",");
        self.say_line(
            name,
            &format!(
                r#"{{"type":"hello","payload":{{"version":1,"agent":{{"agent_id":"{agent_id}","skills":[{skills}]}},"running":{running}}}}}"#
            ),
        );
    }

    /// The registry says something to a sidecar.
    pub fn tell(&mut self, name: Name, signal: &RegistrySignal) {
        let frame = SignalFrame::from_registry(signal);
        self.input(name, Input::Signal { frame });
    }

    /// A peer says something through the relay.
    pub fn relay(&mut self, to: Name, from: &str, signal: &ClientSignal) {
        let frame = SignalFrame::from_client(id(from), Some(id(to)), signal);
        self.input(to, Input::Signal { frame });
    }

    fn arrive(&mut self, after_ms: u64, to: Name, what: Arrival) {
        self.arrival_no += 1;
        let at = self.now.0 + after_ms;
        self.arrivals.insert((at, self.arrival_no), (to, what));
    }

    /// Lets time pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        while let Some(next) = self.next_at().filter(|at| *at <= end) {
            self.now = self.now.max(next);
            let due: Vec<(u64, u64)> = self
                .arrivals
                .range(..=(self.now.0, u64::MAX))
                .map(|(key, _)| *key)
                .collect();
            for key in due {
                if let Some((to, what)) = self.arrivals.remove(&key) {
                    self.deliver(to, what);
                }
            }
            let names: Vec<Name> = self.nodes.keys().copied().collect();
            for name in names {
                self.input(name, Input::Tick);
                self.expire(name);
            }
        }
        self.now = end;
    }

    fn next_at(&self) -> Option<Now> {
        let arrival = self.arrivals.keys().next().map(|(at, _)| Now(*at));
        let timers = self.nodes.values().filter_map(|n| n.core.next_deadline());
        let opening = self.nodes.values().flat_map(|n| n.links.values());
        let opening = opening.filter(|l| !l.is_open).map(|l| Now(l.open_by));
        timers.map(|(at, _)| at).chain(arrival).chain(opening).min()
    }

    fn expire(&mut self, name: Name) {
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        let now = self.now.0;
        let late = node
            .links
            .iter()
            .filter(|(_, l)| !l.is_open && l.open_by <= now);
        let late: Vec<LinkId> = late.map(|(id, _)| *id).collect();
        for link in late {
            self.node(name).links.remove(&link);
            let reason = CloseReason::NotOpened;
            self.input(name, Input::LinkClosed { link, reason });
        }
    }

    fn deliver(&mut self, to: Name, what: Arrival) {
        let Some(node) = self.nodes.get_mut(to) else {
            return;
        };
        match what {
            Arrival::Frame(frame) if node.is_up => self.input(to, Input::Signal { frame }),
            Arrival::Frame(_) => {}
            Arrival::Opened(link) => {
                if let Some(known) = node.links.get_mut(&link) {
                    known.is_open = true;
                    self.input(
                        to,
                        Input::LinkOpened {
                            link,
                            relayed: false,
                        },
                    );
                }
            }
            Arrival::Closed(link, reason) => {
                if node.links.remove(&link).is_some() {
                    self.input(to, Input::LinkClosed { link, reason });
                }
            }
            Arrival::Message(link, piece) => {
                if node.links.contains_key(&link) {
                    self.input(to, Input::LinkMessage { link, piece });
                }
            }
        }
    }

    /// The network between two links breaks: both ends notice.
    pub fn cut(&mut self, a: Name, b: Name) {
        let other = |l: &ModelLink| l.other.is_some_and(|(peer, _)| peer == b);
        let links = self.node(a).links.iter().filter(|(_, l)| other(l));
        let links: Vec<(LinkId, Option<End>)> = links.map(|(id, l)| (*id, l.other)).collect();
        for (link, theirs) in links {
            self.arrive(0, a, Arrival::Closed(link, CloseReason::TimedOut));
            if let Some((peer, theirs)) = theirs {
                self.arrive(1, peer, Arrival::Closed(theirs, CloseReason::TimedOut));
            }
        }
    }

    /// The registry goes away, or comes back. Every sidecar notices.
    pub fn set_registry(&mut self, up: bool) {
        self.is_registry_up = up;
        if !up {
            let names: Vec<Name> = self.nodes.keys().copied().collect();
            for name in names {
                self.disconnect_signaling(name);
            }
        }
    }

    pub fn disconnect_signaling(&mut self, name: Name) {
        if std::mem::take(&mut self.node(name).is_up) {
            let reason = "gone".to_owned();
            self.input(name, Input::SignalingDown { reason });
        }
    }

    fn settle(&mut self, name: Name) {
        while let Some(output) = self.nodes.get_mut(name).and_then(|n| n.core.poll()) {
            self.act(name, output);
        }
    }

    fn act(&mut self, name: Name, output: Output) {
        let now = self.now;
        let node = self.nodes.get_mut(name).unwrap();
        match output {
            Output::ConnectSignaling if self.is_registry_up => {
                node.is_up = true;
                let peer_id = id(name);
                self.input(name, Input::SignalingUp { peer_id });
            }
            Output::ConnectSignaling => {
                let reason = "refused".to_owned();
                self.input(name, Input::SignalingDown { reason });
            }
            Output::Signal { frame } => self.on_signal(name, frame),
            Output::Ipc { client, event } if node.client == Some(client) => node.events.push(event),
            Output::Ipc {
                client,
                event: AgentEvent::Error(problem),
            } => {
                node.refused.push((client, problem));
            }
            Output::Ipc { event, .. } => panic!("{event:?} for a client that is not served"),
            Output::IpcLines { lines, .. } => {
                for line in lines.lines() {
                    node.events
                        .push(AgentEvent::parse(line.as_bytes()).unwrap());
                }
            }
            Output::IpcPause { paused, .. } => node.pauses.push(paused),
            Output::IpcClose { client } => node.closed_clients.push(client),
            Output::LinkOffer { link, .. } => {
                node.links.insert(link, opening(now));
                let (kind, sdp) = (
                    DescriptionKind::Offer,
                    describe(node.generation, (name, link)),
                );
                self.input(name, Input::LinkDescription { link, kind, sdp });
                let candidate = candidate(name, link);
                self.input(name, Input::LinkCandidate { link, candidate });
            }
            Output::LinkAccept { link, sdp, .. } => self.accept(name, link, &sdp),
            Output::LinkAnswer { link, sdp, .. } => self.on_answer(name, link, &sdp),
            Output::LinkReady { link } if !node.is_clogged => self.pump(name, link),
            Output::LinkPause { paused, .. } => node.link_pauses.push(paused),
            Output::LinkClose { link } => {
                if let Some(known) = node.links.remove(&link)
                    && let Some((peer, theirs)) = known.other
                {
                    let closed = Arrival::Closed(theirs, CloseReason::Remote);
                    self.arrive(LATENCY_MS, peer, closed);
                }
            }
            Output::Note(note) => node.notes.push(note),
            Output::LinkReady { .. } | Output::LinkCandidate { .. } => {}
        }
    }

    /// Sends what waits on a link.
    pub fn pump(&mut self, name: Name, link: LinkId) {
        let node = self.nodes.get_mut(name).unwrap();
        let other = node.links.get(&link).and_then(|l| l.other);
        let mut pieces = Vec::new();
        while let Some(piece) = node.core.take_piece(link, usize::MAX) {
            pieces.push(piece);
        }
        for piece in pieces {
            if let Some((peer, theirs)) = other {
                self.arrive(LATENCY_MS, peer, Arrival::Message(theirs, piece));
            }
        }
    }

    fn accept(&mut self, name: Name, link: LinkId, sdp: &str) {
        let Some(theirs) = self.read(sdp) else {
            let reason = CloseReason::Malformed;
            return self.input(name, Input::LinkClosed { link, reason });
        };
        let mut known = opening(self.now);
        known.other = Some(theirs);
        self.node(name).links.insert(link, known);
        let generation = self.node(name).generation;
        let (kind, sdp) = (DescriptionKind::Answer, describe(generation, (name, link)));
        self.input(name, Input::LinkDescription { link, kind, sdp });
    }

    /// Both have a description of the other: the link opens, if both are still there.
    fn on_answer(&mut self, name: Name, link: LinkId, sdp: &str) {
        let Some((peer, theirs)) = self.read(sdp) else {
            return;
        };
        if let Some(known) = self.node(name).links.get_mut(&link) {
            known.other = Some((peer, theirs));
        }
        let other = self.nodes.get(peer).and_then(|n| n.links.get(&theirs));
        if other.is_some_and(|l| l.other == Some((name, link))) {
            self.arrive(LATENCY_MS, name, Arrival::Opened(link));
            self.arrive(LATENCY_MS + 1, peer, Arrival::Opened(theirs));
        }
    }

    fn read(&self, sdp: &str) -> Option<End> {
        let mut parts = sdp.split('/');
        let (name, generation, link) = (parts.next()?, parts.next()?, parts.next()?);
        let generation: u64 = generation.parse().ok()?;
        let named = |(n, node): &(&Name, &Node)| **n == name && node.generation == generation;
        let (name, _) = self.nodes.iter().find(named)?;
        Some((name, LinkId(link.parse().ok()?)))
    }

    fn on_signal(&mut self, from: Name, frame: SignalFrame) {
        let signal = frame.client_signal().unwrap();
        self.nodes
            .get_mut(from)
            .unwrap()
            .signals
            .push(signal.clone());
        if let Some(to) = frame.target_id.clone() {
            let to = self.nodes.keys().copied().find(|n| *n == to.as_str());
            let is_lost = self.losses.pop_front().unwrap_or(false);
            if let Some(to) = to.filter(|to| !is_lost && self.nodes[to].is_up) {
                self.arrive(LATENCY_MS, to, Arrival::Frame(frame));
            }
            return;
        }
        match signal {
            ClientSignal::Register(_) => {
                let others = self
                    .nodes
                    .iter()
                    .filter(|(n, node)| **n != from && node.is_up);
                let peers = others.map(|(n, _)| id(n)).collect();
                let mut answers = vec![RegistrySignal::PeerList(PeerList { peers })];
                let known = self.agents.values().cloned();
                answers.extend(known.map(|agent| RegistrySignal::AgentUp(AgentUp { agent })));
                for answer in answers {
                    let frame = SignalFrame::from_registry(&answer);
                    self.arrive(LATENCY_MS, from, Arrival::Frame(frame));
                }
            }
            ClientSignal::AgentRegister(register) => self.announce(register.agent),
            _ => {}
        }
    }

    /// Tells everybody of an agent.
    pub fn announce(&mut self, info: AgentInfo) {
        let agent = AgentRecord {
            info,
            health: Health::Active,
            registered_at: String::new(),
            last_heartbeat: String::new(),
            tasks_in_flight: 0,
        };
        self.agents
            .insert(agent.info.agent_id.to_string(), agent.clone());
        let frame = SignalFrame::from_registry(&RegistrySignal::AgentUp(AgentUp { agent }));
        let names: Vec<Name> = self.nodes.keys().copied().collect();
        for name in names {
            self.arrive(LATENCY_MS, name, Arrival::Frame(frame.clone()));
        }
    }

    /// The events of an agent, taken.
    pub fn events(&mut self, name: Name) -> Vec<AgentEvent> {
        std::mem::take(&mut self.node(name).events)
    }

    /// What a sidecar said to the registry, taken.
    pub fn signals(&mut self, name: Name) -> Vec<ClientSignal> {
        std::mem::take(&mut self.node(name).signals)
    }

    /// Whether two sidecars hold exactly one link with each other, and it is the same one.
    pub fn are_linked(&self, a: Name, b: Name) -> bool {
        let open = |from: Name, to: Name| -> Vec<(LinkId, LinkId)> {
            let links = self.nodes[from].links.iter().filter(|(_, l)| l.is_open);
            links
                .filter_map(|(id, l)| l.other.filter(|(peer, _)| *peer == to).map(|o| (*id, o.1)))
                .collect()
        };
        let (ab, ba) = (open(a, b), open(b, a));
        let knows = |from: Name, to: Name| self.nodes[from].core.linked_peers().contains(&id(to));
        ab.len() == 1 && ba == [(ab[0].1, ab[0].0)] && knows(a, b) && knows(b, a)
    }
}

fn opening(now: Now) -> ModelLink {
    ModelLink {
        open_by: now.0 + OPEN_LIMIT_MS,
        ..ModelLink::default()
    }
}

fn describe(generation: u64, (name, link): End) -> String {
    format!("{name}/{generation}/{}", link.0)
}

fn candidate(name: Name, link: LinkId) -> seamesh_proto::signaling::IceCandidate {
    seamesh_proto::signaling::IceCandidate {
        candidate: format!("candidate:{name}/{}", link.0),
        sdp_mid: None,
        sdp_m_line_index: None,
        link: None,
    }
}

pub fn id(name: &str) -> PeerId {
    name.parse().unwrap()
}
