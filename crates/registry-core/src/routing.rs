//! Which of several agents gets work: the least loaded healthy one, ties to the least recently chosen.

use seamesh_proto::agent::{AgentRecord, Health};
use seamesh_proto::{AgentId, Code, Problem};

use crate::dispatch::Core;
use crate::roster::{Agent, Agents};

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

    /// Chooses an agent that work can be pushed to now. The agent of an earlier direct attempt goes first: it may know
    /// the outcome already.
    pub(crate) fn choose_able(&mut self, skill: &str, direct: Option<&AgentId>) -> Option<AgentId> {
        let is_fit = |id: &&AgentId| {
            self.get(id)
                .is_some_and(|a| a.is_able() && a.stored.info.offers(skill))
        };
        if let Some(id) = direct.filter(is_fit).cloned() {
            self.mark_chosen(&id);
            return Some(id);
        }
        self.choose(skill, Agent::is_able)
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
    /// `GET /api/registry/route`: the agent to ask for a skill.
    pub(crate) fn route_skill(&mut self, skill: &str) -> Result<AgentRecord, Problem> {
        let chosen = self
            .agents
            .choose(skill, |agent| agent.health == Health::Active);
        let agent = chosen.and_then(|id| self.agents.get(&id));
        agent.map(Agent::record).ok_or_else(|| {
            Problem::new(Code::NoAgent, format!("no healthy agent offers {skill:?}"))
        })
    }
}
