//! Who is struck when, drawn from the seed.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::RngCore;
use seamesh_proto::limits::LEASE_TTL_MS;

/// Milliseconds a round lasts.
pub(crate) const ROUND_MS: u64 = 1_800;

/// Milliseconds from a round's beginning within which its faults begin.
const FAULTS_BEGIN_MS: u64 = 700;

/// Shortest and longest time, in milliseconds, that a fault lasts.
const FAULT_MS: (u64, u64) = (20, 1_000);

/// Milliseconds by which the long pause is longer than a lease.
const LONGER_MS: u64 = 1_500;

/// Faults of one round: enough that they meet.
const FAULTS: usize = 2;

/// What is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The registry.
    Registry,
    /// The sidecar of one agent.
    Sidecar(usize),
    /// One agent's process.
    Agent(usize),
    /// Both at once, as when their machine dies.
    Machine(usize),
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// SIGKILL; a new process when it is over.
    Kill,
    /// SIGSTOP, and SIGCONT when it is over.
    Pause,
}

/// One fault, in milliseconds from the beginning of its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) target: Target,
    pub(crate) blow: Blow,
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
}

/// The faults of one round. No process is struck by two of them.
pub(crate) fn round(rng: &mut ChaCha12Rng, agents: usize) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    while faults.len() < FAULTS {
        let fault = draw(rng, agents);
        let is_free = faults.iter().all(|other| apart(other.target, fault.target));
        if is_free {
            faults.push(fault);
        }
    }
    faults
}

/// A machine stands still for longer than its leases live: its work is done elsewhere, and what it still says of it is
/// refused.
pub(crate) fn long_pause(rng: &mut ChaCha12Rng, agents: usize) -> Fault {
    Fault {
        // An index below the count of agents fits.
        target: Target::Machine((rng.next_u64() % agents as u64) as usize),
        blow: Blow::Pause,
        from_ms: 0,
        until_ms: LEASE_TTL_MS + LONGER_MS,
    }
}

fn apart(a: Target, b: Target) -> bool {
    let machine = |target| match target {
        Target::Registry => None,
        Target::Sidecar(n) | Target::Agent(n) | Target::Machine(n) => Some(n),
    };
    let whole = matches!(a, Target::Machine(_)) || matches!(b, Target::Machine(_));
    a != b && !(whole && machine(a) == machine(b))
}

fn draw(rng: &mut ChaCha12Rng, agents: usize) -> Fault {
    let mut below = |bound: u64| rng.next_u64() % bound;
    // An index below the count of agents fits.
    let n = below(agents as u64) as usize;
    let target = match below(5) {
        0 => Target::Registry,
        1 | 2 => Target::Agent(n),
        3 => Target::Sidecar(n),
        _ => Target::Machine(n),
    };
    let blow = match below(3) {
        0 => Blow::Pause,
        _ => Blow::Kill,
    };
    let from_ms = below(FAULTS_BEGIN_MS);
    let until_ms = from_ms + FAULT_MS.0 + below(FAULT_MS.1 - FAULT_MS.0);
    Fault {
        target,
        blow,
        from_ms,
        until_ms,
    }
}
