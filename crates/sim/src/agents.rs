//! Model agents: they run what they are given for a fixed time, or hang, and count what they ran.

use std::collections::BTreeMap;

use seamesh_proto::TaskId;

/// Milliseconds a handler runs unless the script says otherwise.
const WORK_MS: u64 = 10;

/// An agent behind a sidecar or on the REST heartbeat.
#[derive(Debug)]
pub(crate) struct ModelAgent {
    pub(crate) skills: Vec<String>,
    pub(crate) work_ms: u64,
    /// It takes work and never answers.
    pub(crate) hangs: bool,
    /// How often its handler ran each attempt.
    pub(crate) runs: BTreeMap<(TaskId, u32), u32>,
}

impl ModelAgent {
    pub(crate) fn new(skills: Vec<String>) -> Self {
        Self {
            skills,
            work_ms: WORK_MS,
            hangs: false,
            runs: BTreeMap::new(),
        }
    }

    /// Its handler starts. `Some(ms)`: it ends after that long.
    pub(crate) fn run(&mut self, task_id: &TaskId, attempt: u32) -> Option<u64> {
        *self.runs.entry((task_id.clone(), attempt)).or_default() += 1;
        (!self.hangs).then_some(self.work_ms)
    }
}
