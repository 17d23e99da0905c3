//! Signaling sockets: who is behind each, which one gets a peer's relays, and what is passed on untouched.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::signaling::{
    ClientSignal, Directory, PeerList, Register, RegistrySignal, SignalFrame,
};
use seamesh_proto::{AgentId, Code, PROTOCOL_VERSION, PeerId, Problem, TaskId};

use crate::dispatch::Core;
use crate::io::{Caller, ConnId, Note};

/// Kinds that old sidecars say, too. A refusal of one of these is told only to a socket that named its version.
const OLD_KINDS: &[&str] = &["register", "offer", "answer", "ice_candidate", "heartbeat"];

/// Kinds that are passed on untouched.
const RELAYED: &[&str] = &["offer", "answer", "ice_candidate", "link_refused"];

/// One open socket.
#[derive(Debug)]
pub(crate) struct Conn {
    /// Whose it is.
    pub(crate) caller: Caller,
    /// It said `register`: peers are told of it.
    pub(crate) registered: bool,
    /// The version it named; an old sidecar names none.
    pub(crate) version: Option<u32>,
    /// The agent that registered over it.
    pub(crate) agent: Option<AgentId>,
    /// Tasks whose end it waits for.
    pub(crate) watches: BTreeSet<TaskId>,
}

/// The open sockets.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    conns: BTreeMap<ConnId, Conn>,
    by_peer: BTreeMap<PeerId, BTreeSet<ConnId>>,
}

impl Relay {
    pub(crate) fn open(&mut self, conn: ConnId, caller: Caller) {
        let peer = caller.peer.clone();
        self.by_peer.entry(peer).or_default().insert(conn);
        let socket = Conn {
            caller,
            registered: false,
            version: None,
            agent: None,
            watches: BTreeSet::new(),
        };
        self.conns.insert(conn, socket);
    }

    pub(crate) fn close(&mut self, conn: ConnId) -> Option<Conn> {
        let socket = self.conns.remove(&conn)?;
        if let Some(of_peer) = self.by_peer.get_mut(&socket.caller.peer) {
            of_peer.remove(&conn);
            if of_peer.is_empty() {
                self.by_peer.remove(&socket.caller.peer);
            }
        }
        Some(socket)
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<&Conn> {
        self.conns.get(&conn)
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(&conn)
    }

    /// The socket that gets what is meant for `peer`: its newest. When that one closes, the newest of the others.
    pub(crate) fn route(&self, peer: &PeerId) -> Option<ConnId> {
        self.by_peer.get(peer)?.last().copied()
    }

    /// Whether the socket named its version, and so understands more than the old dialect.
    pub(crate) fn is_native(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|c| c.version.is_some())
    }

    /// The socket of `peer` that understands native frames.
    pub(crate) fn native_route(&self, peer: &PeerId) -> Option<ConnId> {
        self.route(peer).filter(|conn| self.is_native(*conn))
    }

    /// Every socket that understands native frames.
    pub(crate) fn natives(&self) -> Vec<ConnId> {
        let native = |(conn, socket): (&ConnId, &Conn)| socket.version.map(|_| *conn);
        self.conns.iter().filter_map(native).collect()
    }

    /// Every open socket.
    pub(crate) fn all(&self) -> Vec<ConnId> {
        self.conns.keys().copied().collect()
    }

    /// Every open socket of a peer.
    pub(crate) fn of_peer(&self, peer: &PeerId) -> Vec<ConnId> {
        self.by_peer
            .get(peer)
            .map(|conns| conns.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Whether a peer has a socket.
    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.by_peer.contains_key(peer)
    }

    /// Number of open sockets.
    pub(crate) fn count(&self) -> usize {
        self.conns.len()
    }

    /// Peers that said `register`, but `except`. Of two newcomers, the one that registers second is told of the first,
    /// so a pair needs no glare to meet.
    fn registered(&self, except: &PeerId) -> Vec<PeerId> {
        let is_registered = |conns: &BTreeSet<ConnId>| {
            conns
                .iter()
                .any(|conn| self.conns.get(conn).is_some_and(|c| c.registered))
        };
        self.by_peer
            .iter()
            .filter(|(peer, conns)| *peer != except && is_registered(conns))
            .map(|(peer, _)| peer.clone())
            .collect()
    }
}

impl Core {
    /// Takes one frame of a socket.
    pub(crate) fn frame(&mut self, conn: ConnId, frame: SignalFrame) {
        let Some(caller) = self.relay.get(conn).map(|c| c.caller.clone()) else {
            return;
        };
        if frame.peer_id != caller.peer {
            self.out.note(Note::ForgedSender {
                peer: caller.peer.clone(),
            });
            let problem = Problem::new(
                Code::Forbidden,
                format!("peer_id must be {}, this socket's own", caller.peer),
            );
            return self.refuse(conn, &frame.kind, problem);
        }
        if RELAYED.contains(&frame.kind.as_str()) {
            return self.pass_on(conn, frame);
        }
        match frame.client_signal() {
            Ok(ClientSignal::Register(register)) => self.register(conn, &caller.peer, &register),
            Ok(ClientSignal::Heartbeat(_)) if !self.relay.is_native(conn) => {}
            Ok(_) if !self.relay.is_native(conn) => {
                let problem = Problem::new(Code::OutOfOrder, "say register with a version first");
                self.refuse(conn, &frame.kind, problem);
            }
            Ok(signal) => self.native_signal(conn, caller, signal),
            Err(error) => self.refuse(conn, &frame.kind, error.into()),
        }
    }

    /// Something that is not even a frame came.
    pub(crate) fn bad_frame(&mut self, conn: ConnId, problem: Problem) {
        self.refuse(conn, "register", problem);
    }

    /// Tells a socket that its frame was refused; the socket stays. An old sidecar, which knows no `error`, is told
    /// nothing.
    pub(crate) fn refuse(&mut self, conn: ConnId, kind: &str, problem: Problem) {
        let Some(socket) = self.relay.get(conn) else {
            return;
        };
        self.out.note(Note::FrameRefused {
            peer: socket.caller.peer.clone(),
            problem: problem.clone(),
        });
        if socket.version.is_some() || !OLD_KINDS.contains(&kind) {
            let frame = SignalFrame::from_registry(&RegistrySignal::Error(problem));
            self.out.send_urgent(conn, frame);
        }
    }

    /// Relays a frame as it came, unknown members included.
    fn pass_on(&mut self, conn: ConnId, frame: SignalFrame) {
        let Some(target) = frame.target_id.clone() else {
            let problem = Problem::new(Code::BadField, "target_id is missing");
            return self.refuse(conn, &frame.kind, problem);
        };
        match self.relay.route(&target) {
            Some(to) => self.out.send_urgent(to, frame),
            None => {
                let problem = Problem::new(
                    Code::NoLink,
                    format!("peer {target} has no signaling socket"),
                );
                // The peer's name stands where a request's would: the sender gives up dialing that one.
                self.refuse(conn, &frame.kind, problem.for_request(target.as_str()));
            }
        }
    }

    fn register(&mut self, conn: ConnId, peer: &PeerId, register: &Register) {
        if register
            .version
            .is_some_and(|v| v == 0 || v > PROTOCOL_VERSION)
        {
            let problem = Problem::new(
                Code::VersionUnsupported,
                format!("this registry speaks version {PROTOCOL_VERSION}"),
            );
            let frame = SignalFrame::from_registry(&RegistrySignal::Error(problem));
            return self.out.send_urgent(conn, frame);
        }
        if let Some(socket) = self.relay.get_mut(conn) {
            socket.registered = true;
            socket.version = register.version;
        }
        let peers = self.relay.registered(peer);
        let list = SignalFrame::from_registry(&RegistrySignal::PeerList(PeerList { peers }));
        self.out.send_urgent(conn, list);
        if register.version.is_some() {
            let agents = self.agents.records();
            let directory = RegistrySignal::Directory(Directory { agents });
            self.out.send(vec![conn], &directory);
        }
    }

    fn native_signal(&mut self, conn: ConnId, caller: Caller, signal: ClientSignal) {
        match signal {
            ClientSignal::Heartbeat(beat) => self.push_heartbeat(conn, &caller, &beat),
            ClientSignal::AgentRegister(body) => self.push_register(conn, &caller, body),
            ClientSignal::AgentAway(agent) => self.push_away(conn, &caller, &agent.agent_id),
            ClientSignal::AgentRemove(agent) => self.push_remove(conn, &caller, &agent.agent_id),
            ClientSignal::Links(links) => self.report_links(conn, &caller.peer, links),
            ClientSignal::TaskSubmit(submit) => self.push_submit(conn, &caller, submit),
            ClientSignal::TaskResult(result) => self.push_result(conn, &caller.peer, result),
            ClientSignal::TaskNews(news) => self.push_news(conn, &caller.peer, news),
            ClientSignal::TaskInput(input) => self.push_input(conn, &caller, input),
            ClientSignal::TaskRelease(release) => self.push_release(conn, &caller.peer, release),
            ClientSignal::TaskWatch(watch) => self.push_watch(conn, watch.task_ids),
            ClientSignal::TaskCancel(cancel) => self.push_cancel(conn, caller, cancel.task_id),
            ClientSignal::TaskReport(report) => self.push_report(conn, &caller, report),
            // Handled before: they are said by old sidecars, too.
            ClientSignal::Register(_)
            | ClientSignal::Offer(_)
            | ClientSignal::Answer(_)
            | ClientSignal::IceCandidate(_)
            | ClientSignal::LinkRefused(_) => {}
        }
    }

    /// A socket closed: its agent gets a grace to come back, its links are remembered for a while.
    pub(crate) fn disconnected(&mut self, conn: ConnId) {
        let Some(socket) = self.relay.close(conn) else {
            return;
        };
        for task_id in &socket.watches {
            self.tasks.unwatch(task_id, conn);
        }
        if let Some(agent_id) = socket.agent {
            self.detach(&agent_id, conn);
        }
        if !self.relay.is_connected(&socket.caller.peer) {
            self.links_of_closed(&socket.caller.peer);
        }
    }
}
