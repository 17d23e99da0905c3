//! Everything that happens by itself at some time.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::{AgentId, Now, PeerId, TaskId};

use crate::io::{Reason, RequestId};

/// What a timer is for. There is at most one timer for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A task's TTL or its deadline ends.
    Expire(TaskId),
    /// A lease ends.
    Lapse(TaskId),
    /// A pending task may be handed out from now on.
    Ready(TaskId),
    /// A running task's progress may be told again.
    Progress(TaskId),
    /// An agent's health may change.
    Health(AgentId),
    /// An agent's socket closed a while ago.
    Grace(AgentId),
    /// A `wait` request's time is up.
    Wait(RequestId),
    /// A request for chunks has its time up.
    Chunks(RequestId),
    /// Nobody read a task's stream for a while.
    Reader(TaskId),
    /// A disconnected peer's links are forgotten.
    Links(PeerId),
    /// An invite ends.
    Invite(String),
}

impl Timer {
    fn reason(&self) -> Reason {
        match self {
            Self::Expire(_) => Reason::TaskExpiry,
            Self::Lapse(_) => Reason::LeaseLapse,
            Self::Ready(_) => Reason::TaskReady,
            Self::Progress(_) => Reason::TaskProgress,
            Self::Health(_) => Reason::AgentHealth,
            Self::Grace(_) => Reason::ReconnectGrace,
            Self::Wait(_) => Reason::WaitTimeout,
            Self::Chunks(_) => Reason::ChunksTimeout,
            Self::Reader(_) => Reason::StreamDeserted,
            Self::Links(_) => Reason::LinksForgotten,
            Self::Invite(_) => Reason::InviteExpiry,
        }
    }
}

/// The timers, by what they are for and by time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    at: BTreeMap<Timer, Now>,
    due: BTreeSet<(Now, Timer)>,
}

impl Timers {
    /// Sets or moves a timer.
    pub(crate) fn set(&mut self, timer: Timer, at: Now) {
        self.cancel(&timer);
        self.due.insert((at, timer.clone()));
        self.at.insert(timer, at);
    }

    /// Takes a timer away, if it is set.
    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some((timer, at)) = self.at.remove_entry(timer) {
            self.due.remove(&(at, timer));
        }
    }

    /// The next timer that is due by `now`, taken away.
    pub(crate) fn pop_due(&mut self, now: Now) -> Option<Timer> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        let (_, timer) = self.due.pop_first()?;
        self.at.remove(&timer);
        Some(timer)
    }

    /// When this timer is due, if it is set.
    pub(crate) fn at(&self, timer: &Timer) -> Option<Now> {
        self.at.get(timer).copied()
    }

    /// When the next timer is due, and why.
    pub(crate) fn next(&self) -> Option<(Now, Reason)> {
        self.due.first().map(|(at, timer)| (*at, timer.reason()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_timer_fires_once_and_at_its_new_time() {
        let mut timers = Timers::default();
        let invite = Timer::Invite("1".to_owned());
        timers.set(invite.clone(), Now(10));
        timers.set(invite.clone(), Now(20));
        assert_eq!(timers.pop_due(Now(19)), None);
        assert_eq!(timers.next(), Some((Now(20), Reason::InviteExpiry)));
        assert_eq!(timers.pop_due(Now(20)), Some(invite));
        assert_eq!(timers.pop_due(Now(99)), None);
    }

    #[test]
    fn a_canceled_timer_never_fires() {
        let mut timers = Timers::default();
        let wait = Timer::Wait(RequestId(1));
        timers.set(wait.clone(), Now(10));
        timers.cancel(&wait);
        assert_eq!(timers.pop_due(Now(99)), None);
        assert_eq!(timers.next(), None);
    }
}
