//! Two threads: one takes everything that waits and writes it in one transaction, the other brings it to disk and says
//! how far they came. While one transaction is brought to disk the next is written, and no third is begun.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use seamesh_proto::Now;
use seamesh_registry_core::store::Batch;
use tokio::sync::{mpsc, oneshot, watch};

use super::StoreError;
use super::access::AccessWrite;
use super::database::Database;
use super::disk::{Disk, Settling};
use super::reader::Reader;
use crate::audit::Entry;

/// Jobs that wait for the writer. The driver pauses at a full queue, and with it every producer behind it.
const MAX_QUEUED_JOBS: usize = 1_024;

/// Jobs in one transaction: with the driver's bound on commits under way, all that can wait.
const MAX_GROUP: usize = 512;

/// How far the writer came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Number of the last batch that is durable.
    pub durable: u64,
    /// Number of the last event that is durable.
    pub last_seq: u64,
    /// The epoch in which a batch failed. Every later batch of that epoch was thrown away, because it was decided on
    /// what is not stored.
    pub failed_epoch: Option<u64>,
}

/// Counters of the writer.
#[derive(Debug, Default)]
pub(crate) struct WriterCounters {
    /// Batches made durable.
    pub commits: AtomicU64,
    /// Transactions, each one fsync.
    pub fsyncs: AtomicU64,
    /// Transactions that failed.
    pub failures: AtomicU64,
}

enum Job {
    Batches {
        epoch: u64,
        /// Number of the last of them.
        last: u64,
        batches: Vec<Batch>,
        /// What the audit is to say of them.
        audit: Vec<AccessWrite>,
    },
    Access {
        writes: Vec<AccessWrite>,
        done: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Tasks that ended before this time leave: one portion of them.
    DropEnded {
        before: Now,
        done: oneshot::Sender<Result<usize, StoreError>>,
    },
    Close,
}

/// The way to the writing thread.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    progress: watch::Receiver<Progress>,
    counters: Arc<WriterCounters>,
    settling: Settling,
}

impl Writer {
    /// Starts the threads. They end with [`Self::close`], or once every clone of the writer is dropped; the handle is
    /// that of the last to end.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(mut database: Database) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = mpsc::channel(MAX_QUEUED_JOBS);
        let (report, progress) = watch::channel(Progress {
            last_seq: database.last_seq(),
            ..Progress::default()
        });
        let counters = Arc::new(WriterCounters::default());
        let settling = Settling::default();
        let disk = database.take_disk();
        // Nothing is kept in it: who hands over waits until the transaction before is on disk.
        let (hand_over, committed) = std_mpsc::sync_channel(0);
        let writing = WriterThread {
            database,
            failed_epoch: None,
            progress: progress.clone(),
            settling: settling.clone(),
            hand_over,
        };
        let syncing = SyncThread {
            disk,
            report,
            counters: counters.clone(),
            settling: settling.clone(),
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("registry-store").spawn(move || writing.run(queue))?;
        let handle = thread("registry-sync").spawn(move || syncing.run(&committed))?;
        let writer = Self {
            jobs,
            progress,
            counters,
            settling,
        };
        Ok((writer, handle))
    }

    /// A reader of the same database, whose file is at `path`.
    pub(crate) fn reader(&self, path: &Path) -> Reader {
        Reader::new(path, self.settling.clone())
    }

    /// Queues batches of the core, which share a transaction with what the audit says of them; the last has number
    /// `last`. Numbers grow by one from batch to batch; [`Progress`] tells what became of them.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub(crate) async fn commit(
        &self,
        epoch: u64,
        last: u64,
        batches: Vec<Batch>,
        audit: Vec<Entry>,
    ) -> Result<(), StoreError> {
        let job = Job::Batches {
            epoch,
            last,
            batches,
            audit: audit.into_iter().map(AccessWrite::Audit).collect(),
        };
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)
    }

    /// Makes changes of the shell's own tables durable, all of them or none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn access(&self, writes: Vec<AccessWrite>) -> Result<(), StoreError> {
        let (done, result) = oneshot::channel();
        let sent = self.jobs.send(Job::Access { writes, done }).await;
        sent.map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Deletes one portion of the tasks that ended before `before`, once what was queued before is written; how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn drop_ended(&self, before: Now) -> Result<usize, StoreError> {
        let (done, result) = oneshot::channel();
        let sent = self.jobs.send(Job::DropEnded { before, done }).await;
        sent.map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Ends the thread once all that was queued before is written; later writes are refused.
    pub(crate) async fn close(&self) {
        // A thread that has ended needs no word any more.
        drop(self.jobs.send(Job::Close).await);
    }

    /// Watches how far the writer came.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// The writer's counters.
    pub(crate) fn counters(&self) -> &WriterCounters {
        &self.counters
    }
}

/// A transaction that was written, or could not be.
struct Committed {
    number: u64,
    group: Vec<Job>,
    /// Number of its last event.
    last_seq: u64,
    result: Result<(), StoreError>,
}

struct WriterThread {
    database: Database,
    /// The epoch in which a transaction failed here.
    failed_epoch: Option<u64>,
    progress: watch::Receiver<Progress>,
    settling: Settling,
    hand_over: std_mpsc::SyncSender<Committed>,
}

impl WriterThread {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut group = Vec::new();
        while queue.blocking_recv_many(&mut group, MAX_GROUP) > 0 {
            let closed = group.iter().position(|job| matches!(job, Job::Close));
            if let Some(at) = closed {
                // Who comes behind it is told so by the dropped job.
                group.truncate(at);
            }
            let drops: Vec<Job> = group
                .extract_if(.., |job| matches!(job, Job::DropEnded { .. }))
                .collect();
            // Somebody waits for a commit: it goes first.
            self.write(std::mem::take(&mut group));
            self.drop_ended(drops);
            if closed.is_some() {
                return;
            }
        }
    }

    fn write(&mut self, mut group: Vec<Job>) {
        let failed = [self.failed_epoch, self.progress.borrow().failed_epoch];
        group.retain(|job| match job {
            Job::Batches { epoch, .. } => !failed.contains(&Some(*epoch)),
            _ => true,
        });
        if group.is_empty() {
            return;
        }
        let number = self.settling.begin();
        let batches = group.iter().flat_map(|job| match job {
            Job::Batches { batches, .. } => batches.as_slice(),
            _ => &[],
        });
        let access = group.iter().flat_map(|job| match job {
            Job::Access { writes, .. } | Job::Batches { audit: writes, .. } => writes.as_slice(),
            _ => &[],
        });
        let result = self.database.commit(batches, access);
        let result = result.map_err(|error| {
            tracing::error!(%error, jobs = group.len(), "the store did not commit");
            StoreError::Failed(error.to_string())
        });
        if result.is_err() {
            self.failed_epoch = last_batch(&group).map(|(epoch, _)| epoch);
        }
        let committed = Committed {
            number,
            group,
            last_seq: self.database.last_seq(),
            result,
        };
        // The other thread ends after this one; if it panicked, who waits is told so by the dropped jobs.
        drop(self.hand_over.send(committed));
    }

    fn drop_ended(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            if let Job::DropEnded { before, done } = job {
                let result = self.database.drop_ended(before);
                // Who no longer waits is not told.
                drop(done.send(result.map_err(|error| StoreError::Failed(error.to_string()))));
            }
        }
    }
}

struct SyncThread {
    disk: Option<Disk>,
    report: watch::Sender<Progress>,
    counters: Arc<WriterCounters>,
    settling: Settling,
}

impl SyncThread {
    fn run(mut self, committed: &std_mpsc::Receiver<Committed>) {
        while let Ok(mut one) = committed.recv() {
            if one.result.is_ok() {
                one.result = self.sync();
            }
            self.count(&one);
            self.settling.settle(one.number);
            self.tell(one);
        }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let Some(disk) = &mut self.disk else {
            return Ok(());
        };
        disk.sync().map_err(|error| {
            tracing::error!(%error, "the store did not reach the disk");
            StoreError::Failed(error.to_string())
        })
    }

    fn count(&self, committed: &Committed) {
        let commits = committed.group.iter().map(|job| match job {
            Job::Batches { batches, .. } => batches.len(),
            _ => 1,
        });
        if committed.result.is_ok() {
            self.counters.fsyncs.fetch_add(1, Relaxed);
            let commits: usize = commits.sum();
            self.counters.commits.fetch_add(commits as u64, Relaxed);
        } else {
            self.counters.failures.fetch_add(1, Relaxed);
        }
    }

    /// Tells everybody who waits.
    fn tell(&mut self, committed: Committed) {
        let last = last_batch(&committed.group);
        for job in committed.group {
            if let Job::Access { done, .. } = job {
                // Who no longer waits is not told.
                drop(done.send(committed.result.clone()));
            }
        }
        let Some((epoch, number)) = last else {
            return;
        };
        self.report.send_modify(|progress| {
            // What was written while the transaction before it failed stands in the file: the core loads it from there.
            if committed.result.is_ok() && progress.failed_epoch != Some(epoch) {
                progress.durable = number;
                progress.last_seq = committed.last_seq;
            } else {
                progress.failed_epoch = Some(epoch);
            }
        });
    }
}

/// Epoch and number of the last batch of a group.
fn last_batch(group: &[Job]) -> Option<(u64, u64)> {
    group.iter().rev().find_map(|job| match job {
        Job::Batches { epoch, last, .. } => Some((*epoch, *last)),
        _ => None,
    })
}
