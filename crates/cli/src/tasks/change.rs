//! A change of a task in words.

use seamesh_proto::{Task, TaskState};

/// What a change of a task says.
pub(crate) fn change(task: &Task) -> String {
    let state = task.state.as_str();
    match (task.lease, task.error_code) {
        (Some(lease), _) => format!(
            "{state}: attempt {} by {} under lease {lease}",
            task.attempt, task.assigned_agent_id
        ),
        (None, Some(code)) => format!("{state}: {code}"),
        (None, None) if task.state == TaskState::Pending && task.attempt > 0 => {
            format!(
                "{state} again: attempt {} ended without a result",
                task.attempt
            )
        }
        (None, None) => state.to_owned(),
    }
}
