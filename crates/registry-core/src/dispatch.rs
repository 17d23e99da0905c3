//! The core itself: its parts, and the one place where an input finds them.

use std::collections::BTreeSet;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use seamesh_proto::agent::Health;
use seamesh_proto::limits::LEASE_TTL_MS;
use seamesh_proto::{AgentId, Now, Problem};
use serde::{Deserialize, Serialize};

use crate::io::{Input, Output, Reason};
use crate::leases::Lapsed;
use crate::links::LinkBook;
use crate::lookups::Lookups;
use crate::outbox::Outbox;
use crate::pairing::Pairing;
use crate::queue::Queue;
use crate::relay::Relay;
use crate::roster::Agents;
use crate::store::{Loaded, StoredTask};
use crate::stream::Streams;
use crate::tasks::Tasks;
use crate::timers::{Timer, Timers};

/// What a core is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seeds ids and codes. A shell takes it from the operating system's randomness, a simulator from its own seed.
    pub seed: [u8; 32],
}

/// Gauges of the live state, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Open signaling sockets.
    pub sockets: usize,
    /// Known agents.
    pub agents: usize,
    /// Those that are healthy.
    pub agents_active: usize,
    /// Tasks that have not ended.
    pub tasks_live: usize,
    /// Tasks that wait for an agent.
    pub tasks_pending: usize,
    /// Open links.
    pub links: usize,
    /// Requests that wait for a task's end.
    pub waiters: usize,
}

/// The registry's rules and its live state. See the crate's page for the contract.
pub struct Core {
    pub(crate) now: Now,
    pub(crate) rng: ChaCha12Rng,
    pub(crate) timers: Timers,
    pub(crate) out: Outbox,
    pub(crate) relay: Relay,
    pub(crate) agents: Agents,
    /// Agents whose record this input changed.
    pub(crate) announced: BTreeSet<AgentId>,
    pub(crate) tasks: Tasks,
    pub(crate) streams: Streams,
    pub(crate) queue: Queue,
    pub(crate) lookups: Lookups,
    pub(crate) links: LinkBook,
    pub(crate) pairing: Pairing,
}

impl Core {
    /// A core that starts from what a store holds.
    pub fn new(config: Config, loaded: Loaded, now: Now) -> Self {
        let mut core = Self {
            now,
            rng: ChaCha12Rng::from_seed(config.seed),
            timers: Timers::default(),
            out: Outbox::default(),
            relay: Relay::default(),
            agents: Agents::default(),
            announced: BTreeSet::new(),
            tasks: Tasks::default(),
            streams: Streams::default(),
            queue: Queue::default(),
            lookups: Lookups::default(),
            links: LinkBook::default(),
            pairing: Pairing::default(),
        };
        core.load(loaded);
        core
    }

    /// Takes one input. `now` never goes backwards; an earlier time counts as the latest seen.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.now = self.now.max(now);
        while let Some(timer) = self.timers.pop_due(self.now) {
            self.fire(timer);
        }
        match input {
            Input::Connected { conn, caller } => self.relay.open(conn, caller),
            Input::Frame { conn, frame } => self.frame(conn, frame),
            Input::BadFrame { conn, problem } => self.bad_frame(conn, problem),
            Input::Disconnected { conn } => self.disconnected(conn),
            Input::Request {
                request,
                caller,
                op,
            } => self.request(request, caller, op),
            Input::RequestGone { request } => self.request_gone(request),
            Input::Found { lookup, tasks } => self.found(lookup, tasks),
            Input::Tick => {}
        }
        self.tell_announced();
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
        self.now = self.now.max(now);
        let asked = self.lookups.drain();
        let asked = asked.iter().filter_map(crate::lookups::Ask::request);
        let waiting = self.tasks.waiting();
        let waiting: Vec<_> = waiting.chain(self.streams.reading()).chain(asked).collect();
        for request in waiting {
            self.out.reply(request, Err(problem.clone()));
        }
        for conn in self.relay.all() {
            self.out.close(conn, problem.clone());
        }
        self.timers = Timers::default();
        self.relay = Relay::default();
        self.agents = Agents::default();
        self.tasks = Tasks::default();
        self.streams = Streams::default();
        self.queue = Queue::default();
        self.links = LinkBook::default();
        self.pairing = Pairing::default();
        self.load(loaded);
        self.out.seal(self.now);
    }

    /// Gauges of the live state.
    pub fn stats(&self) -> Stats {
        let active = |(_, a): &(&AgentId, &crate::roster::Agent)| a.health == Health::Active;
        Stats {
            sockets: self.relay.count(),
            agents: self.agents.len(),
            agents_active: self.agents.iter().filter(active).count(),
            tasks_live: self.tasks.len(),
            tasks_pending: self.queue.len(),
            links: self.links.len(),
            waiters: self.tasks.waiting_len(),
        }
    }

    fn load(&mut self, loaded: Loaded) {
        for agent in loaded.agents {
            self.agents.put(agent);
        }
        self.judge_loaded();
        let mut tasks = loaded.tasks;
        tasks.sort_by(|a, b| (a.spec.created_ms, &a.spec.id).cmp(&(b.spec.created_ms, &b.spec.id)));
        for task in tasks {
            self.load_task(task);
        }
        for (parent, child) in loaded.children {
            if let Some(live) = self.tasks.get_mut(&parent) {
                live.children.insert(child);
            }
        }
        for invite in loaded.invites {
            let timer = Timer::Invite(invite.digest.clone());
            self.timers.set(timer, Now(invite.expires_ms));
            self.pairing.invites.insert(invite.digest.clone(), invite);
        }
        for newcomer in loaded.newcomers {
            let id = newcomer.id.clone();
            self.pairing.newcomers.insert(id, newcomer);
        }
    }

    /// A lease that was live gets its full time again: its holder may still work, and has to find the registry first.
    fn load_task(&mut self, task: StoredTask) {
        let id = task.spec.id.clone();
        self.timers.set(Timer::Expire(id.clone()), task.ends());
        let lease = task.lease.clone();
        self.tasks.add(task);
        match lease {
            None => self.enqueue(&id),
            Some(lease) => {
                let until = self.now.plus(lease.ttl_ms.max(LEASE_TTL_MS));
                self.timers.set(Timer::Lapse(id.clone()), until);
                if let Some(agent) = self.agents.get_mut(&lease.agent_id) {
                    agent.held.insert(id);
                }
            }
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Expire(id) => self.expire(&id),
            Timer::Lapse(id) => self.lapse(&id, Lapsed::NotRenewed, true),
            Timer::Ready(id) => self.pause_ended(&id),
            Timer::Progress(id) => self.tell_progress(&id),
            Timer::Health(id) => self.refresh_health(&id),
            Timer::Grace(id) => self.grace_ended(&id),
            Timer::Wait(request) => self.wait_ended(request),
            Timer::Chunks(request) => self.read_ended(request),
            Timer::Reader(id) => self.deserted(&id),
            Timer::Links(peer) => self.forget_links(&peer),
            Timer::Invite(digest) => self.drop_invite(&digest),
        }
    }
}
