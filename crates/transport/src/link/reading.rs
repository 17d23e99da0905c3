//! Messages on their way to a consumer that may have stopped.
//!
//! While paused, messages stay in the stack: 256 in its queue, then [`SCTP_RECEIVE_BUFFER_BYTES`] in SCTP,
//! whose window then closes and stops the peer. Two flaws of the stack need help. It announces no
//! reopened window by itself (RFC 9260 section 6.2), so the peer finds out with its next probe; and
//! after five unanswered probes, about a minute, its sender never probes again and the link would hang for good.
//! A trickle of messages is therefore taken out and parked here even while paused: every probe then
//! gets a little through, and the probes stay frequent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Payload;

/// Received and not yet taken, per link, at most: 4 MiB. Only a link whose reader has stopped uses it.
pub(crate) const SCTP_RECEIVE_BUFFER_BYTES: u32 = 4 * 1024 * 1024;

/// Between two messages taken out while paused. The peer's probes start 1 s apart and slow down.
const TRICKLE_INTERVAL: Duration = Duration::from_secs(2);

/// Bytes parked at most: more than eight minutes of the largest messages that our own kind sends.
const MAX_PARKED_BYTES: usize = 4 * 1024 * 1024;

/// The reading side of a link.
#[derive(Debug)]
pub(crate) struct Reading {
    is_paused: bool,
    parked: VecDeque<Payload>,
    parked_bytes: usize,
    /// Bytes of datagrams that came since the pause began.
    arrived_bytes: usize,
    last_trickle: Instant,
}

/// The consumer has stopped for so long that nothing more can be kept for it.
#[derive(Debug)]
pub(crate) struct Stalled;

impl Reading {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            is_paused: false,
            parked: VecDeque::new(),
            parked_bytes: 0,
            arrived_bytes: 0,
            last_trickle: now,
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(crate) fn pause(&mut self, paused: bool, now: Instant) {
        if paused != self.is_paused {
            self.is_paused = paused;
            self.arrived_bytes = 0;
            self.last_trickle = now;
        }
    }

    /// A datagram of data came.
    pub(crate) fn arrived(&mut self, bytes: usize) {
        if self.is_paused {
            self.arrived_bytes = self.arrived_bytes.saturating_add(bytes);
        }
    }

    /// When the next message is to be taken out in spite of the pause.
    pub(crate) fn trickle_due(&self) -> Option<Instant> {
        let may_be_full = self.arrived_bytes >= SCTP_RECEIVE_BUFFER_BYTES as usize / 2;
        (self.is_paused && may_be_full).then_some(self.last_trickle + TRICKLE_INTERVAL)
    }

    /// Whether to take one out now; counts as done.
    pub(crate) fn trickles(&mut self, now: Instant) -> bool {
        let is_due = self.trickle_due().is_some_and(|due| due <= now);
        if is_due {
            self.last_trickle = now;
        }
        is_due
    }

    pub(crate) fn park(&mut self, payload: Payload) -> Result<(), Stalled> {
        self.parked_bytes += payload.len();
        self.parked.push_back(payload);
        if self.parked_bytes > MAX_PARKED_BYTES {
            Err(Stalled)
        } else {
            Ok(())
        }
    }

    /// The next parked message, unless paused.
    pub(crate) fn next_parked(&mut self) -> Option<Payload> {
        if self.is_paused {
            return None;
        }
        let payload = self.parked.pop_front()?;
        self.parked_bytes -= payload.len();
        Some(payload)
    }
}
