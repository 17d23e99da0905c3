//! Bytes of a stream, cut into lines without a copy.

use seamesh_proto::limits::MAX_LINE_BYTES;

/// Bytes read at once.
pub(crate) const READ_BYTES: usize = 128 * 1024;

/// A line, or the news that one was too long: the rest of it is skipped and the next one is good again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Without its newline.
    Whole(&'a [u8]),
    /// Over [`MAX_LINE_BYTES`].
    TooLong,
}

/// The buffer between a socket and its lines.
#[derive(Debug)]
pub(crate) struct LineBuffer {
    bytes: Vec<u8>,
    /// What is not handed out yet: `bytes[start..end]`.
    start: usize,
    end: usize,
    /// How far it was searched for a newline.
    searched: usize,
    /// In the middle of a line that is too long.
    skips: bool,
}

impl LineBuffer {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            searched: 0,
            skips: false,
        }
    }

    /// Room for the next read.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end, self.searched) = (0, 0, 0);
            if self.bytes.len() > READ_BYTES {
                // One long line does not pin its size for ever.
                self.bytes.truncate(READ_BYTES);
                self.bytes.shrink_to_fit();
            }
        } else if self.bytes.len() - self.end < READ_BYTES / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.searched -= self.start;
            self.start = 0;
            if self.bytes.len() - self.end < READ_BYTES / 2 {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes were read into the room.
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> Option<Line<'_>> {
        loop {
            let Some(found) = memchr::memchr(b'\n', &self.bytes[self.searched..self.end]) else {
                self.searched = self.end;
                return self.check_length().then_some(Line::TooLong);
            };
            let (start, newline) = (self.start, self.searched + found);
            (self.start, self.searched) = (newline + 1, newline + 1);
            if std::mem::take(&mut self.skips) {
                continue;
            }
            return Some(match newline - start >= MAX_LINE_BYTES {
                true => Line::TooLong,
                false => Line::Whole(&self.bytes[start..newline]),
            });
        }
    }

    /// Whether the unfinished line has just become too long: it is dropped, and the rest of it will be.
    fn check_length(&mut self) -> bool {
        let is_news = !self.skips && self.end - self.start >= MAX_LINE_BYTES;
        if is_news || self.skips {
            self.skips = true;
            self.start = self.end;
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `stream` in reads of `size` and collects the lines' lengths; `None` for one that was too long.
    fn lengths(stream: &[u8], size: usize) -> Vec<Option<usize>> {
        let mut buffer = LineBuffer::new();
        let mut seen = Vec::new();
        for mut read in stream.chunks(size) {
            while !read.is_empty() {
                let room = buffer.room();
                let n = room.len().min(read.len());
                room[..n].copy_from_slice(&read[..n]);
                buffer.filled(n);
                read = &read[n..];
                while let Some(line) = buffer.next() {
                    seen.push(match line {
                        Line::Whole(line) => Some(line.len()),
                        Line::TooLong => None,
                    });
                }
            }
        }
        seen
    }

    #[test]
    fn lines_come_out_whole_however_they_are_read() {
        let stream = b"one\n\nthree\nrest";
        for size in 1..stream.len() {
            assert_eq!(lengths(stream, size), [Some(3), Some(0), Some(5)], "{size}");
        }
    }

    #[test]
    fn a_line_of_the_largest_size_passes_and_a_longer_one_is_told_once_and_skipped() {
        let mut stream = vec![b'x'; MAX_LINE_BYTES - 1];
        stream.extend_from_slice(b"\n");
        stream.extend(vec![b'y'; MAX_LINE_BYTES * 2]);
        stream.extend_from_slice(b"\nok\n");
        let expected = [Some(MAX_LINE_BYTES - 1), None, Some(2)];
        assert_eq!(lengths(&stream, 1 << 20), expected);
        assert_eq!(lengths(&stream, 65_537), expected);
    }

    #[test]
    fn a_long_line_does_not_keep_its_memory() {
        let mut buffer = LineBuffer::new();
        let mut left = READ_BYTES * 8;
        while left > 0 {
            let n = buffer.room().len().min(left);
            buffer.room()[..n].fill(b'x');
            buffer.filled(n);
            assert_eq!(buffer.next(), None);
            left -= n;
        }
        buffer.room()[0] = b'\n';
        buffer.filled(1);
        assert!(matches!(buffer.next(), Some(Line::Whole(_))));
        assert_eq!(buffer.room().len(), READ_BYTES);
    }
}
