//! A sidecar's node: its core, its socket to the registry, and the model agent behind it.

use std::collections::BTreeMap;

use seamesh_proto::ipc::AgentEvent;
use seamesh_proto::signaling::{IceCandidate, SignalFrame};
use seamesh_proto::{Now, PeerId};
use seamesh_registry_core::ConnId;
use seamesh_sidecar_core::{
    ClientId, CloseReason, Config, DescriptionKind, Input, LinkId, Note, Output, Sidecar,
};

use crate::agents::ModelAgent;
use crate::channels::End;
use crate::network::{
    LINK_TIMEOUT_MS, Name, OPEN_TIMEOUT_MS, SIGNAL_MS, SIGNAL_TIMEOUT_MS, SOCKET_IDLE_MS, Way,
};
use crate::sometimes::Sight;
use crate::world::{EPOCH_MS, Event, REGISTRY, World};

/// A sidecar, which may be down.
pub(crate) struct SidecarNode {
    pub(crate) core: Option<Sidecar>,
    /// How often it was started.
    pub(crate) boot: u32,
    pub(crate) conn: Option<ConnId>,
    /// The connection that it waits for.
    pub(crate) dialing: Option<ConnId>,
    /// The agent's connection, or its last one.
    pub(crate) client: ClientId,
    /// Milliseconds by which its clock is ahead.
    pub(crate) skew_ms: u64,
    pub(crate) agent: ModelAgent,
    /// Offers that came, by the name of their attempt.
    offers: Vec<String>,
    /// Of each stream through the queue, the chunk that comes next.
    chunks: BTreeMap<String, u64>,
}

impl World {
    /// Starts what does not run of a sidecar and its agent.
    pub(crate) fn start_sidecar(&mut self, name: &Name, skills: Option<Vec<String>>, skew_ms: u64) {
        let node = self
            .sidecars
            .entry(name.clone())
            .or_insert_with(|| SidecarNode {
                core: None,
                boot: 0,
                conn: None,
                dialing: None,
                client: ClientId(0),
                skew_ms,
                agent: ModelAgent::new(skills.unwrap_or_default()),
                offers: Vec::new(),
                chunks: BTreeMap::new(),
            });
        if node.core.is_some() && node.agent.is_up {
            return;
        }
        if !node.agent.is_up {
            node.agent.start();
        }
        if node.core.is_none() {
            node.boot += 1;
            let mut seed = [u8::try_from(node.boot % 256).unwrap_or(0); 32];
            for (byte, letter) in seed[1..].iter_mut().zip(name.bytes()) {
                *byte = letter;
            }
            node.core = Some(Sidecar::new(&Config { seed }));
            if !node.agent.jobs.is_empty() {
                self.sometimes.mark(Sight::Adopted);
            }
        }
        self.connect_agent(name);
    }

    fn connect_agent(&mut self, name: &Name) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        if node.core.is_none() || !node.agent.is_up {
            return;
        }
        node.client = ClientId(node.client.0 + 1);
        let (client, command) = (node.client, node.agent.hello(name));
        self.tell_sidecar(name, Input::IpcConnected { client });
        self.tell_sidecar(name, Input::IpcCommand { client, command });
    }

    /// The sidecar and its agent are gone. A killed process closes its socket; a lost machine says nothing.
    pub(crate) fn stop_node(&mut self, name: &Name, says_so: bool) {
        self.stop_agent_alone(name);
        self.stop_sidecar(name, says_so);
        self.forget_paused(name);
    }

    /// The agent's process dies; its sidecar sees the socket end.
    pub(crate) fn stop_agent(&mut self, name: &Name) {
        if let Some(client) = self.stop_agent_alone(name) {
            self.sometimes.mark(Sight::AgentDied);
            self.tell_sidecar(name, Input::IpcDisconnected { client });
        }
    }

    fn stop_agent_alone(&mut self, name: &Name) -> Option<ClientId> {
        let node = self.sidecars.get_mut(name).filter(|n| n.agent.is_up)?;
        let client = node.client;
        let open: Vec<String> = node.agent.open.keys().cloned().collect();
        node.agent.is_up = false;
        node.agent.is_welcomed = false;
        for request_id in open {
            self.saw_sender_gone(name, &request_id);
        }
        self.saw_links_down(name);
        Some(client)
    }

    /// The sidecar's process dies; its agent, if it lives, sees the socket end.
    pub(crate) fn stop_sidecar(&mut self, name: &Name, says_so: bool) {
        let Some(node) = self.sidecars.get_mut(name).filter(|n| n.core.is_some()) else {
            return;
        };
        node.core = None;
        node.offers.clear();
        let conns = [node.conn.take(), node.dialing.take()];
        let has_agent = node.agent.is_up;
        for conn in conns.into_iter().flatten() {
            match says_so {
                true => self.after(SIGNAL_MS, Event::Hangup { conn }),
                false => self.after(SOCKET_IDLE_MS, Event::Idle { conn }),
            }
        }
        for end in self.channels.lose(name) {
            self.after(LINK_TIMEOUT_MS, Event::Gone { end, silent: true });
        }
        if has_agent {
            self.agent_disconnected(name);
        }
    }

    /// How often a running sidecar was started.
    pub(crate) fn boot_of(&self, name: &str) -> Option<u32> {
        self.sidecars
            .get(name)
            .filter(|node| node.core.is_some())
            .map(|node| node.boot)
    }

    /// A sidecar's time.
    fn now_at(&self, name: &str) -> Now {
        let skew_ms = self.sidecars.get(name).map_or(0, |node| node.skew_ms);
        Now(EPOCH_MS + self.at + skew_ms)
    }

    pub(crate) fn is_alive(&self, end: &End) -> bool {
        self.boot_of(&end.node) == Some(end.boot)
    }

    pub(crate) fn end(&self, name: &Name, link: LinkId) -> End {
        End {
            node: name.clone(),
            boot: self.boot_of(name).unwrap_or_default(),
            link,
        }
    }

    pub(crate) fn signaling_up(&mut self, name: &Name, conn: ConnId) {
        let is_open = self.registry.conns.contains_key(&conn);
        let Some(node) = self.sidecars.get_mut(name).filter(|n| n.core.is_some()) else {
            return;
        };
        if !is_open || node.dialing != Some(conn) {
            return; // It ended on its way; its end is on its way, too. Or a process that is gone dialed.
        }
        node.dialing = None;
        node.conn = Some(conn);
        if let Ok(peer_id) = name.parse() {
            self.tell_sidecar(name, Input::SignalingUp { peer_id });
        }
    }

    /// Without a connection: the attempt failed.
    pub(crate) fn signaling_down(&mut self, name: &Name, boot: u32, conn: Option<ConnId>) {
        if self.boot_of(name) != Some(boot) {
            return;
        }
        if let Some(node) = self.sidecars.get_mut(name) {
            if conn.is_some() && node.conn != conn && node.dialing != conn {
                return; // That of an older connection, or of a process that is gone.
            }
            node.conn = None;
            node.dialing = None;
        }
        let reason = "closed".to_owned();
        self.tell_sidecar(name, Input::SignalingDown { reason });
    }

    /// Nothing was heard of the registry for as long as a sidecar waits.
    pub(crate) fn signaling_silent(&mut self, name: &Name, conn: ConnId) {
        let is_its = self.sidecars.get(name).and_then(|n| n.conn) == Some(conn);
        let is_silent = self.network.is_cut(name, REGISTRY) || self.is_paused(REGISTRY);
        if !is_its || !is_silent || self.is_paused(name) {
            return;
        }
        self.sometimes.mark(Sight::RegistrySilent);
        self.after(SOCKET_IDLE_MS, Event::Idle { conn });
        let boot = self.boot_of(name).unwrap_or_default();
        self.signaling_down(name, boot, Some(conn));
    }

    /// The network to the registry is cut: if it stays so, both ends of the socket give it up.
    pub(crate) fn registry_cut(&mut self, name: &Name) {
        if let Some(conn) = self.sidecars.get(name).and_then(|n| n.conn) {
            let node = name.clone();
            self.after(SIGNAL_TIMEOUT_MS, Event::Silence { node, conn });
            self.after(SOCKET_IDLE_MS, Event::Idle { conn });
        }
    }

    pub(crate) fn frame_to_sidecar(&mut self, conn: ConnId, frame: SignalFrame) {
        let Some(name) = self.registry.conns.get(&conn).cloned() else {
            return;
        };
        let Some(node) = self.sidecars.get_mut(&name) else {
            return;
        };
        if node.conn != Some(conn) {
            return self.sometimes.mark(Sight::OldSocket);
        }
        if self.network.is_blocked(REGISTRY, &name) {
            let frame = Box::new(frame);
            let registry = self.registry.name.clone();
            return self.hold(&registry, &name, Event::ToSidecar { conn, frame });
        }
        let from = frame.peer_id.to_string();
        self.look_at(&name, &frame);
        self.transcript
            .said(self.at, &from, &name, &frame.kind, || frame.payload.clone());
        self.tell_sidecar(&name, Input::Signal { frame });
    }

    /// Marks what a frame shows.
    fn look_at(&mut self, name: &Name, frame: &SignalFrame) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        let text = |member: &str| frame.payload[member].as_str();
        match &*frame.kind {
            "offer" => node.offers.extend(text("link").map(str::to_owned)),
            "ice_candidate" => {
                let link = text("link").unwrap_or_default();
                let is_dialers = text("candidate").is_some_and(|c| c.starts_with("offer"));
                if is_dialers && !node.offers.iter().any(|offer| offer == link) {
                    self.sometimes.mark(Sight::EarlyCandidate);
                }
            }
            "task_assign" => {
                let attempt = frame.payload["attempt"]
                    .as_u64()
                    .and_then(|n| n.try_into().ok());
                let task_id = text("task_id").and_then(|id| id.parse().ok());
                if let (Some(task_id), Some(attempt)) = (task_id, attempt)
                    && node.agent.runs.contains_key(&(task_id, attempt))
                {
                    self.sometimes.mark(Sight::NotRunAgain);
                }
            }
            "task_news" => {
                let Some(index) = frame.payload["chunk"]["index"].as_u64() else {
                    return;
                };
                let key = format!("{} {}", frame.payload["task_id"], frame.payload["attempt"]);
                let next = node.chunks.entry(key).or_default();
                if index < *next {
                    self.sometimes.mark(Sight::ChunkAgain);
                }
                *next = (*next).max(index + 1);
            }
            _ => {}
        }
    }

    /// Hands a core an input and does what it says.
    pub(crate) fn tell_sidecar(&mut self, name: &Name, input: Input) {
        let now = self.now_at(name);
        let Some(core) = self.sidecars.get_mut(name).and_then(|n| n.core.as_mut()) else {
            return;
        };
        core.handle(input, now);
        while let Some(output) = self
            .sidecars
            .get_mut(name)
            .and_then(|n| n.core.as_mut())
            .and_then(Sidecar::poll)
        {
            self.do_for_sidecar(name, output);
        }
    }

    fn do_for_sidecar(&mut self, name: &Name, output: Output) {
        match output {
            Output::ConnectSignaling => {
                let node = name.clone();
                let boot = self.boot_of(name).unwrap_or_default();
                let ms = self.network.takes(SIGNAL_MS);
                self.after(ms, Event::Dial { node, boot });
            }
            Output::Signal { frame } => self.send_up(name, frame),
            Output::Ipc { event, .. } => self.agent_event(name, event),
            Output::IpcLines { lines, .. } => {
                for line in lines.lines() {
                    if let Ok(event) = AgentEvent::parse(line.as_bytes()) {
                        self.agent_event(name, event);
                    }
                }
            }
            Output::LinkOffer { link, peer } => self.offer_link(name, link, &peer),
            Output::LinkAccept { link, sdp, .. } => self.accept_link(name, link, &sdp),
            Output::LinkAnswer { link, sdp, .. } => {
                let end = self.end(name, link);
                if let Ok(remote) = sdp.parse() {
                    let is_ready = self.channels.describe(&end, remote);
                    self.shake_hands(end, is_ready);
                }
            }
            Output::LinkCandidate { link, .. } => {
                let end = self.end(name, link);
                let is_ready = self.channels.candidate(&end);
                self.shake_hands(end, is_ready);
            }
            Output::LinkReady { link } => self.send_pieces(name, link),
            Output::LinkClose { link } => {
                let end = self.end(name, link);
                self.close_link(&end);
            }
            Output::Note(Note::LinkLost { peer, .. }) => self.saw_link_lost(name, &peer),
            Output::IpcPause { .. }
            | Output::IpcClose { .. }
            | Output::LinkPause { .. }
            | Output::Note(_) => {}
        }
    }

    fn send_up(&mut self, name: &Name, frame: SignalFrame) {
        if frame.kind == "task_submit" && frame.payload["task"]["direct_attempt"].is_object() {
            self.sometimes.mark(Sight::FellBack);
        }
        if let Some(conn) = self.sidecars.get(name).and_then(|n| n.conn) {
            let ms = self.network.takes(SIGNAL_MS);
            let at = self.network.arrival(Way::Up(conn), self.at, ms);
            self.at_time(at, Event::ToRegistry { conn, frame }, false);
        }
    }

    fn offer_link(&mut self, name: &Name, link: LinkId, peer: &PeerId) {
        let end = self.end(name, link);
        if let Some(other) = self.sidecars.get(peer.as_str())
            && other.core.is_some()
            && self.channels.is_dialing(peer.as_str(), name)
        {
            self.sometimes.mark(Sight::Glare);
        }
        self.channels.start(end.clone());
        self.channels.dials(&end, peer.as_str());
        self.after(OPEN_TIMEOUT_MS, Event::Overdue { end: end.clone() });
        self.introduce(&end, DescriptionKind::Offer);
    }

    fn accept_link(&mut self, name: &Name, link: LinkId, sdp: &str) {
        let end = self.end(name, link);
        match sdp.parse() {
            Ok(remote) => {
                self.channels.start(end.clone());
                self.channels.describe(&end, remote);
                self.after(OPEN_TIMEOUT_MS, Event::Overdue { end: end.clone() });
                self.introduce(&end, DescriptionKind::Answer);
            }
            Err(()) => {
                let reason = CloseReason::Malformed;
                self.local(&end, Input::LinkClosed { link, reason });
            }
        }
    }

    /// The transport makes a description and finds one candidate.
    fn introduce(&mut self, end: &End, kind: DescriptionKind) {
        let link = end.link;
        let sdp = end.to_string();
        self.local(end, Input::LinkDescription { link, kind, sdp });
        let of = match kind {
            DescriptionKind::Offer => "offer",
            DescriptionKind::Answer => "answer",
        };
        let candidate = IceCandidate {
            candidate: format!("{of} {end}"),
            sdp_mid: None,
            sdp_m_line_index: None,
            link: None,
        };
        self.local(end, Input::LinkCandidate { link, candidate });
    }

    pub(crate) fn local(&mut self, end: &End, input: Input) {
        let event = Event::Local {
            node: end.node.clone(),
            boot: end.boot,
            input: Box::new(input),
        };
        self.after(0, event);
    }
}
