//! Whose datagram is it? Many links share one socket.
//!
//! ICE checks name their link: a request by our half of its USERNAME, a response by its transaction.
//! Everything else (DTLS) goes by the remote address, which a link holds once an ICE check has proved
//! that its peer is there. Nothing unauthenticated moves an address from one link to another.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::LinkId;
use crate::stun::{Kind, Message, TransactionId};

/// A response later than this finds its request forgotten, by the stack as well.
const CHECK_LIFETIME: Duration = Duration::from_secs(4);

/// Requests remembered at most, the oldest forgotten first: 4 s of 4,000 checks a second.
const MAX_CHECKS: usize = 16 * 1024;

/// Addresses that one link may hold: its peer's, and what NATs make of them.
const MAX_ADDRESSES_PER_LINK: usize = 32;

/// A check on its way.
#[derive(Debug, Clone, Copy)]
struct Check {
    link: LinkId,
    destination: SocketAddr,
}

/// The routing tables.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    by_ufrag: HashMap<String, LinkId>,
    by_remote: HashMap<SocketAddr, Vec<LinkId>>,
    checks: HashMap<TransactionId, Check>,
    /// Oldest first; ids of answered checks linger until their time.
    check_order: VecDeque<(Instant, TransactionId)>,
}

impl Demux {
    /// A new link, known by its ICE username fragment.
    pub(crate) fn insert(&mut self, ufrag: &str, link: LinkId) {
        self.by_ufrag.insert(ufrag.to_owned(), link);
    }

    /// Forgets a link and all it held.
    pub(crate) fn remove(&mut self, ufrag: &str, link: LinkId) {
        self.by_ufrag.remove(ufrag);
        self.by_remote.retain(|_, links| {
            links.retain(|held| *held != link);
            !links.is_empty()
        });
        self.checks.retain(|_, check| check.link != link);
    }

    /// The link that an ICE check or its response is for.
    pub(crate) fn route(&self, message: &Message<'_>) -> Option<LinkId> {
        match message.kind {
            Kind::Request => self.by_ufrag.get(message.receiver_ufrag()?).copied(),
            Kind::Success | Kind::Error => Some(self.checks.get(&message.transaction)?.link),
        }
    }

    /// Takes note of a check that a link sends.
    pub(crate) fn sent(
        &mut self,
        transaction: TransactionId,
        link: LinkId,
        destination: SocketAddr,
        now: Instant,
    ) {
        while let Some((at, oldest)) = self.check_order.front()
            && (now.saturating_duration_since(*at) > CHECK_LIFETIME
                || self.check_order.len() >= MAX_CHECKS)
        {
            self.checks.remove(oldest);
            self.check_order.pop_front();
        }
        self.check_order.push_back((now, transaction));
        self.checks.insert(transaction, Check { link, destination });
    }

    /// Takes note of a response; whether it answers a check that was sent to where it comes from.
    /// Nobody off the path can guess a transaction id.
    pub(crate) fn answered(&mut self, message: &Message<'_>, remote: SocketAddr) -> bool {
        message.kind == Kind::Success
            && self
                .checks
                .remove(&message.transaction)
                .is_some_and(|check| check.destination == remote)
    }

    /// The link's peer has proved to be at `remote`. True when that is news.
    pub(crate) fn hold(&mut self, remote: SocketAddr, link: LinkId) -> bool {
        if self
            .by_remote
            .get(&remote)
            .is_some_and(|links| links.contains(&link))
        {
            return false;
        }
        let held = self
            .by_remote
            .values()
            .filter(|links| links.contains(&link))
            .count();
        if held >= MAX_ADDRESSES_PER_LINK {
            return false;
        }
        self.by_remote.entry(remote).or_default().push(link);
        true
    }

    /// The links whose peers are at `remote`: hardly ever more than one.
    pub(crate) fn at(&self, remote: SocketAddr) -> &[LinkId] {
        self.by_remote.get(&remote).map_or(&[], Vec::as_slice)
    }

    /// The addresses that a link holds.
    pub(crate) fn held_by(&self, link: LinkId) -> Vec<SocketAddr> {
        let holds = self
            .by_remote
            .iter()
            .filter(|(_, links)| links.contains(&link));
        holds.map(|(remote, _)| *remote).collect()
    }
}
