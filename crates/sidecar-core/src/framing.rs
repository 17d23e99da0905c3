//! Messages on a DataChannel: the stream of JSON lines between native peers, one text message each towards old ones.
//!
//! The stream keeps within the credit that its receiver grants, [`LINK_WINDOW_BYTES`] ahead of what it has taken. SCTP
//! has a window too, but opens it again with a timer of 200 ms to 1 s once a slow reader let it close; here it never does.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use seamesh_proto::Code;
use seamesh_proto::limits::{
    LINK_GRANT_BYTES, LINK_PIECE_BYTES, LINK_WINDOW_BYTES, MAX_LINE_BYTES,
    MAX_OLD_PEER_MESSAGE_BYTES,
};

use crate::Piece;
use crate::limits::MAX_MESSAGE_BYTES;

/// What waits to go out on one link.
#[derive(Debug)]
pub(crate) enum Outbound {
    /// Lines end to end.
    Native(Stream),
    /// Whole messages and their bytes in total.
    Old(VecDeque<Bytes>, usize),
}

impl Outbound {
    pub(crate) fn new(is_native: bool) -> Self {
        if is_native {
            Self::Native(Stream::default())
        } else {
            Self::Old(VecDeque::new(), 0)
        }
    }

    /// Appends one message, which has no line break in it.
    ///
    /// # Errors
    /// `too_large` over the limit of this kind of peer; nothing is queued then.
    pub(crate) fn push(&mut self, message: &[u8]) -> Result<(), Code> {
        match self {
            Self::Native(_) if message.len() > MAX_MESSAGE_BYTES => return Err(Code::TooLarge),
            Self::Native(stream) => {
                stream.append(message);
                stream.append(b"\n");
            }
            Self::Old(..) if message.len() > MAX_OLD_PEER_MESSAGE_BYTES => {
                return Err(Code::TooLarge);
            }
            Self::Old(queue, bytes) => {
                *bytes += message.len();
                queue.push_back(Bytes::copy_from_slice(message));
            }
        }
        Ok(())
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Native(stream) => stream.bytes,
            Self::Old(_, bytes) => *bytes,
        }
    }

    /// The next DataChannel message, if `room` bytes take it and the receiver has granted it. A native piece is cut to
    /// [`LINK_PIECE_BYTES`], never to the room: crumbs would cost more than the wait.
    pub(crate) fn take(&mut self, room: usize) -> Option<Piece> {
        match self {
            Self::Native(stream) => stream.take(room).map(Piece::Binary),
            Self::Old(queue, bytes) => {
                let message = queue.pop_front_if(|m| m.len() <= room)?;
                *bytes -= message.len();
                Some(Piece::Text(message))
            }
        }
    }

    /// The receiver has taken so many bytes more.
    pub(crate) fn grant(&mut self, bytes: usize) {
        if let Self::Native(stream) = self {
            stream.credit = stream.credit.saturating_add(bytes).min(LINK_WINDOW_BYTES);
        }
    }
}

/// What waits of a stream, in blocks as they leave: none is copied again.
#[derive(Debug)]
pub(crate) struct Stream {
    blocks: VecDeque<BytesMut>,
    bytes: usize,
    /// Bytes that the receiver still takes.
    credit: usize,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            blocks: VecDeque::new(),
            bytes: 0,
            credit: LINK_WINDOW_BYTES,
        }
    }
}

impl Stream {
    fn append(&mut self, mut rest: &[u8]) {
        self.bytes += rest.len();
        while !rest.is_empty() {
            let last = self.blocks.back_mut();
            let last = match last.filter(|block| block.len() < LINK_PIECE_BYTES) {
                Some(block) => block,
                None => {
                    self.blocks.push_back(BytesMut::new());
                    continue;
                }
            };
            let (now, later) = rest.split_at(rest.len().min(LINK_PIECE_BYTES - last.len()));
            last.extend_from_slice(now);
            rest = later;
        }
    }

    fn take(&mut self, room: usize) -> Option<Bytes> {
        let allowed = room.min(self.credit);
        let block = self.blocks.pop_front_if(|block| block.len() <= allowed)?;
        self.bytes -= block.len();
        self.credit -= block.len();
        Some(block.freeze())
    }
}

/// What came in on one link and is not yet a whole line.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    partial: Vec<u8>,
    /// Bytes taken since the last grant.
    taken: usize,
}

impl Inbound {
    /// Takes a piece of the stream and hands out each line that it completes, without its line break.
    ///
    /// # Errors
    /// `too_large` when a line grows over [`MAX_LINE_BYTES`]: the stream cannot be followed any further.
    pub(crate) fn feed(&mut self, piece: &[u8], mut line: impl FnMut(&[u8])) -> Result<(), Code> {
        self.taken += piece.len();
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = rest.split_at(end);
            rest = &tail[1..];
            if self.partial.len() + head.len() > MAX_LINE_BYTES {
                return Err(Code::TooLarge);
            }
            if self.partial.is_empty() {
                line(head);
            } else {
                self.partial.extend_from_slice(head);
                line(&self.partial);
                self.forget();
            }
        }
        if self.partial.len() + rest.len() > MAX_LINE_BYTES {
            return Err(Code::TooLarge);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// What the sender is to be granted, once it is worth a message.
    pub(crate) fn grant(&mut self) -> Option<usize> {
        (self.taken >= LINK_GRANT_BYTES).then(|| std::mem::take(&mut self.taken))
    }

    /// Empties the buffer, keeping only a modest capacity: one large line must not pin its size for ever.
    fn forget(&mut self) {
        self.partial.clear();
        self.partial.shrink_to(4 * LINK_PIECE_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(inbound: &mut Inbound, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        inbound
            .feed(piece, |line| lines.push(line.to_vec()))
            .unwrap();
        lines
    }

    #[test]
    fn small_messages_share_a_piece_and_a_long_one_spans_many() {
        let mut out = Outbound::new(true);
        out.push(b"{}").unwrap();
        out.push(b"[]").unwrap();
        assert_eq!(
            out.take(usize::MAX),
            Some(Piece::Binary(Bytes::from_static(b"{}\n[]\n")))
        );
        out.push(&vec![b'x'; 3 * LINK_PIECE_BYTES]).unwrap();
        let sizes: Vec<usize> = std::iter::from_fn(|| out.take(usize::MAX))
            .map(|p| p.bytes().len())
            .collect();
        assert_eq!(
            sizes,
            [LINK_PIECE_BYTES, LINK_PIECE_BYTES, LINK_PIECE_BYTES, 1]
        );
        assert_eq!(out.len(), 0);
    }

    #[test]
    fn nothing_is_taken_without_room_for_all_of_it() {
        for native in [true, false] {
            let mut out = Outbound::new(native);
            out.push(b"12345").unwrap();
            assert_eq!(out.take(4), None);
            assert!(out.take(6).is_some());
        }
    }

    #[test]
    fn the_stream_stops_at_its_credit_and_goes_on_with_a_grant_never_beyond_the_window() {
        let mut out = Outbound::new(true);
        out.push(&vec![b'x'; 3 * LINK_WINDOW_BYTES]).unwrap();
        let sent = |out: &mut Outbound| -> usize {
            std::iter::from_fn(|| out.take(usize::MAX))
                .map(|p| p.bytes().len())
                .sum()
        };
        assert_eq!(sent(&mut out), LINK_WINDOW_BYTES);
        out.grant(LINK_GRANT_BYTES);
        assert_eq!(sent(&mut out), LINK_GRANT_BYTES);
        out.grant(usize::MAX);
        assert_eq!(sent(&mut out), LINK_WINDOW_BYTES);
    }

    #[test]
    fn a_receiver_grants_what_it_took_in_portions() {
        let mut inbound = Inbound::default();
        let piece = vec![b'\n'; LINK_GRANT_BYTES - 1];
        lines(&mut inbound, &piece);
        assert_eq!(inbound.grant(), None);
        lines(&mut inbound, b"\n");
        assert_eq!(inbound.grant(), Some(LINK_GRANT_BYTES));
        assert_eq!(inbound.grant(), None);
    }

    #[test]
    fn an_old_peer_gets_one_text_message_each_and_none_over_its_limit() {
        let mut out = Outbound::new(false);
        out.push(b"a").unwrap();
        out.push(b"b").unwrap();
        assert_eq!(
            out.push(&vec![b'x'; MAX_OLD_PEER_MESSAGE_BYTES + 1]),
            Err(Code::TooLarge)
        );
        assert_eq!(out.take(99), Some(Piece::Text(Bytes::from_static(b"a"))));
        assert_eq!(out.take(99), Some(Piece::Text(Bytes::from_static(b"b"))));
        assert_eq!(out.take(99), None);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut inbound = Inbound::default();
        let piece = vec![b'x'; LINK_PIECE_BYTES];
        let mut fed = 0;
        while inbound.feed(&piece, |_| panic!("no line ended")).is_ok() {
            fed += piece.len();
        }
        assert_eq!(fed, MAX_LINE_BYTES);
    }

    proptest! {
        #[test]
        fn lines_arrive_whole_and_in_order_however_the_stream_is_cut(
            messages in prop::collection::vec("[a-z]{0,60}", 0..40),
            cuts in prop::collection::vec(1usize..50, 1..40),
        ) {
            let mut out = Outbound::new(true);
            for message in &messages {
                out.push(message.as_bytes()).unwrap();
            }
            let stream: Vec<u8> = std::iter::from_fn(|| out.take(usize::MAX))
                .flat_map(|p| p.bytes().to_vec())
                .collect();
            let mut inbound = Inbound::default();
            let mut seen = Vec::new();
            let (mut rest, mut cut) = (&stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at(rest.len().min(*cut.next().unwrap()));
                seen.extend(lines(&mut inbound, piece));
                rest = tail;
            }
            let sent: Vec<Vec<u8>> = messages.iter().map(|m| m.as_bytes().to_vec()).collect();
            prop_assert_eq!(seen, sent);
        }
    }
}
