//! What the registry says, and what it is told when it is there again.

use seamesh_proto::ipc::{AgentEvent, RegistryState};
use seamesh_proto::limits::HEARTBEAT_MS;
use seamesh_proto::signaling::{
    AgentRegister, ClientSignal, Register, RegistrySignal, SignalFrame, TaskAssign,
};
use seamesh_proto::{AgentInfo, Code, PROTOCOL_VERSION, PeerId, Problem};

use crate::run::{Incoming, Origin, skill_of};
use crate::timers::Reason;
use crate::{Note, Sidecar};

impl Sidecar {
    pub(crate) fn on_signaling_up(&mut self, peer_id: PeerId) {
        self.fx.me = Some(peer_id);
        self.fx.is_up = true;
        self.is_outage_told = false;
        self.fx.timers.cancel(&Reason::Reconnect);
        self.reconnect.reset();
        self.fx.note(Note::RegistryUp);
        let register = Register {
            version: Some(PROTOCOL_VERSION),
        };
        self.fx.signal(None, &ClientSignal::Register(register));
        self.register_agent();
        self.work.on_signaling_up(&mut self.peers, &mut self.fx);
        self.requests.on_signaling_up(&mut self.peers, &mut self.fx);
        self.reports.flush(&mut self.fx);
        self.report_links();
        self.fx.after(HEARTBEAT_MS, Reason::Heartbeat);
        self.fx.event(registry_state(true));
    }

    /// Names our agent, if it is there, and the leases it holds.
    pub(crate) fn register_agent(&mut self) {
        if let (Some(profile), Some(me)) = (&self.session.agent, &self.fx.me) {
            let register = AgentRegister {
                agent: AgentInfo::from_profile(profile, me),
                leases: self.work.leases(),
            };
            self.fx.signal(None, &ClientSignal::AgentRegister(register));
        }
    }

    pub(crate) fn on_signaling_down(&mut self, reason: String) {
        if self.fx.is_up {
            self.fx.event(registry_state(false));
        }
        self.fx.is_up = false;
        self.fx.timers.cancel(&Reason::Heartbeat);
        self.peers.on_signaling_down(&mut self.fx);
        if !self.is_outage_told {
            self.is_outage_told = true;
            self.fx.note(Note::RegistryAway { reason });
        }
        let delay = self.reconnect.next(&mut self.fx.rng);
        self.fx.after(delay, Reason::Reconnect);
    }

    pub(crate) fn on_signal(&mut self, frame: SignalFrame) {
        let from = frame.peer_id.clone();
        let signal = match frame.registry_signal() {
            Ok(signal) => signal,
            Err(error) => return self.fx.blame(&from, error.code, error.detail),
        };
        match signal {
            RegistrySignal::PeerList(list) => self.peers.on_list(&list.peers, &mut self.fx),
            RegistrySignal::Offer(offer) => self.peers.on_offer(&from, &offer, &mut self.fx),
            RegistrySignal::Answer(answer) => self.peers.on_answer(&from, &answer, &mut self.fx),
            RegistrySignal::IceCandidate(candidate) => {
                self.peers.on_candidate(&from, candidate, &mut self.fx);
            }
            RegistrySignal::LinkRefused(refused) => {
                self.peers.on_refused(&from, refused, &mut self.fx);
            }
            RegistrySignal::PeerRevoked(peer) => {
                self.peers.on_revoked(&peer.peer_id, &mut self.fx);
            }
            RegistrySignal::Directory(directory) => self.directory.replace(directory.agents),
            RegistrySignal::AgentUp(up) => self.directory.up(up.agent),
            RegistrySignal::AgentDown(down) => self.directory.down(&down.agent_id),
            RegistrySignal::TaskAssign(assign) => self.on_assign(assign),
            RegistrySignal::TaskRevoke(revoke) => {
                let (lease, code) = (revoke.lease, revoke.code);
                self.work
                    .on_revoked(&revoke.task_id, lease, code, &mut self.fx);
            }
            RegistrySignal::TaskSubmitted(submitted) => {
                self.requests
                    .on_submitted(&submitted.request_id, &mut self.fx);
            }
            RegistrySignal::TaskNews(news) => {
                let (requests, mut means) = self.requesting();
                requests.on_queue_news(news, &mut means);
            }
            RegistrySignal::TaskInput(body) => {
                self.work
                    .on_leased_input(body, &mut self.peers, &mut self.fx);
            }
            RegistrySignal::TaskAck(ack) => self.work.on_ack(&ack),
            RegistrySignal::TaskDone(done) => self.requests.on_done(done, &mut self.fx),
            RegistrySignal::Error(problem) => self.on_refused(problem),
        }
    }

    fn on_assign(&mut self, assign: TaskAssign) {
        let incoming = Incoming {
            task_id: assign.task_id,
            attempt: assign.attempt,
            skill: skill_of(assign.skill),
            payload: assign.payload,
            from_agent: assign.source_agent_id,
            timeout_ms: assign.timeout_ms,
            listens: assign.listens,
            lineage: assign.lineage,
            origin: Origin::Queue(assign.lease),
        };
        let agent = self.session.presence();
        self.work
            .arrive(incoming, agent, &mut self.peers, &mut self.fx);
    }

    fn on_refused(&mut self, problem: Problem) {
        if self.requests.on_refused(&problem, &mut self.fx) {
            return;
        }
        let agent = self.session.agent.as_ref().map(|a| a.agent_id.as_str());
        if problem.request_id.is_some() && problem.request_id.as_deref() == agent {
            self.on_agent_refused(&problem);
        }
        self.fx.note(Note::Refused { problem });
    }

    /// A heartbeat named our agent, and the registry would have none of it.
    fn on_agent_refused(&mut self, problem: &Problem) {
        match problem.code {
            // Somebody removed it while it was here: it says again what it is.
            Code::AgentUnknown => self.register_agent(),
            // Its name belongs to another credential, or another sidecar has it.
            Code::Forbidden | Code::Conflict => self.tell_disowned(problem),
            _ => {}
        }
    }

    /// The agent is told once, though each heartbeat is refused again.
    fn tell_disowned(&mut self, problem: &Problem) {
        if !std::mem::replace(&mut self.session.is_disowned, true) {
            let problem = Problem::new(problem.code, problem.detail.clone());
            self.fx.event(AgentEvent::Error(problem));
        }
    }
}

fn registry_state(connected: bool) -> AgentEvent {
    AgentEvent::Registry(RegistryState { connected })
}
