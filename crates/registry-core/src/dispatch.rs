//! The core itself: its parts, and the one place where an input finds them.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use seamesh_proto::{Now, Problem};

use crate::io::{Input, Output, Reason};
use crate::outbox::Outbox;
use crate::store::Loaded;
use crate::timers::Timers;

/// What a core is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seeds ids and codes. A shell takes it from the operating system's randomness, a simulator from its own seed.
    pub seed: [u8; 32],
}

/// The registry's rules and its live state. See the crate's page for the contract.
pub struct Core {
    pub(crate) now: Now,
    pub(crate) rng: ChaCha12Rng,
    pub(crate) timers: Timers,
    pub(crate) out: Outbox,
}

impl Core {
    /// A core that starts from what a store holds.
    pub fn new(config: Config, loaded: Loaded, now: Now) -> Self {
        let _ = loaded;
        Self {
            now,
            rng: ChaCha12Rng::from_seed(config.seed),
            timers: Timers::default(),
            out: Outbox::default(),
        }
    }

    /// Takes one input. `now` never goes backwards; an earlier time counts as the latest seen.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.now = self.now.max(now);
        while self.timers.pop_due(self.now).is_some() {}
        let _ = input;
        self.out.seal(self.now);
    }

    /// The next output, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.poll()
    }

    /// When to call next at the latest, and why.
    pub fn next_deadline(&self) -> Option<(Now, Reason)> {
        self.timers.next()
    }

    /// Starts again from what the store holds, after a commit failed: live state that was ahead of the store is thrown
    /// away, every socket is closed with `problem` (its sidecar comes back with its whole truth), and every request
    /// that waits is answered with it.
    pub fn reload(&mut self, loaded: Loaded, problem: &Problem, now: Now) {
        let _ = (loaded, problem);
        self.now = self.now.max(now);
    }
}
