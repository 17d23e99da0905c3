//! What a history can be found guilty of.

use std::fmt;

use seamesh_proto::{AgentId, PeerId, TaskId, TaskState};
use serde::{Deserialize, Serialize};

/// A promise that was not kept, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "violation", rename_all = "snake_case")]
pub enum Violation {
    /// An accepted task has not ended, or nobody ever heard of it again.
    Lost {
        /// The task.
        task: TaskId,
        /// Its last known state.
        state: Option<TaskState>,
    },
    /// An accepted task ended after its TTL.
    Late {
        /// The task.
        task: TaskId,
        /// Milliseconds past its TTL.
        by_ms: u64,
    },
    /// A terminal state changed, or was told twice.
    Undone {
        /// The task.
        task: TaskId,
        /// The terminal state.
        was: TaskState,
        /// The state after it.
        became: TaskState,
    },
    /// A lease's number went back, or one number named two attempts or agents.
    LeaseReused {
        /// The task.
        task: TaskId,
        /// The lease.
        lease: u64,
    },
    /// An attempt's handler began more than once.
    RanTwice {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// Who ran it, as often as it was run.
        agents: Vec<AgentId>,
    },
    /// A handler began while the lease of an earlier attempt was live.
    Overlap {
        /// The task.
        task: TaskId,
        /// The attempt whose lease was live.
        leased: u32,
        /// The attempt that began.
        began: u32,
    },
    /// More attempts were made than allowed.
    TooManyAttempts {
        /// The task.
        task: TaskId,
        /// The attempts made.
        attempts: u32,
        /// The attempts allowed.
        allowed: u32,
    },
    /// A request never ended for its sender.
    Unanswered {
        /// The request.
        request: String,
    },
    /// A request ended more than once for its sender.
    AnsweredTwice {
        /// The request.
        request: String,
    },
    /// A sender was told that its work completed, and the registry says that it did not.
    Contradicted {
        /// The request.
        request: String,
        /// The task.
        task: TaskId,
        /// What the registry says.
        state: TaskState,
    },
    /// One idempotency key was accepted as two tasks.
    KeyTwice {
        /// The key.
        key: String,
    },
    /// One idempotency key was accepted with different content.
    KeyContent {
        /// The key.
        key: String,
    },
    /// A part of a result came twice, too early, or not at all before a later one.
    ChunkMisplaced {
        /// The request.
        request: String,
        /// The attempt.
        attempt: u32,
        /// The part that was due.
        due: u64,
        /// The part that came.
        came: u64,
    },
    /// A message arrived that was never sent.
    Invented {
        /// The sender.
        from: PeerId,
        /// The receiver.
        to: PeerId,
        /// The message.
        number: u64,
    },
    /// A message arrived twice.
    Repeated {
        /// The sender.
        from: PeerId,
        /// The receiver.
        to: PeerId,
        /// The message.
        number: u64,
    },
    /// A message arrived after one that was sent later.
    OutOfOrder {
        /// The sender.
        from: PeerId,
        /// The receiver.
        to: PeerId,
        /// The message.
        number: u64,
    },
    /// A message did not arrive, and its sender was not told that the link went down.
    LostUntold {
        /// The sender.
        from: PeerId,
        /// The receiver.
        to: PeerId,
        /// The message.
        number: u64,
    },
}

impl Violation {
    /// The task it is about, if it is about one.
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::Lost { task, .. }
            | Self::Late { task, .. }
            | Self::Undone { task, .. }
            | Self::LeaseReused { task, .. }
            | Self::RanTwice { task, .. }
            | Self::Overlap { task, .. }
            | Self::TooManyAttempts { task, .. }
            | Self::Contradicted { task, .. } => Some(task),
            _ => None,
        }
    }

    /// Its kind, as it stands in a file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lost { .. } => "lost",
            Self::Late { .. } => "late",
            Self::Undone { .. } => "undone",
            Self::LeaseReused { .. } => "lease_reused",
            Self::RanTwice { .. } => "ran_twice",
            Self::Overlap { .. } => "overlap",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::Unanswered { .. } => "unanswered",
            Self::AnsweredTwice { .. } => "answered_twice",
            Self::Contradicted { .. } => "contradicted",
            Self::KeyTwice { .. } => "key_twice",
            Self::KeyContent { .. } => "key_content",
            Self::ChunkMisplaced { .. } => "chunk_misplaced",
            Self::Invented { .. } => "invented",
            Self::Repeated { .. } => "repeated",
            Self::OutOfOrder { .. } => "out_of_order",
            Self::LostUntold { .. } => "lost_untold",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As it stands in a file: with every name, on one line.
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
