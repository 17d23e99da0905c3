//! A network in virtual time: transports, and datagrams on their way between them.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod nat;
pub(crate) mod turn_server;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use seamesh_transport::{
    CloseReason, Config, Datagram, DescriptionKind, Event, FEED_BATCH, LinkId, Payload, PeerClass,
    RtcTransport, Transport,
};

use nat::{Mapping, Nat};
use turn_server::TurnHost;

/// How the network treats datagrams. Probabilities are per datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    pub(crate) delay: Duration,
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    /// Extra delay of up to this much, at random: datagrams overtake each other.
    pub(crate) jitter: Duration,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(1),
            loss: 0.0,
            duplication: 0.0,
            jitter: Duration::ZERO,
        }
    }
}

/// One end: a transport on one address, and what happened there.
pub(crate) struct Node {
    pub(crate) transport: RtcTransport,
    pub(crate) address: SocketAddr,
    pub(crate) events: Vec<Event>,
    /// Datagrams sent, for tests that count.
    pub(crate) sent: usize,
    dead: bool,
}

/// The network.
pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) conditions: Conditions,
    /// Passes local descriptions on to the peer of a link by itself.
    pub(crate) signals: BTreeMap<(usize, LinkId), (usize, LinkId)>,
    pub(crate) signaling_delay: Duration,
    /// Probability that a byte of a datagram is changed on the way.
    pub(crate) damage: f64,
    /// What every node takes the others for.
    pub(crate) class: PeerClass,
    /// The TURN and STUN server, if there is one.
    pub(crate) turn: Option<TurnHost>,
    /// Translators, by the one address that each has inside.
    nats: BTreeMap<IpAddr, Nat>,
    nodes: Vec<Node>,
    in_flight: BTreeMap<(Instant, u64), Flight>,
    signaling: BTreeMap<(Instant, u64), Signal>,
    sequence: u64,
    random: u64,
}

struct Flight {
    from: SocketAddr,
    to: SocketAddr,
    contents: Vec<u8>,
}

struct Signal {
    node: usize,
    link: LinkId,
    event: Event,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Instant::now(),
            conditions: Conditions::default(),
            signals: BTreeMap::new(),
            signaling_delay: Duration::from_millis(2),
            damage: 0.0,
            class: PeerClass::Native,
            turn: None,
            nats: BTreeMap::new(),
            nodes: Vec::new(),
            in_flight: BTreeMap::new(),
            signaling: BTreeMap::new(),
            sequence: 0,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// A network of two nodes at 10.0.0.1 and 10.0.0.2.
    pub(crate) fn pair(seed: u64) -> Self {
        let mut network = Self::new(seed);
        network.add("10.0.0.1:1000");
        network.add("10.0.0.2:1000");
        network
    }

    pub(crate) fn add(&mut self, address: &str) -> usize {
        let config = Config {
            local_addresses: vec![address.parse().unwrap()],
            ..Config::default()
        };
        self.add_with(&config)
    }

    pub(crate) fn add_with(&mut self, config: &Config) -> usize {
        let transport = RtcTransport::new(config, self.now).unwrap();
        self.nodes.push(Node {
            transport,
            address: config.local_addresses[0],
            events: Vec::new(),
            sent: 0,
            dead: false,
        });
        self.nodes.len() - 1
    }

    /// Puts an address behind a translator.
    pub(crate) fn put_behind(&mut self, inner: &str, outer: &str, mapping: Mapping) {
        let nat = Nat::new(outer.parse().unwrap(), mapping);
        self.nats.insert(inner.parse().unwrap(), nat);
    }

    pub(crate) fn node(&mut self, node: usize) -> &mut Node {
        &mut self.nodes[node]
    }

    pub(crate) fn transport(&mut self, node: usize) -> &mut RtcTransport {
        &mut self.nodes[node].transport
    }

    /// The node stops without a word; its address may be used again.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].dead = true;
    }

    /// `from` dials `to`; descriptions and candidates travel by themselves.
    pub(crate) fn dial(&mut self, from: (usize, u64), to: (usize, u64)) {
        let (from, to) = ((from.0, LinkId(from.1)), (to.0, LinkId(to.1)));
        self.signals.insert(from, to);
        self.signals.insert(to, from);
        let now = self.now;
        self.transport(from.0).offer(from.1, now).unwrap();
        self.collect();
    }

    /// Dials and runs until both ends are open; how long that took.
    pub(crate) fn connect(&mut self, from: (usize, u64), to: (usize, u64)) -> Duration {
        let start = self.now;
        self.dial(from, to);
        let opened = self.run_until(Duration::from_secs(20), |network| {
            network.is_open(from.0, from.1) && network.is_open(to.0, to.1)
        });
        assert!(opened, "{from:?} -> {to:?} did not open");
        self.now - start
    }

    pub(crate) fn is_open(&self, node: usize, link: u64) -> bool {
        self.is_relayed(node, link).is_some() && self.closed(node, link).is_empty()
    }

    /// Whether a link that opened does so by way of a relay.
    pub(crate) fn is_relayed(&self, node: usize, link: u64) -> Option<bool> {
        self.nodes[node]
            .events
            .iter()
            .find_map(|event| match event {
                Event::Opened { link: of, relayed } if of.0 == link => Some(*relayed),
                _ => None,
            })
    }

    pub(crate) fn closed(&self, node: usize, link: u64) -> Vec<CloseReason> {
        let closed = |event: &Event| match event {
            Event::Closed {
                link: closed,
                reason,
            } if closed.0 == link => Some(*reason),
            _ => None,
        };
        self.nodes[node].events.iter().filter_map(closed).collect()
    }

    pub(crate) fn messages(&self, node: usize, link: u64) -> Vec<Payload> {
        let message = |event: &Event| match event {
            Event::Message { link: of, payload } if of.0 == link => Some(payload.clone()),
            _ => None,
        };
        self.nodes[node].events.iter().filter_map(message).collect()
    }

    pub(crate) fn send(&mut self, node: usize, link: u64, text: &str) {
        let now = self.now;
        let payload = Payload::Text(Bytes::copy_from_slice(text.as_bytes()));
        self.transport(node)
            .send(LinkId(link), payload, now)
            .unwrap();
        self.collect();
    }

    pub(crate) fn close(&mut self, node: usize, link: u64) {
        let now = self.now;
        self.transport(node).close(LinkId(link), now);
        self.collect();
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    /// Runs until `done` or the time is up; whether it was done.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.collect();
            if done(self) {
                return true;
            }
            let Some(next) = self.next_instant().filter(|next| *next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    fn next_instant(&self) -> Option<Instant> {
        let live = self.nodes.iter().filter(|node| !node.dead);
        let timers = live
            .filter_map(|node| node.transport.next_deadline())
            .map(|(due, _)| due);
        let flights = self.in_flight.keys().map(|(at, _)| *at);
        let signals = self.signaling.keys().map(|(at, _)| *at);
        timers.chain(flights.take(1)).chain(signals.take(1)).min()
    }

    /// Delivers what is due now, and runs the timers that are.
    fn step(&mut self) {
        let now = self.now;
        let mut arrivals: BTreeMap<SocketAddr, Vec<Flight>> = BTreeMap::new();
        while let Some(entry) = self
            .in_flight
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            let flight = entry.remove();
            if let Some(server) = self
                .turn
                .as_mut()
                .filter(|server| server.address.ip() == flight.to.ip())
            {
                for (from, to, contents) in server.receive(flight.from, flight.to, &flight.contents)
                {
                    self.launch(from, to, &contents);
                }
            } else if let Some(flight) = self.translated(flight) {
                arrivals.entry(flight.to).or_default().push(flight);
            }
        }
        for (to, flights) in arrivals {
            for batch in flights.chunks(FEED_BATCH) {
                let datagrams: Vec<Datagram<'_>> = batch
                    .iter()
                    .map(|flight| Datagram {
                        local: to,
                        remote: flight.from,
                        contents: &flight.contents,
                    })
                    .collect();
                let live = self.nodes.iter_mut().filter(|node| !node.dead);
                for node in live.filter(|node| node.address == to) {
                    node.transport.receive(&datagrams, now);
                }
                self.collect();
            }
        }
        while let Some(entry) = self
            .signaling
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            let signal = entry.remove();
            self.deliver_signal(signal);
        }
        for node in self.nodes.iter_mut().filter(|node| !node.dead) {
            if node
                .transport
                .next_deadline()
                .is_some_and(|(due, _)| due <= now)
            {
                node.transport.handle_timeout(now);
            }
        }
        self.collect();
    }

    /// A datagram as it is delivered, if a translator before its destination lets it in.
    fn translated(&self, mut flight: Flight) -> Option<Flight> {
        if let Some(nat) = self.nats.values().find(|nat| nat.outer() == flight.to.ip()) {
            flight.to = nat.inward(flight.to, flight.from)?;
            return Some(flight);
        }
        // An inner address is nothing outside.
        (!self.nats.contains_key(&flight.to.ip())).then_some(flight)
    }

    fn deliver_signal(&mut self, signal: Signal) {
        let (now, class) = (self.now, self.class);
        let Signal { node, link, event } = signal;
        if self.nodes[node].dead {
            return;
        }
        let transport = self.transport(node);
        match event {
            Event::LocalDescription {
                kind: DescriptionKind::Offer,
                sdp,
                ..
            } => {
                transport.accept(link, &sdp, class, now).unwrap();
            }
            Event::LocalDescription {
                kind: DescriptionKind::Answer,
                sdp,
                ..
            } => {
                let _ = transport.answer(link, &sdp, class, now);
            }
            Event::LocalCandidate { candidate, .. } => {
                let _ = transport.candidate(link, &candidate, now);
            }
            _ => {}
        }
        self.collect();
    }

    /// Drains every node, as the contract asks.
    pub(crate) fn collect(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].dead {
                continue;
            }
            loop {
                if let Some(transmit) = self.nodes[index].transport.poll_transmit() {
                    let inner = self.nodes[index].address;
                    let from = match self.nats.get_mut(&inner.ip()) {
                        Some(nat) => nat.outward(inner, transmit.destination),
                        None => inner,
                    };
                    let size = transmit
                        .segment_size
                        .unwrap_or(transmit.contents.len())
                        .max(1);
                    for contents in transmit.contents.chunks(size) {
                        self.nodes[index].sent += 1;
                        self.launch(from, transmit.destination, contents);
                    }
                } else if let Some(event) = self.nodes[index].transport.poll_event() {
                    self.signal(index, &event);
                    self.nodes[index].events.push(event);
                } else {
                    break;
                }
            }
        }
    }

    fn signal(&mut self, node: usize, event: &Event) {
        let (Event::LocalDescription { link, .. } | Event::LocalCandidate { link, .. }) = event
        else {
            return;
        };
        if let Some((node, link)) = self.signals.get(&(node, *link)).copied() {
            let at = (self.now + self.signaling_delay, self.next());
            let event = event.clone();
            self.signaling.insert(at, Signal { node, link, event });
        }
    }

    fn launch(&mut self, from: SocketAddr, to: SocketAddr, contents: &[u8]) {
        if self.chance() < self.conditions.loss {
            return;
        }
        let copies = if self.chance() < self.conditions.duplication {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let jitter = self.conditions.jitter.mul_f64(self.chance());
            let at = (self.now + self.conditions.delay + jitter, self.next());
            let mut contents = contents.to_vec();
            if self.chance() < self.damage && !contents.is_empty() {
                let position = (self.chance() * contents.len() as f64) as usize;
                contents[position] ^= 1 + (self.chance() * 255.0) as u8;
            }
            self.in_flight.insert(at, Flight { from, to, contents });
        }
    }

    /// Hands a node a datagram that nobody sent.
    pub(crate) fn inject(&mut self, from: SocketAddr, to: SocketAddr, contents: &[u8]) {
        self.launch(from, to, contents);
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// In 0..1 (xorshift).
    pub(crate) fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}
