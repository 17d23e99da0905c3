//! The other sidecars: exactly one link with each, whoever dials.
//!
//! Two that dial each other at once (glare) both see it: the offer of the lexicographically smaller peer id wins, and
//! the other end drops its own. The winner repeats its offer, because the loser may not have been there when it was
//! sent. An old peer answers every offer it gets and forgets its own, so towards it our offer always wins.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use seamesh_proto::limits::MAX_EARLY_CANDIDATES;
use seamesh_proto::signaling::{ClientSignal, Description, IceCandidate, LinkRefused, LinkReport};
use seamesh_proto::{Code, PeerId, Problem};

use crate::backoff::Backoff;
use crate::effects::Effects;
use crate::limits::{
    ANSWER_WAIT_MS, GLARE_PATIENCE_MS, LINKS_DELAY_MS, MAX_CANDIDATE_BYTES, MAX_EAGER_LINKS,
    MAX_PEERS, MAX_REDIALS, REDIAL_MS, REDIAL_PATIENCE_MS,
};
use crate::link::{Attempt, Stage};
use crate::timers::Reason;
use crate::trust::{Judge, Trust};
use crate::{CloseReason, DescriptionKind, LinkId, Note, Output};

/// What one peer is to us.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) attempt: Option<Attempt>,
    /// Candidates whose offer has not arrived.
    early: Vec<IceCandidate>,
    backoff: Backoff,
}

/// A link came or went: for the agent, its requests and its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It opened; with `true`, to a peer whose identity was checked.
    Up(PeerId, bool),
    /// It was open and is lost.
    Down(PeerId),
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Peers {
    judge: Judge,
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    pub(crate) by_link: BTreeMap<LinkId, PeerId>,
    last_link: u64,
    changes: VecDeque<Change>,
    /// Links whose queue is over its limit.
    pub(crate) full: BTreeSet<LinkId>,
    /// Whether links are not read, because the agent does not read.
    pub(crate) is_paused: bool,
}

impl Peers {
    pub(crate) fn new(trust: Trust) -> Self {
        Self {
            judge: Judge::new(trust),
            peers: BTreeMap::new(),
            by_link: BTreeMap::new(),
            last_link: 0,
            changes: VecDeque::new(),
            full: BTreeSet::new(),
            is_paused: false,
        }
    }

    pub(crate) fn next_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// The registry told who is there: dials each without a link.
    pub(crate) fn on_list(&mut self, listed: &[PeerId], fx: &mut Effects) {
        for peer in self.peers.keys() {
            fx.timers.cancel(&Reason::Redial(peer.clone()));
        }
        for peer in listed {
            if self.by_link.len() >= MAX_EAGER_LINKS {
                break;
            }
            self.dial(peer, fx);
        }
    }

    /// The registry is away: answers to our offers cannot come any more. Everything else goes on.
    pub(crate) fn on_signaling_down(&mut self, fx: &mut Effects) {
        let dialing = |p: &Peer| matches!(&p.attempt, Some(a) if a.stage == Stage::Dialing);
        let dropped: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, p)| dialing(p))
            .map(|(id, _)| id.clone())
            .collect();
        for peer in dropped {
            self.drop_attempt(&peer, CloseReason::Local, fx);
        }
    }

    /// Starts a link unless there is one, open or opening.
    pub(crate) fn dial(&mut self, peer: &PeerId, fx: &mut Effects) {
        if !fx.is_up || fx.me.as_ref() == Some(peer) || !self.admit(peer, fx) {
            return;
        }
        let link = self.next_link();
        let Some(entry) = self.peers.get_mut(peer) else {
            return;
        };
        if entry.attempt.is_some() {
            return;
        }
        fx.timers.cancel(&Reason::Redial(peer.clone()));
        entry.attempt = Some(Attempt::dial(link, fx.link_tag()));
        self.by_link.insert(link, peer.clone());
        fx.push(Output::LinkOffer {
            link,
            peer: peer.clone(),
        });
        fx.after(ANSWER_WAIT_MS, Reason::Answer(link));
    }

    fn next_link(&mut self) -> LinkId {
        self.last_link += 1;
        LinkId(self.last_link)
    }

    /// Makes room for a peer.
    fn admit(&mut self, peer: &PeerId, fx: &mut Effects) -> bool {
        if !self.peers.contains_key(peer) {
            if self.peers.len() >= MAX_PEERS {
                fx.blame(peer, Code::Overloaded, "too many peers");
                return false;
            }
            let entry = Peer {
                attempt: None,
                early: Vec::new(),
                backoff: Backoff::new(REDIAL_MS),
            };
            self.peers.insert(peer.clone(), entry);
        }
        true
    }

    /// A peer dials us.
    pub(crate) fn on_offer(&mut self, from: &PeerId, offer: &Description, fx: &mut Effects) {
        if fx.me.as_ref() == Some(from) || !self.admit(from, fx) {
            return;
        }
        // Before anything else: an offer that somebody else made must not touch a link that we have.
        let checked = self.check(DescriptionKind::Offer, from, offer, fx);
        let Some(is_identified) = checked else {
            return;
        };
        if let Some(ours) = self.peers.get(from).and_then(|p| p.attempt.as_ref()) {
            if offer.link.is_some() && ours.tag == offer.link {
                return; // Said twice.
            }
            if ours.stage == Stage::Dialing {
                if offer.version.is_none() {
                    return fx.after(GLARE_PATIENCE_MS, Reason::Answer(ours.link));
                }
                if fx.me.as_ref() < Some(from) {
                    return ours.repeat(from, fx);
                }
            }
        }
        self.drop_attempt(from, CloseReason::Remote, fx);
        self.accept(from, offer, is_identified, fx);
    }

    /// Judges a peer's description. A refusal is noted here and told to the peer, so that both ends say why.
    fn check(
        &mut self,
        kind: DescriptionKind,
        from: &PeerId,
        description: &Description,
        fx: &mut Effects,
    ) -> Option<bool> {
        let me = fx.me.clone()?;
        match self.judge.check(kind, from, &me, description) {
            Ok(is_identified) => Some(is_identified),
            Err(problem) => {
                refuse(from, description.link.clone(), problem, fx);
                None
            }
        }
    }

    /// A peer refuses our link.
    pub(crate) fn on_refused(&mut self, from: &PeerId, refused: LinkRefused, fx: &mut Effects) {
        let attempt = self.peers.get(from).and_then(|p| p.attempt.as_ref());
        let is_meant = |a: &&Attempt| a.stage != Stage::Open && a.is_meant(refused.link.as_ref());
        let Some(link) = attempt.filter(is_meant).map(|a| a.link) else {
            return;
        };
        let (peer, code, detail) = (from.clone(), refused.code, refused.detail);
        fx.note(Note::LinkRefused {
            peer,
            code,
            detail,
            by_peer: true,
        });
        self.on_closed(link, CloseReason::Remote, fx);
    }

    /// A peer's access is revoked: no link with it stays, and none is dialed.
    pub(crate) fn on_revoked(&mut self, peer: &PeerId, fx: &mut Effects) {
        self.drop_attempt(peer, CloseReason::Local, fx);
        fx.timers.cancel(&Reason::Redial(peer.clone()));
        self.peers.remove(peer);
    }

    fn accept(
        &mut self,
        from: &PeerId,
        offer: &Description,
        is_identified: bool,
        fx: &mut Effects,
    ) {
        let link = self.next_link();
        let Some(entry) = self.peers.get_mut(from) else {
            return;
        };
        fx.timers.cancel(&Reason::Redial(from.clone()));
        let attempt = entry
            .attempt
            .insert(Attempt::accept(link, offer, is_identified));
        self.by_link.insert(link, from.clone());
        fx.push(Output::LinkAccept {
            link,
            peer: from.clone(),
            sdp: offer.sdp.clone(),
            is_native: attempt.is_native,
        });
        for candidate in std::mem::take(&mut entry.early) {
            if candidate.link == offer.link {
                fx.push(Output::LinkCandidate { link, candidate });
            }
        }
    }

    /// A peer answers our offer; answers to attempts that are over are ignored.
    pub(crate) fn on_answer(&mut self, from: &PeerId, answer: &Description, fx: &mut Effects) {
        let attempt = self.peers.get(from).and_then(|p| p.attempt.as_ref());
        let is_meant = |a: &&Attempt| a.stage == Stage::Dialing && a.is_meant(answer.link.as_ref());
        let Some(link) = attempt.filter(is_meant).map(|a| a.link) else {
            return;
        };
        let Some(is_identified) = self.check(DescriptionKind::Answer, from, answer, fx) else {
            return self.on_closed(link, CloseReason::Local, fx);
        };
        let Some((_, attempt)) = self.attempt(link) else {
            return;
        };
        attempt.answered(answer, is_identified);
        fx.timers.cancel(&Reason::Answer(link));
        fx.push(Output::LinkAnswer {
            link,
            sdp: answer.sdp.clone(),
            is_native: attempt.is_native,
        });
    }

    /// A peer's candidate: for the attempt it names, or kept until that attempt's offer is here.
    pub(crate) fn on_candidate(
        &mut self,
        from: &PeerId,
        candidate: IceCandidate,
        fx: &mut Effects,
    ) {
        if candidate.candidate.len() > MAX_CANDIDATE_BYTES {
            return fx.blame(from, Code::TooLarge, "its candidate is too long");
        }
        if fx.me.as_ref() == Some(from) || !self.admit(from, fx) {
            return;
        }
        let Some(entry) = self.peers.get_mut(from) else {
            return;
        };
        match &entry.attempt {
            Some(attempt) if attempt.is_meant(candidate.link.as_ref()) => {
                let link = attempt.link;
                fx.push(Output::LinkCandidate { link, candidate });
            }
            _ if entry.early.len() < MAX_EARLY_CANDIDATES => entry.early.push(candidate),
            // The oldest belongs to an attempt whose offer is overdue.
            _ => {
                entry.early.remove(0);
                entry.early.push(candidate);
            }
        }
    }

    /// The transport made our description.
    pub(crate) fn on_description(
        &mut self,
        link: LinkId,
        kind: DescriptionKind,
        sdp: String,
        fx: &mut Effects,
    ) {
        let peer = self.by_link.get(&link);
        let attempt = peer.and_then(|peer| self.peers.get_mut(peer)?.attempt.as_mut());
        if let (Some(peer), Some(attempt), Some(me)) = (peer, attempt, &fx.me) {
            let mut description = attempt.description(sdp);
            description.identity = self.judge.sign(kind, me, peer, &description);
            let signal = match kind {
                DescriptionKind::Offer => ClientSignal::Offer(description),
                DescriptionKind::Answer => ClientSignal::Answer(description),
            };
            attempt.say(peer, signal, fx);
        }
    }

    /// The transport found a candidate of ours.
    pub(crate) fn on_local_candidate(
        &mut self,
        link: LinkId,
        candidate: IceCandidate,
        fx: &mut Effects,
    ) {
        if let Some((peer, attempt)) = self.attempt(link) {
            let signal = ClientSignal::IceCandidate(attempt.candidate(candidate));
            attempt.say(&peer, signal, fx);
        }
    }

    pub(crate) fn attempt(&mut self, link: LinkId) -> Option<(PeerId, &mut Attempt)> {
        let peer = self.by_link.get(&link)?;
        let attempt = self.peers.get_mut(peer)?.attempt.as_mut()?;
        Some((peer.clone(), attempt))
    }

    /// A link opened.
    pub(crate) fn on_opened(&mut self, link: LinkId, relayed: bool, fx: &mut Effects) {
        let is_paused = self.is_paused;
        let Some(peer) = self.by_link.get(&link).cloned() else {
            return;
        };
        let Some(entry) = self.peers.get_mut(&peer) else {
            return;
        };
        let Some(attempt) = entry.attempt.as_mut().filter(|a| a.stage != Stage::Open) else {
            return;
        };
        attempt.stage = Stage::Open;
        attempt.opened_at = fx.now;
        attempt.is_relayed = relayed;
        let is_identified = attempt.is_identified;
        entry.backoff.reset();
        entry.early.clear();
        fx.timers.cancel(&Reason::Answer(link));
        if is_paused {
            fx.push(Output::LinkPause { link, paused: true });
        }
        fx.note(Note::LinkOpened {
            peer: peer.clone(),
            identified: is_identified,
            relayed,
        });
        self.changes.push_back(Change::Up(peer, is_identified));
        self.links_changed(fx);
    }

    /// A link is gone. Those that were replaced are not known any more: their end is no news.
    pub(crate) fn on_closed(&mut self, link: LinkId, reason: CloseReason, fx: &mut Effects) {
        let Some(peer) = self.by_link.get(&link).cloned() else {
            return;
        };
        if reason == CloseReason::Malformed {
            fx.blame(&peer, Code::BadField, "its session description is unusable");
        }
        self.drop_attempt(&peer, reason, fx);
        self.redial_later(&peer, fx);
    }

    /// Ends a link whose peer broke a rule.
    pub(crate) fn cut(&mut self, link: LinkId, code: Code, detail: &str, fx: &mut Effects) {
        if let Some(peer) = self.by_link.get(&link).cloned() {
            fx.blame(&peer, code, detail);
            self.drop_attempt(&peer, CloseReason::Local, fx);
            self.redial_later(&peer, fx);
        }
    }

    /// Forgets the attempt with a peer, tells the transport, and reports the loss if it was open.
    fn drop_attempt(&mut self, peer: &PeerId, reason: CloseReason, fx: &mut Effects) {
        let Some(attempt) = self.peers.get_mut(peer).and_then(|p| p.attempt.take()) else {
            return;
        };
        let link = attempt.link;
        self.by_link.remove(&link);
        self.set_full(link, false, fx);
        fx.timers.cancel(&Reason::Answer(link));
        fx.push(Output::LinkClose { link });
        if attempt.stage == Stage::Open {
            fx.note(Note::LinkLost {
                peer: peer.clone(),
                reason,
            });
            self.changes.push_back(Change::Down(peer.clone()));
            self.links_changed(fx);
        }
    }

    /// The smaller peer id dials first; the other leaves it some time, so that they rarely meet.
    fn redial_later(&mut self, peer: &PeerId, fx: &mut Effects) {
        let Some(entry) = self.peers.get_mut(peer) else {
            return;
        };
        if entry.backoff.failures() >= MAX_REDIALS {
            self.peers.remove(peer);
            return;
        }
        let delay = entry.backoff.next(&mut fx.rng);
        let is_second = fx.me.as_ref() > Some(peer);
        let patience = if is_second { REDIAL_PATIENCE_MS } else { 0 };
        fx.after(delay + patience, Reason::Redial(peer.clone()));
    }

    /// No answer came in time.
    pub(crate) fn on_answer_overdue(&mut self, link: LinkId, fx: &mut Effects) {
        if let Some(peer) = self.by_link.get(&link).cloned() {
            self.drop_attempt(&peer, CloseReason::NotOpened, fx);
            self.redial_later(&peer, fx);
        }
    }

    fn links_changed(&self, fx: &mut Effects) {
        let at = fx.now.plus(LINKS_DELAY_MS);
        fx.timers.set_if_unset(Reason::Links, at);
    }

    /// Every link, open or opening.
    pub(crate) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.by_link.keys().copied()
    }

    /// The open links, by peer.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&PeerId, &Attempt)> {
        self.peers.iter().filter_map(|(id, peer)| {
            let attempt = peer.attempt.as_ref()?;
            (attempt.stage == Stage::Open).then_some((id, attempt))
        })
    }

    /// The open link with a peer.
    pub(crate) fn open_with(&self, peer: &str) -> Option<&Attempt> {
        let attempt = self.peers.get(peer)?.attempt.as_ref()?;
        (attempt.stage == Stage::Open).then_some(attempt)
    }

    /// The open links, as the registry is told.
    pub(crate) fn report(&self) -> Vec<LinkReport> {
        let report = |(id, attempt): (&PeerId, &Attempt)| LinkReport {
            peer_id: id.clone(),
            since_ms: attempt.opened_at.0,
            identified: attempt.is_identified,
            relayed: attempt.is_relayed,
        };
        self.open().map(report).collect()
    }
}

/// Notes that a peer's link is refused, and tells the peer.
fn refuse(peer: &PeerId, link: Option<String>, problem: Problem, fx: &mut Effects) {
    let (code, detail) = (problem.code, problem.detail);
    let refused = LinkRefused {
        link,
        code,
        detail: detail.clone(),
    };
    fx.signal(Some(peer), &ClientSignal::LinkRefused(refused));
    fx.note(Note::LinkRefused {
        peer: peer.clone(),
        code,
        detail,
        by_peer: false,
    });
}
