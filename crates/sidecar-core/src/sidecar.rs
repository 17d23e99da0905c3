//! The core: every part of the sidecar behind one verb set.

use std::collections::VecDeque;

use seamesh_proto::Now;

use crate::timers::{Reason, Timers};
use crate::{ClientId, Input, LinkId, Output, Piece};

/// What a sidecar starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Seed of everything random: ids of tasks and link attempts, jitter. Secret and fresh for every start.
    pub seed: [u8; 32],
}

/// One sidecar without its IO.
#[derive(Debug)]
pub struct Sidecar {
    out: VecDeque<Output>,
    timers: Timers,
}

impl Sidecar {
    /// A sidecar that knows nobody yet. Its first output is [`Output::ConnectSignaling`].
    pub fn new(_config: &Config) -> Self {
        Self {
            out: VecDeque::from([Output::ConnectSignaling]),
            timers: Timers::default(),
        }
    }

    /// Takes an input, after everything that is due at `now`.
    pub fn handle(&mut self, _input: Input, now: Now) {
        while self.timers.pop_due(now).is_some() {}
    }

    /// Takes one line of the client, without its newline: the same as [`Input::IpcCommand`] or [`Input::IpcBad`], but
    /// a `send` is passed on without being taken apart.
    pub fn handle_line(&mut self, _client: ClientId, _line: &[u8], now: Now) {
        self.handle(Input::Tick, now);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// The next DataChannel message of a link, at most `LINK_PIECE_BYTES` long (towards old peers: one whole
    /// message). `None` when nothing waits or the next one is longer than `room`: then ask again on writable.
    pub fn take_piece(&mut self, _link: LinkId, _room: usize) -> Option<Piece> {
        None
    }

    /// When [`Input::Tick`] is due next, and what for.
    pub fn next_deadline(&self) -> Option<(Now, Reason)> {
        self.timers.next()
    }
}
