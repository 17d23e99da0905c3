//! How often somebody may: a bucket of tries per key, refilled with time, and one for all keys together.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use seamesh_proto::Now;

/// Most keys that are remembered. Full buckets are forgotten first; if none is, a new key has to wait.
const MAX_KEYS: usize = 65_536;

/// How many tries there are, and how fast they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Tries at once, and in [`Self::per_us`].
    pub tries: u64,
    /// Microseconds in which as many come back.
    pub per_us: u64,
}

impl Rate {
    /// So many in a minute.
    pub(crate) const fn per_minute(tries: usize) -> Self {
        Self {
            tries: tries as u64,
            per_us: 60_000_000,
        }
    }

    /// So many in a second, and up to `burst` at once.
    pub(crate) const fn per_second(tries: u64, burst: u64) -> Self {
        Self {
            tries: burst,
            per_us: burst * 1_000_000 / if tries == 0 { 1 } else { tries },
        }
    }

    /// Microseconds in which one try comes back.
    fn one_us(self) -> u64 {
        self.per_us.div_ceil(self.tries.max(1))
    }
}

/// Tries of one holder alone.
#[derive(Debug)]
pub(crate) struct Tries {
    rate: Rate,
    used: Bucket,
}

impl Tries {
    /// All of them.
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            used: Bucket::default(),
        }
    }

    /// Uses one; `false`: there is none.
    pub(crate) fn take(&mut self, now: Now) -> bool {
        self.used.take(self.rate, now).is_ok()
    }
}

/// Tries that were used, as the time at which the last of them will have come back.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    empty_at_us: u64,
}

impl Bucket {
    /// Uses a try, or says how many microseconds later there is one.
    fn take(&mut self, rate: Rate, now: Now) -> Result<(), u64> {
        let now_us = now.0 * 1000;
        let after = self.empty_at_us.max(now_us) + rate.one_us();
        let most = now_us + rate.one_us() * rate.tries;
        if after > most {
            return Err(after - most);
        }
        self.empty_at_us = after;
        Ok(())
    }
}

struct Tables<K> {
    buckets: HashMap<K, Bucket>,
    all: Bucket,
}

/// Buckets for keys of one kind.
pub(crate) struct Limiter<K> {
    each: Rate,
    all: Option<Rate>,
    tables: Mutex<Tables<K>>,
}

impl<K: Hash + Eq> Limiter<K> {
    /// A limiter with a rate for each key, and perhaps one for all together.
    pub(crate) fn new(each: Rate, all: Option<Rate>) -> Self {
        Self {
            each,
            all,
            tables: Mutex::new(Tables {
                buckets: HashMap::new(),
                all: Bucket::default(),
            }),
        }
    }

    /// Uses one try of a key.
    ///
    /// # Errors
    /// The seconds, rounded up, after which there is one again.
    pub(crate) fn take(&self, key: K, now: Now) -> Result<(), u64> {
        let mut tables = self.lock();
        let tables = &mut *tables;
        let in_seconds = |us: u64| us.div_ceil(1_000_000).max(1);
        if !tables.buckets.contains_key(&key) && tables.buckets.len() >= MAX_KEYS {
            tables.buckets.retain(|_, b| b.empty_at_us > now.0 * 1000);
            if tables.buckets.len() >= MAX_KEYS {
                return Err(in_seconds(self.each.one_us()));
            }
        }
        let bucket = tables.buckets.entry(key).or_default();
        let before = *bucket;
        bucket.take(self.each, now).map_err(in_seconds)?;
        if let Some(rate) = self.all {
            tables.all.take(rate, now).map_err(|us| {
                *bucket = before;
                in_seconds(us)
            })?;
        }
        Ok(())
    }

    /// Gives a try back that was none after all.
    pub(crate) fn give_back(&self, key: &K) {
        let mut tables = self.lock();
        let each = self.each.one_us();
        if let Some(bucket) = tables.buckets.get_mut(key) {
            bucket.empty_at_us = bucket.empty_at_us.saturating_sub(each);
        }
        if let Some(rate) = self.all {
            tables.all.empty_at_us = tables.all.empty_at_us.saturating_sub(rate.one_us());
        }
    }

    // No panic can happen while the lock is held.
    fn lock(&self) -> MutexGuard<'_, Tables<K>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now(1_000_000);

    #[test]
    fn a_key_has_its_tries_and_gets_one_back_after_its_time() {
        let limiter = Limiter::new(Rate::per_minute(5), None);
        for _ in 0..5 {
            assert_eq!(limiter.take("a", NOW), Ok(()));
        }
        assert_eq!(limiter.take("a", NOW), Err(12));
        assert_eq!(limiter.take("b", NOW), Ok(()), "another key has its own");
        assert_eq!(limiter.take("a", NOW.plus(11_999)), Err(1));
        assert_eq!(limiter.take("a", NOW.plus(12_000)), Ok(()));
        assert_eq!(limiter.take("a", NOW.plus(12_000)), Err(12));
    }

    #[test]
    fn many_tries_in_a_second_come_back_one_by_one() {
        let limiter = Limiter::new(Rate::per_second(2_000, 20), None);
        let taken = |now: Now| {
            (0..1_000)
                .filter(|_| limiter.take("a", now).is_ok())
                .count()
        };
        assert_eq!(taken(NOW), 20);
        assert_eq!(taken(NOW.plus(1)), 2);
        assert_eq!(taken(NOW.plus(6)), 10);
        assert_eq!(taken(NOW.plus(10_000)), 20);
    }

    #[test]
    fn what_is_given_back_can_be_used_again() {
        let limiter = Limiter::new(Rate::per_minute(1), Some(Rate::per_minute(1)));
        for _ in 0..3 {
            assert_eq!(limiter.take("a", NOW), Ok(()));
            limiter.give_back(&"a");
        }
    }

    #[test]
    fn all_keys_together_have_no_more_than_their_share() {
        let limiter = Limiter::new(Rate::per_minute(5), Some(Rate::per_minute(6)));
        let tried = (0..100).filter(|n| limiter.take(n / 2, NOW).is_ok());
        assert_eq!(tried.count(), 6);
        assert_eq!(limiter.take(99, NOW.plus(10_000)), Ok(()));
    }

    #[test]
    fn keys_are_bounded_and_forgotten_when_their_tries_are_back() {
        let limiter = Limiter::new(Rate::per_minute(1), None);
        for key in 0..MAX_KEYS {
            assert_eq!(limiter.take(key, NOW), Ok(()));
        }
        assert!(limiter.take(MAX_KEYS, NOW).is_err());
        assert_eq!(limiter.take(MAX_KEYS, NOW.plus(60_000)), Ok(()));
        assert_eq!(limiter.lock().buckets.len(), 1);
    }
}
