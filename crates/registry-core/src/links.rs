//! The links that really are there, as the sidecars report them.
//!
//! Each sidecar reports all its links at once, so a lost report heals with the next. Between two connected sidecars a
//! link is up while either end reports it. A sidecar whose signaling socket closed may still have its links, so its
//! last report stays for [`LINKS_KEPT_MS`]; but where the other end is connected, that end's next report decides alone.
//! A sidecar that comes back replaces its old report with its first new one.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::events::{LinkChange, MeshEvent};
use seamesh_proto::rest::{MeshEdge, Topology, TopologyNode};
use seamesh_proto::signaling::Links;
use seamesh_proto::{Code, PeerId, Problem};

use crate::dispatch::Core;
use crate::io::ConnId;
use crate::limits::{LINKS_KEPT_MS, MAX_LINKS_PER_REPORT};
use crate::roster::{Agent, skill_names};
use crate::timers::Timer;

/// What each sidecar reported last.
#[derive(Debug, Default)]
pub(crate) struct LinkBook {
    reported: BTreeMap<PeerId, BTreeMap<PeerId, Kind>>,
    /// Links that were told to be up, each with its ends in order, and as what.
    up: BTreeMap<(PeerId, PeerId), Kind>,
}

/// What is said of a link, by one end or of both together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kind {
    identified: bool,
    relayed: bool,
}

impl LinkBook {
    fn says(&self, from: &PeerId, to: &PeerId) -> bool {
        self.reported
            .get(from)
            .is_some_and(|set| set.contains_key(to))
    }

    fn peers_of(&self, peer: &PeerId) -> BTreeSet<PeerId> {
        let reported = self.reported.get(peer).into_iter().flatten();
        reported.map(|(other, _)| other.clone()).collect()
    }

    /// What this end says of its link with the other; nothing good when it says nothing.
    fn kind(&self, from: &PeerId, to: &PeerId) -> Kind {
        let said = self.reported.get(from).and_then(|set| set.get(to));
        said.copied().unwrap_or_default()
    }

    /// Works out one link anew. `Some(change)`: it went up or is known differently (`true`), or went down.
    fn settle(&mut self, a: &PeerId, b: &PeerId) -> Option<(LinkChange, bool)> {
        let is_up = self.says(a, b) || self.says(b, a);
        let (here, there) = (self.kind(a, b), self.kind(b, a));
        let kind = Kind {
            identified: is_up && here.identified && there.identified,
            relayed: is_up && (here.relayed || there.relayed),
        };
        let (from, to) = if a <= b { (a, b) } else { (b, a) };
        let pair = (from.clone(), to.clone());
        let told = match is_up {
            true => self.up.insert(pair, kind),
            false => self.up.remove(&pair),
        };
        let changed = match told {
            Some(before) => !is_up || before != kind,
            None => is_up,
        };
        let change = LinkChange {
            from_peer: from.clone(),
            to_peer: to.clone(),
            identified: kind.identified,
            relayed: kind.relayed,
        };
        changed.then_some((change, is_up))
    }

    pub(crate) fn edges(&self) -> Vec<MeshEdge> {
        let edge = |((from, to), kind): (&(PeerId, PeerId), &Kind)| MeshEdge {
            from_peer: from.clone(),
            to_peer: to.clone(),
            identified: kind.identified,
            relayed: kind.relayed,
        };
        self.up.iter().map(edge).collect()
    }

    /// The other ends of a peer's links.
    fn linked(&self) -> BTreeMap<&PeerId, Vec<PeerId>> {
        let mut ends: BTreeMap<&PeerId, Vec<PeerId>> = BTreeMap::new();
        for (a, b) in self.up.keys() {
            ends.entry(a).or_default().push(b.clone());
            ends.entry(b).or_default().push(a.clone());
        }
        ends
    }

    pub(crate) fn len(&self) -> usize {
        self.up.len()
    }
}

impl Core {
    /// A sidecar's whole truth.
    pub(crate) fn report_links(&mut self, conn: ConnId, peer: &PeerId, links: Links) {
        if links.links.len() > MAX_LINKS_PER_REPORT {
            let detail = format!("a report has at most {MAX_LINKS_PER_REPORT} links");
            return self.refuse(conn, "links", Problem::new(Code::TooLarge, detail));
        }
        let ends = links.links.into_iter().map(|link| {
            let (identified, relayed) = (link.identified, link.relayed);
            (
                link.peer_id,
                Kind {
                    identified,
                    relayed,
                },
            )
        });
        let now: BTreeMap<PeerId, Kind> = ends.filter(|(end, _)| end != peer).collect();
        let before = self.links.peers_of(peer);
        self.timers.cancel(&Timer::Links(peer.clone()));
        // A disconnected end cannot object, so this end speaks for both.
        let mut touched: BTreeSet<PeerId> = before.into_iter().chain(now.keys().cloned()).collect();
        for (other, set) in &mut self.links.reported {
            if !now.contains_key(other)
                && !self.relay.is_connected(other)
                && set.remove(peer).is_some()
            {
                touched.insert(other.clone());
            }
        }
        self.links.reported.insert(peer.clone(), now);
        self.settle_links(peer, touched);
    }

    /// A sidecar has no socket any more: its links are remembered for a while.
    pub(crate) fn links_of_closed(&mut self, peer: &PeerId) {
        if self.links.reported.contains_key(peer) {
            let until = self.now.plus(LINKS_KEPT_MS);
            self.timers.set(Timer::Links(peer.clone()), until);
        }
    }

    /// A sidecar stayed away: what it reported counts no more.
    pub(crate) fn forget_links(&mut self, peer: &PeerId) {
        if !self.relay.is_connected(peer) {
            let before = self.links.peers_of(peer);
            self.links.reported.remove(peer);
            self.settle_links(peer, before);
        }
    }

    fn settle_links(&mut self, peer: &PeerId, others: BTreeSet<PeerId>) {
        for other in others {
            match self.links.settle(peer, &other) {
                Some((change, true)) => self.out.event(MeshEvent::LinkUp(change)),
                Some((change, false)) => self.out.event(MeshEvent::LinkDown(change)),
                None => {}
            }
        }
    }

    /// `GET /api/hub/network/topology`.
    pub(crate) fn topology(&self) -> Topology {
        let linked = self.links.linked();
        let node = |agent: &Agent| {
            let info = &agent.stored.info;
            let own = info.sidecar_peer_id.parse::<PeerId>().ok();
            TopologyNode {
                agent_id: info.agent_id.clone(),
                ip: info.ip.clone(),
                port: info.port,
                hostname: info.hostname.clone(),
                sidecar_peer_id: info.sidecar_peer_id.clone(),
                mode: info.mode.clone(),
                skills_count: u32::try_from(skill_names(info).len()).unwrap_or(u32::MAX),
                health: agent.health,
                mesh_peers: own
                    .and_then(|peer| linked.get(&peer).cloned())
                    .unwrap_or_default(),
            }
        };
        Topology {
            nodes: self.agents.iter().map(|(_, agent)| node(agent)).collect(),
            mesh_edges: self.links.edges(),
        }
    }
}
