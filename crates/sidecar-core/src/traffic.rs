//! What passes over the links: queues, their limits, and what is read.

use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::MAX_QUEUED_BYTES;
use seamesh_proto::seam;
use seamesh_proto::{Code, PeerId};

use crate::effects::Effects;
use crate::framing::Inbound;
use crate::link::Stage;
use crate::peers::Peers;
use crate::{LinkId, Output, Piece};

impl Peers {
    /// Queues one message, which has no line break in it, for a peer.
    ///
    /// # Errors
    /// `no_link`, or `too_large` for this kind of peer.
    pub(crate) fn send(
        &mut self,
        peer: &str,
        message: &[u8],
        fx: &mut Effects,
    ) -> Result<(), Code> {
        let attempt = self.peers.get_mut(peer).and_then(|p| p.attempt.as_mut());
        let attempt = attempt
            .filter(|a| a.stage == Stage::Open)
            .ok_or(Code::NoLink)?;
        let (me, kind) = (Party::Sidecar, seam::kind_of(message));
        if kind.is_some_and(|kind| seam::said(Channel::Link, &kind, me, Some(me)) == 0) {
            return Ok(());
        }
        attempt.out.push(message)?;
        attempt.announce(fx);
        if attempt.out.len() > MAX_QUEUED_BYTES {
            let link = attempt.link;
            self.set_full(link, true, fx);
        }
        Ok(())
    }

    /// Takes a link's next piece; `None` leaves the rest until the transport has room, or there is more.
    pub(crate) fn take(&mut self, link: LinkId, room: usize, fx: &mut Effects) -> Option<Piece> {
        let peer = self.by_link.get(&link)?;
        let attempt = self.peers.get_mut(peer)?.attempt.as_mut()?;
        let piece = attempt.take(room);
        if piece.is_none() && attempt.is_empty() {
            attempt.exhausted();
        }
        if attempt.out.len() < MAX_QUEUED_BYTES / 2 {
            self.set_full(link, false, fx);
        }
        piece
    }

    /// The transport has room again.
    pub(crate) fn on_writable(&mut self, link: LinkId, fx: &mut Effects) {
        if let Some((_, attempt)) = self.attempt(link) {
            attempt.exhausted();
            attempt.announce(fx);
        }
    }

    /// While one link's queue is over its limit the agent is not read: it could only make it longer.
    pub(crate) fn set_full(&mut self, link: LinkId, is_full: bool, fx: &mut Effects) {
        let was_any = self.is_any_full();
        if is_full {
            self.full.insert(link);
        } else {
            self.full.remove(&link);
        }
        if let (Some(client), true) = (fx.client, was_any != self.is_any_full()) {
            fx.push(Output::IpcPause {
                client,
                paused: !was_any,
            });
        }
    }

    /// Whether any link's queue is over its limit.
    pub(crate) fn is_any_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// Whether a peer's queue is over its limit.
    pub(crate) fn is_full(&self, peer: &str) -> bool {
        self.open_with(peer)
            .is_some_and(|a| self.full.contains(&a.link))
    }

    /// Stops or resumes reading from every link.
    pub(crate) fn pause(&mut self, paused: bool, fx: &mut Effects) {
        if self.is_paused == paused {
            return;
        }
        self.is_paused = paused;
        for (_, attempt) in self.open() {
            let link = attempt.link;
            fx.push(Output::LinkPause { link, paused });
        }
    }

    /// Takes what a link has read so far out of it, so that its messages can be acted on while it is fed.
    pub(crate) fn take_inbound(&mut self, link: LinkId) -> Option<Inbound> {
        let (_, attempt) = self.attempt(link)?;
        Some(std::mem::take(&mut attempt.inbound))
    }

    /// Puts it back, unless the link went away meanwhile, and grants the peer what was taken.
    pub(crate) fn put_inbound(&mut self, link: LinkId, mut inbound: Inbound, fx: &mut Effects) {
        if let Some((_, attempt)) = self.attempt(link) {
            if let Some(bytes) = inbound.grant() {
                attempt.owe(bytes, fx);
            }
            attempt.inbound = inbound;
        }
    }

    /// The peer grants more.
    pub(crate) fn on_credit(&mut self, peer: &PeerId, bytes: usize, fx: &mut Effects) {
        let attempt = self.peers.get_mut(peer).and_then(|p| p.attempt.as_mut());
        if let Some(attempt) = attempt {
            attempt.out.grant(bytes);
            attempt.exhausted();
            attempt.announce(fx);
        }
    }

    /// Who is at the other end of a link.
    pub(crate) fn peer_of(&self, link: LinkId) -> Option<&PeerId> {
        self.by_link.get(&link)
    }
}
