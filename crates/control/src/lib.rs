//! Faults on request: the private Unix socket by which a test tells a registry or a sidecar to cut a link, to delay one,
//! and to move its clock. Both serve it only when they were started with `--test-control`, and only on loopback
//! (docs/adr/0017). JSON lines: each [`Command`] is answered by one [`Answer`], once it is done.
//!
//! ```text
//! > {"command":"cut","peer":"reader-sidecar"}
//! < {"ok":true}
//! ```

mod client;
mod server;

pub use client::{Client, ClientError};
pub use server::{Asked, BindError, Control};

use seamesh_proto::PeerId;
use serde::{Deserialize, Serialize};

/// Longest line either way, in bytes: a command names one peer.
pub const MAX_LINE: u64 = 4 * 1024;

/// Most that one command moves a clock by, in milliseconds: a year, far over every deadline of the mesh.
pub const MAX_ADVANCE_MS: u64 = 365 * 24 * 3600 * 1000;

/// Longest delay of a link's messages, in milliseconds: a minute.
pub const MAX_DELAY_MS: u64 = 60_000;

/// What a test asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Moves the clock forward. Before the answer, what is due by then is done, and the registry has what a sidecar told
    /// it. Registry and sidecar.
    Advance {
        /// Milliseconds, at most [`MAX_ADVANCE_MS`].
        ms: u64,
    },
    /// Answers once the registry has everything that the sidecar told it so far. Sidecar.
    Settle {},
    /// Ends the link with a peer, and refuses every new one. Sidecar.
    Cut {
        /// The other end.
        peer: PeerId,
    },
    /// Allows links with a peer again, and dials it. Sidecar.
    Heal {
        /// The other end.
        peer: PeerId,
    },
    /// Ends the signaling socket, and opens no new one. Sidecar.
    CutRegistry {},
    /// Lets the sidecar reach the registry again. Sidecar.
    HealRegistry {},
    /// Hands messages of a peer's link on only so long after they came. Sidecar.
    Delay {
        /// The other end.
        peer: PeerId,
        /// Milliseconds, at most [`MAX_DELAY_MS`]; 0 ends the delay.
        ms: u64,
    },
}

impl Command {
    /// Refuses what is over a limit.
    ///
    /// # Errors
    /// What to give instead.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Advance { ms } if *ms > MAX_ADVANCE_MS => Err(format!(
                "a clock moves by at most {MAX_ADVANCE_MS} ms at once"
            )),
            Self::Delay { ms, .. } if *ms > MAX_DELAY_MS => {
                Err(format!("a link is delayed by at most {MAX_DELAY_MS} ms"))
            }
            _ => Ok(()),
        }
    }
}

/// What a test is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
