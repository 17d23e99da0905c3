//! Pure rules of the sidecar: links with peers, requests of the agent and work for it, signaling, back-pressure.
//!
//! **Contract: after every [`handle`](Sidecar::handle) (or [`handle_line`](Sidecar::handle_line)) drain
//! [`poll`](Sidecar::poll) until it is empty, doing what each output says; then sleep until
//! [`next_deadline`](Sidecar::next_deadline) or the next input, whichever comes first.** What waits to go out on a link
//! is pulled with [`take_piece`](Sidecar::take_piece), as fast as the transport takes it.
//!
//! The crate opens no socket, reads no clock and draws no randomness of its own: a seed comes in with [`Config`].

mod backoff;
mod callers;
mod commands;
mod directory;
mod effects;
mod framing;
mod input;
pub mod limits;
mod lineage;
mod link;
mod messages;
mod past;
mod peers;
mod report;
mod request;
mod requests;
mod run;
mod session;
mod sidecar;
mod signals;
mod talk;
mod timers;
mod traffic;
mod trust;
mod work;

pub use input::{ClientId, CloseReason, DescriptionKind, Input, LinkId, Note, Output, Piece};
pub use sidecar::{Config, Sidecar};
pub use timers::Reason;
pub use trust::{Identity, Keys, Trust};
