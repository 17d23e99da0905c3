//! How a task is accepted: checked, given an id, and told apart from one submitted before.

use std::sync::Arc;

use rand_chacha::rand_core::RngCore;
use seamesh_proto::chain::{Hop, too_deep, too_many};
use seamesh_proto::limits::{
    MAX_ATTEMPTS, MAX_CHILDREN, MAX_DEADLINE_MS, MAX_DEPTH, MAX_IDEMPOTENCY_KEY_BYTES,
    MAX_LIVE_TASKS, MAX_PAYLOAD_BYTES, MAX_PRIORITY, MAX_SKILL_BYTES, MAX_TTL_S,
};
use seamesh_proto::rest::Role;
use seamesh_proto::signaling::{RegistrySignal, TaskSubmit, TaskSubmitted};
use seamesh_proto::task::{DirectAttempt, Lineage, Path, SubmitTask, TaskState};
use seamesh_proto::{AgentId, Code, Problem, TaskId, TraceContext};

use crate::dispatch::Core;
use crate::io::{Caller, ConnId, Reply, RequestId};
use crate::store::{StoredTask, Talk, TaskSpec};
use crate::timers::Timer;

/// Who submitted, and how it is answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    /// A REST request.
    Rest(RequestId),
    /// A `task_submit` frame with its request id.
    Frame(ConnId, String),
}

/// A submission that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Submission {
    pub(crate) spec: TaskSpec,
    pub(crate) direct: Option<DirectAttempt>,
    pub(crate) not_before_ms: Option<u64>,
}

impl Core {
    pub(crate) fn push_submit(&mut self, conn: ConnId, caller: &Caller, submit: TaskSubmit) {
        let origin = Origin::Frame(conn, submit.request_id);
        self.submit(origin, caller, submit.task);
    }

    /// Takes a submission. With an id or a key of its own it may be a repeat, of a live task or of one that ended.
    pub(crate) fn submit(&mut self, origin: Origin, caller: &Caller, submit: SubmitTask) {
        let brought_id = submit.task_id.is_some();
        let submission = match self.check_submission(caller, submit) {
            Ok(submission) => submission,
            Err(problem) => return self.answer_submit(&origin, Err(problem)),
        };
        if !brought_id && submission.spec.idempotency_key.is_none() {
            return self.accept(origin, submission);
        }
        if !self.answer_repeat(&origin, &submission) {
            self.look_up_submission(origin, submission);
        }
    }

    /// Goes on with a submission after the store was asked for its id and its key. Two under one key that came at once
    /// both get here; the first is live by the time of the second.
    pub(crate) fn submit_found(
        &mut self,
        origin: Origin,
        submission: Submission,
        found: Vec<StoredTask>,
    ) {
        if self.answer_repeat(&origin, &submission) {
            return;
        }
        // One that has the id goes before one that has the key.
        let has_id = |task: &&StoredTask| task.spec.id == submission.spec.id;
        match found.iter().find(has_id).or_else(|| found.first()) {
            None => self.accept(origin, submission),
            Some(ended) if is_same(&ended.spec, &submission.spec) => {
                self.answer_submit(&origin, Ok(ended.spec.id.clone()));
                if let (Origin::Frame(conn, _), Some(done)) = (&origin, ended.done()) {
                    self.out.send(vec![*conn], &RegistrySignal::TaskDone(done));
                }
            }
            Some(other) => {
                let problem = conflict(&submission.spec, &other.spec);
                self.answer_submit(&origin, Err(problem));
            }
        }
    }

    /// Answers a submission whose id or key a live task has. `false`: none has.
    fn answer_repeat(&mut self, origin: &Origin, submission: &Submission) -> bool {
        let spec = &submission.spec;
        let named = || spec.key().and_then(|key| self.tasks.named(&key));
        let Some(live) = self.tasks.get(&spec.id).or_else(named) else {
            return false;
        };
        let earlier = &live.task.spec;
        let answer = match is_same(earlier, spec) {
            true => Ok(earlier.id.clone()),
            false => Err(conflict(spec, earlier)),
        };
        let known = answer.as_ref().ok().cloned();
        self.answer_submit(origin, answer);
        if let (Origin::Frame(conn, _), Some(id)) = (origin, known) {
            self.repeat_news(*conn, &id);
        }
        true
    }

    fn accept(&mut self, origin: Origin, submission: Submission) {
        if self.tasks.len() >= MAX_LIVE_TASKS {
            let detail = format!("{MAX_LIVE_TASKS} tasks wait or run already");
            return self.answer_submit(&origin, Err(Problem::new(Code::Overloaded, detail)));
        }
        let spec = &submission.spec;
        if let Err(problem) = self.check_callers(spec).and(self.check_fan_out(spec)) {
            return self.answer_submit(&origin, Err(problem));
        }
        let id = submission.spec.id.clone();
        self.answer_submit(&origin, Ok(id.clone()));
        let task = StoredTask {
            spec: Arc::new(submission.spec),
            version: 0,
            state: TaskState::Pending,
            attempt: submission.direct.as_ref().map_or(0, |d| d.attempt),
            last_lease: 0,
            lease: None,
            ended_by: None,
            assigned: None,
            direct: submission.direct,
            talk: Talk::default(),
            not_before_ms: submission.not_before_ms,
            started_ms: None,
            updated_ms: self.now.0,
            outcome: None,
        };
        self.timers.set(Timer::Expire(id.clone()), task.ends());
        self.tasks.add_child(&task.spec);
        self.tasks.add(task);
        self.enqueue(&id);
        self.write_task(&id);
        self.place(&id);
    }

    fn answer_submit(&mut self, origin: &Origin, answer: Result<TaskId, Problem>) {
        match (origin, answer) {
            (Origin::Rest(request), answer) => {
                self.out.reply(*request, answer.map(Reply::Submitted));
            }
            (Origin::Frame(conn, request_id), Ok(task_id)) => {
                let submitted = TaskSubmitted {
                    request_id: request_id.clone(),
                    task_id,
                };
                let signal = RegistrySignal::TaskSubmitted(submitted);
                self.out.send(vec![*conn], &signal);
            }
            (Origin::Frame(conn, request_id), Err(problem)) => {
                self.refuse(
                    *conn,
                    "task_submit",
                    problem.for_request(request_id.as_str()),
                );
            }
        }
    }

    fn check_submission(
        &mut self,
        caller: &Caller,
        submit: SubmitTask,
    ) -> Result<Submission, Problem> {
        check_limits(&submit)?;
        let target = match submit.target_agent_id.as_str() {
            "" => None,
            text => Some(parse_agent(text)?),
        };
        let source = match caller.role {
            Role::Agent => self.speaks_as(caller, &submit.source_agent_id),
            _ => submit.source_agent_id,
        };
        let direct = submit.direct_attempt;
        // The queue hands it out at least once more, whatever the direct path has used up.
        let used = direct.as_ref().map_or(0, |d| d.attempt);
        let lineage = self.place_in_tree(submit.lineage, target.as_ref(), &submit.skill)?;
        let spec = TaskSpec {
            id: submit.task_id.unwrap_or_else(|| self.new_task_id()),
            skill: submit.skill,
            target,
            source,
            submitter: caller.peer.clone(),
            payload: submit.payload,
            lineage,
            path: Path::Queue,
            created_ms: self.now.0,
            ttl_s: submit.ttl,
            max_attempts: submit.max_attempts.max(used + 1),
            priority: submit.priority,
            deadline_ms: submit.deadline_ms.map(|ms| self.now.plus(ms).0),
            listens: submit.listens,
            idempotency_key: submit.idempotency_key,
            by_operator: caller.role >= Role::Operator,
        };
        let not_before_ms = submit.not_before_ms.filter(|ms| *ms > 0);
        Ok(Submission {
            spec,
            direct,
            not_before_ms: not_before_ms.map(|ms| self.now.plus(ms).0),
        })
    }

    /// The agent that a credential submits as: the one it names if it owns it, else the one it owns, else nobody.
    pub(crate) fn speaks_as(&self, caller: &Caller, named: &str) -> String {
        let owned = self.agents.owned(&caller.peer);
        let named = owned.iter().find(|id| id.as_str() == named);
        let attached = || {
            owned
                .iter()
                .find(|id| self.agents.get(id).is_some_and(|a| a.conn.is_some()))
        };
        let speaker = named.or_else(attached).or_else(|| owned.first());
        speaker.map_or_else(String::new, |id| id.to_string())
    }

    /// A child is one hop deeper than its parent, whatever its submitter says. The chain of a parent that lives here is
    /// known better here, too.
    fn place_in_tree(
        &self,
        mut lineage: Lineage,
        target: Option<&AgentId>,
        skill: &str,
    ) -> Result<Lineage, Problem> {
        match &lineage.parent_id {
            None => {
                let traceparent = lineage.traceparent;
                lineage = Lineage {
                    traceparent,
                    ..Lineage::default()
                };
            }
            Some(parent_id) => {
                let parent = self.tasks.get(parent_id).map(|live| &live.task);
                let above = parent.map(|p| &p.spec.lineage);
                let span =
                    |p: &StoredTask| TraceContext::of_run(parent_id, p.attempt, &p.spec.lineage);
                lineage.traceparent = lineage.traceparent.or_else(|| parent.map(span));
                if let Some(known) = parent.and_then(chain_below) {
                    lineage.chain = known;
                }
                let at_least = above.map_or(1, |p| p.depth + 1);
                let hops = u32::try_from(lineage.chain.len()).unwrap_or(u32::MAX);
                lineage.depth = lineage.depth.max(at_least).max(hops);
                let root = above.and_then(|p| p.root_id.clone());
                let root = root.or_else(|| lineage.root_id.take());
                lineage.root_id = root.or_else(|| Some(parent_id.clone()));
            }
        }
        if lineage.depth > MAX_DEPTH {
            return Err(too_deep(&lineage.chain, target, skill));
        }
        Ok(lineage)
    }

    /// A task asks for so many others and no more.
    fn check_fan_out(&self, spec: &TaskSpec) -> Result<(), Problem> {
        let parent = spec.lineage.parent_id.as_ref();
        let parent = parent.and_then(|id| self.tasks.get(id));
        let Some(parent) = parent.filter(|p| p.children.len() >= MAX_CHILDREN) else {
            return Ok(());
        };
        Err(too_many(&parent.task.spec.id, &parent.task.spec.skill))
    }

    fn new_task_id(&mut self) -> TaskId {
        let (high, low) = (self.rng.next_u64(), self.rng.next_u64());
        TaskId::made(self.now, u128::from(high) << 64 | u128::from(low))
    }
}

/// The chain of what a task asks for: its own, and the agent that runs it. `None` while nobody does.
fn chain_below(parent: &StoredTask) -> Option<Vec<Hop>> {
    let agent_id = parent.assigned.clone()?;
    let skill = parent.spec.skill.clone();
    let mut chain = parent.spec.lineage.chain.clone();
    chain.push(Hop { agent_id, skill });
    Some(chain)
}

/// Whether a chain keeps the limits of the wire.
pub(crate) fn is_chain(chain: &[Hop]) -> bool {
    chain.len() <= MAX_DEPTH as usize && chain.iter().all(|h| h.skill.len() <= MAX_SKILL_BYTES)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Same submitter, same work. Times, attempts and lineage may differ: a repeat after a reconnect has less time left.
fn is_same(a: &TaskSpec, b: &TaskSpec) -> bool {
    a.path == b.path
        && a.submitter == b.submitter
        && a.skill == b.skill
        && a.target == b.target
        && a.payload == b.payload
}

fn conflict(spec: &TaskSpec, earlier: &TaskSpec) -> Problem {
    let id = &earlier.id;
    let detail = match spec.id == *id {
        true => format!("task {id} was submitted before with other content"),
        false => format!("the idempotency key is that of task {id}, which has other content"),
    };
    Problem::new(Code::Conflict, detail)
}

fn parse_agent(text: &str) -> Result<AgentId, Problem> {
    text.parse()
        .map_err(|e| Problem::new(Code::BadField, format!("target_agent_id: {e}")))
}

fn check_limits(submit: &SubmitTask) -> Result<(), Problem> {
    let bad = |detail: String| Err(Problem::new(Code::BadField, detail));
    if submit.skill.len() > MAX_SKILL_BYTES {
        return bad(format!(
            "a skill's name has at most {MAX_SKILL_BYTES} bytes"
        ));
    }
    if submit.source_agent_id.len() > seamesh_proto::limits::MAX_ID_BYTES {
        return bad("source_agent_id is too long".to_owned());
    }
    if submit.ttl > MAX_TTL_S {
        return bad(format!("ttl is at most {MAX_TTL_S} seconds"));
    }
    if !(1..=MAX_ATTEMPTS).contains(&submit.max_attempts) {
        return bad(format!("max_attempts is 1 to {MAX_ATTEMPTS}"));
    }
    if !is_chain(&submit.lineage.chain) {
        return bad(format!(
            "chain has at most {MAX_DEPTH} hops, and their skills' names at most {MAX_SKILL_BYTES} bytes"
        ));
    }
    check_options(submit)?;
    let direct = submit.direct_attempt.as_ref();
    if direct.is_some_and(|d| !(1..=MAX_ATTEMPTS).contains(&d.attempt)) {
        return bad(format!("direct_attempt.attempt is 1 to {MAX_ATTEMPTS}"));
    }
    if crate::size::json_bytes(&submit.payload) > MAX_PAYLOAD_BYTES {
        let detail = format!("a payload has at most {MAX_PAYLOAD_BYTES} bytes of JSON");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    Ok(())
}

/// Priority, times and key.
fn check_options(submit: &SubmitTask) -> Result<(), Problem> {
    let bad = |detail: String| Err(Problem::new(Code::BadField, detail));
    if !(-MAX_PRIORITY..=MAX_PRIORITY).contains(&submit.priority) {
        return bad(format!("priority is -{MAX_PRIORITY} to {MAX_PRIORITY}"));
    }
    let deadline = submit.deadline_ms.unwrap_or(MAX_DEADLINE_MS);
    if !(1..=MAX_DEADLINE_MS).contains(&deadline) {
        return bad(format!("deadline_ms is 1 to {MAX_DEADLINE_MS}"));
    }
    let end = deadline.min(submit.ttl * 1000);
    if submit.not_before_ms.is_some_and(|ms| ms > 0 && ms >= end) {
        return bad(format!(
            "not_before_ms is less than ttl and deadline_ms: the task ends after {end} ms"
        ));
    }
    let key = submit.idempotency_key.as_ref().map(String::len);
    if key.is_some_and(|bytes| !(1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&bytes)) {
        return bad(format!(
            "idempotency_key has 1 to {MAX_IDEMPOTENCY_KEY_BYTES} bytes"
        ));
    }
    Ok(())
}
