//! What the agent answered lately, so that work handed over twice runs once.

use std::collections::{BTreeMap, VecDeque};

use seamesh_proto::TaskId;

/// One attempt at one task.
pub(crate) type Key = (TaskId, u32);

/// Answers remembered. A sidecar that restarted may hand over what was done already.
const KEPT: usize = 256;

/// Bytes of answers remembered: four of the largest.
const KEPT_BYTES: usize = 4 * seamesh_proto::limits::MAX_PAYLOAD_BYTES;

/// The last answers, as the lines they went out in.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    lines: BTreeMap<Key, Vec<u8>>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Answers {
    pub(crate) fn get(&self, key: &Key) -> Option<&[u8]> {
        self.lines.get(key).map(Vec::as_slice)
    }

    /// Remembers an answer; forgets the oldest over the limits.
    pub(crate) fn put(&mut self, key: Key, line: Vec<u8>) {
        self.bytes += line.len();
        if let Some(old) = self.lines.insert(key.clone(), line) {
            self.bytes -= old.len();
        } else {
            self.order.push_back(key);
        }
        while self.order.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            let dropped = self.lines.remove(&oldest).unwrap_or_default();
            self.bytes -= dropped.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        (format!("t{n}").parse().unwrap(), 1)
    }

    #[test]
    fn the_oldest_answers_are_forgotten_by_count_and_by_bytes() {
        let mut answers = Answers::default();
        for n in 0..=KEPT {
            answers.put(key(n), vec![b'x']);
        }
        assert_eq!(answers.get(&key(0)), None);
        assert!(answers.get(&key(1)).is_some() && answers.get(&key(KEPT)).is_some());
        answers.put(key(999), vec![b'y'; KEPT_BYTES]);
        assert_eq!(
            answers.lines.len(),
            1,
            "one that fills everything stands alone"
        );
        assert_eq!(answers.bytes, KEPT_BYTES);
    }
}
