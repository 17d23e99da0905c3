//! The states a simulation is for: a run marks those it reaches, so that many runs together show that none of them is
//! only believed to be tested.

use std::collections::BTreeMap;

/// An interesting state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// Two sidecars dialed each other at once.
    Glare,
    /// A candidate came before its offer.
    EarlyCandidate,
    /// A link was lost with a request on it.
    LinkLostWithRequest,
    /// Direct work went to the queue after its link was lost.
    FellBack,
    /// Work came a second time, by the other way or again, and was not run again.
    NotRunAgain,
    /// A lease ended without a result.
    LeaseLapsed,
    /// A result came under a lease that had lapsed.
    LapsedInFlight,
    /// A task was handed out again.
    SecondAttempt,
    /// A task used up its attempts.
    AttemptsExhausted,
    /// A task outlived its TTL.
    Expired,
    /// A task missed its deadline.
    DeadlineMissed,
    /// Running work was told to stop.
    RunStopped,
    /// A parent was stopped while it waited for its child.
    ParentStopped,
    /// A sidecar restarted under an agent that worked on.
    Adopted,
    /// An agent died, its sidecar did not.
    AgentDied,
    /// An answer was made while the sidecar was away.
    AnsweredLater,
    /// The registry restarted while a task was leased.
    RestartWithLease,
    /// The registry died with a commit under way.
    DiedInCommit,
    /// The registry's disk was lost.
    DiskLost,
    /// A commit failed, and the registry loaded its state anew.
    CommitFailed,
    /// A submission came again under its idempotency key.
    KeyRepeated,
    /// An idempotency key came with other content.
    KeyConflict,
    /// A task waited for its time.
    WaitedForItsTime,
    /// A handler's question was answered.
    QuestionAnswered,
    /// A handler sent more chunks than its window has room for.
    StreamWaited,
    /// A chunk came again after a reconnect or restart.
    ChunkAgain,
    /// A link was silent until both ends gave it up.
    LinkSilent,
    /// A link did not open in its time.
    NotOpened,
    /// A sidecar gave up a registry that did not answer.
    RegistrySilent,
    /// A frame of an old connection came after a newer one was open.
    OldSocket,
    /// A task was handed out in the answer to a heartbeat.
    HeartbeatAnswer,
    /// A deep tree: a task with a grandparent ran.
    Grandchild,
}

impl Sight {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 32] = [
        Self::Glare,
        Self::EarlyCandidate,
        Self::LinkLostWithRequest,
        Self::FellBack,
        Self::NotRunAgain,
        Self::LeaseLapsed,
        Self::LapsedInFlight,
        Self::SecondAttempt,
        Self::AttemptsExhausted,
        Self::Expired,
        Self::DeadlineMissed,
        Self::RunStopped,
        Self::ParentStopped,
        Self::Adopted,
        Self::AgentDied,
        Self::AnsweredLater,
        Self::RestartWithLease,
        Self::DiedInCommit,
        Self::DiskLost,
        Self::CommitFailed,
        Self::KeyRepeated,
        Self::KeyConflict,
        Self::WaitedForItsTime,
        Self::QuestionAnswered,
        Self::StreamWaited,
        Self::ChunkAgain,
        Self::LinkSilent,
        Self::NotOpened,
        Self::RegistrySilent,
        Self::OldSocket,
        Self::HeartbeatAnswer,
        Self::Grandchild,
    ];

    /// What it is, for the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Glare => "both ends dialed at once",
            Self::EarlyCandidate => "a candidate came before its offer",
            Self::LinkLostWithRequest => "a link was lost with a request on it",
            Self::FellBack => "direct work went on through the queue",
            Self::NotRunAgain => "work came again and was not run again",
            Self::LeaseLapsed => "a lease ended without a result",
            Self::LapsedInFlight => "a lease lapsed while its result was in flight",
            Self::SecondAttempt => "a task was handed out again",
            Self::AttemptsExhausted => "a task used up its attempts",
            Self::Expired => "a task outlived its TTL",
            Self::DeadlineMissed => "a task missed its deadline",
            Self::RunStopped => "running work was told to stop",
            Self::ParentStopped => "a parent was stopped while it waited for its child",
            Self::Adopted => "a sidecar restarted under an agent at work",
            Self::AgentDied => "an agent died, its sidecar did not",
            Self::AnsweredLater => "an answer was made while the sidecar was away",
            Self::RestartWithLease => "the registry restarted while a task was leased",
            Self::DiedInCommit => "the registry died with a commit under way",
            Self::DiskLost => "the registry's disk was lost",
            Self::CommitFailed => "a commit failed",
            Self::KeyRepeated => "a submission came again under its key",
            Self::KeyConflict => "a key came with other content",
            Self::WaitedForItsTime => "a task waited for its time",
            Self::QuestionAnswered => "a question was answered",
            Self::StreamWaited => "a stream waited for its reader",
            Self::ChunkAgain => "a chunk was said again",
            Self::LinkSilent => "a link was given up in silence",
            Self::NotOpened => "a link did not open in its time",
            Self::RegistrySilent => "a sidecar gave up a silent registry",
            Self::OldSocket => "a frame came on a socket that was replaced",
            Self::HeartbeatAnswer => "work was handed out in a heartbeat's answer",
            Self::Grandchild => "a task with a grandparent ran",
        }
    }
}

/// How often each state was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sometimes(BTreeMap<Sight, u64>);

impl Sometimes {
    pub(crate) fn mark(&mut self, sight: Sight) {
        *self.0.entry(sight).or_default() += 1;
    }

    /// How often it was reached.
    pub fn count(&self, sight: Sight) -> u64 {
        self.0.get(&sight).copied().unwrap_or_default()
    }

    /// Adds what another run reached.
    pub fn add(&mut self, other: &Self) {
        for (sight, count) in &other.0 {
            *self.0.entry(*sight).or_default() += count;
        }
    }

    /// What was never reached.
    pub fn missed(&self) -> Vec<Sight> {
        let all = Sight::ALL.into_iter();
        all.filter(|sight| self.count(*sight) == 0).collect()
    }

    /// One line a state: how often it was reached, and what it is.
    pub fn table(&self) -> String {
        let line = |sight: Sight| format!("{:>10}  {}\n", self.count(sight), sight.name());
        Sight::ALL.into_iter().map(line).collect()
    }
}
