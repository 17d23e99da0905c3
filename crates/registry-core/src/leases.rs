//! Leases: one agent's right to end a task, numbered (the fencing token), renewed, and lapsing.
//!
//! An attempt is one hand-out. After a direct attempt the same agent gets the task under the same attempt number, so
//! that it answers from what it remembers and never runs it twice; any other hand-out counts up.

use seamesh_proto::limits::{HTTP_LEASE_TTL_MS, LEASE_TTL_MS};
use seamesh_proto::signaling::{LeaseRef, RegistrySignal, TaskAssign, TaskRevoke};
use seamesh_proto::task::{Outcome, TaskState};
use seamesh_proto::{AgentId, Code, Now, TaskId};

use crate::delay::pause_ms;
use crate::dispatch::Core;
use crate::io::{ConnId, Note};
use crate::store::{Lease, StoredTask, Talk};
use crate::timers::Timer;

/// How a task reaches its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handout {
    /// Pushed over this socket.
    Push(ConnId),
    /// In the answer to the agent's own heartbeat.
    Answer,
}

impl Handout {
    fn ttl_ms(self) -> u64 {
        match self {
            Self::Push(_) => LEASE_TTL_MS,
            Self::Answer => HTTP_LEASE_TTL_MS,
        }
    }
}

/// How a lease ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lapsed {
    /// Its time was over.
    NotRenewed,
    /// Its holder gave the work back.
    HandedBack,
    /// Its holder went away.
    Gone,
    /// Its holder started anew, or named what it holds, and this was not among it.
    NotNamed,
}

impl Core {
    /// Gives a pending task to an agent under a new lease.
    pub(crate) fn assign(&mut self, task_id: &TaskId, agent_id: &AgentId, how: Handout) {
        let now = self.now;
        let Some(agent) = self.agents.get_mut(agent_id) else {
            return;
        };
        let Some(live) = self.tasks.get_mut(task_id) else {
            return;
        };
        self.queue.remove(&live.task.spec, live.order);
        agent.held.insert(task_id.clone());
        let ttl_ms = how.ttl_ms();
        let task = &mut live.task;
        task.attempt = match task.direct.take() {
            Some(direct)
                if direct.agent_id == *agent_id
                    && direct.instance == agent.stored.info.instance =>
            {
                task.attempt
            }
            _ => task.attempt + 1,
        };
        task.last_lease += 1;
        task.not_before_ms = None;
        let lease = Lease {
            number: task.last_lease,
            agent_id: agent_id.clone(),
            peer: agent.stored.owner.clone(),
            ttl_ms,
        };
        task.state = TaskState::Assigned;
        task.assigned = Some(agent_id.clone());
        task.started_ms = Some(now.0);
        if let Handout::Push(conn) = how {
            let assign = RegistrySignal::TaskAssign(assign_body(task, &lease, now));
            self.out.send(vec![conn], &assign);
        }
        task.lease = Some(lease);
        self.timers
            .set(Timer::Lapse(task_id.clone()), now.plus(ttl_ms));
        self.write_task(task_id);
    }

    /// Hands a pending task to the best agent that can be reached now. REST agents come and fetch.
    pub(crate) fn place(&mut self, task_id: &TaskId) {
        let Some(live) = self.tasks.get(task_id) else {
            return;
        };
        let not_before = Now(live.task.not_before_ms.unwrap_or(0));
        if live.task.state != TaskState::Pending || not_before > self.now {
            return;
        }
        let task = &live.task;
        let direct = task.direct.as_ref().map(|d| &d.agent_id);
        let choice = match &task.spec.target {
            Some(target) if self.is_kept_out(&task.spec) => {
                let target = target.clone();
                return self.end_kept_out(task_id, &target);
            }
            Some(target) => Some(target.clone()),
            None => self.agents.choose_able(&task.spec, direct),
        };
        if let Some((agent_id, conn)) = choice.and_then(|id| self.able_conn(id)) {
            self.assign(task_id, &agent_id, Handout::Push(conn));
        }
    }

    fn able_conn(&self, id: AgentId) -> Option<(AgentId, ConnId)> {
        let agent = self.agents.get(&id).filter(|agent| agent.is_able())?;
        agent.conn.map(|conn| (id, conn))
    }

    /// An agent became able, or has room again: it gets what waits for it.
    pub(crate) fn fill(&mut self, id: &AgentId) {
        while let Some((agent_id, conn)) = self.able_conn(id.clone()) {
            let Some(task_id) = self.next_for(&agent_id) else {
                break;
            };
            self.assign(&task_id, &agent_id, Handout::Push(conn));
        }
    }

    /// Renews a lease that an agent names over its socket; one that is over is revoked, so that the work stops.
    pub(crate) fn renew(&mut self, conn: ConnId, agent_id: &AgentId, lease: &LeaseRef) {
        if self.holds(&lease.task_id, agent_id, lease.lease) {
            self.extend(&lease.task_id);
        } else {
            self.revoke(conn, &lease.task_id, lease.lease, Code::LeaseStale);
        }
    }

    /// Lets a live lease run its full time again.
    pub(crate) fn extend(&mut self, task_id: &TaskId) {
        let ttl_ms = self.lease_ttl(task_id);
        if ttl_ms > 0 {
            self.timers
                .set(Timer::Lapse(task_id.clone()), self.now.plus(ttl_ms));
        }
    }

    fn holds(&self, task_id: &TaskId, agent_id: &AgentId, number: u64) -> bool {
        let lease = self.tasks.get(task_id).and_then(|l| l.task.lease.as_ref());
        lease.is_some_and(|l| l.number == number && l.agent_id == *agent_id)
    }

    /// Milliseconds a task's live lease lives without renewal; 0 without a lease.
    pub(crate) fn lease_ttl(&self, task_id: &TaskId) -> u64 {
        let lease = self.tasks.get(task_id).and_then(|l| l.task.lease.as_ref());
        lease.map_or(0, |l| l.ttl_ms)
    }

    /// Milliseconds since a task was handed out last.
    pub(crate) fn held_for(&self, task_id: &TaskId) -> u64 {
        let started = self.tasks.get(task_id).and_then(|l| l.task.started_ms);
        self.now.since(Now(started.unwrap_or(self.now.0)))
    }

    /// A lease ends without a result: the task waits again, for some time when it did so before, or has failed for good. With `revoke` its holder is told.
    pub(crate) fn lapse(&mut self, task_id: &TaskId, how: Lapsed, revoke: bool) {
        let Some(live) = self.tasks.get_mut(task_id) else {
            return;
        };
        let Some(lease) = live.task.lease.take() else {
            return;
        };
        live.lapsed = Some(how);
        self.timers.cancel(&Timer::Lapse(task_id.clone()));
        live.task.talk = Talk::default();
        live.progress = None;
        let exhausted = live.task.attempt >= live.task.spec.max_attempts;
        if !exhausted {
            live.task.state = TaskState::Pending;
            // The first lease has number 1 and none is left out: its number counts those that ended.
            let pause = pause_ms(lease.number);
            live.task.not_before_ms = (pause > 0).then(|| self.now.plus(pause).0);
            self.enqueue(task_id);
        }
        let holder = self.agents.get_mut(&lease.agent_id);
        let conn = holder.and_then(|agent| {
            agent.held.remove(task_id);
            agent.conn
        });
        if let Some(conn) = conn.filter(|_| revoke) {
            self.revoke(conn, task_id, lease.number, Code::LeaseStale);
        }
        self.out.note(Note::LeaseLapsed {
            task_id: task_id.clone(),
            lease: lease.number,
            agent_id: lease.agent_id.clone(),
        });
        if exhausted {
            let detail = "every attempt ended without a result";
            let outcome = Outcome::failed(Code::AttemptsExhausted, detail);
            self.finish(task_id, outcome, None);
        } else {
            self.write_task(task_id);
            self.place(task_id);
        }
        self.fill(&lease.agent_id);
    }

    /// Ends every lease of an agent.
    pub(crate) fn lapse_all_of(&mut self, id: &AgentId, how: Lapsed, revoke: bool) {
        let held = self.agents.get(id).map(|agent| agent.held.clone());
        for task_id in held.unwrap_or_default() {
            self.lapse(&task_id, how, revoke);
        }
    }

    /// Tells a holder that its lease is over.
    pub(crate) fn revoke(&mut self, conn: ConnId, task_id: &TaskId, lease: u64, code: Code) {
        let revoke = RegistrySignal::TaskRevoke(TaskRevoke {
            task_id: task_id.clone(),
            lease,
            code,
        });
        self.out.send(vec![conn], &revoke);
    }
}

fn assign_body(task: &StoredTask, lease: &Lease, now: Now) -> TaskAssign {
    TaskAssign {
        task_id: task.spec.id.clone(),
        agent_id: lease.agent_id.clone(),
        skill: task.spec.skill.clone(),
        payload: task.spec.payload.clone(),
        source_agent_id: task.spec.source.clone(),
        attempt: task.attempt,
        lease: lease.number,
        lease_ttl_ms: lease.ttl_ms,
        listens: task.spec.listens,
        timeout_ms: task.ends().since(now),
        lineage: task.spec.lineage.clone(),
    }
}
