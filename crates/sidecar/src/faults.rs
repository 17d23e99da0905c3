//! Faults that a test asks for (docs/adr/0017), between the network and the core: neither knows. Without
//! `--test-control` nothing here does anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::time::{Duration, Instant};

use seamesh_control::{Asked, Control};
use seamesh_proto::ledger::Channel;
use seamesh_proto::{PeerId, seam};
use seamesh_sidecar_core::{CloseReason, Input, LinkId, Output};

/// What is broken now.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    control: Option<Control>,
    /// The other end of each link.
    peers: BTreeMap<LinkId, PeerId>,
    cut: BTreeSet<PeerId>,
    is_registry_cut: bool,
    /// The core wants to reach the registry, and may not.
    wants_registry: bool,
    /// To be told once the signaling socket is closed.
    when_gone: Option<Asked>,
    delays: BTreeMap<PeerId, Duration>,
    /// Messages on their way, and when each arrives. In order; what a link's receiver granted bounds them.
    held: BTreeMap<LinkId, VecDeque<(Instant, Input)>>,
}

impl Faults {
    /// Faults that this socket asks for; `None`: there are none.
    pub(crate) fn new(control: Option<Control>) -> Self {
        Self {
            control,
            ..Self::default()
        }
    }

    /// The next command. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Asked> {
        match &mut self.control {
            Some(control) => control.next().await,
            None => pending().await,
        }
    }

    /// Sees what the core wants done. An input comes back instead of what must not be done.
    pub(crate) fn prevent(&mut self, output: &Output) -> Option<Input> {
        self.control.as_ref()?;
        match output {
            Output::LinkOffer { link, peer } | Output::LinkAccept { link, peer, .. } => {
                if self.cut.contains(peer) {
                    return Some(closed(*link));
                }
                self.peers.insert(*link, peer.clone());
                None
            }
            Output::LinkClose { link } => {
                self.forget(*link);
                None
            }
            _ => None,
        }
    }

    /// Whether the registry is to be reached now; if not, that is remembered for [`heal_registry`](Self::heal_registry).
    pub(crate) fn may_connect(&mut self) -> bool {
        self.wants_registry = self.is_registry_cut;
        !self.is_registry_cut
    }

    pub(crate) fn is_registry_cut(&self) -> bool {
        self.is_registry_cut
    }

    pub(crate) fn cut_registry(&mut self) {
        self.is_registry_cut = true;
    }

    /// The test is told once the socket is closed.
    pub(crate) fn done_when_gone(&mut self, asked: Asked) {
        self.when_gone = Some(asked);
    }

    /// The signaling socket is closed.
    pub(crate) fn registry_gone(&mut self) {
        if let Some(asked) = self.when_gone.take() {
            asked.done();
        }
    }

    /// Whether the core has waited for this.
    pub(crate) fn heal_registry(&mut self) -> bool {
        self.is_registry_cut = false;
        std::mem::take(&mut self.wants_registry)
    }

    /// The links with a peer, all of which end now.
    pub(crate) fn cut(&mut self, peer: PeerId) -> Vec<LinkId> {
        let with_it = self.peers.iter().filter(|(_, other)| **other == peer);
        let links: Vec<LinkId> = with_it.map(|(link, _)| *link).collect();
        for link in &links {
            self.forget(*link);
        }
        self.cut.insert(peer);
        links
    }

    pub(crate) fn heal(&mut self, peer: &PeerId) {
        self.cut.remove(peer);
    }

    pub(crate) fn delay(&mut self, peer: PeerId, by: Duration) {
        match by.is_zero() {
            true => self.delays.remove(&peer),
            false => self.delays.insert(peer, by),
        };
    }

    /// What the core hears now: the input, unless it is a message that arrives later; a seam's fault may hold it, too.
    pub(crate) fn pass(
        &mut self,
        input: Input,
        hold: Option<Duration>,
        now: Instant,
    ) -> Option<Input> {
        if self.delays.is_empty() && self.held.is_empty() && hold.is_none() {
            return Some(input);
        }
        let link = match &input {
            Input::LinkMessage { link, .. } => *link,
            Input::LinkClosed { link, .. } => {
                self.held.remove(link);
                return Some(input);
            }
            _ => return Some(input),
        };
        let delay = self.peers.get(&link).and_then(|p| self.delays.get(p));
        let queue = self.held.get(&link);
        // In order, also when the delay has just been taken away.
        let behind = queue.and_then(|queue| queue.back()).map(|(at, _)| *at);
        let delay = delay.copied().max(hold);
        let due = delay.map(|delay| now + delay).max(behind);
        match due {
            None => Some(input),
            Some(due) => {
                self.held.entry(link).or_default().push_back((due, input));
                None
            }
        }
    }

    /// A message that has arrived by now.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<Input> {
        let is_due = |queue: &VecDeque<(Instant, Input)>| queue.front().is_some_and(|m| m.0 <= now);
        let (link, queue) = self.held.iter_mut().find(|(_, queue)| is_due(queue))?;
        let (link, (_, input)) = (*link, queue.pop_front()?);
        if queue.is_empty() {
            self.held.remove(&link);
        }
        Some(input)
    }

    /// When the next message arrives.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        let first = self.held.values().filter_map(|queue| queue.front());
        first.map(|(at, _)| *at).min()
    }

    fn forget(&mut self, link: LinkId) {
        self.peers.remove(&link);
        self.held.remove(&link);
    }
}

/// What `cargo xtask seams` plants for the messages that came over a link with this input.
pub(crate) fn arrival(input: &Input) -> seam::Arrival {
    let mut planted = seam::Arrival::default();
    if let Input::LinkMessage { piece, .. } = input
        && seam::is_on()
    {
        let kinds = piece
            .bytes()
            .split(|b| *b == b'\n')
            .filter_map(seam::kind_of);
        for kind in kinds {
            let one = seam::arrived(Channel::Link, &kind, None, None);
            planted.hold = planted.hold.max(one.hold);
            planted.is_last |= one.is_last;
        }
    }
    planted
}

/// What the core is told of a link that must not be.
pub(crate) fn closed(link: LinkId) -> Input {
    Input::LinkClosed {
        link,
        reason: CloseReason::TimedOut,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use seamesh_sidecar_core::Piece;

    use super::*;

    fn message(link: u64, text: &'static str) -> Input {
        Input::LinkMessage {
            link: LinkId(link),
            piece: Piece::Text(Bytes::from_static(text.as_bytes())),
        }
    }

    async fn faults() -> (tempfile::TempDir, Faults) {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::bind(&dir.path().join("private/c")).unwrap();
        (dir, Faults::new(Some(control)))
    }

    fn offer(link: u64) -> Output {
        Output::LinkOffer {
            link: LinkId(link),
            peer: "p".parse().unwrap(),
        }
    }

    #[tokio::test]
    async fn a_delayed_link_keeps_its_order_also_when_the_delay_ends() {
        let (_dir, mut faults) = faults().await;
        let (peer, now): (PeerId, _) = ("p".parse().unwrap(), Instant::now());
        assert_eq!(faults.prevent(&offer(1)), None);
        faults.delay(peer.clone(), Duration::from_millis(50));
        assert_eq!(faults.pass(message(1, "a"), None, now), None);
        faults.delay(peer, Duration::ZERO);
        assert_eq!(faults.pass(message(1, "b"), None, now), None);
        assert_eq!(faults.arrived(now), None);
        let due = faults.next_arrival().unwrap();
        assert_eq!(due, now + Duration::from_millis(50));
        assert_eq!(faults.arrived(due), Some(message(1, "a")));
        assert_eq!(faults.arrived(due), Some(message(1, "b")));
        assert_eq!(
            faults.pass(message(1, "c"), None, due),
            Some(message(1, "c"))
        );
    }

    #[tokio::test]
    async fn what_is_cut_opens_no_link_until_it_is_healed() {
        let (_dir, mut faults) = faults().await;
        let peer: PeerId = "p".parse().unwrap();
        assert_eq!(faults.prevent(&offer(1)), None);
        assert_eq!(faults.cut(peer.clone()), [LinkId(1)]);
        assert_eq!(faults.prevent(&offer(2)), Some(closed(LinkId(2))));
        faults.heal(&peer);
        assert_eq!(faults.prevent(&offer(3)), None);
    }

    #[tokio::test]
    async fn a_link_that_ends_takes_its_messages_along() {
        let (_dir, mut faults) = faults().await;
        assert_eq!(faults.prevent(&offer(1)), None);
        faults.delay("p".parse().unwrap(), Duration::from_millis(50));
        let now = Instant::now();
        assert_eq!(faults.pass(message(1, "a"), None, now), None);
        assert!(faults.pass(closed(LinkId(1)), None, now).is_some());
        assert_eq!(faults.next_arrival(), None);
    }
}
