//! What happened in one run, as its witnesses tell it, and whether the promises were kept.
//!
//! A [`History`] is a list of timed facts: what submitters were answered, what handlers did, what the registry's event
//! stream said, what links carried. [`check`] decides the promises of work and of links one by one. It knows nothing of
//! how the facts came about, so the same check judges a simulation, real processes that are killed, and a history of
//! last week read from its file.

mod check;
mod links;
mod requests;
mod runs;
mod tasks;
mod violation;

use seamesh_proto::{AgentId, Code, PeerId, TaskId, TaskState};
use serde::{Deserialize, Serialize};

pub use check::check;
pub use violation::Violation;

/// Milliseconds by which times of different witnesses may disagree: they stand on one machine's clock, but are taken
/// by different processes, and some of them rounded to the millisecond.
pub const CLOCK_SLACK_MS: u64 = 5;

/// Milliseconds past its TTL at which a task that has not ended is late: an expiry waits for a commit, and on a busy
/// machine for its turn.
pub const TTL_SLACK_MS: u64 = 2_000;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// When, in milliseconds on a clock that all witnesses share.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened, as whoever saw it tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum What {
    /// Somebody asked for work.
    Submitted(Submitted),
    /// The work was accepted: from here on it is promised.
    Accepted(Accepted),
    /// The work was refused, or nobody knows whether it was accepted. The request has ended.
    Refused(Refused),
    /// The request's sender was told how it ended.
    Told(Told),
    /// The request's sender is gone: there is nobody left to tell.
    SenderGone {
        /// The request.
        request: String,
    },
    /// A handler began.
    Started(Run),
    /// A handler came to its end. Without it the handler died with its process, or was given up.
    Finished(Run),
    /// The registry's event stream told a task's new state.
    Changed(Changed),
    /// A request's sender got a part of its result.
    Chunk(Chunked),
    /// An agent handed a message to a link.
    Sent(Carried),
    /// An agent got a message from a link.
    Received(Carried),
    /// An agent was told that its link with a peer is down.
    LinkDown {
        /// Whose agent was told.
        peer: PeerId,
        /// The other end.
        other: PeerId,
    },
}

/// A request for work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Names the request in this history.
    pub request: String,
    /// The submitter's idempotency key, if it brought one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A digest of the content: equal when, and only when, the content is.
    pub digest: String,
}

/// What a submitter was promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The request.
    pub request: String,
    /// The task it became.
    pub task: TaskId,
    /// The task's time to live, in milliseconds from its submission.
    pub ttl_ms: u64,
    /// Attempts allowed.
    pub max_attempts: u32,
}

/// A request that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The request.
    pub request: String,
    /// Why; absent when the answer was lost with its connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// A request's end, as its sender was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The request.
    pub request: String,
    /// The task, where the sender was told that too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// How it ended.
    pub state: TaskState,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// One run of a handler.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    /// The task.
    pub task: TaskId,
    /// The attempt, as the handler was told.
    pub attempt: u32,
    /// The agent.
    pub agent: AgentId,
    /// Which life of the agent's process, for example its process id.
    pub incarnation: u64,
}

/// A task's state, as an event of the registry told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The event's number.
    pub seq: u64,
    /// The task.
    pub task: TaskId,
    /// Its state.
    pub state: TaskState,
    /// Number of its present or last attempt.
    pub attempt: u32,
    /// Number of its live lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// The agent that has it or had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

/// One message on a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Whose agent sent it.
    pub from: PeerId,
    /// Whose agent it is for.
    pub to: PeerId,
    /// Its place among the sender's messages to that peer: grows from message to message.
    pub number: u64,
}

/// A part of a result, as a request's sender got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunked {
    /// The request.
    pub request: String,
    /// The attempt that streams.
    pub attempt: u32,
    /// The part's number within the attempt.
    pub index: u64,
}

/// Everything that is known of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    facts: Vec<Fact>,
}

impl History {
    /// Adds a fact. Facts of one witness are added in its order; those of different witnesses need no order.
    pub fn add(&mut self, at_ms: u64, what: What) {
        self.facts.push(Fact { at_ms, what });
    }

    /// The facts, as they were added.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The facts, one JSON object a line.
    pub fn to_lines(&self) -> String {
        let line = |fact: &Fact| {
            // Texts, numbers and enums: nothing in it can fail to serialise.
            let json = serde_json::to_string(fact).expect("facts serialise");
            json + "\n"
        };
        self.facts.iter().map(line).collect()
    }

    /// Reads what [`to_lines`](Self::to_lines) wrote. Empty lines are passed over.
    ///
    /// # Errors
    /// When a line is no fact; the error says where in the line.
    pub fn from_lines(text: &str) -> Result<Self, serde_json::Error> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let facts = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { facts })
    }

    /// The facts for which `pick` finds something, by time; facts of the same millisecond keep their order.
    fn pick<'a, T>(&'a self, pick: impl Fn(&'a What) -> Option<T>) -> Vec<(u64, T)> {
        let found = self.facts.iter();
        let mut found: Vec<_> = found
            .filter_map(|fact| Some((fact.at_ms, pick(&fact.what)?)))
            .collect();
        found.sort_by_key(|(at_ms, _)| *at_ms);
        found
    }
}
