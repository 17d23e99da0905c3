//! The network: how long things take, what is cut, what is held up.

use std::collections::BTreeSet;

/// Milliseconds a signaling frame or a REST request takes one way.
pub(crate) const SIGNAL_MS: u64 = 5;

/// Milliseconds a link message takes one way.
pub(crate) const LINK_MS: u64 = 1;

/// Milliseconds from two complete descriptions to an open link: the handshakes.
pub(crate) const HANDSHAKE_MS: u64 = 4;

/// Milliseconds after which the end of a silent link gives it up.
pub(crate) const LINK_TIMEOUT_MS: u64 = 3_000;

/// The next frame of one kind between two nodes comes later.
#[derive(Debug)]
pub(crate) struct Delay {
    pub(crate) kind: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) ms: u64,
}

/// What is wrong with the network now.
#[derive(Debug, Default)]
pub(crate) struct Network {
    cuts: BTreeSet<(String, String)>,
    pub(crate) delays: Vec<Delay>,
}

impl Network {
    pub(crate) fn cut(&mut self, a: &str, b: &str) {
        self.cuts.insert(pair(a, b));
    }

    pub(crate) fn heal(&mut self, a: &str, b: &str) {
        self.cuts.remove(&pair(a, b));
    }

    pub(crate) fn is_cut(&self, a: &str, b: &str) -> bool {
        self.cuts.contains(&pair(a, b))
    }

    /// Extra milliseconds for this frame; each delay is used once.
    pub(crate) fn take_delay(&mut self, kind: &str, from: &str, to: &str) -> u64 {
        let fits = |d: &Delay| d.kind == kind && d.from == from && d.to == to;
        match self.delays.iter().position(fits) {
            Some(at) => self.delays.remove(at).ms,
            None => 0,
        }
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    (a.to_owned(), b.to_owned())
}
