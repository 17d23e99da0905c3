//! Who may call which skill: an agent's skill may name its callers. What people with the role operator or above submit
//! goes everywhere.

use std::collections::BTreeMap;

use seamesh_proto::agent::{AgentInfo, not_allowed};
use seamesh_proto::task::Outcome;
use seamesh_proto::{AgentId, Code, Problem, TaskId};

use crate::dispatch::Core;
use crate::roster::{Agent, skill_names};
use crate::store::TaskSpec;

/// A skill that an agent offers, and to whom.
#[derive(Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) skill: &'a str,
    /// The agents that may call it; `None`: everybody.
    pub(crate) callers: Option<Vec<&'a str>>,
}

/// What an agent offers, each skill once.
pub(crate) fn offers(info: &AgentInfo) -> Vec<Offer<'_>> {
    let mut closed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for skill in &info.skills {
        if let Some(callers) = &skill.callers {
            let named = callers.iter().map(AsRef::as_ref);
            // One that is described twice is as closed as both say.
            let named = named.filter(|caller| info.allows(&skill.name, caller));
            closed.insert(&skill.name, named.collect());
        }
    }
    let offer = |skill| Offer {
        skill,
        callers: closed.remove(skill),
    };
    skill_names(info).into_iter().map(offer).collect()
}

impl Agent {
    /// Whether it lets the source of this task call the skill.
    pub(crate) fn lets_in(&self, spec: &TaskSpec) -> bool {
        spec.by_operator || self.stored.info.allows(&spec.skill, &spec.source)
    }
}

impl Core {
    /// Whether a task is aimed at an agent that does not let its source in.
    pub(crate) fn is_kept_out(&self, spec: &TaskSpec) -> bool {
        let target = spec.target.as_ref().and_then(|id| self.agents.get(id));
        target.is_some_and(|agent| !agent.lets_in(spec))
    }

    /// Ends a pending task that its only agent does not take: its callers have changed since it was accepted.
    pub(crate) fn end_kept_out(&mut self, id: &TaskId, target: &AgentId) {
        let Some(live) = self.tasks.get(id) else {
            return;
        };
        let spec = &live.task.spec;
        let problem = not_allowed(Some(target), &spec.skill, &spec.source);
        self.finish(id, Outcome::failed(Code::Forbidden, problem.detail), None);
    }

    /// Checks that some agent that may get the task lets its source in. While nobody offers the skill, everybody may
    /// wait for it.
    pub(crate) fn check_callers(&self, spec: &TaskSpec) -> Result<(), Problem> {
        if spec.by_operator {
            return Ok(());
        }
        let is_refused = match &spec.target {
            Some(_) => self.is_kept_out(spec),
            None => self.refuse_all(spec),
        };
        match is_refused {
            true => Err(not_allowed(spec.target.as_ref(), &spec.skill, &spec.source)),
            false => Ok(()),
        }
    }

    /// Whether agents offer a task's skill, and none of them lets its source in.
    pub(crate) fn refuse_all(&self, spec: &TaskSpec) -> bool {
        let mut offering = self.agents.offering(&spec.skill).peekable();
        offering.peek().is_some() && offering.all(|(_, agent)| !agent.lets_in(spec))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_offer_names_each_skill_once_with_those_whom_every_description_lets_in() {
        let info: AgentInfo = serde_json::from_value(json!({"agent_id": "a", "hostname": "h",
            "capabilities": {"skills": ["open", "named"]},
            "skills": [{"name": "closed", "callers": ["x", "y"]}, {"name": "closed", "callers": ["y", "z"]},
                {"name": "open"}, {"name": "nobody", "callers": []}]}))
        .unwrap();
        let seen: Vec<_> = offers(&info)
            .into_iter()
            .map(|o| (o.skill, o.callers))
            .collect();
        let expected = [
            ("closed", Some(vec!["y"])),
            ("named", None),
            ("nobody", Some(vec![])),
            ("open", None),
        ];
        assert_eq!(seen, expected);
    }
}
