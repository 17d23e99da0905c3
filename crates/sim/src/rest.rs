//! Who speaks to the registry over REST: submitters, and agents without a sidecar. A request's way takes no time, but
//! its answer waits for the registry's disk, and is lost with the registry.

use std::collections::BTreeMap;

use seamesh_proto::rest::{HeartbeatBody, Role, TaskUpdate};
use seamesh_proto::signaling::LeaseRef;
use seamesh_proto::task::{SubmitTask, Task};
use seamesh_proto::{AgentId, Code, Problem, TaskId, TaskState};
use seamesh_registry_core::{Input, Op, Reply, RequestId};
use serde_json::json;

use crate::agents::Key;
use crate::network::Name;
use crate::registry::caller;
use crate::sometimes::Sight;
use crate::world::{Event, REGISTRY, World};

/// What a REST request asks, for whoever gets its answer.
#[derive(Clone, Debug)]
pub(crate) enum Asks {
    /// Puts a task into the queue; the request's name in the history.
    Submit {
        who: String,
        task: Box<SubmitTask>,
        request: String,
    },
    /// Cancels a task.
    Cancel { who: String, task: String },
    /// An agent beats.
    Beat { agent: Name },
    /// An agent tells a result.
    Result {
        agent: Name,
        task_id: TaskId,
        lease: u64,
    },
}

/// An agent that only beats.
#[derive(Debug, Default)]
pub(crate) struct RestAgent {
    pub(crate) skills: Vec<String>,
    pub(crate) work_ms: u64,
    pub(crate) hangs: bool,
    pub(crate) runs: BTreeMap<Key, u32>,
    /// What it works on, with its lease.
    holds: BTreeMap<TaskId, u64>,
}

impl RestAgent {
    pub(crate) fn new(skills: Vec<String>) -> Self {
        Self {
            skills,
            work_ms: 10,
            ..Self::default()
        }
    }
}

impl World {
    fn rest(&mut self, who: &str, role: Role, asks: Asks, op: Op) {
        self.registry.last_request += 1;
        let request = RequestId(self.registry.last_request);
        if self.registry.core.is_none()
            || self.is_paused(REGISTRY)
            || self.network.is_cut(who, REGISTRY)
        {
            let code = Code::RegistryUnavailable;
            return self.rest_answered(asks, Err(Problem::new(code, "the registry is away")));
        }
        self.registry.asked.insert(request, asks);
        let caller = caller(who, role);
        self.tell_registry(Input::Request {
            request,
            caller,
            op,
        });
    }

    pub(crate) fn rest_answered(&mut self, asks: Asks, result: Result<Reply, Problem>) {
        match asks {
            Asks::Submit { who, task, request } => self.submitted(&who, &task, request, result),
            Asks::Cancel { who, task } => {
                let told = match result {
                    Ok(_) => "done".to_owned(),
                    Err(problem) => format!("refused {}", problem.code),
                };
                let text = format!("registry -> {who}: cancel {task}: {told}");
                self.transcript.note(self.at, &text);
            }
            Asks::Beat { agent } => self.beat_answered(&agent, result),
            Asks::Result {
                agent,
                task_id,
                lease,
            } => self.result_answered(&agent, &task_id, lease, result),
        }
    }

    /// The answer to a request was lost with the registry.
    pub(crate) fn rest_lost(&mut self, asks: &Asks) {
        if let Asks::Submit { request, .. } = asks {
            self.saw_lost_answer(request.clone());
        }
    }

    pub(crate) fn submit(&mut self, who: &str, request: &str, task: SubmitTask) {
        let request = self.saw_submit(request, &task);
        let asks = Asks::Submit {
            who: who.to_owned(),
            task: Box::new(task.clone()),
            request,
        };
        self.rest(who, Role::Operator, asks, Op::SubmitTask(Box::new(task)));
    }

    fn submitted(
        &mut self,
        who: &str,
        task: &SubmitTask,
        request: String,
        answer: Result<Reply, Problem>,
    ) {
        self.saw_submit_answer(request, task, &answer);
        let told = match answer {
            Ok(Reply::Submitted(id)) => format!("accepted {}", self.transcript.name(id.as_str())),
            Ok(other) => format!("{other:?}"),
            Err(problem) => format!("refused {}", problem.code),
        };
        self.transcript
            .note(self.at, &format!("registry -> {who}: {told}"));
    }

    /// Somebody takes a task back.
    pub(crate) fn withdraw(&mut self, who: &str, task: &str) {
        let Ok(task_id) = task.parse() else {
            return;
        };
        let asks = Asks::Cancel {
            who: who.to_owned(),
            task: task.to_owned(),
        };
        self.rest(who, Role::Operator, asks, Op::CancelTask(task_id));
    }

    /// A REST agent beats and runs what the answer brings. With `names` it says what it holds, as our own agents do.
    pub(crate) fn rest_beat(&mut self, agent: &Name, names: bool) {
        let Some(model) = self.rest_agents.get(agent) else {
            return;
        };
        let Ok(agent_id) = agent.parse() else {
            return;
        };
        let held = model.holds.iter().map(|(task_id, lease)| LeaseRef {
            task_id: task_id.clone(),
            lease: *lease,
        });
        let body = HeartbeatBody {
            skill_names: Some(model.skills.clone()),
            leases: names.then(|| held.collect()),
            ..empty_beat(agent_id)
        };
        let asks = Asks::Beat {
            agent: agent.clone(),
        };
        self.rest(agent, Role::Agent, asks, Op::Heartbeat(Box::new(body)));
    }

    fn beat_answered(&mut self, agent: &Name, answer: Result<Reply, Problem>) {
        match answer {
            Ok(Reply::Heartbeat(answer)) => {
                let body = || json!({ "pending_tasks": answer.pending_tasks });
                let kind = "heartbeat answer";
                self.transcript.said(self.at, REGISTRY, agent, kind, body);
                for task in answer.pending_tasks {
                    self.sometimes.mark(Sight::HeartbeatAnswer);
                    self.rest_run(agent, &task);
                }
            }
            Ok(other) => {
                let text = format!("{agent}: {other:?}");
                self.transcript.note(self.at, &text);
            }
            Err(problem) => {
                let text = format!("{agent}: refused {}", problem.code);
                self.transcript.note(self.at, &text);
            }
        }
    }

    fn rest_run(&mut self, agent: &Name, task: &Task) {
        let name = self.transcript.name(task.id.as_str());
        let text = format!("{agent} runs {name} attempt {}", task.attempt);
        self.transcript.note(self.at, &text);
        self.saw_start(agent, 0, &task.id, task.attempt);
        let lease = task.lease.unwrap_or_default();
        let Some(model) = self.rest_agents.get_mut(agent) else {
            return;
        };
        *model
            .runs
            .entry((task.id.clone(), task.attempt))
            .or_default() += 1;
        model.holds.insert(task.id.clone(), lease);
        if !model.hangs {
            let ms = model.work_ms;
            let done = Event::RestDone {
                agent: agent.clone(),
                task_id: task.id.clone(),
                attempt: task.attempt,
                lease,
            };
            self.after(ms, done);
        }
    }

    pub(crate) fn rest_done(&mut self, agent: &Name, task_id: TaskId, attempt: u32, lease: u64) {
        let update = TaskUpdate {
            state: TaskState::Completed,
            result: json!(format!("{agent}, attempt {attempt}")),
            error: String::new(),
            lease: Some(lease),
        };
        let asks = Asks::Result {
            agent: agent.clone(),
            task_id: task_id.clone(),
            lease,
        };
        let op = Op::UpdateTask {
            task_id,
            update: Box::new(update),
        };
        self.rest(agent, Role::Agent, asks, op);
    }

    fn result_answered(
        &mut self,
        agent: &Name,
        task_id: &TaskId,
        lease: u64,
        answer: Result<Reply, Problem>,
    ) {
        if let Some(model) = self.rest_agents.get_mut(agent)
            && model.holds.get(task_id) == Some(&lease)
        {
            model.holds.remove(task_id);
        }
        let name = self.transcript.name(task_id.as_str());
        let told = match answer {
            Ok(_) => "taken".to_owned(),
            Err(problem) => format!("refused {}", problem.code),
        };
        let text = format!("{agent} -> registry: result of {name} under lease {lease}: {told}");
        self.transcript.note(self.at, &text);
    }
}

fn empty_beat(agent_id: AgentId) -> HeartbeatBody {
    HeartbeatBody {
        agent_id,
        hostname: None,
        ip: None,
        port: None,
        status: None,
        mode: None,
        goals_count: None,
        skill_names: None,
        sidecar_peer_id: None,
        max_tasks: None,
        leases: None,
    }
}
