//! Random sequences of inputs against a tiny model of what is promised of work: an accepted task is terminal by its TTL;
//! it ends once, and only under its live lease; an attempt is handed to one agent only; it is handed out a limited
//! number of times.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seamesh_proto::limits::LEASE_TTL_MS;
use seamesh_proto::signaling::{ClientSignal, Heartbeat, LeaseRef, TaskAssign};
use seamesh_proto::task::{DirectAttempt, SubmitTask};
use seamesh_proto::{AgentId, TaskId, TaskState};
use seamesh_registry_core::{ConnId, Op};

use crate::world::{World, id, lease, operator, peer, work};

const AGENTS: [&str; 3] = ["a", "b", "c"];
const TTL_S: u64 = 60;
const MAX_ATTEMPTS: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    Submit {
        target: Option<usize>,
        direct: Option<usize>,
    },
    /// The agent's sidecar connects (again) and names the leases it remembers, or none.
    Connect {
        agent: usize,
        remembers: bool,
    },
    Cut(usize),
    Renew(usize),
    /// The agent answers the n-th assignment it ever got, which may be long over.
    Answer {
        agent: usize,
        nth: usize,
    },
    Cancel(usize),
    Pass(u64),
    Restart,
    DiskFull,
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0..AGENTS.len();
    let maybe = proptest::option::of(0..AGENTS.len());
    prop_oneof![
        4 => (maybe.clone(), maybe).prop_map(|(target, direct)| Step::Submit { target, direct }),
        4 => (agent.clone(), any::<bool>())
            .prop_map(|(agent, remembers)| Step::Connect { agent, remembers }),
        2 => agent.clone().prop_map(Step::Cut),
        2 => agent.clone().prop_map(Step::Renew),
        4 => (agent, 0..8usize).prop_map(|(agent, nth)| Step::Answer { agent, nth }),
        1 => (0..8usize).prop_map(Step::Cancel),
        3 => (1..LEASE_TTL_MS).prop_map(Step::Pass),
        1 => Just(Step::Restart),
        1 => Just(Step::DiskFull),
    ]
}

/// The world with what the model remembers.
struct Model {
    world: World,
    conns: BTreeMap<usize, ConnId>,
    /// Every assignment each agent ever got.
    got: Vec<Vec<TaskAssign>>,
    submitted: u64,
    ended: BTreeMap<TaskId, serde_json::Value>,
    /// Who got each attempt.
    attempts: BTreeMap<(TaskId, u32), AgentId>,
}

impl Model {
    fn new() -> Self {
        Self {
            world: World::new(),
            conns: BTreeMap::new(),
            got: vec![Vec::new(); AGENTS.len()],
            submitted: 0,
            ended: BTreeMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Submit { target, direct } => self.submit(target, direct),
            Step::Connect { agent, remembers } => self.connect(agent, remembers),
            Step::Cut(agent) => {
                if let Some(conn) = self.conns.remove(&agent) {
                    self.world.close(conn);
                }
            }
            Step::Renew(agent) => self.renew(agent),
            Step::Answer { agent, nth } => self.answer(agent, nth),
            Step::Cancel(nth) => {
                let op = Op::CancelTask(id(&format!("t{nth}")));
                let _refused_when_over = self.world.ask(operator(), op);
            }
            Step::Pass(ms) => self.world.pass(ms),
            Step::Restart => {
                self.conns.clear();
                self.world.restart();
            }
            Step::DiskFull => self.world.disk_full = true,
        }
        if !self.world.closed.is_empty() {
            // The registry started anew: every socket is gone.
            self.world.closed.clear();
            self.conns.clear();
        }
        self.hear();
        self.check();
    }

    fn submit(&mut self, target: Option<usize>, direct: Option<usize>) {
        let task = SubmitTask {
            target_agent_id: target.map_or_else(String::new, |n| AGENTS[n].to_owned()),
            ttl: TTL_S,
            max_attempts: MAX_ATTEMPTS,
            direct_attempt: direct.map(|n| DirectAttempt {
                agent_id: AGENTS[n].parse().unwrap(),
                attempt: 1,
                instance: String::new(),
            }),
            ..work(&format!("t{}", self.submitted), "s")
        };
        self.submitted += 1;
        let _refused_when_full = self.world.ask(operator(), Op::SubmitTask(Box::new(task)));
    }

    fn connect(&mut self, agent: usize, remembers: bool) {
        let conn = self.world.sidecar(&peer(AGENTS[agent]));
        self.conns.insert(agent, conn);
        let leases: Vec<LeaseRef> = match remembers {
            true => self.got[agent].iter().map(lease).collect(),
            false => Vec::new(),
        };
        self.world.register(conn, AGENTS[agent], &["s"], &leases);
    }

    fn renew(&mut self, agent: usize) {
        if let Some(conn) = self.conns.get(&agent) {
            let beat = Heartbeat {
                agent_id: AGENTS[agent].parse().ok(),
                leases: self.got[agent].iter().map(lease).collect(),
            };
            let signal = ClientSignal::Heartbeat(beat);
            self.world.say(*conn, &peer(AGENTS[agent]), &signal);
        }
    }

    fn answer(&mut self, agent: usize, nth: usize) {
        let (Some(conn), Some(assign)) = (self.conns.get(&agent), self.got[agent].get(nth)) else {
            return;
        };
        let (conn, named) = (*conn, lease(assign));
        if self.world.disk_full {
            return;
        }
        let before = self.world.store.find(std::slice::from_ref(&named.task_id));
        self.hear();
        let result = format!("{}/{}", AGENTS[agent], named.lease);
        let ack = self.world.result(conn, AGENTS[agent], &named, &result);
        let live = before[0].lease.as_ref();
        let is_live =
            live.is_some_and(|l| l.number == named.lease && l.agent_id.as_str() == AGENTS[agent]);
        let is_repeat = before[0].ended_by == Some(named.lease);
        assert_eq!(
            ack.code.is_none(),
            is_live || is_repeat,
            "{before:?} {named:?}"
        );
    }

    /// Collects assignments: a number and an attempt are never given twice to different agents.
    fn hear(&mut self) {
        for (agent, conn) in self.conns.clone() {
            for assign in self.world.assigned(conn) {
                let slot = (assign.task_id.clone(), assign.attempt);
                let to = self
                    .attempts
                    .entry(slot)
                    .or_insert_with(|| assign.agent_id.clone());
                assert_eq!(*to, assign.agent_id, "one attempt went to two agents");
                self.got[agent].push(assign);
            }
        }
    }

    fn check(&mut self) {
        let now = self.world.now;
        for task in self.world.store.tasks() {
            assert!(task.attempt <= MAX_ATTEMPTS.max(2), "{task:?}");
            match &task.outcome {
                None => assert!(task.expires() > now, "outlived its TTL: {task:?}"),
                Some(outcome) => {
                    let told = serde_json::to_value(outcome).unwrap();
                    let first = self
                        .ended
                        .entry(task.spec.id.clone())
                        .or_insert(told.clone());
                    assert_eq!(*first, told, "a terminal state changed");
                }
            }
            if let (Some(target), Some(agent)) = (&task.spec.target, &task.assigned) {
                assert_eq!(target, agent, "a target is a target");
            }
            assert_eq!(task.lease.is_some(), is_held(task.state), "{task:?}");
        }
        let stats = self.world.core.stats();
        let live = self.world.store.load().tasks.len();
        assert_eq!(stats.tasks_live, live, "memory and store disagree");
    }
}

fn is_held(state: TaskState) -> bool {
    matches!(state, TaskState::Assigned | TaskState::InputRequired)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accepted_work_ends_once_under_its_lease_and_in_time(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
        }
        model.world.disk_full = false;
        model.take(Step::Pass(TTL_S * 1000));
        prop_assert_eq!(model.world.core.stats().tasks_live, 0);
        prop_assert_eq!(model.world.core.stats().tasks_pending, 0);
    }
}
