//! The writing thread: takes everything that waits, writes it in one transaction, says how far it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use seamesh_proto::Now;
use seamesh_registry_core::store::Batch;
use tokio::sync::{mpsc, oneshot, watch};

use super::StoreError;
use super::access::AccessWrite;
use super::database::Database;

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
    },
    Access {
        write: Box<AccessWrite>,
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
}

impl Writer {
    /// Starts the thread. It ends with [`Self::close`], or once every clone of the writer is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(database: Database) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = mpsc::channel(MAX_QUEUED_JOBS);
        let (report, progress) = watch::channel(Progress {
            last_seq: database.last_seq(),
            ..Progress::default()
        });
        let counters = Arc::new(WriterCounters::default());
        let thread = WriterThread {
            database,
            report,
            counters: counters.clone(),
        };
        let handle = std::thread::Builder::new()
            .name("registry-store".to_owned())
            .spawn(move || thread.run(queue))?;
        let writer = Self {
            jobs,
            progress,
            counters,
        };
        Ok((writer, handle))
    }

    /// Queues batches of the core, which share a transaction; the last has number `last`. Numbers grow by one from batch
    /// to batch; [`Progress`] tells what became of them.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub(crate) async fn commit(
        &self,
        epoch: u64,
        last: u64,
        batches: Vec<Batch>,
    ) -> Result<(), StoreError> {
        let job = Job::Batches {
            epoch,
            last,
            batches,
        };
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)
    }

    /// Makes a change of the shell's own tables durable.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn access(&self, write: AccessWrite) -> Result<(), StoreError> {
        let (done, result) = oneshot::channel();
        let write = Box::new(write);
        let sent = self.jobs.send(Job::Access { write, done }).await;
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

struct WriterThread {
    database: Database,
    report: watch::Sender<Progress>,
    counters: Arc<WriterCounters>,
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
            self.write(&mut group);
            self.drop_ended(drops);
            if closed.is_some() {
                return;
            }
        }
    }

    fn write(&mut self, group: &mut Vec<Job>) {
        let failed_epoch = self.report.borrow().failed_epoch;
        group.retain(|job| match job {
            Job::Batches { epoch, .. } => failed_epoch != Some(*epoch),
            _ => true,
        });
        if group.is_empty() {
            return;
        }
        let batches = group.iter().flat_map(|job| match job {
            Job::Batches { batches, .. } => batches.as_slice(),
            _ => &[],
        });
        let access = group.iter().filter_map(|job| match job {
            Job::Access { write, .. } => Some(&**write),
            _ => None,
        });
        let result = self.database.commit(batches, access);
        let result = result.map_err(|error| {
            tracing::error!(%error, jobs = group.len(), "the store did not commit");
            StoreError::Failed(error.to_string())
        });
        let commits = group.iter().map(|job| match job {
            Job::Batches { batches, .. } => batches.len(),
            _ => 1,
        });
        self.count(commits.sum(), result.is_ok());
        self.finish(group, &result);
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

    fn count(&self, commits: usize, done: bool) {
        if done {
            self.counters.fsyncs.fetch_add(1, Relaxed);
            self.counters.commits.fetch_add(commits as u64, Relaxed);
        } else {
            self.counters.failures.fetch_add(1, Relaxed);
        }
    }

    /// Tells everybody who waits, and leaves the group empty.
    fn finish(&mut self, group: &mut Vec<Job>, result: &Result<(), StoreError>) {
        let mut last = None;
        for job in group.drain(..) {
            match job {
                Job::Batches {
                    epoch,
                    last: number,
                    ..
                } => last = Some((epoch, number)),
                // Who no longer waits is not told.
                Job::Access { done, .. } => drop(done.send(result.clone())),
                // `run` took these.
                Job::Close | Job::DropEnded { .. } => {}
            }
        }
        let Some((epoch, number)) = last else {
            return;
        };
        let last_seq = self.database.last_seq();
        self.report.send_modify(|progress| match result {
            Ok(()) => {
                progress.durable = number;
                progress.last_seq = last_seq;
            }
            Err(_) => progress.failed_epoch = Some(epoch),
        });
    }
}
