//! A registry core with a store in memory, some sockets and some callers: what a shell would do, in one thread.

use std::collections::BTreeMap;

use seamesh_proto::agent::AgentInfo;
use seamesh_proto::rest::{HeartbeatBody, Role};
use seamesh_proto::signaling::{
    AgentRegister, ClientSignal, LeaseRef, Register, RegistrySignal, SignalFrame, TaskAck,
    TaskAssign, TaskDone, TaskResult,
};
use seamesh_proto::task::{Outcome, SubmitTask, Task};
use seamesh_proto::{Now, Problem, TaskId};
use seamesh_registry_core::store::Loaded;
use seamesh_registry_core::{
    Caller, Config, ConnId, Core, Input, MemoryStore, Note, Op, Output, Reply, RequestId,
};
use serde_json::json;

/// The world begins some time after the epoch, so that ages can be subtracted.
pub(crate) const START: u64 = 1_700_000_000_000;

pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) store: MemoryStore,
    pub(crate) now: Now,
    pub(crate) notes: Vec<Note>,
    pub(crate) closed: BTreeMap<ConnId, Problem>,
    /// Refuse the next commit, as a full disk would.
    pub(crate) disk_full: bool,
    /// Keep the store's answers back, as they were when it was asked.
    pub(crate) slow_store: bool,
    held_answers: Vec<Input>,
    /// Outputs of the last input, as they came.
    pub(crate) last: Vec<Output>,
    inbox: BTreeMap<ConnId, Vec<SignalFrame>>,
    replies: BTreeMap<RequestId, Result<Reply, Problem>>,
    conns: u64,
    requests: u64,
}

pub(crate) fn agent_role(peer: &str) -> Caller {
    Caller {
        peer: peer.parse().unwrap(),
        role: Role::Agent,
    }
}

pub(crate) fn operator() -> Caller {
    Caller {
        peer: "op".parse().unwrap(),
        role: Role::Operator,
    }
}

pub(crate) fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

pub(crate) fn info(agent: &str, skills: &[&str]) -> AgentInfo {
    serde_json::from_value(json!({
        "agent_id": agent, "hostname": "h", "capabilities": {"skills": skills},
    }))
    .unwrap()
}

pub(crate) fn beat(agent: &str) -> HeartbeatBody {
    serde_json::from_value(json!({ "agent_id": agent })).unwrap()
}

/// A task for a skill, under an id.
pub(crate) fn work(task: &str, skill: &str) -> SubmitTask {
    SubmitTask {
        task_id: Some(id(task)),
        skill: skill.to_owned(),
        ..SubmitTask::default()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let config = Config { seed: [7; 32] };
        Self {
            core: Core::new(config, Loaded::default(), Now(START)),
            store: MemoryStore::new(),
            now: Now(START),
            notes: Vec::new(),
            closed: BTreeMap::new(),
            disk_full: false,
            slow_store: false,
            held_answers: Vec::new(),
            last: Vec::new(),
            inbox: BTreeMap::new(),
            replies: BTreeMap::new(),
            conns: 0,
            requests: 0,
        }
    }

    /// Kills the registry and starts it again on the same disk. Every socket is gone.
    pub(crate) fn restart(&mut self) {
        let config = Config { seed: [8; 32] };
        self.core = Core::new(config, self.store.load(), self.now);
        self.inbox.clear();
        self.replies.clear();
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.core.handle(input, self.now);
        self.last.clear();
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll() {
            self.last.push(output.clone());
            match output {
                Output::Send { to, frame, .. } => {
                    for conn in to {
                        self.inbox.entry(conn).or_default().push(*frame.clone());
                    }
                }
                Output::Close { conn, problem } => {
                    self.closed.insert(conn, problem);
                }
                Output::Reply { request, result } => {
                    let before = self.replies.insert(request, result);
                    assert_eq!(before, None, "a request was answered twice");
                }
                Output::Commit(_) if self.disk_full => return self.fail_commit(),
                Output::Commit(batch) => self.store.commit(&batch).unwrap(),
                Output::Lookup {
                    lookup,
                    task_ids,
                    key,
                } => {
                    let mut tasks = self.store.find(&task_ids);
                    tasks.extend(key.and_then(|key| self.store.find_key(&key)));
                    let found = Input::Found { lookup, tasks };
                    match self.slow_store {
                        true => self.held_answers.push(found),
                        false => self.core.handle(found, self.now),
                    }
                }
                Output::Note(note) => self.notes.push(note),
            }
        }
    }

    /// The oldest answer that was kept back arrives.
    pub(crate) fn answer_lookup(&mut self) {
        let found = self.held_answers.remove(0);
        self.input(found);
    }

    /// What a shell does: nothing behind the failed commit leaves, waiting requests are told, the core reloads.
    fn fail_commit(&mut self) {
        self.disk_full = false;
        let problem = Problem::new(seamesh_proto::Code::StoreUnavailable, "the disk is full");
        while let Some(output) = self.core.poll() {
            if let Output::Reply { request, .. } = output {
                self.replies.insert(request, Err(problem.clone()));
            }
        }
        self.core.reload(self.store.load(), &problem, self.now);
        self.drain();
    }

    /// Lets time pass, deadline by deadline.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.now.plus(ms);
        while let Some((at, _)) = self.core.next_deadline().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = until;
    }

    pub(crate) fn connect(&mut self, peer: &str) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let caller = agent_role(peer);
        self.input(Input::Connected { conn, caller });
        conn
    }

    pub(crate) fn raw(&mut self, conn: ConnId, frame: serde_json::Value) {
        let frame = serde_json::from_value(frame).unwrap();
        self.input(Input::Frame { conn, frame });
    }

    pub(crate) fn say(&mut self, conn: ConnId, peer: &str, signal: &ClientSignal) {
        let frame = SignalFrame::from_client(peer.parse().unwrap(), None, signal);
        self.input(Input::Frame { conn, frame });
    }

    pub(crate) fn close(&mut self, conn: ConnId) {
        self.input(Input::Disconnected { conn });
    }

    /// A native sidecar connects and registers.
    pub(crate) fn sidecar(&mut self, peer: &str) -> ConnId {
        let conn = self.connect(peer);
        let register = ClientSignal::Register(Register { version: Some(1) });
        self.say(conn, peer, &register);
        conn
    }

    /// A native sidecar with an agent behind it. The peer is `p-<agent>`.
    pub(crate) fn agent(&mut self, agent: &str, skills: &[&str]) -> ConnId {
        let conn = self.sidecar(&peer(agent));
        self.register(conn, agent, skills, &[]);
        self.heard(conn);
        conn
    }

    pub(crate) fn register(
        &mut self,
        conn: ConnId,
        agent: &str,
        skills: &[&str],
        leases: &[LeaseRef],
    ) {
        let body = AgentRegister {
            agent: info(agent, skills),
            leases: leases.to_vec(),
        };
        self.say(conn, &peer(agent), &ClientSignal::AgentRegister(body));
    }

    pub(crate) fn result(
        &mut self,
        conn: ConnId,
        agent: &str,
        lease: &LeaseRef,
        result: &str,
    ) -> TaskAck {
        self.heard(conn);
        let signal = ClientSignal::TaskResult(TaskResult {
            task_id: lease.task_id.clone(),
            lease: lease.lease,
            outcome: Outcome::completed(json!(result)),
        });
        self.say(conn, &peer(agent), &signal);
        let acks = self
            .heard(conn)
            .into_iter()
            .find_map(|signal| match signal {
                RegistrySignal::TaskAck(ack) => Some(ack),
                _ => None,
            });
        acks.expect("a result is acknowledged")
    }

    /// What a socket was told since it was asked last.
    pub(crate) fn frames(&mut self, conn: ConnId) -> Vec<SignalFrame> {
        self.inbox.remove(&conn).unwrap_or_default()
    }

    pub(crate) fn heard(&mut self, conn: ConnId) -> Vec<RegistrySignal> {
        let frames = self.frames(conn);
        frames
            .iter()
            .map(|f| f.registry_signal().unwrap())
            .collect()
    }

    pub(crate) fn assigned(&mut self, conn: ConnId) -> Vec<TaskAssign> {
        let pick = |signal| match signal {
            RegistrySignal::TaskAssign(assign) => Some(assign),
            _ => None,
        };
        self.heard(conn).into_iter().filter_map(pick).collect()
    }

    pub(crate) fn done(&mut self, conn: ConnId) -> Vec<TaskDone> {
        let pick = |signal| match signal {
            RegistrySignal::TaskDone(done) => Some(done),
            _ => None,
        };
        self.heard(conn).into_iter().filter_map(pick).collect()
    }

    /// The problems a socket was told.
    pub(crate) fn errors(&mut self, conn: ConnId) -> Vec<Problem> {
        let pick = |signal| match signal {
            RegistrySignal::Error(problem) => Some(problem),
            _ => None,
        };
        self.heard(conn).into_iter().filter_map(pick).collect()
    }

    pub(crate) fn begin(&mut self, caller: Caller, op: Op) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.input(Input::Request {
            request,
            caller,
            op,
        });
        request
    }

    pub(crate) fn reply(&mut self, request: RequestId) -> Option<Result<Reply, Problem>> {
        self.replies.remove(&request)
    }

    pub(crate) fn ask(&mut self, caller: Caller, op: Op) -> Result<Reply, Problem> {
        let request = self.begin(caller, op);
        self.reply(request).expect("answered at once")
    }

    pub(crate) fn submit(&mut self, task: SubmitTask) -> TaskId {
        match self.ask(operator(), Op::SubmitTask(Box::new(task))) {
            Ok(Reply::Submitted(id)) => id,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub(crate) fn task(&mut self, task: &str) -> Task {
        match self.ask(operator(), Op::GetTask(id(task))) {
            Ok(Reply::Task(task)) => *task,
            other => panic!("no task: {other:?}"),
        }
    }

    /// A REST heartbeat; the peer is the agent's own.
    pub(crate) fn rest_beat(&mut self, body: HeartbeatBody) -> Vec<Task> {
        let caller = agent_role(&peer(body.agent_id.as_str()));
        match self.ask(caller, Op::Heartbeat(Box::new(body))) {
            Ok(Reply::Heartbeat(answer)) => answer.pending_tasks,
            other => panic!("no answer: {other:?}"),
        }
    }
}

pub(crate) fn peer(agent: &str) -> String {
    format!("p-{agent}")
}

pub(crate) fn lease(assign: &TaskAssign) -> LeaseRef {
    LeaseRef {
        task_id: assign.task_id.clone(),
        lease: assign.lease,
    }
}
