//! Address translators (RFC 4787), as they stand between most hosts and the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// How inner addresses map to outer ones. Either kind lets in only those that were sent to, address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mapping {
    /// One outer port for an inner one, whatever the destination: what a STUN server saw, a peer can use.
    EndpointIndependent,
    /// Another outer port for each destination ("symmetric"): what a STUN server saw is of no use to a peer.
    PerDestination,
}

/// One translator.
#[derive(Debug)]
pub(crate) struct Nat {
    outer: IpAddr,
    mapping: Mapping,
    last_port: u16,
    outward: BTreeMap<(SocketAddr, Option<SocketAddr>), SocketAddr>,
    inward: BTreeMap<SocketAddr, SocketAddr>,
    sent_to: BTreeSet<(SocketAddr, SocketAddr)>,
}

impl Nat {
    pub(crate) fn new(outer: IpAddr, mapping: Mapping) -> Self {
        Self {
            outer,
            mapping,
            last_port: 20_000,
            outward: BTreeMap::new(),
            inward: BTreeMap::new(),
            sent_to: BTreeSet::new(),
        }
    }

    pub(crate) fn outer(&self) -> IpAddr {
        self.outer
    }

    /// The source that the outside sees.
    pub(crate) fn outward(&mut self, inner: SocketAddr, to: SocketAddr) -> SocketAddr {
        let destination = (self.mapping == Mapping::PerDestination).then_some(to);
        let outer = *self.outward.entry((inner, destination)).or_insert_with(|| {
            self.last_port += 1;
            SocketAddr::new(self.outer, self.last_port)
        });
        self.inward.insert(outer, inner);
        self.sent_to.insert((outer, to));
        outer
    }

    /// Whom a datagram from outside is for, if it is let in.
    pub(crate) fn inward(&self, outer: SocketAddr, from: SocketAddr) -> Option<SocketAddr> {
        let inner = self.inward.get(&outer)?;
        self.sent_to.contains(&(outer, from)).then_some(*inner)
    }
}
