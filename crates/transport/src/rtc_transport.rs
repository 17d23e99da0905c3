//! [`Transport`] on the sans-IO core of webrtc-rs.

mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;

use crate::demux::Demux;
use crate::dtls;
use crate::gathering::Gathering;
use crate::link::{Link, Outgoing, Output};
use crate::outbox::Outbox;
use crate::relays::{Arrived, Relays};
use crate::stack::Stack;
use crate::stun::{self, Kind};
use crate::{
    CloseReason, Config, Datagram, DeadlineReason, DescriptionKind, Event, FEED_BATCH, Fingerprint,
    IceCandidate, LinkError, LinkId, MAX_LINKS, Payload, PeerClass, SendError, SetupError,
    Transmit, Transport, TurnServer,
};
use seamesh_sdp::{Candidate, Parsed};
use seamesh_sdp::{Description, attribute};

/// Links on the `rtc` crate.
pub struct RtcTransport {
    stack: Stack,
    links: BTreeMap<LinkId, Entry>,
    demux: Demux,
    gathering: Gathering,
    relays: Relays,
    relays_due: Option<Instant>,
    outbox: Outbox,
    events: VecDeque<Event>,
    /// Scratch space of one drain, kept for its capacity.
    outputs: Vec<Output>,
    /// The newest instant that was passed in.
    now: Instant,
}

/// A link and when it is due.
struct Entry {
    link: Link,
    mid: String,
    stack_due: Option<Instant>,
    liveness_due: Instant,
    /// Fed or commanded since its last drain.
    is_touched: bool,
}

impl RtcTransport {
    /// Makes a transport without links, and the certificate that all its links will present.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(config: &Config, now: Instant) -> Result<Self, SetupError> {
        if config.local_addresses.is_empty() {
            return Err(SetupError::NoLocalAddress);
        }
        let stack = Stack::new(config, now)?;
        Ok(Self {
            relays: Relays::new(&config.turn_servers, stack.crypto()),
            relays_due: None,
            stack,
            links: BTreeMap::new(),
            demux: Demux::default(),
            gathering: Gathering::new(&config.stun_servers),
            outbox: Outbox::new(config.local_addresses.len() > 1),
            events: VecDeque::new(),
            outputs: Vec::new(),
            now,
        })
    }

    /// Links that are held now, open or opening.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    fn check_room(&self, link: LinkId) -> Result<(), LinkError> {
        if self.links.contains_key(&link) {
            return Err(LinkError::InUse);
        }
        if self.links.len() >= MAX_LINKS {
            return Err(LinkError::TooManyLinks);
        }
        Ok(())
    }

    /// Takes up a link that has its local description, and signals that and our candidates.
    fn start(&mut self, id: LinkId, link: Link, kind: DescriptionKind, sdp: String, now: Instant) {
        self.demux.insert(link.local_ufrag(), id);
        let mid = attribute(&sdp, "mid").unwrap_or("0").to_owned();
        let entry = Entry {
            link,
            mid,
            stack_due: None,
            liveness_due: now,
            is_touched: true,
        };
        self.links.insert(id, entry);
        self.events.push_back(Event::LocalDescription {
            link: id,
            kind,
            sdp,
        });
        let outer = self.gathering.wanted(now, || self.stack.transaction());
        let reflexive = outer
            .iter()
            .filter_map(|outer| self.stack.reflexive(*outer));
        let relayed = self
            .relays
            .wanted(now, |server| self.stack.base_for(server));
        let relayed = relayed.iter().map(|relayed| self.stack.relayed(*relayed));
        let hosts = self.stack.trickled_hosts().iter().cloned();
        let late: Vec<Candidate> = hosts.chain(reflexive).chain(relayed).collect();
        for candidate in &late {
            self.signal_candidate(id, candidate);
        }
        self.ask_servers(now);
        self.flush_relays();
        self.drain(id, now);
    }

    fn signal_candidate(&mut self, id: LinkId, candidate: &Candidate) {
        let Some(entry) = self.links.get_mut(&id) else {
            return;
        };
        entry.link.add_local(candidate);
        entry.is_touched = true;
        self.events.push_back(Event::LocalCandidate {
            link: id,
            candidate: IceCandidate {
                candidate: candidate.to_string(),
                sdp_mid: Some(entry.mid.clone()),
                sdp_m_line_index: Some(0),
                username_fragment: Some(entry.link.local_ufrag().to_owned()),
            },
        });
    }

    /// Moves what is for the TURN servers to the outbox, and looks when they are due next.
    fn flush_relays(&mut self) {
        while let Some(outgoing) = self.relays.poll_transmit() {
            self.outbox.push(outgoing);
        }
        self.relays_due = self.relays.next_deadline();
    }

    fn ask_servers(&mut self, now: Instant) {
        for (remote, request) in self.gathering.handle_timeout(now) {
            let Some(local) = self.stack.base_for(remote) else {
                continue;
            };
            let contents = BytesMut::from(&request[..]);
            self.outbox.push(Outgoing {
                local,
                remote,
                contents,
            });
        }
    }

    /// Hands a datagram to the links it is for.
    fn route(&mut self, datagram: &Datagram<'_>, now: Instant) {
        let Datagram {
            local,
            remote,
            contents,
        } = *datagram;
        if let Some(arrived) = self.relays.receive(local, remote, contents, now) {
            for arrived in arrived {
                self.relayed(arrived, now);
            }
            return self.flush_relays();
        }
        self.route_to_link(datagram, now);
    }

    /// Something came by way of a TURN server.
    fn relayed(&mut self, arrived: Arrived, now: Instant) {
        match arrived {
            Arrived::Data {
                local,
                remote,
                contents,
            } => {
                let contents = &contents;
                let datagram = Datagram {
                    local,
                    remote,
                    contents,
                };
                self.route_to_link(&datagram, now);
            }
            Arrived::Usable(relayed) => self.announce(&self.stack.relayed(relayed)),
        }
    }

    fn route_to_link(&mut self, datagram: &Datagram<'_>, now: Instant) {
        let Datagram {
            remote, contents, ..
        } = *datagram;
        if let Some(message) = stun::Message::parse(contents) {
            match self.gathering.receive(&message, remote, now) {
                Ok(Some(outer)) => {
                    if let Some(candidate) = self.stack.reflexive(outer) {
                        self.announce(&candidate);
                    }
                    return;
                }
                Ok(None) => return,
                Err(_) => {}
            }
            let Some(id) = self.demux.route(&message) else {
                return;
            };
            self.feed(id, datagram, now);
            if self.demux.answered(&message, remote) {
                self.prove(id, remote, now);
            }
        } else if dtls::is_dtls(contents) {
            for id in self.dtls_targets(remote, contents) {
                self.feed(id, datagram, now);
            }
        }
    }

    /// A server told an address of ours: links that are still opening can use it.
    fn announce(&mut self, candidate: &Candidate) {
        let opening = self.links.iter().filter(|(_, entry)| !entry.link.is_open());
        let opening: Vec<LinkId> = opening.map(|(id, _)| *id).collect();
        for id in opening {
            self.signal_candidate(id, candidate);
        }
    }

    fn feed(&mut self, id: LinkId, datagram: &Datagram<'_>, now: Instant) {
        if let Some(entry) = self.links.get_mut(&id) {
            let local = match self.relays.holds(datagram.local) {
                true => datagram.local,
                false => self.stack.known_local(datagram.local),
            };
            entry
                .link
                .receive(local, datagram.remote, datagram.contents, now);
            entry.is_touched = true;
        }
    }

    /// An authentic check came from there: the link's peer lives, and at that address.
    fn prove(&mut self, id: LinkId, remote: SocketAddr, now: Instant) {
        if let Some(entry) = self.links.get_mut(&id) {
            entry.link.heard(now);
            self.demux.hold(remote, id);
        }
    }

    fn is_open(&self, id: LinkId) -> bool {
        self.links
            .get(&id)
            .is_some_and(|entry| entry.link.is_open())
    }

    /// Drains every link that was touched.
    fn drain_touched(&mut self, now: Instant) {
        let touched = self.links.iter().filter(|(_, entry)| entry.is_touched);
        let touched: Vec<LinkId> = touched.map(|(id, _)| *id).collect();
        for id in touched {
            self.drain(id, now);
        }
    }

    /// Moves what a link has to say to where the caller finds it.
    fn drain(&mut self, id: LinkId, now: Instant) {
        let Some(entry) = self.links.get_mut(&id) else {
            return;
        };
        let mut outputs = std::mem::take(&mut self.outputs);
        entry.is_touched = false;
        entry.link.drain(now, &mut outputs);
        (entry.stack_due, entry.liveness_due) = entry.link.deadlines(now);
        for output in outputs.drain(..) {
            match output {
                Output::Datagram(datagram) => self.dispatch(id, datagram, now),
                Output::Message(payload) => {
                    self.events.push_back(Event::Message { link: id, payload })
                }
                Output::Writable => self.events.push_back(Event::Writable { link: id }),
                Output::Opened => {
                    let relayed = self.is_relayed(id);
                    tracing::debug!(link = %id, relayed, "link opened");
                    self.events.push_back(Event::Opened { link: id, relayed });
                    self.release_held(id, now);
                }
                Output::Ended(reason) => self.remove(id, reason, now),
            }
        }
        self.outputs = outputs;
    }

    /// Whether a link's datagrams pass a TURN server.
    fn is_relayed(&self, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id).map(|entry| &entry.link) else {
            return false;
        };
        link.path()
            .is_some_and(|(local, remote)| self.relays.holds(local) || link.is_remote_relay(remote))
    }

    /// Sends a link's datagram, having learned from it what there is to learn.
    fn dispatch(&mut self, id: LinkId, datagram: Outgoing, now: Instant) {
        let Outgoing {
            remote, contents, ..
        } = &datagram;
        let remote = *remote;
        if let Some(message) = stun::Message::parse(contents) {
            match message.kind {
                Kind::Request => self.demux.sent(message.transaction, id, remote, now),
                // The stack answers only checks that carry our password.
                Kind::Success => self.prove(id, remote, now),
                Kind::Error => {}
            }
        } else if self.must_wait(id, remote) {
            if let Some(entry) = self.links.get_mut(&id) {
                entry.link.hold(datagram);
            }
            return;
        }
        self.post(datagram, now);
    }

    /// Sends a datagram from one of our addresses, whether of this host or on a TURN server.
    fn post(&mut self, datagram: Outgoing, now: Instant) {
        match self.relays.send(datagram, now) {
            Some(direct) => self.outbox.push(direct),
            None => self.flush_relays(),
        }
    }

    fn remove(&mut self, id: LinkId, reason: CloseReason, now: Instant) {
        tracing::debug!(link = %id, %reason, "link closed");
        if let Some(entry) = self.links.remove(&id) {
            let shared = self.demux.held_by(id);
            self.demux.remove(entry.link.local_ufrag(), id);
            self.events.push_back(Event::Closed { link: id, reason });
            for remote in shared {
                if let Some(next) = self.demux.at(remote).first().copied() {
                    self.release_held(next, now);
                }
            }
        }
    }
}

impl Transport for RtcTransport {
    fn set_servers(&mut self, stun: &[SocketAddr], turn: &[TurnServer]) {
        self.gathering.set_servers(stun);
        self.relays.set_servers(turn);
        self.flush_relays();
    }

    fn offer(&mut self, link: LinkId, now: Instant) -> Result<(), LinkError> {
        self.check_room(link)?;
        let (started, sdp) = Link::offer(&self.stack, now).map_err(internal)?;
        self.start(link, started, DescriptionKind::Offer, sdp, now);
        Ok(())
    }

    fn accept(
        &mut self,
        link: LinkId,
        remote_offer: &str,
        class: PeerClass,
        now: Instant,
    ) -> Result<(), LinkError> {
        self.check_room(link)?;
        let remote = Description::parse(remote_offer, DescriptionKind::Offer)
            .map_err(LinkError::MalformedDescription)?;
        let (started, sdp) = Link::accept(&self.stack, &remote, class, now).map_err(refused)?;
        self.start(link, started, DescriptionKind::Answer, sdp, now);
        Ok(())
    }

    fn answer(
        &mut self,
        link: LinkId,
        remote_answer: &str,
        class: PeerClass,
        now: Instant,
    ) -> Result<(), LinkError> {
        let entry = self.links.get_mut(&link).ok_or(LinkError::UnknownLink)?;
        if !entry.link.awaits_answer() {
            return Err(LinkError::WrongState);
        }
        let applied = Description::parse(remote_answer, DescriptionKind::Answer)
            .map_err(LinkError::MalformedDescription)
            .and_then(|remote| entry.link.answer(&remote, class, now).map_err(refused));
        if applied.is_err() {
            entry.link.end(CloseReason::MalformedDescription);
        }
        self.drain(link, now);
        applied
    }

    fn candidate(
        &mut self,
        link: LinkId,
        candidate: &IceCandidate,
        now: Instant,
    ) -> Result<(), LinkError> {
        let entry = self.links.get_mut(&link).ok_or(LinkError::UnknownLink)?;
        let parsed =
            Candidate::parse(&candidate.candidate).map_err(LinkError::MalformedCandidate)?;
        if let Parsed::Usable(candidate) = parsed {
            entry.link.candidate(candidate)?;
            self.drain(link, now);
        }
        Ok(())
    }

    fn send(&mut self, link: LinkId, payload: Payload, now: Instant) -> Result<(), SendError> {
        self.now = self.now.max(now);
        let entry = self.links.get_mut(&link).ok_or(SendError::NotOpen)?;
        entry.is_touched = true;
        entry.link.send(payload, now)
    }

    fn capacity(&mut self, link: LinkId) -> usize {
        self.links
            .get_mut(&link)
            .map_or(0, |entry| entry.link.capacity())
    }

    fn pause_reading(&mut self, link: LinkId, paused: bool, now: Instant) {
        if let Some(entry) = self.links.get_mut(&link) {
            entry.link.pause_reading(paused, now);
            self.drain(link, now);
        }
    }

    fn close(&mut self, link: LinkId, now: Instant) {
        if let Some(entry) = self.links.get_mut(&link) {
            entry.link.end(CloseReason::Local);
            self.drain(link, now);
        }
    }

    fn receive(&mut self, batch: &[Datagram<'_>], now: Instant) {
        for some in batch.chunks(FEED_BATCH) {
            for datagram in some {
                self.route(datagram, now);
            }
            self.drain_touched(now);
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        // Messages sent since the last drain share packets.
        self.drain_touched(self.now);
        self.outbox.pop()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn next_deadline(&self) -> Option<(Instant, DeadlineReason)> {
        let links = self.links.iter().flat_map(|(id, entry)| {
            let stack = entry
                .stack_due
                .map(|due| (due, DeadlineReason::LinkTimer(*id)));
            stack
                .into_iter()
                .chain([(entry.liveness_due, DeadlineReason::LinkLiveness(*id))])
        });
        let gathering = self
            .gathering
            .next_deadline()
            .map(|due| (due, DeadlineReason::StunQuery));
        let relays = self
            .relays_due
            .map(|due| (due, DeadlineReason::TurnAllocation));
        links
            .chain(gathering)
            .chain(relays)
            .min_by_key(|(due, _)| *due)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.ask_servers(now);
        if self.relays_due.is_some_and(|due| due <= now) {
            self.relays.handle_timeout(now);
            self.flush_relays();
        }
        for entry in self.links.values_mut() {
            let is_due = entry.liveness_due <= now || entry.stack_due.is_some_and(|due| due <= now);
            if is_due {
                entry.link.handle_timeout(now);
                entry.is_touched = true;
            }
        }
        self.drain_touched(now);
    }

    fn local_fingerprint(&self) -> Fingerprint {
        self.stack.fingerprint()
    }

    fn remote_fingerprint(&self, link: LinkId) -> Option<Fingerprint> {
        self.links.get(&link)?.link.remote_fingerprint()
    }
}

fn internal(error: rtc::shared::error::Error) -> LinkError {
    tracing::warn!(%error, "the stack cannot start a link");
    LinkError::Internal
}

fn refused(error: rtc::shared::error::Error) -> LinkError {
    tracing::debug!(%error, "the stack refuses a description");
    LinkError::MalformedDescription("refused by the stack")
}
