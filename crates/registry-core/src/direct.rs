//! Direct work, reported after the fact by the side that asked: kept as ended tasks, so that the delegation tree is
//! whole whichever path each hop took. A report that comes twice changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use seamesh_proto::events::MeshEvent;
use seamesh_proto::limits::{MAX_DEPTH, MAX_SKILL_BYTES, MAX_TTL_S};
use seamesh_proto::payload::Payload;
use seamesh_proto::signaling::{DirectTask, TaskReport};
use seamesh_proto::talk::Listens;
use seamesh_proto::task::{Outcome, Path, TaskError, TaskState};
use seamesh_proto::{Code, Problem};
use serde_json::Value;

use crate::dispatch::Core;
use crate::io::{Caller, ConnId};
use crate::limits::{MAX_IDS_PER_FRAME, MAX_TEXT_BYTES};
use crate::store::{StoredTask, Talk, TaskSpec, Write};
use crate::submit::is_chain;

impl Core {
    pub(crate) fn push_report(&mut self, conn: ConnId, caller: &Caller, report: TaskReport) {
        if report.tasks.len() > MAX_IDS_PER_FRAME {
            let detail = format!("a report has at most {MAX_IDS_PER_FRAME} tasks");
            return self.refuse(conn, "task_report", Problem::new(Code::TooLarge, detail));
        }
        let (good, bad): (Vec<_>, Vec<_>) = report.tasks.into_iter().partition(is_fit);
        if let Some(bad) = bad.first() {
            let detail = "a reported task has ended, and keeps the limits of a submitted one";
            let problem = Problem::new(Code::BadField, detail).for_request(bad.task_id.as_str());
            self.refuse(conn, "task_report", problem);
        }
        let mut told = BTreeSet::new();
        for direct in good {
            // Work that went on through the queue under the same id is the queue's to tell.
            if !self.is_live(&direct.task_id) && told.insert(direct.task_id.clone()) {
                self.add_ended(caller, direct);
            }
        }
    }

    /// Kept in the order of the peer's frames, so that a tree is whole once its root has ended.
    fn add_ended(&mut self, caller: &Caller, direct: DirectTask) {
        let task = self.ended_directly(caller, direct);
        self.lookups.task_ended(&task.spec);
        self.tasks.add_child(&task.spec);
        let event = MeshEvent::TaskChanged(Box::new(task.summary()));
        self.out.write(Write::AddEnded {
            task: Box::new(task),
            event: Box::new(event),
        });
    }

    fn ended_directly(&self, caller: &Caller, direct: DirectTask) -> StoredTask {
        // Another machine's clock: kept within what this one can believe.
        let oldest = self.now.0.saturating_sub(MAX_TTL_S * 1000);
        let started = direct.started_ms.clamp(oldest, self.now.0);
        let finished = direct.finished_ms.clamp(started, self.now.0);
        let agent = direct.target_agent_id.parse().ok();
        // The answer had all of it; here it is for whoever looks the task up.
        let mut error = direct.error;
        error.truncate(error.floor_char_boundary(MAX_TEXT_BYTES));
        let error = TaskError::new(direct.error_code.unwrap_or(Code::SkillFailed), error);
        let is_failed = direct.state != TaskState::Completed;
        let spec = TaskSpec {
            id: direct.task_id,
            skill: direct.skill,
            target: agent.clone(),
            source: self.speaks_as(caller, &direct.source_agent_id),
            submitter: caller.peer.clone(),
            payload: Payload::EMPTY,
            lineage: direct.lineage,
            path: Path::Direct,
            created_ms: started,
            ttl_s: (finished - started).div_ceil(1000),
            max_attempts: 1,
            priority: 0,
            deadline_ms: None,
            listens: Listens::default(),
            idempotency_key: None,
            by_operator: false,
        };
        StoredTask {
            spec: Arc::new(spec),
            version: 1,
            state: direct.state,
            attempt: 1,
            last_lease: 0,
            lease: None,
            ended_by: None,
            assigned: agent,
            direct: None,
            talk: Talk::default(),
            not_before_ms: None,
            started_ms: Some(started),
            updated_ms: finished,
            outcome: Some(Outcome {
                state: direct.state,
                result: Value::Null,
                error: is_failed.then_some(error),
            }),
        }
    }
}

fn is_fit(direct: &DirectTask) -> bool {
    direct.state.is_terminal()
        && direct.skill.len() <= MAX_SKILL_BYTES
        && direct.lineage.depth <= MAX_DEPTH
        && is_chain(&direct.lineage.chain)
}
