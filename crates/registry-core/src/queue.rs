//! Tasks that wait for an agent, indexed by who may take them.
//!
//! Taking the next task looks at one head for the agent itself and one for each of its skills, whatever else waits and
//! however much has ended: history is not in here, and neither are tasks for others.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use seamesh_proto::{AgentId, TaskId};

use crate::store::TaskSpec;

/// A task's place among those that wait: the highest priority first, equals in the order of their acceptance.
type Place = (Reverse<i32>, u64);

/// Tasks that the same agents may take.
type Lane = BTreeMap<Place, TaskId>;

/// Pending tasks by their priority, and then in the order in which they were accepted.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    by_target: BTreeMap<AgentId, Lane>,
    by_skill: BTreeMap<String, Lane>,
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
        let place = (Reverse(spec.priority), order);
        if lane.insert(place, spec.id.clone()).is_none() {
            self.len += 1;
        }
    }

    /// Takes a task out, if it is in.
    pub(crate) fn remove(&mut self, spec: &TaskSpec, order: u64) {
        let place = (Reverse(spec.priority), order);
        let taken = match &spec.target {
            Some(target) => take(&mut self.by_target, target, place),
            None => take(&mut self.by_skill, &spec.skill, place),
        };
        if taken {
            self.len -= 1;
        }
    }

    /// The first task that `agent` may take: one aimed at it, or one with no target for a skill it offers.
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
            .min_by_key(|(place, _)| **place)
            .map(|(_, id)| id)
    }

    /// Tasks that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

fn take<K: Ord + Clone>(lanes: &mut BTreeMap<K, Lane>, key: &K, place: Place) -> bool {
    let Some(lane) = lanes.get_mut(key) else {
        return false;
    };
    let taken = lane.remove(&place).is_some();
    if lane.is_empty() {
        lanes.remove(key);
    }
    taken
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contract::pending_task;

    fn spec(id: &str, target: &str, skill: &str) -> TaskSpec {
        let mut task = pending_task(id);
        let spec = Arc::make_mut(&mut task.spec);
        spec.skill = skill.to_owned();
        spec.target = target.parse().ok();
        spec.priority = 0;
        spec.clone()
    }

    fn next<'a>(queue: &'a Queue, agent: &str, skills: &[&'static str]) -> Option<&'a str> {
        let agent = agent.parse().unwrap();
        let id = queue.next_for(&agent, skills.iter().copied());
        id.map(TaskId::as_str)
    }

    #[test]
    fn the_oldest_task_comes_first_across_target_and_skills() {
        let mut queue = Queue::default();
        queue.insert(&spec("c", "", "search"), 3);
        queue.insert(&spec("a", "lib", "index"), 1);
        queue.insert(&spec("b", "", "index"), 2);
        assert_eq!(next(&queue, "lib", &["search", "index"]), Some("a"));
        queue.remove(&spec("a", "lib", "index"), 1);
        assert_eq!(next(&queue, "lib", &["search", "index"]), Some("b"));
        assert_eq!(next(&queue, "lib", &["search"]), Some("c"));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn the_highest_priority_goes_first_and_equals_in_their_order() {
        let mut queue = Queue::default();
        let at = |id: &str, target: &str, priority: i32| TaskSpec {
            priority,
            ..spec(id, target, "search")
        };
        let tasks = [
            (at("low", "", -100), 1),
            (at("first", "", 0), 2),
            (at("second", "", 0), 3),
            (at("urgent", "", 100), 4),
            (at("mine", "lib", 5), 5),
        ];
        for (spec, order) in &tasks {
            queue.insert(spec, *order);
        }
        let mut taken = Vec::new();
        while let Some(id) = next(&queue, "lib", &["search"]) {
            let (spec, order) = tasks.iter().find(|(s, _)| s.id.as_str() == id).unwrap();
            taken.push(spec.id.as_str());
            queue.remove(spec, *order);
        }
        assert_eq!(taken, ["urgent", "mine", "first", "second", "low"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_task_aimed_at_one_agent_is_nobody_elses_whatever_its_skill() {
        let mut queue = Queue::default();
        queue.insert(&spec("a", "lib", "search"), 1);
        assert_eq!(next(&queue, "other", &["search"]), None);
        assert_eq!(next(&queue, "lib", &[]), Some("a"));
    }

    #[test]
    fn a_task_for_nobody_is_handed_to_nobody() {
        let mut queue = Queue::default();
        queue.insert(&spec("a", "", ""), 1);
        assert_eq!(next(&queue, "lib", &["", "search"]), None);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn taking_a_task_looks_at_one_head_a_skill_however_many_wait_for_others() {
        let cost = |foreign: u64, own: u64| {
            let mut queue = Queue::default();
            for n in 0..foreign {
                queue.insert(&spec(&format!("f{n}"), "other", "search"), n);
                queue.insert(&spec(&format!("s{n}"), "", "translate"), foreign + n);
            }
            for n in 0..own {
                queue.insert(&spec(&format!("o{n}"), "", "search"), 2 * foreign + n);
            }
            assert_eq!(next(&queue, "lib", &["search", "index"]), Some("o0"));
            queue.looked_at.get()
        };
        assert_eq!(cost(0, 1), 1);
        assert_eq!(cost(2_000, 2_000), 1);
    }
}
