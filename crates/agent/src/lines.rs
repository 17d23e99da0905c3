//! Bytes into lines, with a limit.

use std::ops::Range;

/// A line over the limit. It was skipped; the next one is whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oversized;

/// Cuts a byte stream at newlines. Looks at no byte twice.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    buffer: Vec<u8>,
    /// Where the first line that was not handed out begins.
    start: usize,
    /// Up to where no newline is.
    searched: usize,
    max_line: usize,
    /// In the middle of a line that is being thrown away.
    skipping: bool,
}

impl LineSplitter {
    /// `max_line` counts bytes with the newline.
    pub(crate) fn new(max_line: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            max_line,
            skipping: false,
        }
    }

    /// Where bytes are appended. Moves what is left of the last line to the front first.
    pub(crate) fn space(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        &mut self.buffer
    }

    /// The next whole line, without its newline.
    pub(crate) fn next_line(&mut self) -> Option<Result<&[u8], Oversized>> {
        let found = self.next_range()?;
        Some(found.map(|range| &self.buffer[range]))
    }

    /// The bytes of a line that [`next_range`](Self::next_range) found last.
    pub(crate) fn line(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Where the next whole line is.
    pub(crate) fn next_range(&mut self) -> Option<Result<Range<usize>, Oversized>> {
        loop {
            let Some(length) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                return self.no_newline().map(Err);
            };
            let (from, end) = (self.start, self.searched + length);
            self.start = end + 1;
            self.searched = self.start;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if self.start - from > self.max_line {
                return Some(Err(Oversized));
            }
            return Some(Ok(from..end));
        }
    }

    fn no_newline(&mut self) -> Option<Oversized> {
        self.searched = self.buffer.len();
        if !self.skipping && self.searched - self.start < self.max_line {
            return None;
        }
        self.start = self.searched;
        let first_notice = !self.skipping;
        self.skipping = true;
        first_notice.then_some(Oversized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]], max_line: usize) -> Vec<Result<Vec<u8>, Oversized>> {
        let mut splitter = LineSplitter::new(max_line);
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.space().extend_from_slice(piece);
            while let Some(line) = splitter.next_line() {
                lines.push(line.map(<[u8]>::to_vec));
            }
        }
        lines
    }

    #[test]
    fn a_line_over_the_limit_is_told_once_and_the_next_is_whole() {
        let got = split(&[b"12345", b"6789\nok\n12345678\n1234567\n"], 8);
        let ok = |text: &str| Ok(text.as_bytes().to_vec());
        assert_eq!(
            got,
            [Err(Oversized), ok("ok"), Err(Oversized), ok("1234567")]
        );
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_socket_cuts(
            text in proptest::collection::vec(prop_oneof![3 => Just(b'x'), 1 => Just(b'\n')], 0..60),
            cuts in proptest::collection::vec(1usize..7, 0..60),
        ) {
            let (mut pieces, mut rest) = (Vec::new(), text.as_slice());
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(head);
                rest = tail;
            }
            pieces.push(rest);
            let lines = |got: Vec<Result<Vec<u8>, Oversized>>| got.into_iter().flatten().collect::<Vec<_>>();
            prop_assert_eq!(lines(split(&pieces, 6)), lines(split(&[&text], 6)));
        }
    }
}
