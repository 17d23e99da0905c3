//! One attempt at work for our agent: how it came, and how it is answered.

use seamesh_proto::ipc::{AgentEvent, RunRef, TaskEvent};
use seamesh_proto::limits::{MAX_PAYLOAD_BYTES, MAX_TTL_S};
use seamesh_proto::link::{MeshMessage, PROMPT_SKILL, TaskResponse};
use seamesh_proto::payload::Raw;
use seamesh_proto::talk::Listens;
use seamesh_proto::task::Lineage;
use seamesh_proto::{Code, Now, Outcome, Path, Payload, PeerId, TaskError, TaskId, TraceContext};
use serde_json::Value;

use crate::effects::Effects;
use crate::peers::Peers;
use crate::talk::Told;

/// Who asked directly, and under which name the answer is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) peer: PeerId,
    pub(crate) request_id: String,
    pub(crate) agent: String,
    pub(crate) listens: Listens,
}

/// The way work came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Over a link.
    Direct(Asker),
    /// From the queue, under this lease.
    Queue(u64),
}

/// Work as it arrives.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) task_id: TaskId,
    pub(crate) attempt: u32,
    pub(crate) skill: String,
    pub(crate) payload: Payload,
    pub(crate) from_agent: String,
    pub(crate) timeout_ms: u64,
    pub(crate) listens: Listens,
    pub(crate) lineage: Lineage,
    pub(crate) origin: Origin,
}

/// The skill that work is for: without one it is a prompt.
pub(crate) fn skill_of(named: String) -> String {
    match named.is_empty() {
        true => PROMPT_SKILL.to_owned(),
        false => named,
    }
}

/// Work that has not ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) event: TaskEvent,
    pub(crate) deadline: Now,
    pub(crate) askers: Vec<Asker>,
    pub(crate) lease: Option<u64>,
    pub(crate) is_delivered: bool,
    /// What its handler told so far.
    pub(crate) told: Told,
    /// Tasks that its handler has asked for.
    pub(crate) children: usize,
}

impl Run {
    pub(crate) fn new(incoming: Incoming, now: Now) -> Self {
        // What a peer says it waits is bounded by what anybody may wait.
        let timeout_ms = incoming.timeout_ms.min(MAX_TTL_S * 1000);
        let (path, lease) = match incoming.origin {
            Origin::Direct(_) => (Path::Direct, None),
            Origin::Queue(lease) => (Path::Queue, Some(lease)),
        };
        // Questions of queued work can be answered by a person, too.
        let answers = incoming.listens.answers || lease.is_some();
        let span = TraceContext::of_run(&incoming.task_id, incoming.attempt, &incoming.lineage);
        let mut run = Self {
            event: TaskEvent {
                task_id: incoming.task_id,
                attempt: incoming.attempt,
                skill: incoming.skill,
                payload: incoming.payload,
                from_agent: incoming.from_agent,
                path,
                timeout_ms,
                lease,
                listens: Listens {
                    answers,
                    ..incoming.listens
                },
                run_traceparent: Some(span),
                lineage: incoming.lineage,
            },
            deadline: now.plus(timeout_ms),
            askers: Vec::new(),
            lease: None,
            is_delivered: false,
            told: Told::default(),
            children: 0,
        };
        run.join(incoming.origin);
        run
    }

    /// Work that an agent has from before this sidecar was started.
    pub(crate) fn adopted(known: &RunRef, now: Now) -> Self {
        let mut run = Self::new(
            Incoming {
                task_id: known.task_id.clone(),
                attempt: known.attempt,
                skill: String::new(),
                payload: Payload::EMPTY,
                from_agent: String::new(),
                timeout_ms: known.timeout_ms,
                // What it does not say again it has no need of.
                listens: Listens {
                    stream: true,
                    answers: true,
                },
                lineage: known.lineage.clone(),
                origin: Origin::Queue(known.lease.unwrap_or(0)),
            },
            now,
        );
        run.lease = known.lease;
        run.is_delivered = true;
        run.told = Told::adopted();
        run
    }

    /// The same attempt came again, perhaps another way: one run answers both.
    pub(crate) fn join(&mut self, origin: Origin) {
        match origin {
            Origin::Queue(lease) => self.lease = Some(lease),
            Origin::Direct(asker) if !self.askers.contains(&asker) => self.askers.push(asker),
            Origin::Direct(_) => {}
        }
    }

    /// What those who asked for it are there for, together.
    pub(crate) fn listens(&self) -> Listens {
        let asked = self.askers.iter().map(|a| a.listens);
        let own = (self.lease.is_some() || self.askers.is_empty()).then_some(self.event.listens);
        asked
            .chain(own)
            .fold(Listens::default(), |all, one| Listens {
                stream: all.stream || one.stream,
                answers: all.answers || one.answers,
            })
    }

    pub(crate) fn origins(&self) -> Vec<Origin> {
        let direct = self.askers.iter().cloned().map(Origin::Direct);
        direct.chain(self.lease.map(Origin::Queue)).collect()
    }

    pub(crate) fn deliver(&mut self, fx: &mut Effects) {
        self.is_delivered = true;
        let mut event = self.event.clone();
        event.timeout_ms = self.deadline.since(fx.now);
        fx.event(AgentEvent::Task(event));
    }
}

/// An outcome that fits the wire, and its length.
pub(crate) fn bounded(outcome: Outcome) -> (Outcome, usize) {
    let bytes = Raw::of(&outcome).text().len();
    if bytes <= MAX_PAYLOAD_BYTES {
        return (outcome, bytes);
    }
    let detail = format!("the result has {bytes} bytes; at most {MAX_PAYLOAD_BYTES} are carried");
    (Outcome::failed(Code::TooLarge, detail), 0)
}

/// Sends a `task_response`. Without a link the asker has noticed, and the queue has taken over.
pub(crate) fn answer(asker: &Asker, outcome: Outcome, peers: &mut Peers, fx: &mut Effects) {
    let Some(link) = peers.open_with(asker.peer.as_str()) else {
        return;
    };
    let response = match link.is_native {
        true => TaskResponse::from_outcome(outcome),
        false => old_response(outcome),
    };
    // Wire types serialise into memory without failing.
    let body = serde_json::to_value(&response).expect("wire types serialise");
    let mut message = MeshMessage::new("task_response", Payload::new(body));
    message.request_id = asker.request_id.clone();
    message.target_agent = asker.agent.clone();
    let sent = peers.send(asker.peer.as_str(), Raw::of(&message).text().as_bytes(), fx);
    if sent == Err(Code::TooLarge) {
        let detail = "the result is too large for the asker's link";
        answer(asker, Outcome::failed(Code::TooLarge, detail), peers, fx);
    }
}

/// Old peers read `result` and `error` as text.
fn old_response(outcome: Outcome) -> TaskResponse {
    let result = match outcome.result {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let TaskError { code, message } = match outcome.error {
        Some(error) => error,
        None => {
            return TaskResponse {
                result: Value::String(result),
                ..TaskResponse::default()
            };
        }
    };
    TaskResponse {
        result: Value::String(result),
        error: if message.is_empty() {
            code.to_string()
        } else {
            message
        },
        code: Some(code),
        state: None,
    }
}
