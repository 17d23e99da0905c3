//! Which of several agents gets work: the least loaded healthy one, ties to the least recently chosen.

use seamesh_proto::agent::{AgentRecord, Health, not_allowed};
use seamesh_proto::rest::Role;
use seamesh_proto::{AgentId, Code, Problem};

use crate::dispatch::Core;
use crate::io::Caller;
use crate::roster::{Agent, Agents};
use crate::store::TaskSpec;

impl Agents {
    /// Chooses among the agents that offer `skill` and pass `fit`.
    fn choose(&mut self, skill: &str, fit: impl Fn(&Agent) -> bool) -> Option<AgentId> {
        let best = self
            .offering(skill)
            .filter(|(_, agent)| fit(agent))
            .min_by_key(|(_, agent)| (agent.held.len(), agent.chosen))
            .map(|(id, _)| id.clone())?;
        self.mark_chosen(&best);
        Some(best)
    }

    /// Chooses an agent that a task can be pushed to now. The agent of an earlier direct attempt goes first: it may know
    /// the outcome already.
    pub(crate) fn choose_able(
        &mut self,
        spec: &TaskSpec,
        direct: Option<&AgentId>,
    ) -> Option<AgentId> {
        let is_fit = |id: &&AgentId| {
            self.get(id).is_some_and(|a| {
                a.is_able() && a.stored.info.offers(&spec.skill) && a.lets_in(spec)
            })
        };
        if let Some(id) = direct.filter(is_fit).cloned() {
            self.mark_chosen(&id);
            return Some(id);
        }
        self.choose(&spec.skill, |agent| agent.is_able() && agent.lets_in(spec))
    }

    fn mark_chosen(&mut self, id: &AgentId) {
        self.choices += 1;
        let count = self.choices;
        if let Some(agent) = self.get_mut(id) {
            agent.chosen = count;
        }
    }
}

impl Core {
    /// `GET /api/registry/route`: the agent to ask for a skill, one that lets the caller ask.
    pub(crate) fn route_skill(
        &mut self,
        caller: &Caller,
        skill: &str,
    ) -> Result<AgentRecord, Problem> {
        let source = self.speaks_as(caller, "");
        let lets_in =
            |agent: &Agent| caller.role > Role::Agent || agent.stored.info.allows(skill, &source);
        let healthy = |agent: &Agent| agent.health == Health::Active;
        let chosen = self
            .agents
            .choose(skill, |agent| healthy(agent) && lets_in(agent));
        if let Some(agent) = chosen.and_then(|id| self.agents.get(&id)) {
            return Ok(agent.record());
        }
        if self.agents.offering(skill).any(|(_, a)| healthy(a)) {
            return Err(not_allowed(None, skill, &source));
        }
        let detail = format!("no healthy agent offers {skill:?}");
        Err(Problem::new(Code::NoAgent, detail))
    }
}
