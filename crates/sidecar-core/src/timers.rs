//! Deadlines by what they are for.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::{Now, PeerId, TaskId};
use serde::{Deserialize, Serialize};

use crate::LinkId;

/// What a deadline is for. Each is set at most once at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Connect the signaling socket again.
    Reconnect,
    /// Say that we live and renew leases.
    Heartbeat,
    /// Report the open links.
    Links,
    /// Report finished direct work.
    Reports,
    /// The client has not said `hello`: it speaks the old dialect.
    Dialect,
    /// The agent that disconnected has not come back.
    AgentReturn,
    /// Dial a peer again.
    Redial(PeerId),
    /// The peer has not answered our offer.
    Answer(LinkId),
    /// A request of our agent ends.
    Request(TaskId),
    /// Nobody waits for this work of our agent any more.
    Work(TaskId, u32),
    /// A progress of this work waits to be told.
    Progress(TaskId, u32),
}

/// All deadlines of one sidecar.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Now, Reason)>,
    due: BTreeMap<Reason, Now>,
}

impl Timers {
    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, reason: Reason, at: Now) {
        self.cancel(&reason);
        self.due.insert(reason.clone(), at);
        self.queue.insert((at, reason));
    }

    /// Sets a deadline unless one is set already.
    pub(crate) fn set_if_unset(&mut self, reason: Reason, at: Now) {
        if !self.due.contains_key(&reason) {
            self.set(reason, at);
        }
    }

    pub(crate) fn cancel(&mut self, reason: &Reason) {
        if let Some(at) = self.due.remove(reason) {
            self.queue.remove(&(at, reason.clone()));
        }
    }

    pub(crate) fn next(&self) -> Option<(Now, Reason)> {
        self.queue.first().cloned()
    }

    /// Takes the earliest deadline that is due.
    pub(crate) fn pop_due(&mut self, now: Now) -> Option<Reason> {
        if self.queue.first().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, reason) = self.queue.pop_first()?;
        self.due.remove(&reason);
        Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_is_moved_fires_once_at_its_new_time() {
        let mut timers = Timers::default();
        timers.set(Reason::Heartbeat, Now(10));
        timers.set(Reason::Heartbeat, Now(20));
        timers.set_if_unset(Reason::Heartbeat, Now(5));
        assert_eq!(timers.pop_due(Now(19)), None);
        assert_eq!(timers.pop_due(Now(20)), Some(Reason::Heartbeat));
        assert_eq!(timers.next(), None);
    }
}
