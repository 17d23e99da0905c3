//! A store in memory that holds the store contract: for tests and the simulator.

use std::collections::BTreeMap;

use seamesh_proto::events::{EventRecord, MeshEvent};
use seamesh_proto::{AgentId, Now, TaskId};

use crate::store::{
    Batch, Conflict, Loaded, StoredAgent, StoredInvite, StoredNewcomer, StoredTask, TaskKey, Write,
};

/// A store in memory. What is in it is what a disk would hold: keep it across a simulated crash.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tasks: BTreeMap<TaskId, StoredTask>,
    keys: BTreeMap<TaskKey, TaskId>,
    agents: BTreeMap<AgentId, StoredAgent>,
    invites: BTreeMap<String, StoredInvite>,
    newcomers: BTreeMap<String, StoredNewcomer>,
    events: Vec<EventRecord>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every live entity.
    pub fn load(&self) -> Loaded {
        Loaded {
            tasks: self
                .tasks
                .values()
                .filter(|t| !t.state.is_terminal())
                .cloned()
                .collect(),
            agents: self.agents.values().cloned().collect(),
            invites: self.invites.values().cloned().collect(),
            newcomers: self.newcomers.values().cloned().collect(),
            children: self.children().collect(),
        }
    }

    fn children(&self) -> impl Iterator<Item = (TaskId, TaskId)> {
        self.tasks.values().filter_map(|child| {
            let parent = self.tasks.get(child.spec.lineage.parent_id.as_ref()?)?;
            let asks = !parent.state.is_terminal() && parent.attempt > 0;
            asks.then(|| (parent.spec.id.clone(), child.spec.id.clone()))
        })
    }

    /// Writes a batch, whole or not at all.
    ///
    /// # Errors
    /// [`Conflict`] when a write was decided on another version than the stored one, or brings an idempotency key that
    /// another task has.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), Conflict> {
        for write in &batch.writes {
            let stored = self.version(write);
            if stored != write.expected() && !matches!(write, Write::AddEnded { .. }) {
                let (kind, key) = write.key();
                return Err(Conflict {
                    kind: kind.to_owned(),
                    key: key.to_owned(),
                    expected: write.expected(),
                    stored,
                });
            }
            if let Some(conflict) = self.key_conflict(write) {
                return Err(conflict);
            }
        }
        for write in &batch.writes {
            self.apply(write.clone(), batch.at);
        }
        for event in &batch.events {
            self.tell(event.clone(), batch.at);
        }
        Ok(())
    }

    fn key_conflict(&self, write: &Write) -> Option<Conflict> {
        let Write::PutTask { expected: 0, task } = write else {
            return None;
        };
        let key = task.spec.key()?;
        let other = self.find_key(&key)?;
        Some(Conflict {
            kind: "idempotency_key".to_owned(),
            key: key.key,
            expected: 0,
            stored: other.version,
        })
    }

    fn tell(&mut self, event: MeshEvent, at: Now) {
        self.events.push(EventRecord {
            seq: self.events.len() as u64 + 1,
            at_ms: at.0,
            event,
        });
    }

    /// Tasks by id, live or ended.
    pub fn find(&self, ids: &[TaskId]) -> Vec<StoredTask> {
        ids.iter()
            .filter_map(|id| self.tasks.get(id).cloned())
            .collect()
    }

    /// The task that its submitter named so, live or ended.
    pub fn find_key(&self, key: &TaskKey) -> Option<StoredTask> {
        self.tasks.get(self.keys.get(key)?).cloned()
    }

    /// Every task ever committed, by id.
    pub fn tasks(&self) -> impl Iterator<Item = &StoredTask> {
        self.tasks.values()
    }

    /// Events numbered above `after`.
    pub fn events_after(&self, after: u64) -> Vec<EventRecord> {
        self.events
            .iter()
            .filter(|e| e.seq > after)
            .cloned()
            .collect()
    }

    fn version(&self, write: &Write) -> u64 {
        let version = match write {
            Write::PutTask { task, .. } | Write::AddEnded { task, .. } => {
                self.tasks.get(&task.spec.id).map(|t| t.version)
            }
            Write::PutAgent { agent, .. } => {
                self.agents.get(&agent.info.agent_id).map(|a| a.version)
            }
            Write::DeleteAgent { agent_id, .. } => self.agents.get(agent_id).map(|a| a.version),
            Write::PutInvite { invite, .. } => self.invites.get(&invite.digest).map(|i| i.version),
            Write::DeleteInvite { digest, .. } => self.invites.get(digest).map(|i| i.version),
            Write::PutNewcomer { newcomer, .. } => {
                self.newcomers.get(&newcomer.id).map(|n| n.version)
            }
        };
        version.unwrap_or(0)
    }

    fn apply(&mut self, write: Write, at: Now) {
        match write {
            Write::PutTask { task, .. } => {
                if let Some(key) = task.spec.key() {
                    self.keys.insert(key, task.spec.id.clone());
                }
                self.tasks.insert(task.spec.id.clone(), *task);
            }
            Write::AddEnded { task, event } => {
                if !self.tasks.contains_key(&task.spec.id) {
                    self.tasks.insert(task.spec.id.clone(), *task);
                    self.tell(*event, at);
                }
            }
            Write::PutAgent { agent, .. } => {
                self.agents.insert(agent.info.agent_id.clone(), *agent);
            }
            Write::DeleteAgent { agent_id, .. } => {
                self.agents.remove(&agent_id);
            }
            Write::PutInvite { invite, .. } => {
                self.invites.insert(invite.digest.clone(), invite);
            }
            Write::DeleteInvite { digest, .. } => {
                self.invites.remove(&digest);
            }
            Write::PutNewcomer { newcomer, .. } => {
                self.newcomers.insert(newcomer.id.clone(), *newcomer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, Subject};

    impl Subject for MemoryStore {
        fn load(&mut self) -> Loaded {
            MemoryStore::load(self)
        }

        fn commit(&mut self, batch: &Batch) -> Result<(), Conflict> {
            MemoryStore::commit(self, batch)
        }

        fn find(&mut self, ids: &[TaskId]) -> Vec<StoredTask> {
            MemoryStore::find(self, ids)
        }

        fn find_key(&mut self, key: &TaskKey) -> Option<StoredTask> {
            MemoryStore::find_key(self, key)
        }

        fn events_after(&mut self, after: u64) -> Vec<EventRecord> {
            MemoryStore::events_after(self, after)
        }

        fn reopen(&mut self) {
            // What is in memory is what a disk would hold.
            *self = self.clone();
        }
    }

    #[test]
    fn the_store_in_memory_holds_the_contract() {
        contract::run(MemoryStore::new);
    }
}
