//! The network: how long things take, what is cut, what is held up. Everything on it is carried by something that keeps
//! order and repeats what was lost (TCP, SCTP), so a lost packet is a late one, and what was sent later waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use seamesh_registry_core::ConnId;

use crate::channels::End;
use crate::draw::Draw;

/// A node's name.
pub(crate) type Name = Rc<str>;

/// Milliseconds a signaling frame or a REST request takes one way.
pub(crate) const SIGNAL_MS: u64 = 5;

/// Milliseconds a link message takes one way.
pub(crate) const LINK_MS: u64 = 1;

/// Milliseconds from two complete descriptions to an open link: the handshakes.
pub(crate) const HANDSHAKE_MS: u64 = 4;

/// Milliseconds after which the end of a silent link gives it up.
pub(crate) const LINK_TIMEOUT_MS: u64 = 3_000;

/// Milliseconds a link has to open, from its first description.
pub(crate) const OPEN_TIMEOUT_MS: u64 = 15_000;

/// Milliseconds between two tries of a handshake that nobody hears.
pub(crate) const HANDSHAKE_AGAIN_MS: u64 = 250;

/// Milliseconds after which a sidecar gives up a registry that answers no ping.
pub(crate) const SIGNAL_TIMEOUT_MS: u64 = 16_000;

/// Milliseconds after which the registry gives up a silent socket.
pub(crate) const SOCKET_IDLE_MS: u64 = 45_000;

/// Milliseconds until a lost packet is sent again.
const RESEND_MS: u64 = 200;

/// What keeps its order: one way of one connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Up(ConnId),
    Down(ConnId),
    /// To this end of a link.
    Link(End),
}

/// The next frame of one kind between two nodes comes later.
#[derive(Debug)]
pub(crate) struct Delay {
    pub(crate) kind: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) ms: u64,
}

/// How the network is everywhere.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// More than the usual milliseconds, one way.
    pub(crate) latency_ms: u64,
    /// Up to so many milliseconds more, drawn for each message.
    pub(crate) jitter_ms: u64,
    /// Of a thousand packets, so many are lost.
    pub(crate) loss: u64,
}

/// What is wrong with the network now.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// From whom, to whom.
    cuts: BTreeSet<(Name, Name)>,
    pub(crate) delays: Vec<Delay>,
    pub(crate) weather: Weather,
    pub(crate) draw: Draw,
    /// When the last message of a way arrives.
    last: BTreeMap<Way, u64>,
}

impl Network {
    pub(crate) fn cut(&mut self, a: &str, b: &str) {
        self.block(a, b);
        self.block(b, a);
    }

    /// Nothing of `from` reaches `to`; the other way goes on.
    pub(crate) fn block(&mut self, from: &str, to: &str) {
        self.cuts.insert((from.into(), to.into()));
    }

    pub(crate) fn heal(&mut self, a: &str, b: &str) {
        self.cuts
            .retain(|(from, to)| (&**from, &**to) != (a, b) && (&**from, &**to) != (b, a));
    }

    pub(crate) fn heal_all(&mut self) {
        self.cuts.clear();
        self.delays.clear();
        self.weather = Weather::default();
    }

    /// Whether nothing of `from` reaches `to`.
    pub(crate) fn is_blocked(&self, from: &str, to: &str) -> bool {
        let mut cuts = self.cuts.iter();
        cuts.any(|(a, b)| &**a == from && &**b == to)
    }

    /// Whether two nodes cannot speak with each other.
    pub(crate) fn is_cut(&self, a: &str, b: &str) -> bool {
        self.is_blocked(a, b) || self.is_blocked(b, a)
    }

    /// Extra milliseconds for this frame; each delay is used once.
    pub(crate) fn take_delay(&mut self, kind: &str, from: &str, to: &str) -> u64 {
        let fits = |d: &Delay| d.kind == kind && d.from == from && d.to == to;
        match self.delays.iter().position(fits) {
            Some(at) => self.delays.remove(at).ms,
            None => 0,
        }
    }

    /// Milliseconds that something takes which usually takes `ms`.
    pub(crate) fn takes(&mut self, ms: u64) -> u64 {
        let weather = self.weather;
        let mut all = ms + weather.latency_ms;
        if weather.jitter_ms > 0 {
            all += self.draw.below(weather.jitter_ms + 1);
        }
        let mut resend = RESEND_MS;
        while weather.loss > 0 && self.draw.below(1_000) < weather.loss.min(900) {
            all += resend;
            resend *= 2;
        }
        all
    }

    /// When a message that is sent `now` and takes `ms` arrives: never before what was sent earlier on its way.
    pub(crate) fn arrival(&mut self, way: Way, now: u64, ms: u64) -> u64 {
        let last = self.last.entry(way).or_default();
        *last = (*last).max(now + ms);
        *last
    }
}
