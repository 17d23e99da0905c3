//! What became of work that ran here: a repeat gets the same answer instead of a second run.

use std::collections::{BTreeMap, VecDeque};

use seamesh_proto::limits::DEDUP_WINDOW;
use seamesh_proto::{Outcome, TaskId};

use crate::limits::MAX_REMEMBERED_BYTES;

/// One attempt at one task.
pub(crate) type RunKey = (TaskId, u32);

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Past {
    /// With this outcome.
    Ended(Outcome),
    /// It was started, and the agent went away before it ended.
    Abandoned,
    /// With an outcome that was too long ago, and too large, to be kept.
    Forgotten,
}

/// A window over the last [`DEDUP_WINDOW`] attempts.
#[derive(Debug, Default)]
pub(crate) struct Window {
    ended: BTreeMap<RunKey, (Past, usize)>,
    order: VecDeque<RunKey>,
    /// Where in `order` the outcomes that are still kept begin.
    kept_from: usize,
    bytes: usize,
}

impl Window {
    pub(crate) fn get(&self, key: &RunKey) -> Option<&Past> {
        self.ended.get(key).map(|(past, _)| past)
    }

    /// Remembers an attempt; `bytes` is the length of its outcome.
    pub(crate) fn insert(&mut self, key: RunKey, past: Past, bytes: usize) {
        if self.ended.contains_key(&key) {
            return;
        }
        self.order.push_back(key.clone());
        self.ended.insert(key, (past, bytes));
        self.bytes += bytes;
        while self.bytes > MAX_REMEMBERED_BYTES && self.kept_from < self.order.len() {
            let key = &self.order[self.kept_from];
            self.kept_from += 1;
            if let Some((past, bytes)) = self.ended.get_mut(key) {
                self.bytes -= std::mem::take(bytes);
                if matches!(past, Past::Ended(_)) {
                    *past = Past::Forgotten;
                }
            }
        }
        if self.order.len() > DEDUP_WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept_from = self.kept_from.saturating_sub(1);
            if let Some((_, bytes)) = self.ended.remove(&oldest) {
                self.bytes -= bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(n: usize) -> RunKey {
        (format!("t{n}").parse().unwrap(), 1)
    }

    fn ended(n: usize) -> Past {
        Past::Ended(Outcome::completed(json!(n)))
    }

    #[test]
    fn the_window_keeps_the_newest_and_lets_the_oldest_go() {
        let mut window = Window::default();
        for n in 0..=DEDUP_WINDOW {
            window.insert(key(n), ended(n), 10);
        }
        assert_eq!(window.get(&key(0)), None);
        assert_eq!(window.get(&key(1)), Some(&ended(1)));
        assert_eq!(window.bytes, DEDUP_WINDOW * 10);
    }

    #[test]
    fn large_outcomes_are_forgotten_first_but_not_that_they_ran() {
        let mut window = Window::default();
        let large = MAX_REMEMBERED_BYTES / 2;
        for n in 0..3 {
            window.insert(key(n), ended(n), large);
        }
        assert_eq!(window.get(&key(0)), Some(&Past::Forgotten));
        assert_eq!(window.get(&key(1)), Some(&ended(1)));
        assert_eq!(window.get(&key(2)), Some(&ended(2)));
    }

    #[test]
    fn the_first_end_counts() {
        let mut window = Window::default();
        window.insert(key(1), Past::Abandoned, 0);
        window.insert(key(1), ended(1), 10);
        assert_eq!(window.get(&key(1)), Some(&Past::Abandoned));
    }
}
