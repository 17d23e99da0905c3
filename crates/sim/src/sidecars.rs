//! A sidecar's node: its core, the links it has, and the model agent behind it.

use seamesh_proto::ipc::{AgentCommand, AgentEvent, Hello, Respond, TaskEvent};
use seamesh_proto::signaling::{IceCandidate, SignalFrame};
use seamesh_proto::task::Outcome;
use seamesh_proto::{AgentProfile, PROTOCOL_VERSION, SkillInfo};
use seamesh_registry_core::ConnId;
use seamesh_sidecar_core::{
    ClientId, CloseReason, Config, DescriptionKind, Input, LinkId, Output, Piece, Sidecar,
};
use serde_json::json;

use crate::agents::ModelAgent;
use crate::channels::End;
use crate::network::{HANDSHAKE_MS, LINK_MS, LINK_TIMEOUT_MS, SIGNAL_MS};
use crate::world::{Event, World};

/// The agent's connection: one in each life of a sidecar.
const CLIENT: ClientId = ClientId(1);

/// A sidecar, which may be down.
pub(crate) struct SidecarNode {
    pub(crate) core: Option<Sidecar>,
    /// How often it was started.
    boot: u32,
    conn: Option<ConnId>,
    pub(crate) agent: ModelAgent,
}

impl World {
    /// Starts a sidecar with an agent behind it; a second time after a crash.
    pub(crate) fn start_sidecar(&mut self, name: &str, skills: Vec<String>) {
        let node = self
            .sidecars
            .entry(name.to_owned())
            .or_insert_with(|| SidecarNode {
                core: None,
                boot: 0,
                conn: None,
                agent: ModelAgent::new(skills),
            });
        node.boot += 1;
        let mut seed = [node.boot as u8; 32];
        for (byte, letter) in seed[1..].iter_mut().zip(name.bytes()) {
            *byte = letter;
        }
        node.core = Some(Sidecar::new(&Config { seed }));
        let hello = AgentCommand::Hello(hello_of(name, &node.agent.skills));
        self.tell_sidecar(name, Input::IpcConnected { client: CLIENT });
        self.command(name, hello);
    }

    /// An agent says something to its sidecar.
    pub(crate) fn command(&mut self, name: &str, command: AgentCommand) {
        let client = CLIENT;
        self.tell_sidecar(name, Input::IpcCommand { client, command });
    }

    /// The sidecar and its agent are gone. A killed process closes its socket; a lost machine says nothing.
    pub(crate) fn stop_sidecar(&mut self, name: &str, says_so: bool) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        node.core = None;
        let conn = node.conn.take();
        if let Some(conn) = conn.filter(|_| says_so) {
            self.after(SIGNAL_MS, Event::Hangup { conn });
        }
        for end in self.channels.lose(name) {
            self.after(LINK_TIMEOUT_MS, Event::Gone { end, silent: true });
        }
    }

    /// How often a running sidecar was started.
    pub(crate) fn boot_of(&self, name: &str) -> Option<u32> {
        self.sidecars
            .get(name)
            .filter(|node| node.core.is_some())
            .map(|node| node.boot)
    }

    fn is_alive(&self, end: &End) -> bool {
        self.boot_of(&end.node) == Some(end.boot)
    }

    fn end(&self, name: &str, link: LinkId) -> End {
        End {
            node: name.to_owned(),
            boot: self.boot_of(name).unwrap_or_default(),
            link,
        }
    }

    pub(crate) fn signaling_up(&mut self, name: &str, conn: ConnId) {
        let Some(node) = self.sidecars.get_mut(name).filter(|n| n.core.is_some()) else {
            return;
        };
        node.conn = Some(conn);
        if let Ok(peer_id) = name.parse() {
            self.tell_sidecar(name, Input::SignalingUp { peer_id });
        }
    }

    pub(crate) fn signaling_down(&mut self, name: &str, boot: u32) {
        if self.boot_of(name) != Some(boot) {
            return;
        }
        if let Some(node) = self.sidecars.get_mut(name) {
            node.conn = None;
        }
        let reason = "closed".to_owned();
        self.tell_sidecar(name, Input::SignalingDown { reason });
    }

    pub(crate) fn frame_to_sidecar(&mut self, conn: ConnId, frame: SignalFrame) {
        let Some(name) = self.registry.conns.get(&conn).cloned() else {
            return;
        };
        let is_its = self.sidecars.get(&name).and_then(|n| n.conn) == Some(conn);
        if !is_its {
            return;
        }
        if self.network.is_cut(&name, "registry") {
            let frame = Box::new(frame);
            return self.hold(&name, "registry", Event::ToSidecar { conn, frame });
        }
        let from = frame.peer_id.to_string();
        self.transcript
            .said(self.at, &from, &name, &frame.kind, &frame.payload);
        self.tell_sidecar(&name, Input::Signal { frame });
    }

    pub(crate) fn open_link(&mut self, end: &End) {
        let Some(other) = self.channels.remote(end) else {
            return;
        };
        if self.network.is_cut(&end.node, &other.node) {
            return;
        }
        if let Some((a, b)) = self.channels.open(end) {
            let text = format!("link {} = {}", a.node, b.node);
            self.transcript.note(self.at, &text);
            for end in [a, b] {
                self.tell_sidecar(&end.node, Input::LinkOpened { link: end.link });
            }
        }
    }

    /// A message arrives; when the network is cut, once it heals, if the link lives that long.
    pub(crate) fn deliver(&mut self, end: End, piece: Piece) {
        let Some(other) = self.channels.remote(&end) else {
            return;
        };
        if !self.channels.is_open(&end) || !self.is_alive(&end) {
            return;
        }
        if self.network.is_cut(&end.node, &other.node) {
            let (a, b) = (end.node.clone(), other.node);
            return self.hold(&a, &b, Event::Deliver { end, piece });
        }
        for line in piece.bytes().split(|b| *b == b'\n') {
            if let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) {
                let kind = message["type"].as_str().unwrap_or("?").to_owned();
                let mut body = message["payload"].clone();
                body["task"] = message["task"].clone();
                self.transcript
                    .said(self.at, &other.node, &end.node, &kind, &body);
            }
        }
        let link = end.link;
        self.tell_sidecar(&end.node, Input::LinkMessage { link, piece });
    }

    pub(crate) fn link_gone(&mut self, end: &End, silent: bool) {
        let healed = self.channels.remote(end).is_some_and(|other| {
            self.is_alive(&other) && !self.network.is_cut(&end.node, &other.node)
        });
        if !self.is_alive(end) || (silent && healed && self.channels.is_open(end)) {
            return;
        }
        let reason = match silent {
            true => CloseReason::TimedOut,
            false => CloseReason::Remote,
        };
        self.channels.close(end);
        let link = end.link;
        self.tell_sidecar(&end.node, Input::LinkClosed { link, reason });
    }

    /// Hands a core an input and does what it says.
    pub(crate) fn tell_sidecar(&mut self, name: &str, input: Input) {
        let now = self.now();
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

    fn do_for_sidecar(&mut self, name: &str, output: Output) {
        match output {
            Output::ConnectSignaling => {
                let node = name.to_owned();
                let boot = self.boot_of(name).unwrap_or_default();
                self.after(SIGNAL_MS, Event::Dial { node, boot });
            }
            Output::Signal { frame } => {
                if let Some(conn) = self.sidecars.get(name).and_then(|n| n.conn) {
                    self.after(SIGNAL_MS, Event::ToRegistry { conn, frame });
                }
            }
            Output::Ipc { event, .. } => self.agent_event(name, event),
            Output::IpcLines { lines, .. } => {
                for line in lines.lines() {
                    if let Ok(event) = AgentEvent::parse(line.as_bytes()) {
                        self.agent_event(name, event);
                    }
                }
            }
            Output::LinkOffer { link, .. } => {
                let end = self.end(name, link);
                self.channels.start(end.clone());
                self.introduce(&end, DescriptionKind::Offer);
            }
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
                if let Some(end) = self.channels.close(&end) {
                    self.after(LINK_MS, Event::Gone { end, silent: false });
                }
            }
            Output::IpcPause { .. }
            | Output::IpcClose { .. }
            | Output::LinkPause { .. }
            | Output::Note(_) => {}
        }
    }

    fn accept_link(&mut self, name: &str, link: LinkId, sdp: &str) {
        let end = self.end(name, link);
        match sdp.parse() {
            Ok(remote) => {
                self.channels.start(end.clone());
                self.channels.describe(&end, remote);
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
        let candidate = IceCandidate {
            candidate: end.to_string(),
            sdp_mid: None,
            sdp_m_line_index: None,
            link: None,
        };
        self.local(end, Input::LinkCandidate { link, candidate });
    }

    fn local(&mut self, end: &End, input: Input) {
        let event = Event::Local {
            node: end.node.clone(),
            boot: end.boot,
            input: Box::new(input),
        };
        self.after(0, event);
    }

    fn shake_hands(&mut self, end: End, is_ready: bool) {
        if is_ready {
            self.after(HANDSHAKE_MS, Event::Open { end });
        }
    }

    fn send_pieces(&mut self, name: &str, link: LinkId) {
        let Some(end) = self.channels.remote(&self.end(name, link)) else {
            return;
        };
        let core = |world: &mut Self| {
            let core = world.sidecars.get_mut(name).and_then(|n| n.core.as_mut());
            core.and_then(|core| core.take_piece(link, usize::MAX))
        };
        while let Some(piece) = core(self) {
            let end = end.clone();
            self.after(LINK_MS, Event::Deliver { end, piece });
        }
    }

    fn agent_event(&mut self, name: &str, event: AgentEvent) {
        let agent = format!("{name}'s agent");
        let body = serde_json::to_value(&event).unwrap_or_default();
        let kind = format!("({})", event.kind());
        self.transcript
            .said(self.at, name, &agent, &kind, &body["payload"]);
        if let AgentEvent::Task(task) = event {
            self.run_task(name, task);
        }
    }

    fn run_task(&mut self, name: &str, task: TaskEvent) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        let boot = node.boot;
        if let Some(ms) = node.agent.run(&task.task_id, task.attempt) {
            let result = json!(format!("{name}, attempt {}", task.attempt));
            let respond = AgentCommand::Respond(Respond {
                task_id: task.task_id,
                attempt: task.attempt,
                outcome: Outcome::completed(result),
            });
            let input = Input::IpcCommand {
                client: CLIENT,
                command: respond,
            };
            let node = name.to_owned();
            let input = Box::new(input);
            self.after(ms, Event::Local { node, boot, input });
        }
    }
}

fn hello_of(name: &str, skills: &[String]) -> Hello {
    let skill = |name: &String| SkillInfo {
        name: name.clone(),
        description: String::new(),
        input_schema: None,
        callers: None,
    };
    Hello {
        version: PROTOCOL_VERSION,
        agent: AgentProfile {
            agent_id: name.parse().expect("a node's name is a valid id"),
            description: String::new(),
            skills: skills.iter().map(skill).collect(),
            hostname: String::new(),
            mode: String::new(),
            version: String::new(),
            instance: String::new(),
            max_concurrent: 0,
        },
        running: Vec::new(),
    }
}
