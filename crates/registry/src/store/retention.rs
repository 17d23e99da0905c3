//! Tasks that ended leave the database after a while, in small portions between the commits.

use std::time::Duration;

use rusqlite::Connection;
use seamesh_proto::Now;
use tokio::sync::watch;

use super::rows::int;
use super::{StoreError, Writer};
use crate::clock::Clock;

/// Tasks deleted in one transaction: a few milliseconds, which a commit that comes meanwhile waits at most.
pub(super) const PORTION: usize = 256;

/// Seconds between two looks for tasks that are old enough. Ages count in days.
const LOOK_EVERY_S: u64 = 600;

/// Finds the next portion of tasks that ended before a time, the oldest first.
pub(super) const OLD: &str = "SELECT n FROM tasks WHERE outcome_state IS NOT NULL AND updated_ms < ?1 \
     ORDER BY updated_ms LIMIT ?2";

/// Deletes up to [`PORTION`] tasks that ended before `before`, with their payloads and results; how many.
///
/// # Errors
/// What SQLite says; nothing was deleted then.
pub(super) fn drop_ended(connection: &mut Connection, before: Now) -> rusqlite::Result<usize> {
    let transaction = connection.transaction()?;
    let portion = i64::try_from(PORTION).unwrap_or(i64::MAX);
    let old: Vec<i64> = {
        let mut find = transaction.prepare_cached(OLD)?;
        let rows = find.query_map([int(before.0), portion], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for sql in [
        "DELETE FROM task_payloads WHERE n = ?1",
        "DELETE FROM task_results WHERE n = ?1",
        // SQLite may give the number of the newest task to another one: that one must not find these events.
        "UPDATE events SET task_n = NULL WHERE task_n = ?1",
        "DELETE FROM tasks WHERE n = ?1",
    ] {
        let mut delete = transaction.prepare_cached(sql)?;
        for n in &old {
            delete.execute([n])?;
        }
    }
    transaction.commit()?;
    Ok(old.len())
}

/// Deletes all tasks that ended before `before`, portion by portion; how many.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn sweep(writer: &Writer, before: Now) -> Result<usize, StoreError> {
    let mut dropped = 0;
    loop {
        let portion = writer.drop_ended(before).await?;
        dropped += portion;
        if portion < PORTION {
            return Ok(dropped);
        }
    }
}

/// Sweeps now and then until the registry stops.
pub(crate) async fn keep_sweeping(
    writer: Writer,
    clock: Clock,
    age: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let mut look = tokio::time::interval(Duration::from_secs(LOOK_EVERY_S));
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = stopping.wait_for(|stops| *stops) => return,
        }
        let before = Now(clock.now().0.saturating_sub(age_ms));
        match sweep(&writer, before).await {
            Ok(0) => {}
            Ok(tasks) => tracing::info!(tasks, "tasks that ended long ago were deleted"),
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "old tasks were not deleted; the next look tries again")
            }
        }
    }
}
