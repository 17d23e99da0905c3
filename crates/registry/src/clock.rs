//! The registry's one clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use seamesh_proto::Now;

/// Unix time that never jumps: one reading of the wall clock at start, the monotonic clock ever after.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    wall_ms: u64,
    started: Instant,
    /// Milliseconds that a test moved it by, for every copy.
    shift_ms: Arc<AtomicU64>,
}

impl Clock {
    /// Reads the wall clock, this once. A clock before 1970 counts as 1970.
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            wall_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            started: Instant::now(),
            shift_ms: Arc::default(),
        }
    }

    /// The present, in Unix milliseconds.
    pub(crate) fn now(&self) -> Now {
        Now(self.shown_ms() + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Moves it forward, and with it every copy. Who sleeps until an instant of it has to look anew.
    pub(crate) fn advance(&self, ms: u64) {
        self.shift_ms.fetch_add(ms, Relaxed);
    }

    /// What it showed at its start, as it is counted now.
    fn shown_ms(&self) -> u64 {
        self.wall_ms + self.shift_ms.load(Relaxed)
    }

    /// The present, in Unix seconds.
    pub(crate) fn now_s(&self) -> u64 {
        self.now().0 / 1000
    }

    /// The runtime's instant at which this clock shows `at`; for a past `at`, one not later than the present.
    pub(crate) fn instant(&self, at: Now) -> tokio::time::Instant {
        let offset = Duration::from_millis(at.0.saturating_sub(self.shown_ms()));
        // Far deadlines (a TTL of 30 days) are well inside what an Instant holds.
        tokio::time::Instant::from_std(self.started + offset)
    }
}
