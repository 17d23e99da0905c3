//! Tasks: accepted, shown, canceled, expired, ended. Only live ones are in memory; a task that ended is in the store.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::events::MeshEvent;
use seamesh_proto::payload::Payload;
use seamesh_proto::rest::Role;
use seamesh_proto::signaling::{RegistrySignal, TaskDone};
use seamesh_proto::talk::Progress;
use seamesh_proto::task::{Outcome, Path, Task, TaskState};
use seamesh_proto::{Code, Now, Problem, TaskId, TraceContext};
use serde_json::Value;

use crate::dispatch::Core;
use crate::io::{Caller, ConnId, Note, Reply, RequestId};
use crate::leases::Lapsed;
use crate::limits::PROGRESS_EVENT_MS;
use crate::reason::ended_reason;
use crate::store::{StoredTask, Talk, TaskKey, TaskSpec, Write};
use crate::timers::Timer;

/// A task that has not ended, with what only lives in memory.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) task: StoredTask,
    /// Its place in the order of acceptance; kept when it is handed out again.
    pub(crate) order: u64,
    /// Sockets that asked for its end.
    pub(crate) watchers: BTreeSet<ConnId>,
    /// Requests that wait for its end.
    pub(crate) waiters: BTreeSet<RequestId>,
    /// How far its handler is, as it told last. Not stored: it is worth nothing after a restart.
    pub(crate) progress: Option<Progress>,
    /// When watchers were last told of it.
    pub(crate) progress_told: Now,
    /// Every task that named it as its parent, live or ended.
    pub(crate) children: BTreeSet<TaskId>,
    /// How its last lease ended without a result, as far as this process saw it.
    pub(crate) lapsed: Option<Lapsed>,
}

/// The live tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    live: BTreeMap<TaskId, Live>,
    keys: BTreeMap<TaskKey, TaskId>,
    waiting: BTreeMap<RequestId, TaskId>,
    accepted: u64,
}

impl Tasks {
    pub(crate) fn get(&self, id: &TaskId) -> Option<&Live> {
        self.live.get(id)
    }

    /// The live task that its submitter named so.
    pub(crate) fn named(&self, key: &TaskKey) -> Option<&Live> {
        self.live.get(self.keys.get(key)?)
    }

    pub(crate) fn get_mut(&mut self, id: &TaskId) -> Option<&mut Live> {
        self.live.get_mut(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    /// Adds a task at the end of the order.
    pub(crate) fn add(&mut self, task: StoredTask) {
        self.accepted += 1;
        let order = self.accepted;
        let live = Live {
            order,
            watchers: BTreeSet::new(),
            waiters: BTreeSet::new(),
            progress: None,
            progress_told: Now(0),
            children: BTreeSet::new(),
            lapsed: None,
            task,
        };
        let id = live.task.spec.id.clone();
        if let Some(key) = live.task.spec.key() {
            self.keys.insert(key, id.clone());
        }
        self.live.insert(id, live);
    }

    /// Counts a task among those that its parent asked for, if that lives.
    pub(crate) fn add_child(&mut self, child: &TaskSpec) {
        let parent = child.lineage.parent_id.as_ref();
        if let Some(live) = parent.and_then(|id| self.live.get_mut(id)) {
            live.children.insert(child.id.clone());
        }
    }

    fn remove(&mut self, id: &TaskId) -> Option<Live> {
        let live = self.live.remove(id)?;
        if let Some(key) = live.task.spec.key() {
            self.keys.remove(&key);
        }
        for request in &live.waiters {
            self.waiting.remove(request);
        }
        Some(live)
    }

    /// Remembers that `conn` asked for a task's end. `false`: no such live task.
    pub(crate) fn watch(&mut self, id: &TaskId, conn: ConnId) -> bool {
        self.live
            .get_mut(id)
            .map(|live| live.watchers.insert(conn))
            .is_some()
    }

    pub(crate) fn unwatch(&mut self, id: &TaskId, conn: ConnId) {
        if let Some(live) = self.live.get_mut(id) {
            live.watchers.remove(&conn);
        }
    }

    /// Remembers that `request` waits for a live task's end.
    pub(crate) fn wait(&mut self, id: &TaskId, request: RequestId) {
        if let Some(live) = self.live.get_mut(id) {
            live.waiters.insert(request);
            self.waiting.insert(request, id.clone());
        }
    }

    /// Forgets a request that waited; answers its task.
    pub(crate) fn stop_waiting(&mut self, request: RequestId) -> Option<&Live> {
        let id = self.waiting.remove(&request)?;
        let live = self.live.get_mut(&id)?;
        live.waiters.remove(&request);
        Some(live)
    }

    /// Every request that waits.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = RequestId> + '_ {
        self.waiting.keys().copied()
    }

    pub(crate) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }
}

impl Live {
    /// The task as it is told.
    pub(crate) fn view(&self) -> Task {
        Task {
            progress: self.progress.clone(),
            ..self.task.view()
        }
    }

    /// What watchers are told of it.
    fn changed(&self) -> MeshEvent {
        MeshEvent::TaskChanged(Box::new(Task {
            progress: self.progress.clone(),
            ..self.task.summary()
        }))
    }
}

impl StoredTask {
    /// When its TTL ends.
    pub fn expires(&self) -> Now {
        Now(self.spec.created_ms).plus(self.spec.ttl_s.saturating_mul(1000))
    }

    /// When it fails if it has not ended by then: its TTL or its deadline, whichever is sooner.
    pub fn ends(&self) -> Now {
        let deadline = self.spec.deadline_ms.map_or(Now(u64::MAX), Now);
        self.expires().min(deadline)
    }

    /// The task as it is told.
    pub fn view(&self) -> Task {
        Task {
            payload: self.spec.payload.clone(),
            result: self.result(),
            ..self.summary()
        }
    }

    /// The task without payload and result: what lists and events tell.
    pub fn summary(&self) -> Task {
        let spec = &self.spec;
        let error = self.outcome.as_ref().and_then(|o| o.error.as_ref());
        Task {
            id: spec.id.clone(),
            skill: spec.skill.clone(),
            target_agent_id: spec
                .target
                .as_ref()
                .map_or_else(String::new, |t| t.to_string()),
            source_agent_id: spec.source.clone(),
            assigned_agent_id: self
                .assigned
                .as_ref()
                .map_or_else(String::new, |a| a.to_string()),
            payload: Payload::EMPTY,
            state: self.state,
            result: Value::String(String::new()),
            error: error.map_or_else(String::new, |e| e.message.clone()),
            created_at: Now(spec.created_ms).seconds(),
            updated_at: Now(self.updated_ms).seconds(),
            ttl: spec.ttl_s,
            error_code: error.map(|e| e.code),
            path: spec.path,
            attempt: self.attempt,
            max_attempts: spec.max_attempts,
            lease: self.lease.as_ref().map(|l| l.number),
            started_at: self.started_ms.map(|ms| Now(ms).seconds()),
            priority: spec.priority,
            not_before_at: self.not_before_ms.map(|ms| Now(ms).seconds()),
            progress: None,
            question: self.talk.question.clone(),
            deadline_at: spec.deadline_ms.map(|ms| Now(ms).seconds()),
            reason: None,
            run_traceparent: None,
            lineage: spec.lineage.clone(),
        }
    }

    /// The span of its present or last run.
    pub(crate) fn run_span(&self) -> Option<TraceContext> {
        let spec = &self.spec;
        let span = || TraceContext::of_run(&spec.id, self.attempt, &spec.lineage);
        (self.attempt > 0).then(span)
    }

    /// Existing clients read `""` where there is no result. Direct work is reported without one.
    fn result(&self) -> Value {
        match &self.outcome {
            Some(outcome)
                if outcome.state == TaskState::Completed && self.spec.path == Path::Queue =>
            {
                outcome.result.clone()
            }
            _ => Value::String(String::new()),
        }
    }

    /// Its end as a submitter is told it; `None` while it lives.
    pub(crate) fn done(&self) -> Option<TaskDone> {
        Some(TaskDone {
            task_id: self.spec.id.clone(),
            outcome: self.outcome.clone()?,
            agent_id: self
                .assigned
                .as_ref()
                .map_or_else(String::new, |a| a.to_string()),
            path: self.spec.path,
        })
    }
}

pub(crate) fn unknown_task(id: &TaskId) -> Problem {
    Problem::new(Code::TaskUnknown, format!("there is no task {id}"))
}

impl Core {
    /// Writes a live task that was changed in memory, and tells of it.
    pub(crate) fn write_task(&mut self, id: &TaskId) {
        let now = self.now;
        if let Some(live) = self.tasks.get_mut(id) {
            let expected = live.task.version;
            live.task.version += 1;
            live.task.updated_ms = now.0;
            let task = Box::new(live.task.clone());
            let event = live.changed();
            self.out.write(Write::PutTask { expected, task });
            self.out.event(event);
        }
    }

    /// Watchers are told how far a handler is: at once, and then at most once in [`PROGRESS_EVENT_MS`], the last word
    /// always.
    pub(crate) fn tell_progress(&mut self, id: &TaskId) {
        let now = self.now;
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        let next = live.progress_told.plus(PROGRESS_EVENT_MS);
        if live.progress.is_none() {
            return;
        }
        if now < next {
            return self.timers.set(Timer::Progress(id.clone()), next);
        }
        live.progress_told = now;
        let event = live.changed();
        self.out.event(event);
    }

    /// A task ends: it leaves memory, and everybody who waits for its end is told.
    pub(crate) fn finish(&mut self, id: &TaskId, outcome: Outcome, ended_by: Option<u64>) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        self.queue.remove(&live.task.spec, live.order);
        let task = &mut live.task;
        task.state = outcome.state;
        task.not_before_ms = None;
        task.talk = Talk::default();
        task.outcome = Some(outcome);
        task.ended_by = ended_by;
        live.progress = None;
        let holder = task.lease.take().map(|lease| lease.agent_id);
        self.timers.cancel(&Timer::Expire(id.clone()));
        self.timers.cancel(&Timer::Lapse(id.clone()));
        self.timers.cancel(&Timer::Ready(id.clone()));
        self.timers.cancel(&Timer::Progress(id.clone()));
        self.write_task(id);
        if let Some(live) = self.tasks.remove(id) {
            self.lookups.task_ended(&live.task.spec);
            self.stream_ended(id);
            self.tell_end(live);
        }
        if let Some(holder) = holder {
            if let Some(agent) = self.agents.get_mut(&holder) {
                agent.held.remove(id);
            }
            self.fill(&holder);
        }
    }

    fn tell_end(&mut self, live: Live) {
        let Live {
            task,
            mut watchers,
            waiters,
            ..
        } = live;
        for conn in &watchers {
            if let Some(socket) = self.relay.get_mut(*conn) {
                socket.watches.remove(&task.spec.id);
            }
        }
        watchers.extend(self.relay.native_route(&task.spec.submitter));
        if let Some(done) = task.done() {
            let to = watchers.into_iter().collect();
            self.out.send(to, &RegistrySignal::TaskDone(done));
        }
        for request in waiters {
            self.timers.cancel(&Timer::Wait(request));
            let reason = Some(ended_reason(&task));
            let reply = Reply::Task(Box::new(Task {
                reason,
                run_traceparent: task.run_span(),
                ..task.view()
            }));
            self.out.reply(request, Ok(reply));
        }
    }

    /// A task ends though its holder may still work on it: the holder is told to stop.
    pub(crate) fn end_from_outside(&mut self, id: &TaskId, outcome: Outcome, code: Code) {
        let lease = self.tasks.get(id).and_then(|l| l.task.lease.clone());
        if let Some(lease) = lease
            && let Some(conn) = self.agents.get(&lease.agent_id).and_then(|a| a.conn)
        {
            self.revoke(conn, id, lease.number, code);
        }
        self.finish(id, outcome, None);
    }

    /// A task's TTL or its deadline ended.
    pub(crate) fn expire(&mut self, id: &TaskId) {
        let task_id = id.clone();
        self.out.note(Note::TaskExpired { task_id });
        let is_expired = |live: &Live| live.task.expires() <= self.now;
        let (code, text) = match self.tasks.get(id).is_none_or(is_expired) {
            // Existing clients know this text.
            true => (Code::Expired, "TTL expired"),
            false => (Code::DeadlineExceeded, "its deadline passed"),
        };
        self.end_from_outside(id, Outcome::failed(code, text), code);
    }

    /// Cancels a live task: its submitter may, and an operator.
    pub(crate) fn cancel(&mut self, caller: &Caller, id: &TaskId) -> Result<(), Problem> {
        let live = self.tasks.get(id).ok_or_else(|| unknown_task(id))?;
        if caller.role < Role::Operator && live.task.spec.submitter != caller.peer {
            let detail = "only its submitter or an operator cancels a task";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        let outcome = Outcome::canceled("canceled by its submitter or an operator");
        self.end_from_outside(id, outcome, Code::Canceled);
        Ok(())
    }
}
