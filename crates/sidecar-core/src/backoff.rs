//! Growing delays with jitter.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::RngCore;

/// Delays that double from a first one to a largest one.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first_ms: u64,
    largest_ms: u64,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new((first_ms, largest_ms): (u64, u64)) -> Self {
        Self {
            first_ms,
            largest_ms,
            failures: 0,
        }
    }

    /// Failures since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// The delay before the next attempt, in milliseconds: half of it fixed, half random, so that many that lost the
    /// same thing at once do not all come back at once.
    pub(crate) fn next(&mut self, rng: &mut ChaCha12Rng) -> u64 {
        let doubled = self
            .first_ms
            .checked_shl(self.failures.min(32))
            .unwrap_or(self.largest_ms);
        let full = doubled.clamp(self.first_ms, self.largest_ms);
        self.failures = self.failures.saturating_add(1);
        full / 2 + rng.next_u64() % (full / 2 + 1)
    }

    /// It worked: the next delay is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn delays_grow_to_the_largest_and_start_over_after_a_success() {
        let mut rng = ChaCha12Rng::from_seed([7; 32]);
        let mut backoff = Backoff::new((50, 5_000));
        for full in [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let delay = backoff.next(&mut rng);
            assert!((full / 2..=full).contains(&delay), "{delay} of {full}");
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) <= 50);
    }

    #[test]
    fn a_thousand_failures_do_not_overflow() {
        let mut rng = ChaCha12Rng::from_seed([7; 32]);
        let mut backoff = Backoff::new((50, 5_000));
        assert!((0..1_000).all(|_| backoff.next(&mut rng) <= 5_000));
    }
}
