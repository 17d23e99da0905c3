//! The store: one SQLite file, one writing thread with group commit, a few reading connections.
//!
//! Commits go through a bounded queue to the writer, which takes all that wait and writes them in one transaction. One
//! fsync of another thread makes them durable while the writer writes the next. Reads run on their own connections, and
//! tell what they saw once it is durable.

mod access;
mod audit;
mod database;
mod disk;
mod lists;
mod reader;
mod retention;
mod rows;
mod schema;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use access::AccessWrite;
pub(crate) use database::{Database, EVENTS_KEPT};
pub(crate) use lists::EventRow;
pub(crate) use reader::Reader;
pub(crate) use retention::keep_sweeping;
pub(crate) use schema::OpenError;
pub(crate) use writer::{Progress, Writer};

/// The store did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk, or SQLite on it, failed.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The registry is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl From<StoreError> for seamesh_proto::Problem {
    fn from(_: StoreError) -> Self {
        // What exactly failed is for the log: callers can only try again.
        Self::new(
            seamesh_proto::Code::StoreUnavailable,
            "the registry's store cannot do this now; nothing was changed, try again",
        )
    }
}
