//! What model agents do with what their sidecars tell them.

use seamesh_proto::ipc::{
    AgentCommand, AgentEvent, Cancel, Message, Request, RequestInput, RequestNews, TaskEvent, Via,
};
use seamesh_proto::limits::STREAM_GRANT;
use seamesh_proto::talk::{Answer, Listens, TaskInput};
use seamesh_proto::task::Outcome;
use seamesh_proto::{Code, Payload, TaskState};
use seamesh_sidecar_core::Input;
use serde_json::{Value, json};

use crate::agents::{Asked, Begins, Deed, Key, news_of};
use crate::history::{Carried, What};
use crate::network::Name;
use crate::sometimes::Sight;
use crate::world::{Event, World};

impl World {
    /// An agent says something to its sidecar: heard when everything that happens now has happened.
    pub(crate) fn say(&mut self, name: &Name, command: AgentCommand) {
        let Some(node) = self.sidecars.get(name) else {
            return;
        };
        let (boot, client) = (node.boot, node.client);
        let input = Box::new(Input::IpcCommand { client, command });
        let node = name.clone();
        self.after(0, Event::Local { node, boot, input });
    }

    /// What a sidecar told its agent.
    pub(crate) fn agent_event(&mut self, name: &Name, event: AgentEvent) {
        let agent = format!("{name}'s agent");
        let kind = format!("({})", event.kind());
        self.transcript.said(self.at, name, &agent, &kind, || {
            let body = serde_json::to_value(&event).unwrap_or_default();
            body["payload"].clone()
        });
        if !self.sidecars.get(name).is_some_and(|n| n.agent.is_up) {
            return;
        }
        match event {
            AgentEvent::Welcome(_) => self.welcomed(name),
            AgentEvent::Task(task) => self.handed(name, &task),
            AgentEvent::TaskCancel(cancel) => {
                self.stop_job(name, &(cancel.task_id, cancel.attempt));
            }
            AgentEvent::TaskInput(body) => {
                self.job_hears(name, &(body.task_id, body.attempt), &body.input);
            }
            AgentEvent::RequestNews(news) => self.asker_hears(name, news),
            AgentEvent::Accepted(accepted) => self.saw_accepted(name, &accepted),
            AgentEvent::Response(response) => {
                self.saw_response(name, &response);
                self.request_over(name, &response.request_id);
            }
            AgentEvent::Error(problem) => {
                if let Some(id) = &problem.request_id {
                    self.saw_refusal(name, id, problem.code);
                    self.request_over(name, id);
                }
            }
            AgentEvent::Message(message) => self.agent_message(name, &message),
            AgentEvent::PeerDisconnected(peer) => {
                if let Ok(own) = name.parse() {
                    let (peer, other) = (own, peer.peer_id);
                    self.history.add(self.at, What::LinkDown { peer, other });
                }
            }
            _ => {}
        }
    }

    fn agent_message(&mut self, name: &Name, message: &Message) {
        let body: Value = serde_json::from_str(message.message.text()).unwrap_or_default();
        let (Ok(to), Some(number)) = (name.parse(), body["payload"]["number"].as_u64()) else {
            return;
        };
        let from = message.from_peer.clone();
        let carried = Carried { from, to, number };
        self.history.add(self.at, What::Received(carried));
    }

    /// The sidecar took the agent: it hears what it missed.
    fn welcomed(&mut self, name: &Name) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        node.agent.is_welcomed = true;
        let mut said = Vec::new();
        for (key, job) in &node.agent.jobs {
            said.extend(job.unheard().into_iter().map(|news| news_of(key, news)));
        }
        let undelivered = std::mem::take(&mut node.agent.undelivered);
        said.extend(undelivered.into_values().flat_map(|(_, told)| told));
        for command in said {
            self.say(name, command);
        }
    }

    /// Work came.
    fn handed(&mut self, name: &Name, task: &TaskEvent) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        match node.agent.takes(task) {
            Begins::Runs => self.sometimes.mark(Sight::NotRunAgain),
            Begins::Answered(answer) => {
                self.sometimes.mark(Sight::NotRunAgain);
                self.say(name, *answer);
            }
            Begins::New => {
                node.agent.begin(task);
                let life = node.agent.life;
                if task.lineage.depth > 1 {
                    self.sometimes.mark(Sight::Grandchild);
                }
                if task.attempt > 1 {
                    self.sometimes.mark(Sight::SecondAttempt);
                }
                self.saw_start(name, u64::from(life), &task.task_id, task.attempt);
                self.go_on(name, life, &(task.task_id.clone(), task.attempt));
            }
        }
    }

    /// A handler was busy long enough.
    pub(crate) fn work_done(&mut self, name: &Name, life: u32, key: &Key) {
        let node = self.sidecars.get_mut(name);
        let agent = node.map(|node| &mut node.agent).filter(|a| a.life == life);
        if let Some(job) = agent.and_then(|agent| agent.jobs.get_mut(key)) {
            job.works = false;
            self.go_on(name, life, key);
        }
    }

    /// A handler does what comes next, until it has to wait.
    fn go_on(&mut self, name: &Name, life: u32, key: &Key) {
        loop {
            let Some(node) = self.sidecars.get_mut(name) else {
                return;
            };
            if node.agent.life != life || !node.agent.is_up {
                return;
            }
            let is_welcomed = node.agent.is_welcomed;
            let Some(job) = node.agent.jobs.get_mut(key) else {
                return;
            };
            if job.works || job.waits_for.is_some() || job.question.is_some() {
                return;
            }
            let Some(deed) = job.deeds.pop_front() else {
                let result = json!(format!("{name}, attempt {}", key.1));
                return self.end_job(name, key, Outcome::completed(result));
            };
            match deed {
                Deed::Work(ms) => {
                    job.works = true;
                    let (node, key) = (name.clone(), key.clone());
                    return self.after(ms, Event::Deed { node, life, key });
                }
                Deed::Hang => {
                    job.deeds.push_front(Deed::Hang);
                    return;
                }
                Deed::Fail => {
                    let outcome = Outcome::failed(Code::SkillFailed, "it was told to");
                    return self.end_job(name, key, outcome);
                }
                Deed::Chunks(0) => {}
                Deed::Chunks(_) if !job.streams => {}
                Deed::Chunks(left) => match job.chunk() {
                    Some(news) => {
                        job.deeds.push_front(Deed::Chunks(left - 1));
                        if is_welcomed {
                            self.say(name, news_of(key, news));
                        }
                    }
                    None => {
                        job.deeds.push_front(Deed::Chunks(left));
                        return self.sometimes.mark(Sight::StreamWaited);
                    }
                },
                Deed::Question if !job.asks => {}
                Deed::Question => {
                    let news = job.ask();
                    if is_welcomed {
                        self.say(name, news_of(key, news));
                    }
                    return;
                }
                Deed::Ask { skill, does } => {
                    if !is_welcomed {
                        let outcome = Outcome::failed(Code::AgentAway, "no sidecar to ask");
                        return self.end_job(name, key, outcome);
                    }
                    node.agent.requests += 1;
                    let id = format!("child{}", node.agent.requests);
                    let request = Request {
                        parent: Some(key.0.clone()),
                        ..plain_request(id.clone(), skill, &does)
                    };
                    if let Some(job) = node.agent.jobs.get_mut(key) {
                        job.waits_for = Some(id);
                    }
                    return self.ask(name, request, Some(key.clone()));
                }
            }
        }
    }

    fn end_job(&mut self, name: &Name, key: &Key, outcome: Outcome) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        let told = node.agent.end(key, outcome);
        if told.is_empty() {
            self.sometimes.mark(Sight::AnsweredLater);
        }
        for command in told {
            self.say(name, command);
        }
    }

    /// Nobody waits for a handler any more.
    fn stop_job(&mut self, name: &Name, key: &Key) {
        let node = self.sidecars.get_mut(name);
        let Some(job) = node.and_then(|n| n.agent.jobs.get_mut(key)) else {
            return;
        };
        self.sometimes.mark(Sight::RunStopped);
        if let Some(request_id) = job.waits_for.take() {
            self.sometimes.mark(Sight::ParentStopped);
            self.give_up(name, &request_id);
        }
        self.end_job(name, key, Outcome::canceled("canceled"));
    }

    fn job_hears(&mut self, name: &Name, key: &Key, input: &TaskInput) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        let life = node.agent.life;
        if let Some(job) = node.agent.jobs.get_mut(key) {
            if job.hear(input) {
                self.sometimes.mark(Sight::QuestionAnswered);
            }
            self.go_on(name, life, key);
        }
    }

    /// An agent asks another. Without a sidecar it is told so at once, and nothing was asked.
    pub(crate) fn ask(&mut self, name: &Name, request: Request, parent: Option<Key>) {
        let at = self.at;
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        if !node.agent.is_welcomed || node.agent.open.contains_key(&request.request_id) {
            return;
        }
        let waits = request.wait;
        let until = request.timeout_ms.map(|ms| at + ms);
        let asked = Asked {
            waits,
            parent,
            until,
        };
        node.agent.open.insert(request.request_id.clone(), asked);
        self.saw_request(name, &request);
        self.say(name, AgentCommand::Request(request));
    }

    /// An agent gives a request up.
    pub(crate) fn give_up(&mut self, name: &Name, request_id: &str) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        if node.agent.open.remove(request_id).is_some() {
            self.saw_sender_gone(name, request_id);
            let request_id = request_id.to_owned();
            self.say(name, AgentCommand::Cancel(Cancel { request_id }));
        }
    }

    /// A request ended: the handler that waits for it goes on.
    pub(crate) fn request_over(&mut self, name: &Name, request_id: &str) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        let life = node.agent.life;
        let asked = node.agent.open.remove(request_id);
        let Some(key) = asked.and_then(|asked| asked.parent) else {
            return;
        };
        if let Some(job) = node.agent.jobs.get_mut(&key) {
            job.waits_for = None;
            self.go_on(name, life, &key);
        }
    }

    fn asker_hears(&mut self, name: &Name, told: RequestNews) {
        let mut input = TaskInput::default();
        if let Some(chunk) = &told.news.chunk {
            self.saw_chunk(name, &told, chunk.index);
            let next = chunk.index + 1;
            if next % STREAM_GRANT != 0 && !chunk.last {
                return;
            }
            input.taken = Some(next);
        } else if let Some(question) = &told.news.question {
            input.answer = Some(Answer {
                number: question.number,
                value: json!("this"),
            });
        } else {
            return;
        }
        let request_id = told.request_id;
        self.say(
            name,
            AgentCommand::RequestInput(RequestInput { request_id, input }),
        );
    }

    /// The connection to the sidecar ended: the agent's requests end with it.
    pub(crate) fn agent_disconnected(&mut self, name: &Name) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        node.agent.is_welcomed = false;
        let open = std::mem::take(&mut node.agent.open);
        for (request_id, asked) in open {
            self.saw_end(name, &request_id, TaskState::Failed, Some(Code::AgentAway));
            if let Some(key) = asked.parent {
                self.parent_goes_on(name, &key);
            }
        }
        self.saw_links_down(name);
    }

    fn parent_goes_on(&mut self, name: &Name, key: &Key) {
        let Some(node) = self.sidecars.get_mut(name) else {
            return;
        };
        let life = node.agent.life;
        if let Some(job) = node.agent.jobs.get_mut(key) {
            job.waits_for = None;
            self.go_on(name, life, key);
        }
    }
}

/// A request for any agent that has the skill, which waits for its answer.
pub(crate) fn plain_request(request_id: String, skill: String, does: &str) -> Request {
    Request {
        request_id,
        skill,
        to: None,
        payload: payload_of(does),
        timeout_ms: None,
        wait: true,
        via: Via::Auto,
        parent: None,
        traceparent: None,
        listens: Listens::default(),
    }
}

/// The payload that tells a handler what to do.
pub(crate) fn payload_of(does: &str) -> Payload {
    match does {
        "" => Payload::EMPTY,
        does => Payload::new(json!({ "does": does })),
    }
}
