//! Tasks that wait for an agent, indexed by who may take them.
//!
//! Taking the next task looks at one head for the agent itself and one for each of its skills, whatever else waits and
//! however much has ended: history is not in here, and neither are tasks for others.

use std::collections::BTreeMap;

use seamesh_proto::{AgentId, TaskId};

use crate::store::TaskSpec;

/// Pending tasks in the order in which they were accepted.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    by_target: BTreeMap<AgentId, BTreeMap<u64, TaskId>>,
    by_skill: BTreeMap<String, BTreeMap<u64, TaskId>>,
    len: usize,
    /// Entries looked at so far: what the cost test counts.
    #[cfg(test)]
    pub(crate) looked_at: std::cell::Cell<u64>,
}

impl Queue {
    /// Adds a task under its place in the order. A task with neither target nor skill is for nobody: it only expires.
    pub(crate) fn insert(&mut self, spec: &TaskSpec, order: u64) {
        let lane = match &spec.target {
            Some(target) => self.by_target.entry(target.clone()).or_default(),
            None if spec.skill.is_empty() => return,
            None => self.by_skill.entry(spec.skill.clone()).or_default(),
        };
        if lane.insert(order, spec.id.clone()).is_none() {
            self.len += 1;
        }
    }

    /// Takes a task out, if it is in.
    pub(crate) fn remove(&mut self, spec: &TaskSpec, order: u64) {
        let taken = match &spec.target {
            Some(target) => take(&mut self.by_target, target, order),
            None => take(&mut self.by_skill, &spec.skill, order),
        };
        if taken {
            self.len -= 1;
        }
    }

    /// The oldest task that `agent` may take: one aimed at it, or one with no target for a skill it offers.
    pub(crate) fn next_for<'a>(
        &self,
        agent: &AgentId,
        skills: impl Iterator<Item = &'a str>,
    ) -> Option<&TaskId> {
        let own = self.by_target.get(agent);
        let lanes = own
            .into_iter()
            .chain(skills.filter_map(|skill| self.by_skill.get(skill)));
        lanes
            .filter_map(|lane| {
                #[cfg(test)]
                self.looked_at.set(self.looked_at.get() + 1);
                lane.first_key_value()
            })
            .min_by_key(|(order, _)| **order)
            .map(|(_, id)| id)
    }

    /// Tasks that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

fn take<K: Ord + Clone>(
    lanes: &mut BTreeMap<K, BTreeMap<u64, TaskId>>,
    key: &K,
    order: u64,
) -> bool {
    let Some(lane) = lanes.get_mut(key) else {
        return false;
    };
    let taken = lane.remove(&order).is_some();
    if lane.is_empty() {
        lanes.remove(key);
    }
    taken
}
