//! The store against its contract, against a crash, against a full disk, and its lists.

use std::path::PathBuf;

use seamesh_proto::events::EventRecord;
use seamesh_proto::rest::TaskQuery;
use seamesh_proto::task::{Outcome, TaskState};
use seamesh_proto::{Now, TaskId};
use seamesh_registry_core::contract::{self, Subject, pending_task};
use seamesh_registry_core::store::{Batch, Conflict, Loaded, StoredTask, TaskKey, Write};
use serde_json::json;
use tempfile::TempDir;

use super::database::{CommitError, Database};
use super::{Writer, lists};

struct SqliteSubject {
    directory: TempDir,
    database: Option<Database>,
}

impl SqliteSubject {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("registry.db"), vec![], None).unwrap();
        Self {
            directory,
            database: Some(database),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("registry.db")
    }

    fn database(&mut self) -> &mut Database {
        self.database.as_mut().unwrap()
    }

    /// Lists read on connections of their own, as the reader's do.
    fn reading(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

impl Subject for SqliteSubject {
    fn load(&mut self) -> Loaded {
        self.database().load().unwrap()
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), Conflict> {
        match self.database().commit([batch], []) {
            Ok(()) => Ok(()),
            Err(CommitError::Conflict(conflict)) => Err(conflict),
            Err(error) => panic!("{error}"),
        }
    }

    fn find(&mut self, ids: &[TaskId]) -> Vec<StoredTask> {
        lists::find(&self.reading(), ids).unwrap()
    }

    fn find_key(&mut self, key: &TaskKey) -> Option<StoredTask> {
        lists::find_key(&self.reading(), key).unwrap()
    }

    fn events_after(&mut self, after: u64) -> Vec<EventRecord> {
        let rows = lists::events_after(&self.reading(), after, usize::MAX).unwrap();
        let records = rows.iter().map(|row| {
            let record: EventRecord = serde_json::from_str(&row.record).unwrap();
            assert_eq!(record.seq, row.seq);
            record
        });
        records.collect()
    }

    /// A crash leaves the files as they are: the copy is opened while the first still has its write-ahead log open.
    fn reopen(&mut self) {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.directory.path()).unwrap() {
            let entry = entry.unwrap();
            // The shared-memory index is rebuilt from the log, as after a power failure.
            if !entry.file_name().to_string_lossy().ends_with("-shm") {
                std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
        }
        self.database = None;
        self.directory = copy;
        self.database = Some(Database::open(&self.path(), vec![], None).unwrap());
    }
}

#[test]
fn the_store_contract_holds() {
    contract::run(SqliteSubject::new);
}

fn batch(writes: Vec<Write>) -> Batch {
    Batch {
        at: Now(1),
        writes,
        events: Vec::new(),
    }
}

fn put(task: StoredTask) -> Write {
    Write::PutTask {
        expected: task.version - 1,
        task: Box::new(task),
    }
}

/// A task with the given id, whose fixed part is changed by `change`.
fn task(id: &str, change: impl FnOnce(&mut seamesh_registry_core::store::TaskSpec)) -> StoredTask {
    let mut task = pending_task(id);
    let mut spec = (*task.spec).clone();
    change(&mut spec);
    task.spec = spec.into();
    task
}

fn ids(page: &lists::Page) -> Vec<&str> {
    page.tasks.iter().map(|t| t.spec.id.as_str()).collect()
}

fn list(subject: &SqliteSubject, query: &TaskQuery) -> Vec<String> {
    let page = lists::tasks(&subject.reading(), query, None, 100, true).unwrap();
    ids(&page).into_iter().map(str::to_owned).collect()
}

#[test]
fn pages_follow_each_other_newest_first_without_gap_or_overlap_while_tasks_come_in() {
    let mut subject = SqliteSubject::new();
    for n in 0..7 {
        subject
            .commit(&batch(vec![put(pending_task(&format!("t{n}")))]))
            .unwrap();
    }
    let query = TaskQuery::default();
    let mut seen: Vec<String> = Vec::new();
    let mut before = None;
    for round in 0.. {
        let page = lists::tasks(&subject.reading(), &query, before, 3, true).unwrap();
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let newcomer = pending_task(&format!("late{round}"));
        subject.commit(&batch(vec![put(newcomer)])).unwrap();
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["t6", "t5", "t4", "t3", "t2", "t1", "t0"]);
}

#[test]
fn every_filter_finds_its_tasks_and_filters_combine() {
    let mut subject = SqliteSubject::new();
    let plain = |spec: &mut seamesh_registry_core::store::TaskSpec| {
        spec.lineage = Default::default();
        spec.source.clear();
    };
    let mut done = task("done", |spec| spec.skill = "sum".into());
    done.state = TaskState::Completed;
    done.outcome = Some(Outcome::completed(json!("x")));
    let mut held = task("held", plain);
    held.state = TaskState::Assigned;
    held.assigned = Some("reader".parse().unwrap());
    let root = task("root", plain);
    subject
        .commit(&batch(vec![put(root), put(done), put(held)]))
        .unwrap();

    let query = TaskQuery::default;
    let state = |state| TaskQuery {
        state: Some(state),
        ..query()
    };
    assert_eq!(list(&subject, &state(TaskState::Completed)), ["done"]);
    assert_eq!(list(&subject, &state(TaskState::Pending)), ["root"]);
    let skill = |skill: &str| TaskQuery {
        skill: Some(skill.into()),
        ..query()
    };
    assert_eq!(list(&subject, &skill("sum")), ["done"]);
    assert_eq!(list(&subject, &skill("search")), ["held", "root"]);
    let agent = |agent: &str| TaskQuery {
        agent: Some(agent.parse().unwrap()),
        ..query()
    };
    assert_eq!(list(&subject, &agent("reader")), ["held"]);
    assert_eq!(
        list(&subject, &agent("editor")),
        ["done"],
        "what it asked for"
    );
    let under = TaskQuery {
        root: Some("root".parse().unwrap()),
        ..query()
    };
    assert_eq!(
        list(&subject, &under),
        ["done", "root"],
        "the root is in its own tree"
    );
    let both = TaskQuery {
        state: Some(TaskState::Pending),
        ..under
    };
    assert_eq!(list(&subject, &both), ["root"]);
    let all = TaskQuery {
        agent: Some("editor".parse().unwrap()),
        ..both
    };
    assert!(list(&subject, &all).is_empty());
}

#[test]
fn filtered_lists_are_answered_from_indices() {
    let subject = SqliteSubject::new();
    let connection = subject.reading();
    for (terms, index) in [
        (
            "t.state = 'failed' AND t.state <> 'completed'",
            "tasks_by_state",
        ),
        ("t.skill = 'a' AND t.skill <> ''", "tasks_by_skill"),
        ("t.assigned = 'a'", "tasks_by_assigned"),
        ("t.source = 'a' AND t.source <> ''", "tasks_by_source"),
        ("t.root = 'a'", "tasks_by_root"),
        (
            "t.submitter = 'a' AND t.idempotency_key = 'k'",
            "tasks_by_key",
        ),
    ] {
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT t.n FROM tasks t WHERE {terms} AND t.n < 9 ORDER BY t.n DESC LIMIT 5"
        );
        let plan: String = connection.query_row(&sql, [], |row| row.get(3)).unwrap();
        assert!(plan.contains(index), "{terms}: {plan}");
    }
}

#[test]
fn a_history_is_read_from_its_index_alone() {
    let subject = SqliteSubject::new();
    let sql = format!("EXPLAIN QUERY PLAN {}", lists::HISTORY);
    let connection = subject.reading();
    let mut statement = connection.prepare(&sql).unwrap();
    let steps = statement.query_map(rusqlite::params![1, 0, 9], |row| row.get(3));
    let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
    assert_eq!(steps.len(), 1, "no sorting: {steps:?}");
    assert!(
        steps[0].contains("events_by_task (task_n=? AND rowid>?)"),
        "{steps:?}"
    );
}

#[test]
fn what_live_tasks_asked_for_is_found_without_looking_at_other_trees() {
    let subject = SqliteSubject::new();
    let sql = format!("EXPLAIN QUERY PLAN {}", lists::CHILDREN);
    let connection = subject.reading();
    let mut statement = connection.prepare(&sql).unwrap();
    let steps = statement.query_map([], |row| row.get(3));
    let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!(steps[0].contains("tasks_by_state (state=?)"), "{steps:?}");
    assert!(steps[1].contains("tasks_by_root (root=?)"), "{steps:?}");
}

/// A task that ended at some time.
fn ended_at(id: &str, updated_ms: u64) -> StoredTask {
    let mut task = pending_task(id);
    task.state = TaskState::Completed;
    task.outcome = Some(Outcome::completed(json!("x")));
    task.updated_ms = updated_ms;
    task
}

#[tokio::test]
async fn what_ended_long_ago_leaves_in_portions_and_commits_go_on_between_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    let (writer, thread) = Writer::start(Database::open(&path, vec![], None).unwrap()).unwrap();
    let old = 2 * super::retention::PORTION + 10;
    let writes = (0..old).map(|n| put(ended_at(&format!("old{n}"), 1_000)));
    let mut waits = pending_task("waits");
    waits.updated_ms = 5;
    let kept = [put(waits), put(ended_at("young", 2_000))];
    let first = batch(writes.chain(kept).collect());
    writer.commit(0, 1, vec![first], vec![]).await.unwrap();

    let (before, mut number) = (Now(2_000), 1);
    let mut portions = Vec::new();
    while portions.last() != Some(&0) {
        number += 1;
        let beside = batch(vec![put(pending_task(&format!("beside{number}")))]);
        writer
            .commit(0, number, vec![beside], vec![])
            .await
            .unwrap();
        portions.push(writer.drop_ended(before).await.unwrap());
        let mut progress = writer.progress();
        progress.wait_for(|p| p.durable == number).await.unwrap();
    }
    assert_eq!(
        portions,
        [super::retention::PORTION, super::retention::PORTION, 10, 0]
    );
    let reader = writer.reader(&path);
    let asked = ["old0", "old500", "waits", "young"].map(|id| id.parse().unwrap());
    let found = reader.find(asked.to_vec(), None).await.unwrap();
    let found: Vec<_> = found.iter().map(|t| t.spec.id.as_str()).collect();
    assert_eq!(found, ["waits", "young"]);
    let connection = rusqlite::Connection::open(&path).unwrap();
    for (table, rows) in [("task_payloads", 2 + portions.len()), ("task_results", 1)] {
        let sql = format!("SELECT count(*) FROM {table}");
        let left: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(left, i64::try_from(rows).unwrap(), "{table}");
    }
    // Its key is free again.
    let key = ended_at("old0", 0).spec.idempotency_key.clone();
    let again = task("again", |spec| spec.idempotency_key = key);
    writer
        .commit(0, number + 1, vec![batch(vec![put(again)])], vec![])
        .await
        .unwrap();
    let mut progress = writer.progress();
    progress
        .wait_for(|p| p.durable == number + 1)
        .await
        .unwrap();
    assert_eq!(super::retention::sweep(&writer, before).await, Ok(0));
    drop((writer, progress));
    thread.join().unwrap();
}

#[test]
fn what_is_old_is_found_without_looking_at_what_is_not() {
    let subject = SqliteSubject::new();
    let sql = format!("EXPLAIN QUERY PLAN {}", super::retention::OLD);
    let plan = subject.reading();
    let plan: String = plan.query_row(&sql, [1, 9], |row| row.get(3)).unwrap();
    assert!(plan.contains("tasks_by_end (updated_ms<?)"), "{plan}");
}

#[test]
fn a_full_disk_refuses_a_commit_whole_and_smaller_ones_still_fit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    let mut database = Database::open(&path, vec![], Some(512 * 1024)).unwrap();
    let huge = task("huge", |spec| {
        spec.payload = json!("x".repeat(1 << 20)).into()
    });
    let writes = vec![put(pending_task("small")), put(huge)];
    let error = database.commit([&batch(writes)], []).unwrap_err();
    assert!(matches!(error, CommitError::Sqlite(_)), "{error}");
    assert!(
        database.load().unwrap().tasks.is_empty(),
        "nothing of it was written"
    );
    database
        .commit([&batch(vec![put(pending_task("small"))])], [])
        .unwrap();
    assert_eq!(database.load().unwrap().tasks.len(), 1);
}

#[test]
fn old_events_are_pruned_and_numbers_go_on() {
    let mut subject = SqliteSubject::new();
    let event = || {
        seamesh_proto::events::MeshEvent::AgentRemoved(seamesh_proto::signaling::AgentRef {
            agent_id: "a".parse().unwrap(),
        })
    };
    let many = super::EVENTS_KEPT + 2_000;
    for _ in 0..many / 1_000 {
        let events = (0..1_000).map(|_| event()).collect();
        let batch = Batch {
            at: Now(1),
            writes: vec![],
            events,
        };
        subject.commit(&batch).unwrap();
    }
    let (first, last) = lists::event_bounds(&subject.reading()).unwrap().unwrap();
    assert_eq!(last, many);
    assert!(last - first + 1 >= super::EVENTS_KEPT, "{first}");
    assert!(first > 1, "nothing was pruned");
    subject.reopen();
    subject
        .commit(&Batch {
            at: Now(1),
            writes: vec![],
            events: vec![event()],
        })
        .unwrap();
    assert_eq!(subject.events_after(last)[0].seq, last + 1);
}

#[tokio::test]
async fn concurrent_commits_share_transactions_and_a_failed_epoch_is_thrown_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    let (writer, thread) = Writer::start(Database::open(&path, vec![], None).unwrap()).unwrap();
    let mut progress = writer.progress();
    for n in 1..=200 {
        let write = batch(vec![put(pending_task(&format!("t{n}")))]);
        writer.commit(0, n, vec![write], vec![]).await.unwrap();
    }
    progress.wait_for(|p| p.durable == 200).await.unwrap();
    let fsyncs = writer
        .counters()
        .fsyncs
        .load(std::sync::atomic::Ordering::Relaxed);
    assert!(fsyncs < 200, "{fsyncs} transactions for 200 commits");

    // t1 exists: the batch conflicts, and what was decided after it goes with it.
    writer
        .commit(0, 201, vec![batch(vec![put(pending_task("t1"))])], vec![])
        .await
        .unwrap();
    writer
        .commit(0, 202, vec![batch(vec![put(pending_task("lost"))])], vec![])
        .await
        .unwrap();
    progress
        .wait_for(|p| p.failed_epoch == Some(0))
        .await
        .unwrap();
    writer
        .commit(1, 203, vec![batch(vec![put(pending_task("kept"))])], vec![])
        .await
        .unwrap();
    progress.wait_for(|p| p.durable == 203).await.unwrap();
    let asked = ["t200", "lost", "kept"].map(|id| id.parse().unwrap());
    let found = writer
        .reader(&path)
        .find(asked.to_vec(), None)
        .await
        .unwrap();
    let found: Vec<_> = found.iter().map(|t| t.spec.id.as_str()).collect();
    assert_eq!(found, ["t200", "kept"]);
    drop((writer, progress));
    thread.join().unwrap();
}
