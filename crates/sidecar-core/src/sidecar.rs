//! The core: every part of the sidecar behind one verb set.

use std::collections::BTreeSet;

use seamesh_proto::limits::HEARTBEAT_MS;
use seamesh_proto::link::MeshMessage;
use seamesh_proto::payload::Raw;
use seamesh_proto::signaling::{AgentRef, ClientSignal, Heartbeat, Links};
use seamesh_proto::{Now, PeerId};

use crate::backoff::Backoff;
use crate::directory::Directory;
use crate::effects::Effects;
use crate::limits::RECONNECT_MS;
use crate::peers::{Change, Peers};
use crate::report::Reports;
use crate::requests::{Means, Requests};
use crate::session::Session;
use crate::timers::Reason;
use crate::trust::Trust;
use crate::work::Work;
use crate::{Input, LinkId, Note, Output, Piece};

/// What a sidecar starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Seed of everything random: ids of tasks and link attempts, jitter. Secret and fresh for every start.
    pub seed: [u8; 32],
}

/// One sidecar without its IO.
#[derive(Debug)]
pub struct Sidecar {
    pub(crate) fx: Effects,
    pub(crate) session: Session,
    pub(crate) peers: Peers,
    pub(crate) directory: Directory,
    pub(crate) requests: Requests,
    pub(crate) work: Work,
    pub(crate) reports: Reports,
    pub(crate) reconnect: Backoff,
    /// The outage has been told.
    pub(crate) is_outage_told: bool,
}

impl Sidecar {
    /// A sidecar that knows nobody yet. Its first output is [`Output::ConnectSignaling`].
    /// It has no identity and links with everybody the registry names.
    pub fn new(config: &Config) -> Self {
        let trust = Trust {
            identity: None,
            allow_unidentified: true,
        };
        Self::with_trust(config, trust)
    }

    /// A sidecar that links with whom it may trust.
    pub fn with_trust(config: &Config, trust: Trust) -> Self {
        let mut fx = Effects::new(config.seed);
        fx.push(Output::ConnectSignaling);
        Self {
            fx,
            session: Session::default(),
            peers: Peers::new(trust),
            directory: Directory::default(),
            requests: Requests::default(),
            work: Work::default(),
            reports: Reports::default(),
            reconnect: Backoff::new(RECONNECT_MS),
            is_outage_told: false,
        }
    }

    /// Takes an input, after everything that is due at `now`.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.advance(now);
        match input {
            Input::Tick => {}
            Input::IpcConnected { client } => self.on_client(client),
            Input::IpcCommand { client, command } => self.on_command(client, command),
            Input::IpcBad { client, problem } => self.on_bad_line(client, problem),
            Input::IpcBlocked { client, blocked } => self.on_client_blocked(client, blocked),
            Input::IpcDisconnected { client } => self.on_client_gone(client),
            Input::SignalingUp { peer_id } => self.on_signaling_up(peer_id),
            Input::SignalingDown { reason } => self.on_signaling_down(reason),
            Input::Signal { frame } => self.on_signal(frame),
            Input::SignalBad { problem } => self.fx.note(Note::Refused { problem }),
            Input::LinkDescription { link, kind, sdp } => {
                self.peers.on_description(link, kind, sdp, &mut self.fx);
            }
            Input::LinkCandidate { link, candidate } => {
                self.peers.on_local_candidate(link, candidate, &mut self.fx);
            }
            Input::LinkOpened { link, relayed } => {
                self.peers.on_opened(link, relayed, &mut self.fx)
            }
            Input::LinkMessage { link, piece } => self.on_piece(link, &piece),
            Input::LinkWritable { link } => self.peers.on_writable(link, &mut self.fx),
            Input::LinkClosed { link, reason } => {
                self.peers.on_closed(link, reason, &mut self.fx);
            }
        }
        self.follow_links();
        self.follow_stopped();
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.fx.pop()
    }

    /// The next DataChannel message of a link, at most `LINK_PIECE_BYTES` long (towards old peers: one whole
    /// message). `None` when nothing waits or the next one is longer than `room`: then ask again on writable.
    pub fn take_piece(&mut self, link: LinkId, room: usize) -> Option<Piece> {
        self.peers.take(link, room, &mut self.fx)
    }

    /// When [`Input::Tick`] is due next, and what for.
    pub fn next_deadline(&self) -> Option<(Now, Reason)> {
        self.fx.timers.next()
    }

    /// Peers with an open link, in order.
    pub fn linked_peers(&self) -> Vec<PeerId> {
        self.peers.open().map(|(id, _)| id.clone()).collect()
    }

    /// Every link, open or opening.
    pub fn links(&self) -> Vec<LinkId> {
        self.peers.links().collect()
    }

    /// Whether [`poll`](Self::poll) has nothing to say.
    pub fn is_idle(&self) -> bool {
        self.fx.is_empty()
    }

    /// Moves the time on and does what is due.
    pub(crate) fn advance(&mut self, now: Now) {
        self.fx.now = self.fx.now.max(now);
        while let Some(reason) = self.fx.timers.pop_due(now) {
            self.on_due(reason);
            self.follow_links();
            self.follow_stopped();
        }
    }

    fn on_due(&mut self, reason: Reason) {
        match reason {
            Reason::Reconnect => self.fx.push(Output::ConnectSignaling),
            Reason::Heartbeat => self.beat(),
            Reason::Links => self.report_links(),
            Reason::Reports => self.reports.flush(&mut self.fx),
            Reason::Dialect => self.on_no_hello(),
            Reason::AgentReturn => {
                self.on_agent_lost();
                self.take_for_old();
            }
            Reason::Redial(peer) => self.peers.dial(&peer, &mut self.fx),
            Reason::Answer(link) => self.peers.on_answer_overdue(link, &mut self.fx),
            Reason::Request(task_id) => {
                let (requests, mut means) = self.requesting();
                requests.on_deadline(&task_id, &mut means);
            }
            Reason::Work(task_id, attempt) => {
                let key = (task_id, attempt);
                self.work.on_deadline(&key, &mut self.peers, &mut self.fx);
            }
            Reason::Progress(task_id, attempt) => {
                let key = (task_id, attempt);
                self.work
                    .on_progress_due(&key, &mut self.peers, &mut self.fx);
            }
        }
    }

    /// The requests and what they need, borrowed apart.
    pub(crate) fn requesting(&mut self) -> (&mut Requests, Means<'_>) {
        let means = Means {
            peers: &mut self.peers,
            directory: &self.directory,
            reports: &mut self.reports,
            fx: &mut self.fx,
        };
        (&mut self.requests, means)
    }

    /// Tells the agent and its requests which links came and went.
    pub(crate) fn follow_links(&mut self) {
        while let Some(change) = self.peers.next_change() {
            match change {
                Change::Up(peer, identified) => {
                    self.fx.event(peer_connected(peer.clone(), identified));
                    let (requests, mut means) = self.requesting();
                    requests.on_link_up(&peer, &mut means);
                }
                Change::Down(peer) => {
                    self.fx.event(peer_disconnected(peer.clone()));
                    let (requests, mut means) = self.requesting();
                    requests.on_link_lost(&peer, &mut means);
                }
            }
        }
    }

    /// What stopped work had asked of others is canceled: nobody is left to use it.
    fn follow_stopped(&mut self) {
        for task_id in self.work.take_stopped() {
            let (requests, mut means) = self.requesting();
            requests.cancel_under(&task_id, &mut means);
        }
    }

    /// Says that we live; the leases named are renewed.
    fn beat(&mut self) {
        if self.fx.is_up {
            let heartbeat = Heartbeat {
                agent_id: self.session.agent.as_ref().map(|a| a.agent_id.clone()),
                leases: self.work.leases(),
            };
            self.fx.signal(None, &ClientSignal::Heartbeat(heartbeat));
            self.fx.after(HEARTBEAT_MS, Reason::Heartbeat);
        }
    }

    pub(crate) fn report_links(&mut self) {
        let links = self.peers.report();
        self.fx.signal(None, &ClientSignal::Links(Links { links }));
    }

    /// The agent did not come back.
    pub(crate) fn on_agent_lost(&mut self) {
        self.fx.timers.cancel(&Reason::AgentReturn);
        if let Some(agent) = self.session.agent.take() {
            let agent_id = agent.agent_id;
            self.fx
                .signal(None, &ClientSignal::AgentAway(AgentRef { agent_id }));
            self.let_go();
        }
    }

    /// The agent is gone: its work goes back, nobody waits for its requests.
    pub(crate) fn let_go(&mut self) {
        let nothing = BTreeSet::new();
        self.work.fail_over(&nothing, &mut self.peers, &mut self.fx);
        let (requests, mut means) = self.requesting();
        requests.abandon(&mut means);
    }

    /// Queues a message of our own for a peer; a peer without a link has nobody to read it.
    pub(crate) fn send_own(&mut self, peer: &PeerId, message: &MeshMessage) {
        let message = Raw::of(message);
        let _ = self
            .peers
            .send(peer.as_str(), message.text().as_bytes(), &mut self.fx);
    }
}

pub(crate) fn peer_connected(peer_id: PeerId, identified: bool) -> seamesh_proto::ipc::AgentEvent {
    let peer = seamesh_proto::ipc::LinkedPeer {
        peer_id,
        identified,
    };
    seamesh_proto::ipc::AgentEvent::PeerConnected(peer)
}

fn peer_disconnected(peer_id: PeerId) -> seamesh_proto::ipc::AgentEvent {
    seamesh_proto::ipc::AgentEvent::PeerDisconnected(seamesh_proto::ipc::PeerRef { peer_id })
}
