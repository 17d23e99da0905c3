//! Pure rules of the registry: agents, health, tasks, leases, pairing, relay.
//!
//! The contract in one sentence: after every [`Core::handle`], drain [`Core::poll`] until it is empty, then call again
//! with [`Input::Tick`] at [`Core::next_deadline`] at the latest.
//!
//! No clock, no randomness of its own, no IO: time comes in as [`Now`](seamesh_proto::Now), randomness as a seed, and
//! decisions go out as [`Output`]s. What must outlive a crash goes out as [`Output::Commit`], a barrier that holds every
//! later output back until the batch is durable: nobody ever hears of a decision that a crash could take back.

mod dispatch;
mod io;
pub mod limits;
mod memory;
mod outbox;
pub mod store;
mod timers;

pub use dispatch::{Config, Core};
pub use io::{Caller, ConnId, Input, LookupId, Note, Op, Output, Reason, Reply, RequestId};
pub use memory::MemoryStore;
