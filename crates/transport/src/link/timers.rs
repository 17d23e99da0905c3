//! When a link has to be looked at again.

use std::time::{Duration, Instant};

use rtc::sansio::Protocol;

use super::Link;
use crate::{CloseReason, PEER_SILENCE_LIMIT};

/// A quiet link's timers run on a common beat of this length, so that an idle sidecar wakes once for
/// all its links. The only timer that a quiet link has is the consent check, due every second; the stack would
/// look at it every 200 ms, link by link.
const QUIET_BEAT: Duration = Duration::from_secs(1);

/// A link is quiet when it moved no data for this long and none is unacknowledged: beyond the 200 ms
/// that SCTP may delay an acknowledgement.
const QUIET_AFTER: Duration = Duration::from_millis(300);

/// Least time between two runs of a link's timers, so that no bug of a timer can spin the loop.
const LEAST_TICK: Duration = Duration::from_millis(1);

impl Link {
    /// When its timers, and its liveness, are due: (stack, liveness).
    pub(crate) fn deadlines(&mut self, now: Instant) -> (Option<Instant>, Instant) {
        let liveness = if self.opened {
            self.heard + PEER_SILENCE_LIMIT
        } else {
            self.open_by
        };
        let trickle = self.reading.trickle_due();
        let Some(due) = self.pc.poll_timeout() else {
            return (trickle, liveness);
        };
        let is_quiet = self.opened
            && now.saturating_duration_since(self.last_data) > QUIET_AFTER
            && self.outstanding() == 0;
        let earliest = if is_quiet {
            self.next_beat()
        } else {
            self.last_tick + LEAST_TICK
        };
        let due = due.max(earliest);
        (
            Some(trickle.map_or(due, |trickle| trickle.min(due))),
            liveness,
        )
    }

    fn next_beat(&self) -> Instant {
        let elapsed = self.last_tick.saturating_duration_since(self.origin);
        self.origin + QUIET_BEAT * (elapsed.as_secs() as u32).saturating_add(1)
    }

    /// Runs the timers that are due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let (stack, liveness) = self.deadlines(now);
        if liveness <= now {
            let silent = if self.opened {
                CloseReason::TimedOut
            } else {
                CloseReason::NotOpened
            };
            return self.end(silent);
        }
        if stack.is_none_or(|due| due > now) {
            return;
        }
        self.trickle(now);
        self.last_tick = now;
        if let Err(error) = self.pc.handle_timeout(now) {
            tracing::debug!(%error, "a timer of the stack fails");
            let failed = if self.opened {
                CloseReason::Internal
            } else {
                CloseReason::DtlsFailed
            };
            self.end(failed);
        }
    }

    /// Keeps the peer's sender alive while our consumer has stopped.
    fn trickle(&mut self, now: Instant) {
        if self.reading.trickles(now)
            && let Some(payload) = self.read()
            && self.reading.park(payload).is_err()
        {
            self.end(CloseReason::ReaderStalled);
        }
    }
}
