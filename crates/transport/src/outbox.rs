//! Datagrams waiting to be sent, handed out in runs that one system call can carry.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::BytesMut;

use crate::Transmit;
use crate::link::Outgoing;

/// Datagrams in one transmit, at most: the kernel's limit for segmentation offload (UDP_MAX_SEGMENTS).
const MAX_SEGMENTS: usize = 64;

/// Bytes in one transmit, at most: what fits an IP packet, with room for headers.
const MAX_TRANSMIT_BYTES: usize = 65_000;

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Outgoing>,
    names_source: bool,
}

impl Outbox {
    /// `names_source`: whether transmits name their source address, pointless with only one.
    pub(crate) fn new(names_source: bool) -> Self {
        Self {
            names_source,
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, datagram: Outgoing) {
        self.queue.push_back(datagram);
    }

    /// The next run: datagrams of one length between the same two addresses, and perhaps a shorter last one.
    pub(crate) fn pop(&mut self) -> Option<Transmit> {
        let first = self.queue.pop_front()?;
        let (local, destination) = (first.local, first.remote);
        let segment_size = first.contents.len();
        let source = self.names_source.then_some(local.ip());
        let mut contents = first.contents;
        let mut segments = 1;
        while segments < MAX_SEGMENTS
            && contents.len() == segments * segment_size
            && let Some(next) = self.pop_fitting(local, destination, segment_size, contents.len())
        {
            if segments == 1 {
                contents = with_room(
                    &contents,
                    segment_size * (1 + self.queue.len().min(MAX_SEGMENTS)),
                );
            }
            contents.extend_from_slice(&next);
            segments += 1;
        }
        Some(Transmit {
            source,
            destination,
            contents: contents.freeze(),
            segment_size: (segments > 1).then_some(segment_size),
        })
    }

    fn pop_fitting(
        &mut self,
        local: SocketAddr,
        destination: SocketAddr,
        segment_size: usize,
        filled: usize,
    ) -> Option<BytesMut> {
        let next = self.queue.front()?;
        let fits = next.local == local
            && next.remote == destination
            && (1..=segment_size).contains(&next.contents.len())
            && filled + next.contents.len() <= MAX_TRANSMIT_BYTES;
        fits.then(|| self.queue.pop_front())
            .flatten()
            .map(|next| next.contents)
    }
}

fn with_room(first: &[u8], expected: usize) -> BytesMut {
    let mut room = BytesMut::with_capacity((first.len() + expected).min(MAX_TRANSMIT_BYTES));
    room.extend_from_slice(first);
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(datagrams: &[(&str, usize)]) -> Outbox {
        let mut outbox = Outbox::default();
        for (remote, length) in datagrams {
            outbox.push(Outgoing {
                local: "10.0.0.1:1".parse().unwrap(),
                remote: remote.parse().unwrap(),
                contents: BytesMut::from(&vec![b'x'; *length][..]),
            });
        }
        outbox
    }

    /// (length, segment size) of every run.
    fn runs(mut outbox: Outbox) -> Vec<(usize, Option<usize>)> {
        std::iter::from_fn(|| outbox.pop())
            .map(|run| (run.contents.len(), run.segment_size))
            .collect()
    }

    #[test]
    fn equal_datagrams_to_one_place_make_a_run_that_a_shorter_one_ends() {
        let (a, b) = ("10.0.0.2:1", "10.0.0.3:1");
        let queue = [(a, 5), (a, 5), (a, 3), (a, 5), (b, 5), (b, 6)];
        assert_eq!(
            runs(outbox(&queue)),
            [(13, Some(5)), (5, None), (5, None), (6, None)]
        );
    }

    #[test]
    fn no_run_outgrows_the_kernels_limits() {
        let many = runs(outbox(&[("10.0.0.2:1", 10); 130]));
        assert_eq!(many, [(640, Some(10)), (640, Some(10)), (20, Some(10))]);
        let large = runs(outbox(&[("10.0.0.2:1", 1200); 55]));
        assert_eq!(large[0], (64_800, Some(1200)));
    }
}
