//! Traces for others: tasks that ended, as spans, to a collector (`--otlp URL`).
//!
//! The exporter is one more watcher of the event table. It reads on from the event it told last, whose number stands in
//! a file of the data directory: a collector or a registry that was away loses nothing that is still kept, and a span
//! that is told twice has the same ids both times.

mod collector;
mod cursor;
mod spans;

use std::path::Path;
use std::time::Duration;

use seamesh_proto::TaskId;
use seamesh_proto::events::{EventRecord, MeshEvent};
use seamesh_proto::task::Task;
use tokio::sync::watch;

use crate::store::{EventRow, Progress, Reader, StoreError};

use collector::{Collector, CollectorError};
pub use collector::{OtlpError, OtlpSettings};
use cursor::Cursor;
use spans::{Moment, Traces};

/// Events looked at before what they tell is sent.
const PAGE: usize = 256;

/// Events of one task that are looked at: a task of the most attempts has fewer.
const MAX_MOMENTS: usize = 1_024;

/// Milliseconds until a collector that could not take spans is asked again, at first and at most.
const RETRY_MS: (u64, u64) = (1_000, 60_000);

/// Milliseconds that pass between two exports, so that the spans of a busy registry travel together.
const TOGETHER_MS: u64 = 200;

/// Tells a collector of every task that ends, until the registry stops.
pub(crate) struct Exporter {
    reader: Reader,
    progress: watch::Receiver<Progress>,
    collector: Collector,
    cursor: Cursor,
}

impl Exporter {
    /// An exporter that goes on where the file at `cursor` says.
    ///
    /// # Errors
    /// [`OtlpError`].
    pub(crate) fn new(
        settings: &OtlpSettings,
        cursor: &Path,
        reader: Reader,
        progress: watch::Receiver<Progress>,
    ) -> Result<Self, OtlpError> {
        let newest = progress.borrow().last_seq;
        let opened = Cursor::open(cursor, newest).map_err(|error| OtlpError::Cursor {
            path: cursor.to_owned(),
            error,
        });
        Ok(Self {
            reader,
            progress,
            collector: Collector::new(settings)?,
            cursor: opened?,
        })
    }

    /// Runs until the registry stops. What was not told then is told after the next start.
    pub(crate) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        tokio::select! {
            () = self.export() => {}
            _ = stopping.wait_for(|stops| *stops) => {}
        }
    }

    async fn export(&mut self) {
        loop {
            let after = self.cursor.number();
            if self
                .progress
                .wait_for(|p| p.last_seq > after)
                .await
                .is_err()
            {
                return;
            }
            match self.next().await {
                Ok((traces, last)) => {
                    self.deliver(&traces).await;
                    self.cursor.advance(last);
                }
                Err(error) => {
                    tracing::warn!(%error, "tasks cannot be read for their traces; trying again");
                    tokio::time::sleep(Duration::from_millis(RETRY_MS.0)).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(TOGETHER_MS)).await;
        }
    }

    /// The spans that the next events tell of, and the number of the last of these.
    async fn next(&self) -> Result<(Traces, u64), StoreError> {
        let after = self.cursor.number();
        let rows = self.reader.events_after(after, PAGE).await?;
        let mut traces = Traces::default();
        if let Some(first) = rows.first()
            && first.seq > after + 1
        {
            let gone = first.seq - after - 1;
            tracing::warn!(
                gone,
                "events left the registry before the collector took them: tasks that ended then are not in its traces"
            );
        }
        let last = rows.last().map_or(after, |row| row.seq);
        for task in rows.iter().filter_map(ended) {
            if traces.wants(&task) {
                let moments = self.moments(&task.id).await?;
                traces.add(&task, &moments);
            }
        }
        Ok((traces, last))
    }

    async fn moments(&self, task: &TaskId) -> Result<Vec<Moment>, StoreError> {
        let rows = self.reader.history(task.clone(), 0, MAX_MOMENTS).await?;
        // A task that retention took away meanwhile has its end, and no more.
        let rows = rows.unwrap_or_default();
        Ok(rows.iter().filter_map(changed).collect())
    }

    /// Returns once the collector has the spans, or refuses them for good.
    async fn deliver(&self, traces: &Traces) {
        let Some(body) = traces.body() else {
            return;
        };
        let mut wait_ms = RETRY_MS.0;
        loop {
            match self.collector.take(&body).await {
                Ok(()) => return,
                Err(CollectorError::Refused(why)) => {
                    tracing::error!(
                        spans = traces.len(),
                        %why,
                        "the collector refuses spans, which are lost to it: look at --otlp and OTEL_EXPORTER_OTLP_HEADERS"
                    );
                    return;
                }
                Err(CollectorError::Away(why)) => {
                    tracing::warn!(%why, wait_ms, "the collector is away; nothing is lost, trying again");
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                    wait_ms = (wait_ms * 2).min(RETRY_MS.1);
                }
            }
        }
    }
}

fn record(row: &EventRow) -> Option<EventRecord> {
    serde_json::from_str(&row.record).ok()
}

/// The task that the event ended.
fn ended(row: &EventRow) -> Option<Task> {
    match record(row)?.event {
        MeshEvent::TaskChanged(task) if task.state.is_terminal() => Some(*task),
        _ => None,
    }
}

/// What the event changed about its task.
fn changed(row: &EventRow) -> Option<Moment> {
    let record = record(row)?;
    match record.event {
        MeshEvent::TaskChanged(task) => Some(Moment {
            at_ms: record.at_ms,
            task: *task,
        }),
        _ => None,
    }
}
