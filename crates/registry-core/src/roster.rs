//! The roster: every known agent with its live half, indexed by skill and by owner.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::agent::{AgentInfo, AgentRecord, Health};
use seamesh_proto::limits::DEFAULT_MAX_CONCURRENT;
use seamesh_proto::{AgentId, Now, PeerId, TaskId};

use crate::io::ConnId;
use crate::store::StoredAgent;

/// One agent, with what only lives in memory.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) stored: StoredAgent,
    /// Its last heartbeat; newer than the stored one.
    pub(crate) beat: Now,
    pub(crate) health: Health,
    /// The socket it registered over; work is pushed there.
    pub(crate) conn: Option<ConnId>,
    /// Its socket closed, and its grace has passed.
    pub(crate) silent: bool,
    /// Tasks whose lease it holds.
    pub(crate) held: BTreeSet<TaskId>,
    /// When it was chosen last, as a count of choices.
    pub(crate) chosen: u64,
}

impl Agent {
    fn new(stored: StoredAgent) -> Self {
        Self {
            beat: Now(stored.last_heartbeat_ms),
            stored,
            health: Health::Offline,
            conn: None,
            silent: false,
            held: BTreeSet::new(),
            chosen: 0,
        }
    }

    /// Tasks it may take on top of those it holds.
    pub(crate) fn room(&self) -> usize {
        let most = match self.stored.info.max_concurrent {
            0 => DEFAULT_MAX_CONCURRENT,
            n => n,
        };
        (most as usize).saturating_sub(self.held.len())
    }

    /// Whether a task may be pushed to it now.
    pub(crate) fn is_able(&self) -> bool {
        self.conn.is_some() && self.health == Health::Active && self.room() > 0
    }

    pub(crate) fn record(&self) -> AgentRecord {
        AgentRecord {
            info: self.stored.info.clone(),
            health: self.health,
            registered_at: rfc3339(self.stored.registered_ms),
            last_heartbeat: rfc3339(self.beat.0),
            tasks_in_flight: u32::try_from(self.held.len()).unwrap_or(u32::MAX),
        }
    }
}

fn rfc3339(ms: u64) -> String {
    let format = time::format_description::well_known::Rfc3339;
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    // Out of range only for a clock past the year 9999.
    at.ok()
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_default()
}

/// Every agent, with the indexes that routing needs.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    by_id: BTreeMap<AgentId, Agent>,
    by_skill: BTreeMap<String, BTreeSet<AgentId>>,
    by_owner: BTreeMap<PeerId, BTreeSet<AgentId>>,
    pub(crate) choices: u64,
}

impl Agents {
    pub(crate) fn get(&self, id: &AgentId) -> Option<&Agent> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &AgentId) -> Option<&mut Agent> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AgentId, &Agent)> {
        self.by_id.iter()
    }

    pub(crate) fn records(&self) -> Vec<AgentRecord> {
        self.by_id.values().map(Agent::record).collect()
    }

    /// Agents that offer a skill.
    pub(crate) fn offering(&self, skill: &str) -> impl Iterator<Item = (&AgentId, &Agent)> {
        self.by_skill
            .get(skill)
            .into_iter()
            .flatten()
            .filter_map(|id| self.by_id.get_key_value(id))
    }

    /// Agents that a peer registered.
    pub(crate) fn owned(&self, peer: &PeerId) -> Vec<AgentId> {
        self.by_owner
            .get(peer)
            .map(|ids| ids.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Puts a stored agent in; what lives in memory of an earlier record is kept.
    pub(crate) fn put(&mut self, stored: StoredAgent) {
        let id = stored.info.agent_id.clone();
        self.unindex(&id);
        for skill in skill_names(&stored.info) {
            let ids = self.by_skill.entry(skill.to_owned()).or_default();
            ids.insert(id.clone());
        }
        let of_owner = self.by_owner.entry(stored.owner.clone()).or_default();
        of_owner.insert(id.clone());
        match self.by_id.get_mut(&id) {
            Some(agent) => agent.stored = stored,
            None => {
                self.by_id.insert(id, Agent::new(stored));
            }
        }
    }

    pub(crate) fn remove(&mut self, id: &AgentId) -> Option<Agent> {
        self.unindex(id);
        self.by_id.remove(id)
    }

    fn unindex(&mut self, id: &AgentId) {
        let Some(agent) = self.by_id.get(id) else {
            return;
        };
        for skill in skill_names(&agent.stored.info) {
            drop_from(&mut self.by_skill, skill, id);
        }
        drop_from(&mut self.by_owner, &agent.stored.owner, id);
    }
}

fn drop_from<K, Q>(index: &mut BTreeMap<K, BTreeSet<AgentId>>, key: &Q, id: &AgentId)
where
    K: Ord + std::borrow::Borrow<Q>,
    Q: Ord + ?Sized,
{
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

/// Names of an agent's skills, each once.
pub(crate) fn skill_names(info: &AgentInfo) -> BTreeSet<&str> {
    let described = info.skills.iter().map(|s| s.name.as_str());
    let named = info.capabilities.skills.iter().map(String::as_str);
    described.chain(named).collect()
}
