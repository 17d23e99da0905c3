//! How attempts end: results, hand-backs and renewals, each under the lease it was done under. A result under any other
//! lease than the live one is refused and recorded; a hand-back under another is refused.

use seamesh_proto::events::{MeshEvent, StaleResult};
use seamesh_proto::limits::MAX_PAYLOAD_BYTES;
use seamesh_proto::rest::TaskUpdate;
use seamesh_proto::signaling::{RegistrySignal, TaskAck, TaskRelease, TaskResult};
use seamesh_proto::task::{Outcome, TaskError, TaskState};
use seamesh_proto::{Code, PeerId, Problem, TaskId};
use serde_json::Value;

use crate::dispatch::Core;
use crate::io::{Caller, ConnId, Note, Reply, RequestId};
use crate::leases::Lapsed;
use crate::lookups::Ask;
use crate::store::StoredTask;
use crate::tasks::unknown_task;

impl Core {
    pub(crate) fn push_result(&mut self, conn: ConnId, peer: &PeerId, result: TaskResult) {
        if !result.outcome.state.is_terminal() {
            let problem = Problem::new(Code::BadField, "outcome.state is not terminal");
            let problem = problem.for_request(result.task_id.as_str());
            return self.refuse(conn, "task_result", problem);
        }
        if self.is_live(&result.task_id) {
            self.live_result(conn, peer, result);
        } else {
            let id = result.task_id.clone();
            let ask = Ask::Result(conn, peer.clone(), Box::new(result));
            self.look_up(vec![id], ask);
        }
    }

    fn live_result(&mut self, conn: ConnId, peer: &PeerId, result: TaskResult) {
        let TaskResult {
            task_id,
            lease,
            outcome,
        } = result;
        if self.is_holder(peer, &task_id, lease) {
            self.ack(conn, &task_id, lease, None);
            self.finish(&task_id, within_limits(outcome).0, Some(lease));
        } else {
            self.stale(peer, &task_id, lease);
            self.ack(conn, &task_id, lease, Some(Code::LeaseStale));
        }
    }

    /// A result for a task that does not live: the same one again is taken again, any other is refused.
    pub(crate) fn result_found(
        &mut self,
        conn: ConnId,
        peer: &PeerId,
        result: TaskResult,
        found: Option<StoredTask>,
    ) {
        if self.is_live(&result.task_id) {
            return self.live_result(conn, peer, result);
        }
        let code = match found {
            Some(task) if task.ended_by == Some(result.lease) => None,
            Some(_) => {
                self.stale(peer, &result.task_id, result.lease);
                Some(Code::LeaseStale)
            }
            None => Some(Code::TaskUnknown),
        };
        self.ack(conn, &result.task_id, result.lease, code);
    }

    pub(crate) fn push_release(&mut self, conn: ConnId, peer: &PeerId, release: TaskRelease) {
        if self.is_live(&release.task_id) {
            self.live_release(conn, peer, &release);
        } else {
            let id = release.task_id.clone();
            self.look_up(vec![id], Ask::Release(conn, peer.clone(), release));
        }
    }

    fn live_release(&mut self, conn: ConnId, peer: &PeerId, release: &TaskRelease) {
        // Giving back what is not held changes nothing: a goodbye has handed it back already. It is no stale result.
        let holds = self.is_holder(peer, &release.task_id, release.lease);
        let code = (!holds).then_some(Code::LeaseStale);
        self.ack(conn, &release.task_id, release.lease, code);
        if holds {
            self.lapse(&release.task_id, Lapsed::HandedBack, false);
        }
    }

    pub(crate) fn release_found(
        &mut self,
        conn: ConnId,
        peer: &PeerId,
        release: &TaskRelease,
        found: Option<StoredTask>,
    ) {
        if self.is_live(&release.task_id) {
            return self.live_release(conn, peer, release);
        }
        let code = match found {
            Some(_) => Code::LeaseStale,
            None => Code::TaskUnknown,
        };
        self.ack(conn, &release.task_id, release.lease, Some(code));
    }

    /// `POST /api/hub/tasks/{id}` for a live task; the store is asked about any other.
    pub(crate) fn update_task(
        &mut self,
        request: RequestId,
        caller: Caller,
        id: &TaskId,
        update: TaskUpdate,
    ) {
        if self.is_live(id) {
            let result = self.update_live(&caller, id, update);
            self.out.reply(request, result.map(|()| Reply::Done));
        } else {
            let ask = Ask::Update(request, caller, Box::new(update));
            self.look_up(vec![id.clone()], ask);
        }
    }

    pub(crate) fn update_found(
        &mut self,
        caller: &Caller,
        id: &TaskId,
        update: TaskUpdate,
        found: Option<StoredTask>,
    ) -> Result<(), Problem> {
        if self.is_live(id) {
            return self.update_live(caller, id, update);
        }
        let task = found.ok_or_else(|| unknown_task(id))?;
        match update.lease {
            // The same result again, because its answer was lost.
            Some(lease) if task.ended_by == Some(lease) && task.state == update.state => Ok(()),
            Some(lease) => {
                self.stale(&caller.peer, id, lease);
                Err(stale_problem(id))
            }
            None => {
                self.stale(&caller.peer, id, 0);
                let detail = format!("task {id} is {} already", task.state.as_str());
                Err(Problem::new(Code::TaskState, detail))
            }
        }
    }

    fn update_live(
        &mut self,
        caller: &Caller,
        id: &TaskId,
        update: TaskUpdate,
    ) -> Result<(), Problem> {
        let live = self.tasks.get(id).map(|l| l.task.lease.as_ref());
        let held = live.flatten().filter(|lease| lease.peer == caller.peer);
        let named = update.lease;
        let Some(lease) = held
            .map(|l| l.number)
            .filter(|n| named.is_none_or(|l| l == *n))
        else {
            self.stale(&caller.peer, id, named.unwrap_or(0));
            return Err(stale_problem(id));
        };
        match update.state {
            TaskState::Assigned | TaskState::InputRequired => self.go_on(id, update.state),
            TaskState::Pending => self.lapse(id, Lapsed::HandedBack, false),
            TaskState::Completed | TaskState::Failed | TaskState::Canceled => {
                let (outcome, too_large) = within_limits(outcome_of(update));
                self.finish(id, outcome, Some(lease));
                if let Some(problem) = too_large {
                    return Err(problem);
                }
            }
        }
        Ok(())
    }

    /// The holder works on, or waits for input: its lease is renewed.
    fn go_on(&mut self, id: &TaskId, state: TaskState) {
        self.extend(id);
        if let Some(live) = self.tasks.get_mut(id)
            && live.task.state != state
        {
            live.task.state = state;
            self.write_task(id);
        }
    }

    pub(crate) fn is_holder(&self, peer: &PeerId, id: &TaskId, number: u64) -> bool {
        let lease = self.tasks.get(id).and_then(|l| l.task.lease.as_ref());
        lease.is_some_and(|l| l.number == number && l.peer == *peer)
    }

    /// A result or a hand-back of a task that exists is refused: its history has it from now on.
    fn stale(&mut self, peer: &PeerId, id: &TaskId, lease: u64) {
        self.out.event(MeshEvent::StaleResult(StaleResult {
            task_id: id.clone(),
            lease,
            peer_id: peer.clone(),
        }));
        self.out.note(Note::StaleResult {
            task_id: id.clone(),
            lease,
            peer: peer.clone(),
        });
    }

    fn ack(&mut self, conn: ConnId, id: &TaskId, lease: u64, code: Option<Code>) {
        let ack = RegistrySignal::TaskAck(TaskAck {
            task_id: id.clone(),
            lease,
            code,
        });
        self.out.send(vec![conn], &ack);
    }
}

fn stale_problem(id: &TaskId) -> Problem {
    let detail = format!("the lease of task {id} is not this caller's: another attempt has it");
    Problem::new(Code::LeaseStale, detail)
}

fn outcome_of(update: TaskUpdate) -> Outcome {
    match update.state {
        TaskState::Completed => Outcome::completed(update.result),
        TaskState::Canceled => Outcome::canceled(update.error),
        _ => Outcome::failed(Code::SkillFailed, update.error),
    }
}

/// An outcome that is complete in itself. A result over the limit ends the task as failed: another attempt would bring
/// the same one.
fn within_limits(mut outcome: Outcome) -> (Outcome, Option<Problem>) {
    let failed = outcome.state != TaskState::Completed;
    if failed {
        outcome.result = Value::Null;
        outcome
            .error
            .get_or_insert_with(|| TaskError::new(Code::SkillFailed, "the skill failed"));
    } else {
        outcome.error = None;
    }
    if crate::size::json_bytes(&outcome) <= MAX_PAYLOAD_BYTES {
        return (outcome, None);
    }
    let detail = format!("a result has at most {MAX_PAYLOAD_BYTES} bytes of JSON");
    let problem = Problem::new(Code::TooLarge, detail.clone());
    (Outcome::failed(Code::TooLarge, detail), Some(problem))
}
