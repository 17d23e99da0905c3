//! The agents of the mesh as the registry told them, so that choosing one costs no round trip.

use std::collections::BTreeMap;

use seamesh_proto::{AgentId, AgentRecord, Health};

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    agents: BTreeMap<AgentId, AgentRecord>,
}

impl Directory {
    /// Everything anew.
    pub(crate) fn replace(&mut self, agents: Vec<AgentRecord>) {
        let keyed = agents.into_iter().map(|a| (a.info.agent_id.clone(), a));
        self.agents = keyed.collect();
    }

    pub(crate) fn up(&mut self, agent: AgentRecord) {
        self.agents.insert(agent.info.agent_id.clone(), agent);
    }

    pub(crate) fn down(&mut self, agent: &AgentId) {
        self.agents.remove(agent);
    }

    /// Which run of its process an agent is; empty: it does not say.
    pub(crate) fn instance(&self, agent: &AgentId) -> String {
        let agent = self.agents.get(agent);
        agent.map_or_else(String::new, |a| a.info.instance.clone())
    }

    /// The sidecar behind which an agent is.
    pub(crate) fn peer_of(&self, agent: &str) -> Option<&str> {
        let record = self.agents.get(agent)?;
        Some(&record.info.sidecar_peer_id)
    }

    /// The agents, by id, that offer a skill; all of them without one.
    pub(crate) fn list(&self, skill: Option<&str>) -> Vec<AgentRecord> {
        let offers = |a: &&AgentRecord| skill.is_none_or(|skill| a.info.offers(skill));
        self.agents.values().filter(offers).cloned().collect()
    }

    /// The healthy agents that `source` may ask: the one named, or all that offer the skill, without those whose skill
    /// does not name it among its callers.
    pub(crate) fn askable<'a>(
        &'a self,
        source: &'a AgentId,
        to: Option<&'a AgentId>,
        skill: &'a str,
    ) -> impl Iterator<Item = &'a AgentRecord> {
        self.healthy(to, skill)
            .filter(move |agent| agent.info.allows(skill, source.as_str()))
    }

    /// The healthy agents that have the skill: the one named, or all that offer it.
    pub(crate) fn healthy<'a>(
        &'a self,
        to: Option<&'a AgentId>,
        skill: &'a str,
    ) -> impl Iterator<Item = &'a AgentRecord> {
        let fits = move |a: &&AgentRecord| match to {
            Some(to) => a.info.agent_id == *to,
            None => a.info.offers(skill),
        };
        self.agents
            .values()
            .filter(fits)
            .filter(|a| a.health == Health::Active)
    }
}
