//! The registry's node: its core, its disk, and the store that outlives it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use seamesh_proto::rest::Role;
use seamesh_proto::signaling::SignalFrame;
use seamesh_proto::task::TaskState;
use seamesh_proto::{Code, Problem, TaskId};
use seamesh_registry_core::{
    Caller, Config, ConnId, Core, Input, MemoryStore, Note, Output, RequestId,
};

use crate::history::What;
use crate::network::{Name, SIGNAL_MS, SOCKET_IDLE_MS, Way};
use crate::rest::Asks;
use crate::sometimes::Sight;
use crate::world::{Event, REGISTRY, World};

/// The registry, which may be down.
pub(crate) struct RegistryNode {
    pub(crate) name: Name,
    pub(crate) core: Option<Core>,
    pub(crate) store: MemoryStore,
    /// Open sockets, by whom they lead to.
    pub(crate) conns: BTreeMap<ConnId, Name>,
    last_conn: u64,
    pub(crate) last_request: u64,
    boots: u8,
    /// Milliseconds that a commit takes.
    pub(crate) disk_ms: u64,
    /// The next commit fails.
    pub(crate) fails_next: bool,
    /// Outputs in their order; the first may be a commit under way.
    held: VecDeque<Output>,
    is_writing: bool,
    /// When it was down or stood still: from, to.
    pub(crate) outages: Vec<(u64, u64)>,
    /// Since when it is.
    pub(crate) out_since: Option<u64>,
    /// Tasks that were lost with a disk.
    pub(crate) void: BTreeSet<TaskId>,
    /// Idempotency keys were lost with it.
    pub(crate) is_key_void: bool,
    /// REST requests without an answer.
    pub(crate) asked: BTreeMap<RequestId, Asks>,
}

impl Default for RegistryNode {
    fn default() -> Self {
        Self {
            name: REGISTRY.into(),
            core: None,
            store: MemoryStore::default(),
            conns: BTreeMap::new(),
            last_conn: 0,
            last_request: 0,
            boots: 0,
            disk_ms: 0,
            fails_next: false,
            held: VecDeque::new(),
            is_writing: false,
            outages: Vec::new(),
            out_since: None,
            void: BTreeSet::new(),
            is_key_void: false,
            asked: BTreeMap::new(),
        }
    }
}

impl World {
    /// Starts the registry on its store, unless it runs.
    pub(crate) fn start_registry(&mut self) {
        if self.registry.core.is_some() {
            return;
        }
        self.registry_is_back();
        self.registry.boots = self.registry.boots.wrapping_add(1);
        let config = Config {
            seed: [self.registry.boots; 32],
        };
        let loaded = self.registry.store.load();
        if loaded.tasks.iter().any(|task| task.lease.is_some()) {
            self.sometimes.mark(Sight::RestartWithLease);
        }
        self.registry.core = Some(Core::new(config, loaded, self.now()));
    }

    pub(crate) fn registry_is_back(&mut self) {
        if let Some(since) = self.registry.out_since.take() {
            self.registry.outages.push((since, self.at));
        }
    }

    /// Kills the registry: its store stays as far as it was written, its sockets end.
    pub(crate) fn crash_registry(&mut self) {
        if self.registry.core.take().is_none() {
            return;
        }
        if self.registry.is_writing {
            self.sometimes.mark(Sight::DiedInCommit);
        }
        self.registry.out_since.get_or_insert(self.at);
        self.forget_paused(REGISTRY);
        self.registry.held.clear();
        self.registry.is_writing = false;
        for (_, asks) in std::mem::take(&mut self.registry.asked) {
            self.rest_lost(&asks);
        }
        for (conn, node) in std::mem::take(&mut self.registry.conns) {
            self.hang_up_on(node, conn);
        }
    }

    /// Kills the registry, and its disk with it. Promises about the tasks that anybody knew are void.
    pub(crate) fn wipe_registry(&mut self) {
        self.crash_registry();
        self.sometimes.mark(Sight::DiskLost);
        let store = std::mem::take(&mut self.registry.store);
        let stored = store.tasks().map(|task| task.spec.id.clone());
        self.registry.void.extend(stored);
        let known = self
            .history
            .facts()
            .iter()
            .filter_map(|fact| match &fact.what {
                What::Started(run) => Some(run.task.clone()),
                What::Accepted(accepted) => Some(accepted.task.clone()),
                _ => None,
            });
        self.registry.void.extend(known);
        self.registry.is_key_void = true;
    }

    /// A sidecar learns that its socket ended; not while the network is cut.
    fn hang_up_on(&mut self, node: Name, conn: ConnId) {
        let Some(boot) = self.boot_of(&node) else {
            return;
        };
        let conn = Some(conn);
        let registry = self.registry.name.clone();
        let down = Event::Down {
            node: node.clone(),
            boot,
            conn,
        };
        match self.network.is_blocked(&registry, &node) {
            true => self.hold(&registry, &node, down),
            false => self.after(SIGNAL_MS, down),
        }
    }

    pub(crate) fn dial_registry(&mut self, node: &Name, boot: u32) {
        if self.boot_of(node) != Some(boot) {
            return;
        }
        let node = node.clone();
        let reachable = self.registry.core.is_some() && !self.network.is_cut(&node, REGISTRY);
        if !reachable {
            let conn = None;
            return self.after(SIGNAL_MS, Event::Down { node, boot, conn });
        }
        self.registry.last_conn += 1;
        let conn = ConnId(self.registry.last_conn);
        self.registry.conns.insert(conn, node.clone());
        if let Some(node) = self.sidecars.get_mut(&node) {
            node.dialing = Some(conn);
        }
        let caller = caller(&node, Role::Agent);
        let ms = self.network.takes(SIGNAL_MS);
        let at = self.network.arrival(Way::Down(conn), self.at, ms);
        self.at_time(at, Event::Up { node, conn }, false);
        self.tell_registry(Input::Connected { conn, caller });
    }

    pub(crate) fn hang_up(&mut self, conn: ConnId) {
        if let Some(node) = self.registry.conns.get(&conn)
            && self.network.is_blocked(node, REGISTRY)
        {
            return self.after(SOCKET_IDLE_MS, Event::Idle { conn });
        }
        if self.registry.conns.remove(&conn).is_some() {
            self.tell_registry(Input::Disconnected { conn });
        }
    }

    /// The registry has heard nothing on a socket for as long as it waits.
    pub(crate) fn socket_idle(&mut self, conn: ConnId) {
        let Some(node) = self.registry.conns.get(&conn).cloned() else {
            return;
        };
        let is_served = self.sidecars.get(&node).and_then(|n| n.conn) == Some(conn);
        let is_heard = is_served && !self.network.is_cut(&node, REGISTRY) && !self.is_paused(&node);
        if !is_heard {
            self.registry.conns.remove(&conn);
            self.hang_up_on(node, conn);
            self.tell_registry(Input::Disconnected { conn });
        }
    }

    pub(crate) fn frame_to_registry(&mut self, conn: ConnId, frame: SignalFrame) {
        let Some(from) = self.registry.conns.get(&conn).cloned() else {
            return;
        };
        if self.network.is_blocked(&from, REGISTRY) {
            let registry = self.registry.name.clone();
            return self.hold(&from, &registry, Event::ToRegistry { conn, frame });
        }
        let to = match &frame.target_id {
            Some(target) => format!("registry ({target})"),
            None => REGISTRY.to_owned(),
        };
        self.transcript
            .said(self.at, &from, &to, &frame.kind, || frame.payload.clone());
        self.tell_registry(Input::Frame { conn, frame });
    }

    /// Hands the core an input and does what it says.
    pub(crate) fn tell_registry(&mut self, input: Input) {
        let now = self.now();
        let Some(core) = self.registry.core.as_mut() else {
            return;
        };
        core.handle(input, now);
        self.take_outputs();
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.registry.core.as_mut().and_then(Core::poll) {
            match output {
                Output::Send { urgent: true, .. } => self.do_for_registry(output),
                output => self.registry.held.push_back(output),
            }
        }
        self.go_on_writing();
    }

    /// Does what no commit under way holds back.
    fn go_on_writing(&mut self) {
        while !self.registry.is_writing {
            let Some(output) = self.registry.held.pop_front() else {
                return;
            };
            if matches!(output, Output::Commit(_)) && self.registry.disk_ms > 0 {
                self.registry.held.push_front(output);
                self.registry.is_writing = true;
                let boot = u32::from(self.registry.boots);
                let ms = self.registry.disk_ms;
                return self.after(ms, Event::Written { boot });
            }
            self.do_for_registry(output);
        }
    }

    /// The disk has the batch.
    pub(crate) fn written(&mut self, boot: u32) {
        if !self.registry.is_writing || boot != u32::from(self.registry.boots) {
            return;
        }
        self.registry.is_writing = false;
        if let Some(output) = self.registry.held.pop_front() {
            self.do_for_registry(output);
        }
        self.go_on_writing();
    }

    fn do_for_registry(&mut self, output: Output) {
        match output {
            Output::Send { to, frame, .. } => {
                for conn in to {
                    self.send_down(conn, frame.clone());
                }
            }
            Output::Close { conn, .. } => {
                if let Some(node) = self.registry.conns.remove(&conn) {
                    self.hang_up_on(node, conn);
                }
            }
            Output::Reply { request, result } => {
                if let Some(asks) = self.registry.asked.remove(&request) {
                    self.rest_answered(asks, result);
                }
            }
            Output::Commit(batch) => {
                if std::mem::take(&mut self.registry.fails_next) {
                    return self.commit_failed();
                }
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
                self.tell_registry(Input::Found { lookup, tasks });
            }
            Output::Note(note) => self.noted(&note),
        }
    }

    /// What waited for the batch never happened; the core starts again from what the store holds.
    fn commit_failed(&mut self) {
        self.sometimes.mark(Sight::CommitFailed);
        let problem = Problem::new(Code::StoreUnavailable, "the store did not take it");
        for output in std::mem::take(&mut self.registry.held) {
            match output {
                Output::Reply { request, .. } => {
                    if let Some(asks) = self.registry.asked.remove(&request) {
                        self.rest_answered(asks, Err(problem.clone()));
                    }
                }
                Output::Close { .. } => self.do_for_registry(output),
                _ => {}
            }
        }
        let (loaded, now) = (self.registry.store.load(), self.now());
        if let Some(core) = self.registry.core.as_mut() {
            core.reload(loaded, &problem, now);
        }
        self.take_outputs();
    }

    fn noted(&mut self, note: &Note) {
        match note {
            Note::StaleResult { .. } => self.sometimes.mark(Sight::LapsedInFlight),
            Note::LeaseLapsed { .. } => self.sometimes.mark(Sight::LeaseLapsed),
            _ => {}
        }
    }

    fn send_down(&mut self, conn: ConnId, frame: Box<SignalFrame>) {
        let Some(node) = self.registry.conns.get(&conn).cloned() else {
            return;
        };
        let from = frame.peer_id.as_str();
        let extra = self.network.take_delay(&frame.kind, from, &node);
        let ms = self.network.takes(SIGNAL_MS) + extra;
        // A frame that the script delays is overtaken: the tests of early candidates need that.
        let at = match extra {
            0 => self.network.arrival(Way::Down(conn), self.at, ms),
            _ => self.at + ms,
        };
        self.at_time(at, Event::ToSidecar { conn, frame }, false);
    }

    /// Marks how the tasks of the run ended.
    pub(crate) fn look_at_tasks(&mut self) {
        let ends: Vec<Code> = self
            .registry
            .store
            .tasks()
            .filter(|task| task.state == TaskState::Failed)
            .filter_map(|task| Some(task.outcome.as_ref()?.error.as_ref()?.code))
            .collect();
        for code in ends {
            match code {
                Code::Expired => self.sometimes.mark(Sight::Expired),
                Code::DeadlineExceeded => self.sometimes.mark(Sight::DeadlineMissed),
                Code::AttemptsExhausted => self.sometimes.mark(Sight::AttemptsExhausted),
                _ => {}
            }
        }
    }
}

pub(crate) fn caller(who: &str, role: Role) -> Caller {
    Caller {
        // Scripts name nodes with letters and digits.
        peer: who.parse().expect("a node's name is a valid id"),
        role,
    }
}
