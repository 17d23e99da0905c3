//! Several links between the same two addresses.
//!
//! DTLS records do not say which connection they belong to. Open links are told apart by who can decrypt
//! a record; handshakes cannot be, so they take turns, in an order that both ends know.

use std::net::SocketAddr;
use std::time::Instant;

use super::RtcTransport;
use crate::{LinkId, dtls};

impl RtcTransport {
    /// The links that a DTLS datagram may be for. With one link at the address, that one. With more,
    /// a record of a handshake is for the one whose turn it is to shake hands, or else for the
    /// open ones (a repeated last flight); an encrypted record for whichever can decrypt it.
    pub(super) fn dtls_targets(&self, remote: SocketAddr, contents: &[u8]) -> Vec<LinkId> {
        let at = self.demux.at(remote);
        if at.len() < 2 {
            return at.to_vec();
        }
        let shaking = self.shaking_hands(remote);
        let open = at.iter().copied().filter(|id| self.is_open(*id));
        match shaking {
            Some(shaking) if dtls::is_plain(contents) => vec![shaking],
            shaking => shaking.into_iter().chain(open).collect(),
        }
    }

    /// Of the links at an address that are not open yet, the one whose turn it is.
    fn shaking_hands(&self, remote: SocketAddr) -> Option<LinkId> {
        let opening = self
            .demux
            .at(remote)
            .iter()
            .filter(|id| !self.is_open(**id));
        opening
            .min_by_key(|id| self.links.get(id).map(|entry| entry.link.turn()))
            .copied()
    }

    /// Whether another link's handshake with the same address goes first: the peer could not tell their
    /// records apart.
    pub(super) fn must_wait(&self, id: LinkId, remote: SocketAddr) -> bool {
        self.demux.at(remote).len() > 1
            && !self.is_open(id)
            && self
                .shaking_hands(remote)
                .is_some_and(|shaking| shaking != id)
    }

    /// A link at these addresses no longer shakes hands: the next in turn may.
    pub(super) fn release_held(&mut self, done: LinkId, now: Instant) {
        for remote in self.demux.held_by(done) {
            if let Some(next) = self.shaking_hands(remote)
                && let Some(entry) = self.links.get_mut(&next)
            {
                for datagram in entry.link.release() {
                    self.post(datagram, now);
                }
            }
        }
    }
}
