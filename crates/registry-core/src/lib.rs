//! Pure rules of the registry: agents, health, tasks, leases, pairing, relay.
//!
//! The contract in one sentence: after every [`Core::handle`], drain [`Core::poll`] until it is empty, then call again
//! with [`Input::Tick`] at [`Core::next_deadline`] at the latest.
//!
//! No clock, no randomness of its own, no IO: time comes in as [`Now`](seamesh_proto::Now), randomness as a seed, and
//! decisions go out as [`Output`]s. What must outlive a crash goes out as [`Output::Commit`], a barrier that holds every
//! later output back until the batch is durable: nobody ever hears of a decision that a crash could take back.

mod agents;
mod callers;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod delay;
mod direct;
mod dispatch;
mod health;
mod io;
mod leases;
pub mod limits;
mod links;
mod lookups;
mod memory;
mod outbox;
mod pairing;
mod queue;
mod reason;
mod relay;
mod requests;
mod results;
mod roster;
mod routing;
mod size;
pub mod store;
mod stream;
mod submit;
mod talk;
mod tasks;
mod timers;
mod waiting;

pub use dispatch::{Config, Core, Stats};
pub use io::{
    Caller, ConnId, Input, InviteTerms, LookupId, Newcomer, Note, Op, Output, Reason, Reply,
    RequestId,
};
pub use memory::MemoryStore;
