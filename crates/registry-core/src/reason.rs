//! Why a task stands where it does, as a sentence for a person: worked out when it is asked for, never stored.

use seamesh_proto::agent::Health;
use seamesh_proto::task::{Task, TaskState};
use seamesh_proto::{AgentId, Now, TaskId};

use crate::dispatch::Core;
use crate::leases::Lapsed;
use crate::roster::Agent;
use crate::store::{StoredTask, TaskSpec};
use crate::tasks::Live;
use crate::timers::Timer;

/// Agents that a sentence names at most; the rest is a number.
const MAX_NAMED: usize = 3;

impl Core {
    /// A live task as it is told to somebody who asks for it, with its reason.
    pub(crate) fn show(&self, id: &TaskId) -> Option<Task> {
        let live = self.tasks.get(id)?;
        let reason = match live.task.state {
            TaskState::Pending => self.pending_reason(live),
            TaskState::Assigned => self.holder(&live.task),
            TaskState::InputRequired => format!("waiting for input: {}", self.holder(&live.task)),
            _ => ended_reason(&live.task),
        };
        let reason = Some(reason);
        Some(Task {
            reason,
            run_traceparent: live.task.run_span(),
            ..live.view()
        })
    }

    fn pending_reason(&self, live: &Live) -> String {
        let not_before = Now(live.task.not_before_ms.unwrap_or(0));
        if not_before > self.now {
            return self.pause_reason(live, not_before);
        }
        let spec = &live.task.spec;
        match &spec.target {
            Some(target) => self.target_reason(spec, target),
            None if spec.skill.is_empty() => {
                "it names neither a skill nor an agent, so nobody takes it: cancel it".to_owned()
            }
            None => self.skill_reason(spec),
        }
    }

    fn pause_reason(&self, live: &Live, until: Now) -> String {
        let task = &live.task;
        let wait = span(until.since(self.now));
        // Its submitter's delay is over before the first lease.
        if task.last_lease == 0 {
            return format!("not before {} UTC, in {wait}", clock(until));
        }
        let (attempt, most) = (task.attempt, task.spec.max_attempts);
        let how = live.lapsed.map_or("without a result", Lapsed::text);
        format!("attempt {attempt} of {most} ended {how}; the next begins in {wait}")
    }

    fn target_reason(&self, spec: &TaskSpec, target: &AgentId) -> String {
        let Some(agent) = self.agents.get(target) else {
            return format!(
                "agent {target} is not registered: start it, or cancel the task and aim it at another"
            );
        };
        if self.is_kept_out(spec) {
            return format!("agent {target} does not allow {}", caller(spec));
        }
        match agent.health {
            Health::Active if agent.room() == 0 => format!(
                "agent {target} is full: it works on {} tasks, as many as it takes at once",
                agent.held.len()
            ),
            Health::Active => self.reach_reason(target, agent),
            Health::Stale | Health::Offline => format!(
                "agent {target} is away, heard of last {} ago: start it again{}, or cancel the task",
                span(self.now.since(agent.beat)),
                on_host(agent),
            ),
        }
    }

    /// An agent with room that does not have the task yet: it fetches its work, or is about to connect.
    fn reach_reason(&self, id: &AgentId, agent: &Agent) -> String {
        match agent.conn {
            Some(_) => format!("agent {id} gets it at once"),
            None if agent.stored.info.sidecar_peer_id.is_empty() => {
                format!("agent {id} takes it with its next heartbeat")
            }
            None => format!(
                "agent {id} has lost its connection to the registry, and has {} to come back",
                span(seamesh_proto::limits::STALE_AFTER_MS)
            ),
        }
    }

    fn skill_reason(&self, spec: &TaskSpec) -> String {
        let skill = &spec.skill;
        let offering: Vec<_> = self.agents.offering(skill).collect();
        let live = offering.iter().filter(|(_, a)| a.health == Health::Active);
        let live: Vec<_> = live.copied().collect();
        if live.is_empty() {
            return match offering.is_empty() {
                true => format!(
                    "no live agent offers skill {skill:?}: start one that does, or cancel the task"
                ),
                false => format!(
                    "no live agent offers skill {skill:?}: {} away; start one again, or cancel the task",
                    names(&offering)
                ),
            };
        }
        let mut open = live.iter().filter(|(_, a)| a.lets_in(spec)).peekable();
        if open.peek().is_none() {
            return format!("no agent that offers {skill:?} allows {}", caller(spec));
        }
        let open: Vec<_> = open.copied().collect();
        match open.iter().find(|(_, a)| a.room() > 0) {
            Some((id, agent)) => self.reach_reason(id, agent),
            None if open.len() == 1 => format!("the only agent that offers {skill:?} is full"),
            None => format!("all {} agents that offer {skill:?} are full", open.len()),
        }
    }

    /// Who has the task, and since when.
    fn holder(&self, task: &StoredTask) -> String {
        let Some(lease) = &task.lease else {
            return "nobody holds its lease".to_owned(); // Only for a moment: it is handed out or ends.
        };
        let since = self.now.since(Now(task.started_ms.unwrap_or(self.now.0)));
        let lapses = self.timers.at(&Timer::Lapse(task.spec.id.clone()));
        let left = lapses.map_or(0, |at| at.since(self.now));
        let renewed = lease.ttl_ms.saturating_sub(left);
        let (agent, number) = (&lease.agent_id, lease.number);
        format!(
            "agent {agent} holds lease {number} since {} ago, renewed {} ago",
            span(since),
            span(renewed)
        )
    }
}

impl Lapsed {
    fn text(self) -> &'static str {
        match self {
            Self::NotRenewed => "with a lease that was not renewed",
            Self::HandedBack => "with its agent handing it back",
            Self::Gone => "with its agent gone",
            Self::NotNamed => "with its agent not knowing of it any more",
        }
    }
}

/// How a task ended.
pub(crate) fn ended_reason(task: &StoredTask) -> String {
    let by = task.assigned.as_ref();
    let by = by.map_or_else(String::new, |agent| format!(" by agent {agent}"));
    let error = task.outcome.as_ref().and_then(|o| o.error.as_ref());
    let error = error.map_or_else(String::new, |e| format!(" with {}: {}", e.code, e.message));
    match task.state {
        TaskState::Completed => format!("completed{by} in attempt {}", task.attempt),
        TaskState::Canceled => format!("ended{error}"),
        _ => format!("failed{error}"),
    }
}

fn caller(spec: &TaskSpec) -> String {
    match spec.source.as_str() {
        "" => "a caller that is no agent".to_owned(),
        name => format!("caller {name}"),
    }
}

fn on_host(agent: &Agent) -> String {
    match agent.stored.info.hostname.as_str() {
        "" => String::new(),
        host => format!(" on {host}"),
    }
}

fn names(agents: &[(&AgentId, &Agent)]) -> String {
    let first = agents.iter().take(MAX_NAMED).map(|(id, _)| id.as_str());
    let first: Vec<&str> = first.collect();
    let more = agents.len().saturating_sub(MAX_NAMED);
    match (more, agents.len()) {
        (0, 1) => format!("{} is", first.join(", ")),
        (0, _) => format!("{} are", first.join(", ")),
        (more, _) => format!("{} and {more} more are", first.join(", ")),
    }
}

/// Milliseconds, as people say them.
fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// The time of the day, UTC.
fn clock(at: Now) -> String {
    let s = at.0 / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
}
