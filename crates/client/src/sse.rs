//! Server-sent events (WHATWG HTML, section 9.2): bytes in, `data` texts out.

use seamesh_proto::limits::MAX_HTTP_BODY_BYTES;

/// The stream is not one of server-sent events a registry would send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    /// A line that never ends.
    #[error("an event is longer than {MAX_HTTP_BODY_BYTES} bytes")]
    TooLong,
    /// Bytes that are no text.
    #[error("the stream is not UTF-8")]
    NotText,
}

/// Cuts a byte stream into events.
#[derive(Debug, Default)]
pub(crate) struct SseReader {
    /// Bytes that do not end in a newline yet.
    rest: Vec<u8>,
    /// `data` lines of the event under way.
    data: String,
}

impl SseReader {
    /// Takes bytes; appends the `data` of every event they complete. Comments and other fields are skipped: the event
    /// number stands in the data too.
    pub(crate) fn feed(&mut self, bytes: &[u8], events: &mut Vec<String>) -> Result<(), SseError> {
        self.rest.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(length) = self.rest[start..].iter().position(|&b| b == b'\n') {
            let line = &self.rest[start..start + length];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = std::str::from_utf8(line).map_err(|_| SseError::NotText)?;
            take_line(&mut self.data, line, events);
            start += length + 1;
        }
        self.rest.drain(..start);
        if self.rest.len() + self.data.len() > MAX_HTTP_BODY_BYTES {
            return Err(SseError::TooLong);
        }
        Ok(())
    }
}

fn take_line(data: &mut String, line: &str, events: &mut Vec<String>) {
    if line.is_empty() {
        if !data.is_empty() {
            events.push(std::mem::take(data));
        }
        return;
    }
    if let Some(value) = line.strip_prefix("data:") {
        if !data.is_empty() {
            data.push('\n');
        }
        data.push_str(value.strip_prefix(' ').unwrap_or(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<String>, SseError> {
        let (mut reader, mut events) = (SseReader::default(), Vec::new());
        for piece in pieces {
            reader.feed(piece, &mut events)?;
        }
        Ok(events)
    }

    const STREAM: &[u8] =
        b": hi\n\nid: 7\ndata: {\"a\":1}\n\nid: 8\r\ndata:{\"b\":\r\ndata: 2}\r\n\r\ndata: half";

    #[test]
    fn events_end_at_an_empty_line_and_comments_are_skipped() {
        assert_eq!(read(&[STREAM]).unwrap(), ["{\"a\":1}", "{\"b\":\n2}"]);
    }

    #[test]
    fn it_does_not_matter_where_the_network_cuts() {
        for cut in 0..STREAM.len() {
            let (head, tail) = STREAM.split_at(cut);
            assert_eq!(read(&[head, tail]), read(&[STREAM]), "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_line_and_foreign_bytes_are_refused() {
        let long = vec![b'x'; MAX_HTTP_BODY_BYTES + 1];
        assert_eq!(read(&[&long]), Err(SseError::TooLong));
        assert_eq!(read(&[b"data: \xff\n\n"]), Err(SseError::NotText));
    }
}
