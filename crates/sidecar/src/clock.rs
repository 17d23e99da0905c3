//! The one place where the sidecar reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use seamesh_proto::Now;

/// Milliseconds that stand for "not in the life of this process": a hundred years, which an `Instant` can hold.
const FAR_MS: u64 = 100 * 365 * 24 * 3600 * 1000;

/// One wall-clock reading at the start, carried on by the monotonic clock: it never jumps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_ms: u64,
    /// Milliseconds that a test moved it by.
    shift_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            start: Instant::now(),
            start_ms: u64::try_from(since_epoch.as_millis()).unwrap_or_default(),
            shift_ms: 0,
        }
    }

    /// Moves it forward.
    pub(crate) fn advance(&mut self, ms: u64) {
        self.shift_ms = self.shift_ms.saturating_add(ms);
    }

    /// An instant as the core counts.
    pub(crate) fn now(&self, at: Instant) -> Now {
        let elapsed = at.saturating_duration_since(self.start).as_millis();
        let shown = self.start_ms.saturating_add(self.shift_ms);
        Now(shown + u64::try_from(elapsed).unwrap_or_default())
    }

    /// A deadline of the core as an instant: never early, and never further off than [`FAR_MS`].
    pub(crate) fn instant(&self, at: Now) -> Instant {
        let shown = self.start_ms.saturating_add(self.shift_ms);
        let ms = at.0.saturating_sub(shown);
        self.start + Duration::from_millis(ms.min(FAR_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_due_when_its_instant_comes_and_not_before() {
        let clock = Clock::start();
        let due = clock.now(Instant::now()).plus(5);
        let at = clock.instant(due);
        assert!(clock.now(at) >= due);
        assert!(clock.now(at - Duration::from_millis(1)) < due);
    }

    #[test]
    fn a_clock_that_was_moved_makes_deadlines_due_sooner() {
        let mut clock = Clock::start();
        let before = Instant::now();
        let due = clock.now(before).plus(60_000);
        clock.advance(60_000);
        assert!(clock.now(before) >= due);
        assert!(clock.instant(due) <= Instant::now());
    }

    #[test]
    fn the_furthest_deadline_there_is_can_be_waited_for() {
        let clock = Clock::start();
        assert!(clock.instant(Now(u64::MAX)) > Instant::now());
    }
}
