//! What makes commits durable: one `fdatasync` of the write-ahead log, beside the thread that writes the next ones.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::watch;

/// The database's files, as far as they must be brought to disk.
#[derive(Debug)]
pub(crate) struct Disk {
    log: File,
    /// Files and directories that may not be on disk yet.
    unsynced: Vec<PathBuf>,
}

impl Disk {
    /// The disk under the database at `path`, which is open and has its log beside it. `companions`: files that were
    /// made beside it and must be on disk before anybody is told anything.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub(super) fn new(path: &Path, companions: Vec<PathBuf>) -> std::io::Result<Self> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = File::open(log)?;
        let mut unsynced = companions;
        unsynced.push(path.to_owned());
        // A new name is on disk only once its directory is.
        unsynced.extend(path.parent().map(Path::to_owned));
        Ok(Self { log, unsynced })
    }

    /// Returns once everything that was committed before is on disk.
    ///
    /// # Errors
    /// What the system says; what was committed may be lost then when the machine goes down.
    pub(super) fn sync(&mut self) -> std::io::Result<()> {
        while let Some(path) = self.unsynced.last() {
            File::open(path)?.sync_all()?;
            self.unsynced.pop();
        }
        self.log.sync_data()
    }
}

/// How many transactions were begun, and of how many it is known what became of them. A reader sees a transaction
/// before it is on disk, and speaks of it only after.
#[derive(Clone, Debug)]
pub(crate) struct Settling {
    begun: Arc<AtomicU64>,
    settled: watch::Sender<u64>,
}

impl Default for Settling {
    fn default() -> Self {
        Self {
            begun: Arc::default(),
            settled: watch::channel(0).0,
        }
    }
}

impl Settling {
    /// A transaction begins; its number.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, SeqCst) + 1
    }

    /// Transaction `number`, and every one before it, is on disk or has failed.
    pub(super) fn settle(&self, number: u64) {
        self.settled.send_replace(number);
    }

    /// Returns once everything that a reader may have seen until now is settled.
    pub(super) async fn settled(&self) {
        let begun = self.begun.load(SeqCst);
        let mut settled = self.settled.subscribe();
        // The sender lives in `self`.
        let _ = settled.wait_for(|settled| *settled >= begun).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_reader_waits_for_what_it_may_have_seen_and_for_no_more() {
        let is_settled = |settled: &mut std::pin::Pin<&mut dyn Future<Output = ()>>| {
            let mut context = Context::from_waker(Waker::noop());
            settled.as_mut().poll(&mut context).is_ready()
        };
        let settling = Settling::default();
        assert!(is_settled(&mut (pin!(settling.settled()) as _)));
        let first = settling.begin();
        let mut waits: std::pin::Pin<&mut dyn Future<Output = ()>> = pin!(settling.settled());
        assert!(!is_settled(&mut waits));
        settling.begin();
        settling.settle(first);
        assert!(is_settled(&mut waits));
        assert!(!is_settled(&mut (pin!(settling.settled()) as _)));
    }
}
