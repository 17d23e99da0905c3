//! What the witnesses of a simulated run saw, as facts of its history.

use seamesh_proto::events::MeshEvent;
use seamesh_proto::ipc::{self, Request, RequestNews, Response};
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Code, Path, PeerId, Problem, TaskId, TaskState};
use seamesh_registry_core::Reply;

use crate::history::{Accepted, Changed, Chunked, History, Refused, Run, Submitted, Told, What};
use crate::network::Name;
use crate::sometimes::Sight;
use crate::world::{EPOCH_MS, World};

impl World {
    fn saw(&mut self, what: What) {
        self.history.add(self.at, what);
    }

    pub(crate) fn saw_start(&mut self, agent: &str, incarnation: u64, task: &TaskId, attempt: u32) {
        let run = Run {
            task: task.clone(),
            attempt,
            // A node's name is a valid id.
            agent: agent.parse().expect("a node's name is a valid id"),
            incarnation,
        };
        self.saw(What::Started(run));
    }

    /// The name of an agent's request, in this life of the agent, in the history.
    fn request_name(&self, name: &str, request_id: &str) -> String {
        let life = self.sidecars.get(name).map_or(0, |node| node.agent.life);
        format!("{name}.{life}/{request_id}")
    }

    /// An agent asks.
    pub(crate) fn saw_request(&mut self, name: &str, request: &Request) {
        let submitted = Submitted {
            request: self.request_name(name, &request.request_id),
            key: None,
            digest: request.skill.clone(),
        };
        self.saw(What::Submitted(submitted));
        let ttl_ms = request.timeout_ms.unwrap_or(120_000).div_ceil(1_000) * 1_000;
        let name = self.request_name(name, &request.request_id);
        self.history_ttls.insert(name, ttl_ms);
    }

    /// The queue has an agent's request.
    pub(crate) fn saw_accepted(&mut self, name: &Name, accepted: &ipc::Accepted) {
        if accepted.path != Path::Queue {
            return;
        }
        let request = self.request_name(name, &accepted.request_id);
        let Some(ttl_ms) = self.history_ttls.get(&request).copied() else {
            return;
        };
        let node = self.sidecars.get(name);
        let open = node.and_then(|n| n.agent.open.get(&accepted.request_id));
        let waits = open.is_none_or(|asked| asked.waits);
        self.saw(What::Accepted(Accepted {
            request: request.clone(),
            task: accepted.task_id.clone(),
            ttl_ms,
            max_attempts: seamesh_proto::limits::DEFAULT_MAX_ATTEMPTS,
        }));
        if !waits {
            self.saw(What::SenderGone { request });
            self.request_over(name, &accepted.request_id);
        }
    }

    pub(crate) fn saw_response(&mut self, name: &str, response: &Response) {
        let open = self.sidecars.get(name).map(|node| &node.agent.open);
        if !open.is_some_and(|open| open.contains_key(&response.request_id)) {
            return; // It crossed the word that gave it up, or is for an earlier life.
        }
        let told = Told {
            request: self.request_name(name, &response.request_id),
            task: Some(response.task_id.clone()),
            state: response.outcome.state,
            code: response.outcome.error.as_ref().map(|error| error.code),
        };
        self.saw(What::Told(told));
    }

    /// A request ended where nobody knows its task.
    pub(crate) fn saw_end(
        &mut self,
        name: &str,
        request_id: &str,
        state: TaskState,
        code: Option<Code>,
    ) {
        let told = Told {
            request: self.request_name(name, request_id),
            task: None,
            state,
            code,
        };
        self.saw(What::Told(told));
    }

    pub(crate) fn saw_refusal(&mut self, name: &str, request_id: &str, code: Code) {
        let open = self.sidecars.get(name).map(|node| &node.agent.open);
        if open.is_some_and(|open| open.contains_key(request_id)) {
            let request = self.request_name(name, request_id);
            let code = Some(code);
            self.saw(What::Refused(Refused { request, code }));
        }
    }

    /// The one who asked is gone, or asks no more.
    pub(crate) fn saw_sender_gone(&mut self, name: &str, request_id: &str) {
        let request = self.request_name(name, request_id);
        self.saw(What::SenderGone { request });
    }

    pub(crate) fn saw_chunk(&mut self, name: &str, news: &RequestNews, index: u64) {
        let open = self.sidecars.get(name).map(|node| &node.agent.open);
        if open.is_some_and(|open| open.contains_key(&news.request_id)) {
            let request = self.request_name(name, &news.request_id);
            let attempt = news.attempt;
            self.saw(What::Chunk(Chunked {
                request,
                attempt,
                index,
            }));
        }
    }

    /// What an agent sent and what was sent to it may be lost with it: everybody is taken to be told.
    pub(crate) fn saw_links_down(&mut self, name: &Name) {
        let Ok(own) = name.parse::<PeerId>() else {
            return;
        };
        let others: Vec<PeerId> = self
            .sidecars
            .keys()
            .filter(|other| *other != name)
            .filter_map(|other| other.parse().ok())
            .collect();
        for other in others {
            let (peer, own) = (other.clone(), own.clone());
            let to_us = What::LinkDown {
                peer: peer.clone(),
                other: own.clone(),
            };
            self.saw(to_us);
            self.saw(What::LinkDown { peer: own, other });
        }
    }

    /// A sidecar noticed that a link is lost.
    pub(crate) fn saw_link_lost(&mut self, name: &Name, _peer: &PeerId) {
        let node = self.sidecars.get(name);
        if node.is_some_and(|node| !node.agent.open.is_empty()) {
            self.sometimes.mark(Sight::LinkLostWithRequest);
        }
    }

    /// Somebody outside submits; the request's name in the history.
    pub(crate) fn saw_submit(&mut self, request: &str, task: &SubmitTask) -> String {
        let mut name = format!("rest/{request}");
        if let Some(key) = &task.idempotency_key {
            self.registry.last_request += 1;
            name = format!("{name}#{}-{key}", self.registry.last_request);
        }
        if task.not_before_ms.is_some() {
            self.sometimes.mark(Sight::WaitedForItsTime);
        }
        let submitted = Submitted {
            request: name.clone(),
            key: task.idempotency_key.clone(),
            digest: format!(
                "{} {} {}",
                task.skill,
                task.target_agent_id,
                task.payload.to_value()
            ),
        };
        self.saw(What::Submitted(submitted));
        name
    }

    pub(crate) fn saw_lost_answer(&mut self, request: String) {
        let code = None;
        self.saw(What::Refused(Refused { request, code }));
    }

    /// It is answered, and asks no more: what was accepted is judged by its events.
    pub(crate) fn saw_submit_answer(
        &mut self,
        request: String,
        task: &SubmitTask,
        answer: &Result<Reply, Problem>,
    ) {
        let Ok(Reply::Submitted(id)) = answer else {
            let code = answer.as_ref().err().map(|problem| problem.code);
            if code == Some(Code::Conflict) && task.idempotency_key.is_some() {
                self.sometimes.mark(Sight::KeyConflict);
            }
            let refused = Refused { request, code };
            return self.saw(What::Refused(refused));
        };
        if task.idempotency_key.is_some() && self.knows(id) {
            self.sometimes.mark(Sight::KeyRepeated);
        }
        let accepted = Accepted {
            request: request.clone(),
            task: id.clone(),
            ttl_ms: task.ttl * 1_000,
            max_attempts: task.max_attempts,
        };
        self.saw(What::Accepted(accepted));
        self.saw(What::SenderGone { request });
    }

    fn knows(&self, task: &TaskId) -> bool {
        let mut facts = self.history.facts().iter();
        facts.any(|fact| matches!(&fact.what, What::Accepted(a) if a.task == *task))
    }

    /// Everything that was seen, with the registry's events as its store holds them.
    pub(crate) fn history(&self) -> History {
        let mut history = self.history.clone();
        for record in self.registry.store.events_after(0) {
            if let MeshEvent::TaskChanged(task) = record.event {
                let changed = Changed {
                    seq: record.seq,
                    task: task.id.clone(),
                    state: task.state,
                    attempt: task.attempt,
                    lease: task.lease,
                    agent: task.assigned_agent_id.parse().ok(),
                };
                let at_ms = record.at_ms.saturating_sub(EPOCH_MS);
                history.add(at_ms, What::Changed(changed));
            }
        }
        history
    }
}
