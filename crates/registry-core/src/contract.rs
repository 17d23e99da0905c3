//! The store contract's test suite. Every store runs [`run`] in a test of its own:
//!
//! ```ignore
//! seamesh_registry_core::contract::run(|| MySubject::new());
//! ```
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test suite asserts")]

use std::sync::Arc;

use seamesh_proto::agent::{AgentInfo, Capabilities, Health};
use seamesh_proto::chain::Hop;
use seamesh_proto::events::{AgentHealth, EventRecord, MeshEvent};
use seamesh_proto::identity::PublicKey;
use seamesh_proto::payload::Payload;
use seamesh_proto::rest::PairingStatus;
use seamesh_proto::talk::{Answer, Listens, Question};
use seamesh_proto::task::{DirectAttempt, Lineage, Outcome, Path, TaskState};
use seamesh_proto::{Code, Now, TaskId};
use serde_json::json;

use crate::store::{
    Batch, Conflict, Lease, Loaded, StoredAgent, StoredInvite, StoredNewcomer, StoredTask, Talk,
    TaskKey, TaskSpec, Write,
};

/// A store under test. Failures other than conflicts are the subject's own panics.
pub trait Subject {
    /// Every live entity.
    fn load(&mut self) -> Loaded;
    /// Commits a batch.
    ///
    /// # Errors
    /// [`Conflict`] when a write was decided on another version than the stored one.
    fn commit(&mut self, batch: &Batch) -> Result<(), Conflict>;
    /// Tasks by id, live or ended.
    fn find(&mut self, ids: &[TaskId]) -> Vec<StoredTask>;
    /// The task that its submitter named so, live or ended.
    fn find_key(&mut self, key: &TaskKey) -> Option<StoredTask>;
    /// Events numbered above `after`, in order.
    fn events_after(&mut self, after: u64) -> Vec<EventRecord>;
    /// Closes the store as a crash would and opens it again.
    fn reopen(&mut self);
}

/// Runs the whole suite, each test on a store of its own.
pub fn run<S: Subject>(mut empty: impl FnMut() -> S) {
    starts_empty(empty());
    gives_back_every_field(empty());
    loads_live_tasks_only(empty());
    loads_whom_live_tasks_asked(empty());
    refuses_a_stale_write_and_its_whole_batch(empty());
    refuses_to_make_what_exists(empty());
    adds_what_ended_elsewhere_once(empty());
    knows_a_task_by_its_submitters_key(empty());
    refuses_a_key_that_another_task_has(empty());
    deletes(empty());
    numbers_events_in_order(empty());
    keeps_all_of_it_when_reopened(empty());
}

fn hop(agent: &str, skill: &str) -> Hop {
    Hop {
        agent_id: agent.parse().unwrap(),
        skill: skill.to_owned(),
    }
}

/// A task as it is submitted.
pub fn pending_task(id: &str) -> StoredTask {
    let spec = TaskSpec {
        id: id.parse().unwrap(),
        skill: "search".to_owned(),
        target: None,
        source: "editor".to_owned(),
        submitter: "peer-e".parse().unwrap(),
        payload: Payload::new(json!({"q": "größe", "deep": [1, 2.5, null, {"x": true}]})),
        lineage: Lineage {
            parent_id: Some("parent".parse().unwrap()),
            root_id: Some("root".parse().unwrap()),
            depth: 2,
            chain: vec![hop("editor", "plan"), hop("librarian", "größe")],
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                .parse()
                .ok(),
        },
        path: Path::Queue,
        created_ms: 1_700_000_000_123,
        ttl_s: 300,
        max_attempts: 3,
        priority: -7,
        deadline_ms: Some(1_700_000_009_123),
        listens: Listens {
            stream: true,
            answers: true,
        },
        idempotency_key: Some(format!("größe {id}")),
        by_operator: true,
    };
    StoredTask {
        spec: Arc::new(spec),
        version: 1,
        state: TaskState::Pending,
        attempt: 1,
        last_lease: 0,
        lease: None,
        ended_by: None,
        assigned: None,
        direct: Some(DirectAttempt {
            agent_id: "librarian".parse().unwrap(),
            attempt: 1,
            instance: "run-1".to_owned(),
        }),
        talk: Talk::default(),
        not_before_ms: Some(1_700_000_000_623),
        started_ms: None,
        updated_ms: 1_700_000_000_123,
        outcome: None,
    }
}

fn assigned(mut task: StoredTask) -> StoredTask {
    task.version += 1;
    task.state = TaskState::Assigned;
    task.attempt = 2;
    task.talk = Talk {
        question: Some(Question {
            number: 2,
            prompt: "which größe?".to_owned(),
            schema: Some(json!({"type": "string"})),
        }),
        answer: Some(Answer {
            number: 1,
            value: json!({"deep": [1]}),
        }),
    };
    task.last_lease = 7;
    task.lease = Some(Lease {
        number: 7,
        agent_id: "librarian".parse().unwrap(),
        peer: "peer-l".parse().unwrap(),
        ttl_ms: 15_000,
    });
    task.assigned = Some("librarian".parse().unwrap());
    task.direct = None;
    task.not_before_ms = None;
    task.started_ms = Some(1_700_000_000_200);
    task.updated_ms = 1_700_000_000_200;
    task
}

fn ended(mut task: StoredTask, outcome: Outcome) -> StoredTask {
    task.version += 1;
    task.state = outcome.state;
    task.lease = None;
    task.ended_by = Some(7);
    task.outcome = Some(outcome);
    task
}

fn agent(version: u64) -> StoredAgent {
    let skill = seamesh_proto::SkillInfo {
        name: "search".to_owned(),
        description: "Finds.".to_owned(),
        input_schema: Some(json!({"type": "object"})),
        callers: Some(vec!["editor".parse().unwrap()]),
    };
    StoredAgent {
        info: AgentInfo {
            agent_id: "librarian".parse().unwrap(),
            hostname: "host".to_owned(),
            ip: String::new(),
            port: 8000,
            sidecar_peer_id: "peer-l".to_owned(),
            capabilities: Capabilities {
                skills: vec!["search".to_owned()],
                ..Capabilities::default()
            },
            status: String::new(),
            mode: "interactive".to_owned(),
            description: "Knows the documents.".to_owned(),
            skills: vec![skill],
            version: "0.1".to_owned(),
            instance: "run-1".to_owned(),
            max_concurrent: 4,
        },
        owner: "peer-l".parse().unwrap(),
        version,
        registered_ms: 5,
        last_heartbeat_ms: 6,
        away: version > 1,
    }
}

fn invite() -> StoredInvite {
    StoredInvite {
        digest: "000123".to_owned(),
        version: 1,
        expires_ms: 99,
        uses: 2,
        join_token: true,
        peer_id: Some("agent-0a1b2c".parse().unwrap()),
    }
}

fn newcomer(version: u64, status: PairingStatus) -> StoredNewcomer {
    StoredNewcomer {
        id: "0a1b2c3d".to_owned(),
        agent_name: "Ökonom".to_owned(),
        peer_id: "agent-0a1b2c".parse().unwrap(),
        status,
        token_digest: (status == PairingStatus::Approved).then(|| "digest".to_owned()),
        key: Some(PublicKey([7; 32])),
        certificate: None,
        version,
        created_ms: 1,
        updated_ms: version,
    }
}

fn event(agent: &str) -> MeshEvent {
    MeshEvent::AgentHealth(AgentHealth {
        agent_id: agent.parse().unwrap(),
        health: Health::Stale,
    })
}

fn batch(writes: Vec<Write>, events: Vec<MeshEvent>) -> Batch {
    Batch {
        at: Now(1_700_000_000_500),
        writes,
        events,
    }
}

fn put(expected: u64, task: StoredTask) -> Write {
    Write::PutTask {
        expected,
        task: Box::new(task),
    }
}

fn put_agent(expected: u64, version: u64) -> Write {
    Write::PutAgent {
        expected,
        agent: Box::new(agent(version)),
    }
}

fn everything() -> Vec<Write> {
    let (status, invite) = (PairingStatus::PendingApproval, invite());
    vec![
        put(0, pending_task("t1")),
        put_agent(0, 1),
        Write::PutInvite {
            expected: 0,
            invite,
        },
        Write::PutNewcomer {
            expected: 0,
            newcomer: Box::new(newcomer(1, status)),
        },
    ]
}

fn starts_empty<S: Subject>(mut store: S) {
    assert_eq!(store.load(), Loaded::default());
    assert_eq!(store.events_after(0), []);
    assert_eq!(store.find(&["t1".parse().unwrap()]), []);
}

fn gives_back_every_field<S: Subject>(mut store: S) {
    store.commit(&batch(everything(), vec![])).unwrap();
    let first = Loaded {
        tasks: vec![pending_task("t1")],
        agents: vec![agent(1)],
        invites: vec![invite()],
        newcomers: vec![newcomer(1, PairingStatus::PendingApproval)],
        children: Vec::new(),
    };
    assert_eq!(store.load(), first);

    let second = vec![
        put(1, assigned(pending_task("t1"))),
        put_agent(1, 2),
        Write::PutNewcomer {
            expected: 1,
            newcomer: Box::new(newcomer(2, PairingStatus::Approved)),
        },
    ];
    store.commit(&batch(second, vec![])).unwrap();
    let loaded = store.load();
    assert_eq!(loaded.tasks, [assigned(pending_task("t1"))]);
    assert_eq!(loaded.agents, [agent(2)]);
    assert_eq!(loaded.newcomers, [newcomer(2, PairingStatus::Approved)]);
}

fn loads_live_tasks_only<S: Subject>(mut store: S) {
    let held = assigned(pending_task("held"));
    let outcomes = [
        ("done", Outcome::completed(json!({"answer": [1, "zwölf"]}))),
        ("failed", Outcome::failed(Code::SkillFailed, "it raised")),
        ("canceled", Outcome::canceled("nobody waits")),
    ];
    let mut writes = vec![put(0, held.clone())];
    for (id, outcome) in &outcomes {
        let task = ended(assigned(pending_task(id)), outcome.clone());
        writes.push(put(0, task));
    }
    store.commit(&batch(writes, vec![])).unwrap();
    assert_eq!(store.load().tasks, [held]);
    for (id, outcome) in outcomes {
        let found = store.find(&[id.parse().unwrap()]);
        assert_eq!(found, [ended(assigned(pending_task(id)), outcome)]);
    }
    let some = ["done", "none", "held"].map(|id| id.parse().unwrap());
    assert_eq!(store.find(&some).len(), 2);
}

fn loads_whom_live_tasks_asked<S: Subject>(mut store: S) {
    let under = |id: &str, parent: &str, root: &str| {
        let mut task = pending_task(id);
        let spec = Arc::make_mut(&mut task.spec);
        spec.lineage.parent_id = Some(parent.parse().unwrap());
        spec.lineage.root_id = Some(root.parse().unwrap());
        task
    };
    let root = |id: &str| {
        let mut task = assigned(pending_task(id));
        Arc::make_mut(&mut task.spec).lineage = Lineage::default();
        task
    };
    let done = |task| ended(assigned(task), Outcome::completed(json!(1)));
    let writes = [
        root("root"),
        done(under("c1", "root", "root")),
        under("c2", "root", "root"),
        under("g1", "c2", "root"),
        done(root("old")),
        under("o1", "old", "old"),
    ];
    let writes = writes.into_iter().map(|task| put(0, task)).collect();
    store.commit(&batch(writes, vec![])).unwrap();
    let mut children = store.load().children;
    children.sort();
    let named = |(parent, child): (&str, &str)| (parent.parse().unwrap(), child.parse().unwrap());
    let expected = [("c2", "g1"), ("root", "c1"), ("root", "c2")].map(named);
    assert_eq!(children, expected);
}

fn refuses_a_stale_write_and_its_whole_batch<S: Subject>(mut store: S) {
    store.commit(&batch(everything(), vec![])).unwrap();
    let stale = vec![
        put_agent(1, 2),
        put(0, pending_task("t2")),
        put(7, assigned(pending_task("t1"))),
    ];
    let conflict = store.commit(&batch(stale, vec![event("a")])).unwrap_err();
    let told = Conflict {
        kind: "task".to_owned(),
        key: "t1".to_owned(),
        expected: 7,
        stored: 1,
    };
    assert_eq!(conflict, told);
    assert_eq!(store.load().agents, [agent(1)]);
    assert_eq!(store.load().tasks, [pending_task("t1")]);
    assert_eq!(store.events_after(0), []);
}

fn refuses_to_make_what_exists<S: Subject>(mut store: S) {
    store.commit(&batch(everything(), vec![])).unwrap();
    for again in everything() {
        let key = again.key().1.to_owned();
        let conflict = store.commit(&batch(vec![again], vec![])).unwrap_err();
        assert_eq!(
            (conflict.key, conflict.expected, conflict.stored),
            (key, 0, 1)
        );
    }
    // A task that ended exists, too.
    let task = ended(assigned(pending_task("t1")), Outcome::completed(json!(1)));
    store.commit(&batch(vec![put(1, task)], vec![])).unwrap();
    let again = batch(vec![put(0, pending_task("t1"))], vec![]);
    assert_eq!(store.commit(&again).unwrap_err().stored, 3);
}

fn adds_what_ended_elsewhere_once<S: Subject>(mut store: S) {
    let add = |result: i64, told: &str| Write::AddEnded {
        task: Box::new(ended(
            assigned(pending_task("t1")),
            Outcome::completed(json!(result)),
        )),
        event: Box::new(event(told)),
    };
    let found = |store: &mut S| store.find(&["t1".parse().unwrap()])[0].outcome.clone();
    let told = |store: &mut S| -> Vec<MeshEvent> {
        let events = store.events_after(0).into_iter();
        events.map(|e| e.event).collect()
    };
    let first = batch(vec![add(1, "first")], vec![event("beside")]);
    store.commit(&first).unwrap();
    assert_eq!(found(&mut store), Some(Outcome::completed(json!(1))));
    assert_eq!(told(&mut store), [event("first"), event("beside")]);

    // Again: neither the task nor its event, but all of the rest of the batch.
    let second = batch(vec![add(2, "second"), put_agent(0, 1)], vec![]);
    store.commit(&second).unwrap();
    assert_eq!(found(&mut store), Some(Outcome::completed(json!(1))));
    assert_eq!(told(&mut store), [event("first"), event("beside")]);
    assert_eq!(store.load().agents, [agent(1)]);
}

fn knows_a_task_by_its_submitters_key<S: Subject>(mut store: S) {
    let live = pending_task("live");
    let done = ended(assigned(pending_task("done")), Outcome::completed(json!(1)));
    let writes = vec![put(0, live.clone()), put(0, done.clone())];
    store.commit(&batch(writes, vec![])).unwrap();
    store.reopen();
    for task in [live, done] {
        let key = task.spec.key().unwrap();
        let foreign = TaskKey {
            submitter: "somebody".parse().unwrap(),
            ..key.clone()
        };
        assert_eq!(store.find_key(&key), Some(task));
        assert_eq!(store.find_key(&foreign), None);
    }
}

fn refuses_a_key_that_another_task_has<S: Subject>(mut store: S) {
    let named = |id: &str, submitter: &str, key: Option<&str>| {
        let mut task = pending_task(id);
        let spec = Arc::make_mut(&mut task.spec);
        spec.submitter = submitter.parse().unwrap();
        spec.idempotency_key = key.map(str::to_owned);
        batch(vec![put(0, task)], vec![event(id)])
    };
    store.commit(&named("t1", "a", Some("k"))).unwrap();
    let conflict = store.commit(&named("t2", "a", Some("k"))).unwrap_err();
    let told = Conflict {
        kind: "idempotency_key".to_owned(),
        key: "k".to_owned(),
        expected: 0,
        stored: 1,
    };
    assert_eq!(conflict, told);
    assert_eq!(store.find(&["t2".parse().unwrap()]), []);
    assert_eq!(store.events_after(0).len(), 1);
    // Another submitter's key is another key, and no key is none.
    store.commit(&named("t3", "b", Some("k"))).unwrap();
    store.commit(&named("t4", "a", None)).unwrap();
    store.commit(&named("t5", "a", None)).unwrap();
}

fn deletes<S: Subject>(mut store: S) {
    store.commit(&batch(everything(), vec![])).unwrap();
    let delete_agent = |expected| Write::DeleteAgent {
        expected,
        agent_id: "librarian".parse().unwrap(),
    };
    let delete_invite = Write::DeleteInvite {
        expected: 1,
        digest: "000123".to_owned(),
    };
    let stale = batch(vec![delete_agent(4)], vec![]);
    assert_eq!(store.commit(&stale).unwrap_err().stored, 1);
    let good = batch(vec![delete_agent(1), delete_invite.clone()], vec![]);
    store.commit(&good).unwrap();
    assert_eq!(store.load().agents, []);
    assert_eq!(store.load().invites, []);
    let twice = batch(vec![delete_invite], vec![]);
    assert_eq!(store.commit(&twice).unwrap_err().stored, 0);
    // What was deleted may be made again.
    let again = batch(vec![put_agent(0, 1)], vec![]);
    store.commit(&again).unwrap();
    assert_eq!(store.load().agents, [agent(1)]);
}

fn numbers_events_in_order<S: Subject>(mut store: S) {
    let first = batch(vec![], vec![event("a"), event("b")]);
    store.commit(&first).unwrap();
    store.commit(&batch(vec![], vec![event("c")])).unwrap();
    let all = store.events_after(0);
    let told: Vec<MeshEvent> = all.iter().map(|e| e.event.clone()).collect();
    assert_eq!(told, [event("a"), event("b"), event("c")]);
    assert!(all.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert!(all[0].seq > 0);
    assert_eq!(all[0].at_ms, 1_700_000_000_500);
    assert_eq!(store.events_after(all[1].seq), all[2..]);
}

fn keeps_all_of_it_when_reopened<S: Subject>(mut store: S) {
    let first = batch(everything(), vec![event("a")]);
    store.commit(&first).unwrap();
    let task = ended(assigned(pending_task("t0")), Outcome::completed(json!("x")));
    let second = batch(vec![put(0, task.clone())], vec![event("b")]);
    store.commit(&second).unwrap();
    let (loaded, events) = (store.load(), store.events_after(0));
    store.reopen();
    assert_eq!(store.load(), loaded);
    assert_eq!(store.events_after(0), events);
    assert_eq!(store.find(&["t0".parse().unwrap()]), [task]);
    // Numbers go on, they do not start again.
    store.commit(&batch(vec![], vec![event("c")])).unwrap();
    let newest = store.events_after(events[1].seq);
    assert_eq!(newest.len(), 1);
}
