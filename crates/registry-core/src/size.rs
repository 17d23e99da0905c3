//! How large a value is on the wire, without building its text.

use std::io;

use serde::Serialize;

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of `value` as JSON.
pub(crate) fn json_bytes<T: Serialize>(value: &T) -> usize {
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        // Wire types always serialise; should one not, no limit admits it.
        Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::json_bytes;

    #[test]
    fn counts_what_the_text_has() {
        let value = serde_json::json!({"a": [1, "zwölf", null]});
        assert_eq!(json_bytes(&value), value.to_string().len());
    }
}
