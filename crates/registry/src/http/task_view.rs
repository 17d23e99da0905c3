//! A stored task as the wire tells it.

use seamesh_proto::Task;
use seamesh_proto::task::TaskState;
use seamesh_registry_core::store::StoredTask;
use serde_json::Value;

/// The task for a list. `result` and `error` are `""` while there are none, as existing clients expect.
pub(super) fn task_view(stored: &StoredTask) -> Task {
    let spec = &stored.spec;
    let outcome = stored.outcome.as_ref();
    let error = outcome.and_then(|o| o.error.as_ref());
    let result = match outcome {
        Some(outcome) if outcome.state == TaskState::Completed => outcome.result.clone(),
        _ => Value::String(String::new()),
    };
    Task {
        id: spec.id.clone(),
        skill: spec.skill.clone(),
        target_agent_id: text(&spec.target),
        source_agent_id: spec.source.clone(),
        assigned_agent_id: text(&stored.assigned),
        payload: spec.payload.clone(),
        state: stored.state,
        result,
        error: error.map(|e| e.message.clone()).unwrap_or_default(),
        created_at: seconds(spec.created_ms),
        updated_at: seconds(stored.updated_ms),
        ttl: spec.ttl_s,
        error_code: error.map(|e| e.code),
        path: spec.path,
        attempt: stored.attempt,
        max_attempts: spec.max_attempts,
        lease: stored.lease.as_ref().map(|l| l.number),
        started_at: stored.started_ms.map(seconds),
        lineage: spec.lineage.clone(),
    }
}

fn text(id: &Option<seamesh_proto::AgentId>) -> String {
    id.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn seconds(ms: u64) -> f64 {
    seamesh_proto::Now(ms).seconds()
}
