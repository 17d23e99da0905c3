//! A steady load, and a watch on the registry's event stream over all of its restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use seamesh_client::{ClientError, Events, Registry};
use seamesh_proto::events::{EventRecord, MeshEvent};
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Payload, Task, TaskId, TaskState};
use seamesh_sim::history::{Accepted, Changed, History, Refused, Submitted, Told, What};
use seamesh_tests::BROKEN_STREAM;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::stage::Stage;

/// Milliseconds between two submissions.
const PACE_MS: u64 = 60;

/// Milliseconds the work takes, at most: some of it is in work whenever somebody is struck.
const WORK_MS: u64 = 250;

/// Seconds a task has: far more than a healed mesh needs.
const TTL_S: u64 = 120;

/// Longest a submitter waits for its task's end.
const PATIENCE: Duration = Duration::from_secs(TTL_S);

/// What is known so far.
#[derive(Default)]
struct Book {
    history: History,
    /// The last told state of every task.
    states: BTreeMap<TaskId, TaskState>,
    accepted: BTreeSet<TaskId>,
}

/// Submitters and the watch on the stream.
pub(crate) struct Load {
    book: Arc<Mutex<Book>>,
    stop: watch::Sender<bool>,
    /// Counts events.
    heard: watch::Receiver<u64>,
    submitting: Option<JoinHandle<()>>,
    watching: JoinHandle<Result<(), ClientError>>,
}

impl Load {
    pub(crate) async fn start(stage: &Stage, seed: u64) -> Result<Self> {
        let book = Arc::new(Mutex::new(Book::default()));
        let (stop, stopped) = watch::channel(false);
        let (hearing, heard) = watch::channel(0);
        let state = stage.admin().state().await?;
        let events = stage.admin().events(Some(state.seq)).await?;
        let watching = tokio::spawn(watch_all(events, stage.up(), book.clone(), hearing));
        let submitter = Submitter {
            admin: stage.admin().clone(),
            up: stage.up(),
            book: book.clone(),
        };
        let submitting = Some(tokio::spawn(submitter.submit_all(stopped, seed)));
        Ok(Self {
            book,
            stop,
            heard,
            submitting,
            watching,
        })
    }

    /// Submits no more, and waits until every request and every task has ended.
    pub(crate) async fn end(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        if let Some(submitting) = self.submitting.take() {
            submitting.await?;
        }
        let book = self.book.clone();
        self.heard.wait_for(|_| lock(&book).is_over()).await?;
        self.watching.abort();
        Ok(())
    }

    pub(crate) fn history(&self) -> History {
        lock(&self.book).history.clone()
    }

    pub(crate) fn completed(&self) -> usize {
        lock(&self.book).count(TaskState::Completed)
    }

    /// How the tasks ended, for whoever reads along.
    pub(crate) fn told(&self) -> String {
        let book = lock(&self.book);
        let (done, failed) = (
            book.count(TaskState::Completed),
            book.count(TaskState::Failed),
        );
        let tasks = book.states.len();
        format!("{tasks} tasks, {done} completed, {failed} failed")
    }
}

fn lock(book: &Mutex<Book>) -> std::sync::MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    fn is_over(&self) -> bool {
        let known = self.accepted.iter().all(|id| self.states.contains_key(id));
        known && self.states.values().all(|state| state.is_terminal())
    }

    fn count(&self, state: TaskState) -> usize {
        self.states.values().filter(|s| **s == state).count()
    }

    fn hear(&mut self, record: EventRecord) {
        if let MeshEvent::TaskChanged(task) = record.event {
            let changed = Changed {
                seq: record.seq,
                task: task.id.clone(),
                state: task.state,
                attempt: task.attempt,
                lease: task.lease,
                agent: task.assigned_agent_id.parse().ok(),
            };
            self.history.add(record.at_ms, What::Changed(changed));
            self.states.insert(task.id, task.state);
        }
    }
}

/// Reads the stream to its end, resumed by number whenever the registry is there again.
async fn watch_all(
    mut events: Events,
    mut up: watch::Receiver<bool>,
    book: Arc<Mutex<Book>>,
    hearing: watch::Sender<u64>,
) -> Result<(), ClientError> {
    loop {
        match events.next().await {
            Ok(record) => {
                lock(&book).hear(record);
                hearing.send_modify(|count| *count += 1);
            }
            Err(ClientError::Unreachable { .. }) => reachable(&mut up).await,
            Err(error) => return Err(error),
        }
    }
}

/// Waits until the registry serves. One that is being killed now may not be known as such yet: others get a turn.
async fn reachable(up: &mut watch::Receiver<bool>) {
    tokio::task::yield_now().await;
    // A stage that is gone needs no registry.
    let _ = up.wait_for(|up| *up).await;
}

#[derive(Clone)]
struct Submitter {
    admin: Registry,
    up: watch::Receiver<bool>,
    book: Arc<Mutex<Book>>,
}

impl Submitter {
    /// Submits at a steady pace until told to stop, then waits until every request has ended.
    async fn submit_all(self, mut stopped: watch::Receiver<bool>, seed: u64) {
        let mut asking = JoinSet::new();
        let mut pace = tokio::time::interval(Duration::from_millis(PACE_MS));
        for n in 0u64.. {
            tokio::select! {
                _ = pace.tick() => {}
                _ = stopped.wait_for(|stop| *stop) => break,
            }
            asking.spawn(self.clone().request(seed, n));
        }
        while let Some(asked) = asking.join_next().await {
            asked.expect("a request ends as it should");
        }
    }

    fn saw(&self, what: What) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        lock(&self.book).history.add(now.as_millis() as u64, what);
    }

    /// One request: submitted under an id of its own, and again under it when the answer was lost.
    async fn request(mut self, seed: u64, n: u64) {
        let request = format!("rest-{n}");
        let id: TaskId = format!("chaos-{seed}-{n}").parse().unwrap();
        let skill = ["work", "ask", "work", "follow"][(n % 4) as usize];
        let ms = n * 37 % WORK_MS;
        let body = SubmitTask {
            skill: skill.to_owned(),
            payload: Payload::new(json!({ "ms": ms, "n": n })),
            ttl: TTL_S,
            task_id: Some(id.clone()),
            ..SubmitTask::default()
        };
        self.saw(What::Submitted(Submitted {
            request: request.clone(),
            key: Some(id.to_string()),
            digest: format!("{skill}/{ms}/{n}"),
        }));
        if let Err(error) = self.submit(&body).await {
            let code = Some(error.code());
            return self.saw(What::Refused(Refused { request, code }));
        }
        lock(&self.book).accepted.insert(id.clone());
        self.saw(What::Accepted(Accepted {
            request: request.clone(),
            task: id.clone(),
            ttl_ms: TTL_S * 1000,
            max_attempts: body.max_attempts,
        }));
        if let Ok(task) = self.wait(&id).await {
            if task.state == TaskState::Completed {
                assert_eq!(task.result, json!(n), "the answer belongs to the question");
            }
            assert!(!task.error.contains(BROKEN_STREAM), "{}", task.error);
            self.saw(What::Told(Told {
                request,
                task: Some(id),
                state: task.state,
                code: task.error_code,
            }));
        }
    }

    async fn submit(&mut self, body: &SubmitTask) -> Result<TaskId, ClientError> {
        loop {
            match self.admin.submit(body).await {
                Err(ClientError::Unreachable { .. }) => reachable(&mut self.up).await,
                answer => return answer,
            }
        }
    }

    async fn wait(&mut self, id: &TaskId) -> Result<Task, ClientError> {
        loop {
            match self.admin.wait(id, PATIENCE).await {
                Err(ClientError::Unreachable { .. }) => reachable(&mut self.up).await,
                answer => return answer,
            }
        }
    }
}
