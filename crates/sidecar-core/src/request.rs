//! One open request of our agent: what it says to whom.

use seamesh_proto::agent::not_allowed;
use seamesh_proto::ipc::{Accepted, AgentEvent, Response, Via};
use seamesh_proto::link::{MeshMessage, TaskRef, TaskRequest};
use seamesh_proto::payload::Raw;
use seamesh_proto::signaling::{ClientSignal, DirectTask, TaskInputTo, TaskSubmit};
use seamesh_proto::talk::{Listens, TaskInput};
use seamesh_proto::task::{DirectAttempt, Lineage, SubmitTask};
use seamesh_proto::{AgentId, Code, Now, Outcome, Path, Payload, PeerId, Problem, TaskId};

use crate::directory::Directory;
use crate::effects::Effects;
use crate::peers::Peers;
use crate::talk::{Heard, body_of};

/// The attempt number of a direct request: the first, and the only one on that path.
const DIRECT_ATTEMPT: u32 = 1;

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Sent over the link with this peer.
    Direct(PeerId),
    /// On its way into the queue, or waiting for the registry.
    Submitting {
        /// Whether it left at least once.
        left: bool,
    },
    /// Durable; its end will be told.
    Queued,
}

/// One open request.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) request_id: String,
    pub(crate) task_id: TaskId,
    pub(crate) skill: String,
    pub(crate) to: Option<AgentId>,
    pub(crate) payload: Payload,
    pub(crate) payload_bytes: usize,
    pub(crate) started: Now,
    pub(crate) deadline: Now,
    pub(crate) ttl_s: u64,
    pub(crate) waits: bool,
    pub(crate) via: Via,
    pub(crate) lineage: Lineage,
    pub(crate) source: AgentId,
    pub(crate) stage: Stage,
    /// The agent that was asked directly.
    pub(crate) asked: Option<AgentId>,
    /// The peer behind which that agent is.
    pub(crate) asked_at: Option<PeerId>,
    /// The run of that agent's process.
    pub(crate) instance: String,
    pub(crate) listens: Listens,
    pub(crate) heard: Heard,
}

impl Open {
    pub(crate) fn submit(&mut self, fx: &mut Effects) {
        self.stage = Stage::Submitting {
            left: fx.is_up || matches!(self.stage, Stage::Submitting { left: true }),
        };
        if !fx.is_up {
            return;
        }
        let direct_attempt = self.asked.clone().map(|agent_id| DirectAttempt {
            agent_id,
            attempt: DIRECT_ATTEMPT,
            instance: self.instance.clone(),
        });
        let task = SubmitTask {
            skill: self.skill.clone(),
            target_agent_id: self.to.as_ref().map_or("", AgentId::as_str).to_owned(),
            source_agent_id: self.source.to_string(),
            payload: self.payload.clone(),
            // The content of a repeat has to be the same: the TTL is not what is left, but what it was.
            ttl: self.ttl_s,
            task_id: Some(self.task_id.clone()),
            listens: self.listens,
            lineage: self.lineage.clone(),
            direct_attempt,
            ..SubmitTask::default()
        };
        let request_id = self.task_id.to_string();
        fx.signal(
            None,
            &ClientSignal::TaskSubmit(TaskSubmit { request_id, task }),
        );
    }

    /// The `task_request` that goes over the link.
    pub(crate) fn message(&self, agent: &AgentId, is_native: bool, now: Now) -> MeshMessage {
        let (skill, payload) = (self.skill.clone(), self.payload.clone());
        let body = match is_native {
            true => TaskRequest::native(skill, payload),
            false => TaskRequest::old(skill, payload),
        };
        // Wire types serialise into memory without failing.
        let body = serde_json::to_value(&body).expect("wire types serialise");
        let mut message = MeshMessage::new("task_request", Payload::new(body));
        message.request_id = self.task_id.to_string();
        message.source_agent = self.source.to_string();
        message.target_agent = agent.to_string();
        message.task = Some(TaskRef {
            task_id: self.task_id.clone(),
            attempt: DIRECT_ATTEMPT,
            timeout_ms: self.deadline.since(now),
            listens: self.listens,
            lineage: self.lineage.clone(),
        });
        message
    }

    /// Tells the handler something, whichever way the work went.
    pub(crate) fn tell(&self, input: TaskInput, peers: &mut Peers, fx: &mut Effects) {
        if let Stage::Direct(peer) = &self.stage {
            let mut message = MeshMessage::new("task_input", body_of(&input));
            message.request_id = self.task_id.to_string();
            // A link that is gone: the queue takes over, and says what it missed.
            let text = Raw::of(&message);
            let _ = peers.send(peer.as_str(), text.text().as_bytes(), fx);
        } else {
            fx.signal(
                None,
                &ClientSignal::TaskInput(TaskInputTo {
                    task_id: self.task_id.clone(),
                    attempt: self.heard.attempt,
                    input,
                }),
            );
        }
    }

    /// Says again what the handler of queued work may have missed.
    pub(crate) fn tell_again(&self, peers: &mut Peers, fx: &mut Effects) {
        if self.heard.attempt > 0 {
            for input in self.heard.again(self.listens) {
                self.tell(input, peers, fx);
            }
        }
    }

    /// Whether an agent's refusal sends the work to the queue: the agent did not run it to an end.
    pub(crate) fn may_fall_back(&self, outcome: &Outcome) -> bool {
        let code = outcome.error.as_ref().map(|e| e.code);
        self.via == Via::Auto
            && match code {
                Some(Code::AgentAway | Code::Overloaded) => true,
                Some(Code::SkillUnknown) => self.to.is_none(),
                _ => false,
            }
    }

    pub(crate) fn no_link(&self, directory: &Directory) -> Problem {
        let (to, skill) = (self.to.as_ref(), &self.skill);
        let is_known = directory.healthy(to, skill).next().is_some();
        let may_ask = directory.askable(&self.source, to, skill).next().is_some();
        match (is_known, to) {
            (true, _) if may_ask => {
                Problem::new(Code::NoLink, "no agent that could be asked is linked")
            }
            (true, _) => not_allowed(to, skill, self.source.as_str()),
            (false, Some(to)) => Problem::new(
                Code::AgentUnknown,
                format!("no healthy agent {to} is known"),
            ),
            (false, None) => Problem::new(Code::NoAgent, "no healthy agent offers this skill"),
        }
    }

    pub(crate) fn accepted(&self, path: Path) -> AgentEvent {
        AgentEvent::Accepted(Accepted {
            request_id: self.request_id.clone(),
            task_id: self.task_id.clone(),
            path,
        })
    }

    pub(crate) fn response(
        &self,
        outcome: Outcome,
        path: Path,
        agent_id: String,
        now: Now,
    ) -> AgentEvent {
        AgentEvent::Response(Response {
            request_id: self.request_id.clone(),
            task_id: self.task_id.clone(),
            outcome,
            path,
            agent_id,
            duration_ms: now.since(self.started),
        })
    }

    pub(crate) fn report(&self, outcome: &Outcome, now: Now) -> DirectTask {
        DirectTask {
            task_id: self.task_id.clone(),
            skill: self.skill.clone(),
            source_agent_id: self.source.to_string(),
            target_agent_id: self.asked.as_ref().map_or("", AgentId::as_str).to_owned(),
            state: outcome.state,
            error_code: outcome.error.as_ref().map(|e| e.code),
            error: outcome
                .error
                .as_ref()
                .map_or(String::new(), |e| e.message.clone()),
            started_ms: self.started.0,
            finished_ms: now.0,
            lineage: self.lineage.clone(),
        }
    }
}
