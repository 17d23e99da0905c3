//! When a pending task may be handed out: at once, or after a pause. A task whose attempts keep ending without a result
//! is handed out more and more slowly, so that what breaks its agents does not break them without pause.

use seamesh_proto::limits::{RETRY_FIRST_MS, RETRY_LAST_MS};
use seamesh_proto::{Now, TaskId};

use crate::dispatch::Core;
use crate::timers::Timer;

/// Milliseconds a task pauses once `leases` of it have ended without a result.
pub(crate) fn pause_ms(leases: u64) -> u64 {
    let Some(doublings) = leases.checked_sub(2) else {
        return 0;
    };
    let factor = u32::try_from(doublings)
        .ok()
        .and_then(|n| 1_u64.checked_shl(n));
    factor
        .map_or(RETRY_LAST_MS, |f| RETRY_FIRST_MS.saturating_mul(f))
        .min(RETRY_LAST_MS)
}

impl Core {
    /// A pending task joins the queue, now or when its time has come.
    pub(crate) fn enqueue(&mut self, id: &TaskId) {
        let Some(live) = self.tasks.get(id) else {
            return;
        };
        match live.task.not_before_ms {
            Some(at) if Now(at) > self.now => self.timers.set(Timer::Ready(id.clone()), Now(at)),
            _ => self.queue.insert(&live.task.spec, live.order),
        }
    }

    /// A pending task's pause is over.
    pub(crate) fn pause_ended(&mut self, id: &TaskId) {
        self.enqueue(id);
        self.place(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_costs_no_time_and_the_pause_doubles_up_to_its_limit() {
        let pauses: Vec<u64> = (0..10).map(pause_ms).collect();
        let expected = [
            0, 0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000,
        ];
        assert_eq!(pauses, expected);
        assert_eq!(pause_ms(100), RETRY_LAST_MS);
        assert_eq!(pause_ms(u64::MAX), RETRY_LAST_MS);
    }
}
