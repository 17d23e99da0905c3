//! How fresh an agent is: heartbeats, and what their absence means.
//!
//! `active` becomes `stale` after [`STALE_AFTER_MS`] without a beat, `offline` after [`OFFLINE_AFTER_MS`]. An agent
//! whose signaling socket closed and did not come back within its grace is `stale` at once: its next beat cannot come.
//! One whose sidecar says that it is away is `offline` at once.

use seamesh_proto::agent::Health;
use seamesh_proto::events::{AgentHealth, MeshEvent};
use seamesh_proto::limits::{
    HTTP_LEASE_TTL_MS, INPUT_GRACE_MS, LEASE_TTL_MS, OFFLINE_AFTER_MS, STALE_AFTER_MS,
};
use seamesh_proto::rest::{HeartbeatAnswer, HeartbeatBody};
use seamesh_proto::signaling::{AgentUp, Heartbeat, LeaseRef, RegistrySignal};
use seamesh_proto::task::TaskState;
use seamesh_proto::{AgentId, Now, Problem, Task, TaskId};

use crate::agents::{elsewhere, unknown_agent};
use crate::dispatch::Core;
use crate::io::{Caller, ConnId};
use crate::leases::{Handout, Lapsed};
use crate::limits::{BEAT_WRITE_MS, BLIND_RENEWAL_MS};
use crate::roster::Agent;
use crate::tasks::Live;
use crate::timers::Timer;

/// An agent's health at `now`, and when it would change without a beat.
fn judge(agent: &Agent, now: Now) -> (Health, Option<Now>) {
    let age = now.since(agent.beat);
    let stale_at = agent.beat.plus(STALE_AFTER_MS + 1);
    let offline_at = agent.beat.plus(OFFLINE_AFTER_MS + 1);
    if agent.stored.away || age > OFFLINE_AFTER_MS {
        (Health::Offline, None)
    } else if agent.silent || age > STALE_AFTER_MS {
        (Health::Stale, Some(offline_at))
    } else {
        (Health::Active, Some(stale_at))
    }
}

impl Core {
    /// The agent lives.
    pub(crate) fn beat(&mut self, id: &AgentId) {
        let now = self.now;
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        agent.beat = now;
        agent.silent = false;
        if now.0.saturating_sub(agent.stored.last_heartbeat_ms) >= BEAT_WRITE_MS {
            self.write_agent(id);
        }
        self.refresh_health(id);
    }

    /// Works an agent's health out anew and tells of a change.
    pub(crate) fn refresh_health(&mut self, id: &AgentId) {
        let now = self.now;
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let (health, changes_at) = judge(agent, now);
        let before = std::mem::replace(&mut agent.health, health);
        let record = (before != health).then(|| agent.record());
        match changes_at {
            Some(at) => self.timers.set(Timer::Health(id.clone()), at),
            None => self.timers.cancel(&Timer::Health(id.clone())),
        }
        // A record that is announced anyway carries its health.
        if let Some(record) = record.filter(|_| !self.announced.contains(id)) {
            let agent_id = id.clone();
            let change = AgentHealth { agent_id, health };
            self.out.event(MeshEvent::AgentHealth(change));
            let up = RegistrySignal::AgentUp(AgentUp { agent: record });
            self.out.send(self.relay.natives(), &up);
        }
        if health == Health::Active && before != health {
            self.fill(id);
        }
    }

    /// The health of every agent after a start, told to nobody: it is what a fresh reader sees.
    pub(crate) fn judge_loaded(&mut self) {
        let ids: Vec<AgentId> = self.agents.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            let now = self.now;
            if let Some(agent) = self.agents.get_mut(&id) {
                let (health, changes_at) = judge(agent, now);
                agent.health = health;
                if let Some(at) = changes_at {
                    self.timers.set(Timer::Health(id), at);
                }
            }
        }
    }

    /// An agent's socket closed and did not come back in time: its pushed work moves on.
    pub(crate) fn grace_ended(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        agent.silent = true;
        let held = agent.held.clone();
        self.refresh_health(id);
        for task_id in held {
            if self.lease_ttl(&task_id) != LEASE_TTL_MS {
                continue;
            }
            let waits = |l: &Live| l.task.state == TaskState::InputRequired;
            if self.tasks.get(&task_id).is_some_and(waits) {
                let until = self.now.plus(INPUT_GRACE_MS);
                self.timers.set(Timer::Lapse(task_id), until);
            } else {
                self.lapse(&task_id, Lapsed::Gone, false);
            }
        }
    }

    /// A sidecar and its agent live. A lease it names that is over is revoked, so that it stops that work.
    pub(crate) fn push_heartbeat(&mut self, conn: ConnId, caller: &Caller, beat: &Heartbeat) {
        let Some(id) = &beat.agent_id else {
            return;
        };
        let problem = match self.owned_agent(caller, id) {
            Ok(agent) if agent.conn == Some(conn) => None,
            // It has gone on to another sidecar of the same credential; that this one registers again would take it back.
            Ok(agent) if agent.conn.is_some() => Some(elsewhere(id)),
            // Not heard of over this socket: it has to register first.
            Ok(_) => Some(unknown_agent(id)),
            Err(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            return self.refuse(conn, "agent_register", problem.for_request(id.as_str()));
        }
        self.beat(id);
        for lease in &beat.leases {
            self.renew(conn, id, lease);
        }
    }

    /// `POST /api/hub/heartbeat`: the agent lives, keeps what it holds, and takes the work in the answer under leases.
    pub(crate) fn rest_heartbeat(
        &mut self,
        caller: &Caller,
        body: &HeartbeatBody,
    ) -> Result<HeartbeatAnswer, Problem> {
        self.apply_beat(caller, body)?;
        let id = &body.agent_id;
        self.beat(id);
        self.renew_polled(id, body.leases.as_deref());
        let most = body.max_tasks.map_or(usize::MAX, |n| n as usize);
        let mut pending_tasks = Vec::new();
        while pending_tasks.len() < most {
            let Some(task_id) = self.next_for(id) else {
                break;
            };
            self.assign(&task_id, id, Handout::Answer);
            pending_tasks.extend(self.tasks.get(&task_id).map(|live| Task {
                run_traceparent: live.task.run_span(),
                ..live.task.view()
            }));
        }
        Ok(HeartbeatAnswer {
            status: "ok".to_owned(),
            pending_tasks,
        })
    }

    /// The first task the agent may take now, if it has room for one. One that is aimed at it, and that it lets nobody
    /// like its source ask for, ends here: no other agent may take it.
    pub(crate) fn next_for(&mut self, id: &AgentId) -> Option<TaskId> {
        loop {
            let agent = self.agents.get(id).filter(|agent| agent.room() > 0)?;
            let offers = crate::callers::offers(&agent.stored.info);
            let task_id = self.queue.next_for(id, &offers)?.clone();
            let spec = &self.tasks.get(&task_id)?.task.spec;
            if !self.is_kept_out(spec) {
                return Some(task_id);
            }
            self.end_kept_out(&task_id, id);
        }
    }

    /// What an agent took over REST is renewed by its beat: exactly the leases it names, when it names them; then the
    /// others are handed out again, because the answer that carried them was lost. An existing client, which names
    /// none, keeps everything, but no longer than [`BLIND_RENEWAL_MS`] after the hand-out.
    fn renew_polled(&mut self, id: &AgentId, named: Option<&[LeaseRef]>) {
        let held = self.agents.get(id).map(|agent| agent.held.clone());
        for task_id in held.unwrap_or_default() {
            if self.lease_ttl(&task_id) != HTTP_LEASE_TTL_MS {
                continue;
            }
            match named {
                Some(named) if !named.iter().any(|l| l.task_id == task_id) => {
                    self.lapse(&task_id, Lapsed::NotNamed, false);
                }
                Some(_) => self.extend(&task_id),
                None if self.held_for(&task_id) < BLIND_RENEWAL_MS => self.extend(&task_id),
                None => {}
            }
        }
    }
}
