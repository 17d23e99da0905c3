//! Tasks that wait for an agent, indexed by who may take them.
//!
//! Taking the next task looks at one head for the agent itself and one for each of its skills, whatever else waits and
//! however much has ended: history is not in here, and neither are tasks for others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::{AgentId, TaskId};

use crate::callers::Offer;
use crate::store::TaskSpec;

/// A task's place among those that wait: the highest priority first, equals in the order of their acceptance.
type Place = (Reverse<i32>, u64);

/// Tasks in their order.
type Lane = BTreeMap<Place, TaskId>;

/// The tasks for one skill, and which of them are whose: an agent that lets only some callers in looks at the heads of
/// those, and not at what others left waiting.
#[derive(Debug, Default)]
struct SkillLane {
    all: Lane,
    /// What operators submitted, which every agent takes.
    by_operators: BTreeSet<Place>,
    by_source: BTreeMap<String, BTreeSet<Place>>,
}

impl SkillLane {
    fn insert(&mut self, place: Place, spec: &TaskSpec) -> bool {
        match spec.by_operator {
            true => self.by_operators.insert(place),
            false => match self.by_source.get_mut(&spec.source) {
                Some(places) => places.insert(place),
                None => {
                    let places = BTreeSet::from([place]);
                    self.by_source.insert(spec.source.clone(), places).is_none()
                }
            },
        };
        self.all.insert(place, spec.id.clone()).is_none()
    }

    fn remove(&mut self, place: Place, spec: &TaskSpec) -> bool {
        if spec.by_operator {
            self.by_operators.remove(&place);
        } else if let Some(places) = self.by_source.get_mut(&spec.source) {
            places.remove(&place);
            if places.is_empty() {
                self.by_source.remove(&spec.source);
            }
        }
        self.all.remove(&place).is_some()
    }

    /// The first place whose task these callers asked for; without a list anybody's.
    fn first_of(&self, callers: Option<&[&str]>) -> Option<Place> {
        let Some(callers) = callers else {
            return self.all.keys().next().copied();
        };
        let named = callers
            .iter()
            .filter_map(|caller| self.by_source.get(*caller));
        let heads = named
            .chain([&self.by_operators])
            .filter_map(BTreeSet::first);
        heads.min().copied()
    }
}

/// Pending tasks by their priority, and then in the order in which they were accepted.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    by_target: BTreeMap<AgentId, Lane>,
    by_skill: BTreeMap<String, SkillLane>,
    len: usize,
    /// Entries looked at so far: what the cost test counts.
    #[cfg(test)]
    pub(crate) looked_at: std::cell::Cell<u64>,
}

impl Queue {
    /// Adds a task under its place in the order. A task with neither target nor skill is for nobody: it only expires.
    pub(crate) fn insert(&mut self, spec: &TaskSpec, order: u64) {
        let place = (Reverse(spec.priority), order);
        let is_new = match &spec.target {
            Some(target) => {
                let lane = self.by_target.entry(target.clone()).or_default();
                lane.insert(place, spec.id.clone()).is_none()
            }
            None if spec.skill.is_empty() => false,
            None => {
                let lane = self.by_skill.entry(spec.skill.clone()).or_default();
                lane.insert(place, spec)
            }
        };
        self.len += usize::from(is_new);
    }

    /// Takes a task out, if it is in.
    pub(crate) fn remove(&mut self, spec: &TaskSpec, order: u64) {
        let place = (Reverse(spec.priority), order);
        let taken = match &spec.target {
            Some(target) => self.remove_aimed(target, place),
            None => self.remove_open(spec, place),
        };
        self.len -= usize::from(taken);
    }

    fn remove_aimed(&mut self, target: &AgentId, place: Place) -> bool {
        let Some(lane) = self.by_target.get_mut(target) else {
            return false;
        };
        let taken = lane.remove(&place).is_some();
        if lane.is_empty() {
            self.by_target.remove(target);
        }
        taken
    }

    fn remove_open(&mut self, spec: &TaskSpec, place: Place) -> bool {
        let Some(lane) = self.by_skill.get_mut(&spec.skill) else {
            return false;
        };
        let taken = lane.remove(place, spec);
        if lane.all.is_empty() {
            self.by_skill.remove(&spec.skill);
        }
        taken
    }

    /// The first task that `agent` may take: one aimed at it, or one with no target for a skill it offers to the task's
    /// source.
    pub(crate) fn next_for(&self, agent: &AgentId, offers: &[Offer<'_>]) -> Option<&TaskId> {
        let own = self.by_target.get(agent).and_then(|lane| {
            self.look();
            lane.first_key_value()
        });
        let open = offers.iter().filter_map(|offer| {
            let lane = self.by_skill.get(offer.skill)?;
            self.look();
            let place = lane.first_of(offer.callers.as_deref())?;
            lane.all.get_key_value(&place)
        });
        let first = own.into_iter().chain(open).min_by_key(|(place, _)| **place);
        first.map(|(_, id)| id)
    }

    /// Counts a lane whose head was looked at, for the cost test.
    fn look(&self) {
        #[cfg(test)]
        self.looked_at.set(self.looked_at.get() + 1);
    }

    /// Tasks that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
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
        spec.by_operator = false;
        spec.clone()
    }

    fn next<'a>(queue: &'a Queue, agent: &str, skills: &[&'static str]) -> Option<&'a str> {
        let agent = agent.parse().unwrap();
        let offer = |skill: &&'static str| Offer {
            skill,
            callers: None,
        };
        let offers: Vec<_> = skills.iter().map(offer).collect();
        queue.next_for(&agent, &offers).map(TaskId::as_str)
    }

    fn next_of<'a>(queue: &'a Queue, callers: &[&str]) -> Option<&'a str> {
        let offer = Offer {
            skill: "search",
            callers: Some(callers.to_vec()),
        };
        let id = queue.next_for(&"lib".parse().unwrap(), &[offer]);
        id.map(TaskId::as_str)
    }

    #[test]
    fn an_agent_that_names_its_callers_gets_their_first_task_and_what_operators_submitted() {
        let mut queue = Queue::default();
        let from = |id: &str, source: &str, by_operator: bool| TaskSpec {
            source: source.to_owned(),
            by_operator,
            ..spec(id, "", "search")
        };
        let tasks = [
            from("z1", "z", false),
            from("y1", "y", false),
            from("x1", "x", false),
            from("op", "z", true),
        ];
        for (spec, order) in tasks.iter().zip(1..) {
            queue.insert(spec, order);
        }
        assert_eq!(next_of(&queue, &["x", "y"]), Some("y1"));
        assert_eq!(next_of(&queue, &["x"]), Some("x1"));
        assert_eq!(next_of(&queue, &[]), Some("op"));
        assert_eq!(next(&queue, "lib", &["search"]), Some("z1"));
        queue.remove(&tasks[3], 4);
        assert_eq!(next_of(&queue, &[]), None);
        for (spec, order) in tasks.iter().zip(1..) {
            queue.remove(spec, order);
        }
        assert_eq!((queue.len(), queue.by_skill.len()), (0, 0));
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
