//! The registry's node: its core, and the store that outlives it.

use std::collections::BTreeMap;

use seamesh_proto::rest::{HeartbeatBody, Role, TaskUpdate};
use seamesh_proto::signaling::SignalFrame;
use seamesh_proto::task::{SubmitTask, Task};
use seamesh_proto::{Problem, TaskId, TaskState};
use seamesh_registry_core::{
    Caller, Config, ConnId, Core, Input, MemoryStore, Op, Output, Reply, RequestId,
};
use serde_json::json;

use crate::network::SIGNAL_MS;
use crate::world::{Event, World};

/// The registry, which may be down.
#[derive(Default)]
pub(crate) struct RegistryNode {
    pub(crate) core: Option<Core>,
    pub(crate) store: MemoryStore,
    /// Open sockets, by whom they lead to.
    pub(crate) conns: BTreeMap<ConnId, String>,
    last_conn: u64,
    last_request: u64,
    boots: u8,
    answers: BTreeMap<RequestId, Result<Reply, Problem>>,
}

impl World {
    /// Starts the registry on its store.
    pub(crate) fn start_registry(&mut self) {
        self.registry.boots += 1;
        let config = Config {
            seed: [self.registry.boots; 32],
        };
        let loaded = self.registry.store.load();
        self.registry.core = Some(Core::new(config, loaded, self.now()));
    }

    /// Kills the registry: its store stays, its sockets end.
    pub(crate) fn crash_registry(&mut self) {
        self.registry.core = None;
        for (_, node) in std::mem::take(&mut self.registry.conns) {
            if let Some(boot) = self.boot_of(&node) {
                self.after(SIGNAL_MS, Event::Down { node, boot });
            }
        }
    }

    pub(crate) fn dial_registry(&mut self, node: &str, boot: u32) {
        let node = node.to_owned();
        let reachable = self.registry.core.is_some() && !self.network.is_cut(&node, "registry");
        if !reachable {
            return self.after(SIGNAL_MS, Event::Down { node, boot });
        }
        self.registry.last_conn += 1;
        let conn = ConnId(self.registry.last_conn);
        self.registry.conns.insert(conn, node.clone());
        let caller = caller(&node, Role::Agent);
        self.tell_registry(Input::Connected { conn, caller });
        self.after(SIGNAL_MS, Event::Up { node, conn });
    }

    pub(crate) fn hang_up(&mut self, conn: ConnId) {
        if self.registry.conns.remove(&conn).is_some() {
            self.tell_registry(Input::Disconnected { conn });
        }
    }

    pub(crate) fn frame_to_registry(&mut self, conn: ConnId, frame: SignalFrame) {
        let Some(from) = self.registry.conns.get(&conn).cloned() else {
            return;
        };
        if self.network.is_cut(&from, "registry") {
            return self.hold(&from, "registry", Event::ToRegistry { conn, frame });
        }
        let to = match &frame.target_id {
            Some(target) => format!("registry ({target})"),
            None => "registry".to_owned(),
        };
        self.transcript
            .said(self.at, &from, &to, &frame.kind, &frame.payload);
        self.tell_registry(Input::Frame { conn, frame });
    }

    /// Hands the core an input and does what it says.
    pub(crate) fn tell_registry(&mut self, input: Input) {
        let now = self.now();
        let Some(core) = self.registry.core.as_mut() else {
            return;
        };
        core.handle(input, now);
        while let Some(output) = self.registry.core.as_mut().and_then(Core::poll) {
            self.do_for_registry(output);
        }
    }

    fn do_for_registry(&mut self, output: Output) {
        match output {
            Output::Send { to, frame, .. } => {
                for conn in to {
                    self.send_down(conn, frame.clone());
                }
            }
            Output::Close { conn, .. } => {
                if let Some(node) = self.registry.conns.remove(&conn)
                    && let Some(boot) = self.boot_of(&node)
                {
                    self.after(SIGNAL_MS, Event::Down { node, boot });
                }
            }
            Output::Reply { request, result } => {
                self.registry.answers.insert(request, result);
            }
            Output::Commit(batch) => {
                let result = self.registry.store.commit(&batch);
                // The only writer: a conflict is a bug of the core, and the world must not go on.
                result.expect("the core decided on what is stored");
            }
            Output::Lookup {
                lookup,
                task_ids,
                key,
            } => {
                let mut tasks = self.registry.store.find(&task_ids);
                tasks.extend(key.and_then(|key| self.registry.store.find_key(&key)));
                let now = self.now();
                if let Some(core) = self.registry.core.as_mut() {
                    core.handle(Input::Found { lookup, tasks }, now);
                }
            }
            Output::Note(_) => {}
        }
    }

    fn send_down(&mut self, conn: ConnId, frame: Box<SignalFrame>) {
        if let Some(node) = self.registry.conns.get(&conn).cloned() {
            let from = frame.peer_id.to_string();
            let extra = self.network.take_delay(&frame.kind, &from, &node);
            self.after(SIGNAL_MS + extra, Event::ToSidecar { conn, frame });
        }
    }

    /// A REST request, answered at once: its way to the registry and back is not simulated.
    pub(crate) fn rest(&mut self, who: &str, role: Role, op: Op) -> Result<Reply, Problem> {
        self.registry.last_request += 1;
        let request = RequestId(self.registry.last_request);
        let caller = caller(who, role);
        self.tell_registry(Input::Request {
            request,
            caller,
            op,
        });
        let away = || {
            let code = seamesh_proto::Code::RegistryUnavailable;
            Err(Problem::new(code, "the registry is away"))
        };
        self.registry.answers.remove(&request).unwrap_or_else(away)
    }

    pub(crate) fn submit(&mut self, who: &str, task: SubmitTask) {
        let told = match self.rest(who, Role::Operator, Op::SubmitTask(Box::new(task))) {
            Ok(Reply::Submitted(id)) => format!("accepted {}", self.transcript.name(id.as_str())),
            Ok(other) => format!("{other:?}"),
            Err(problem) => format!("refused {}", problem.code),
        };
        self.transcript
            .note(self.at, &format!("registry -> {who}: {told}"));
    }

    /// A REST agent beats and runs what the answer brings.
    pub(crate) fn rest_beat(&mut self, agent: &str) {
        let Some(model) = self.rest_agents.get(agent) else {
            return;
        };
        let Ok(agent_id) = agent.parse() else {
            return;
        };
        let body: HeartbeatBody = HeartbeatBody {
            skill_names: Some(model.skills.clone()),
            ..empty_beat(agent_id)
        };
        match self.rest(agent, Role::Agent, Op::Heartbeat(Box::new(body))) {
            Ok(Reply::Heartbeat(answer)) => {
                let body = json!({ "pending_tasks": answer.pending_tasks });
                self.transcript
                    .said(self.at, "registry", agent, "heartbeat answer", &body);
                for task in answer.pending_tasks {
                    self.rest_run(agent, &task);
                }
            }
            other => self
                .transcript
                .note(self.at, &format!("{agent}: {other:?}")),
        }
    }

    fn rest_run(&mut self, agent: &str, task: &Task) {
        let name = self.transcript.name(task.id.as_str());
        let text = format!("{agent} runs {name} attempt {}", task.attempt);
        self.transcript.note(self.at, &text);
        let model = self.rest_agents.get_mut(agent);
        if let Some(ms) = model.and_then(|m| m.run(&task.id, task.attempt)) {
            let done = Event::RestDone {
                agent: agent.to_owned(),
                task_id: task.id.clone(),
                attempt: task.attempt,
                lease: task.lease.unwrap_or_default(),
            };
            self.after(ms, done);
        }
    }

    pub(crate) fn rest_done(&mut self, agent: &str, task_id: TaskId, attempt: u32, lease: u64) {
        let update = TaskUpdate {
            state: TaskState::Completed,
            result: json!(format!("{agent}, attempt {attempt}")),
            error: String::new(),
            lease: Some(lease),
        };
        let name = self.transcript.name(task_id.as_str());
        let op = Op::UpdateTask {
            task_id,
            update: Box::new(update),
        };
        let told = match self.rest(agent, Role::Agent, op) {
            Ok(_) => "taken".to_owned(),
            Err(problem) => format!("refused {}", problem.code),
        };
        let text = format!("{agent} -> registry: result of {name} under lease {lease}: {told}");
        self.transcript.note(self.at, &text);
    }
}

fn caller(who: &str, role: Role) -> Caller {
    Caller {
        // Scripts name nodes with letters and digits.
        peer: who.parse().expect("a node's name is a valid id"),
        role,
    }
}

fn empty_beat(agent_id: seamesh_proto::AgentId) -> HeartbeatBody {
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
