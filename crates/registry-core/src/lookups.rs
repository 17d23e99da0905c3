//! Questions to the store: tasks that ended are not in memory, so what concerns a task that does not live asks first.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::rest::{ChunksQuery, TaskUpdate};
use seamesh_proto::signaling::{TaskRelease, TaskResult};
use seamesh_proto::talk::Answer;
use seamesh_proto::{Code, PeerId, Problem, Task, TaskId};

use crate::dispatch::Core;
use crate::io::{Caller, ConnId, LookupId, Reply, RequestId};
use crate::limits::MAX_LOOKUPS;
use crate::reason::ended_reason;
use crate::store::{StoredTask, TaskKey, TaskSpec};
use crate::stream::chunks_of_ended;
use crate::submit::{Origin, Submission};

/// What goes on once the store has answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    Submit(Origin, Box<Submission>),
    Get(RequestId),
    Wait(RequestId, u64),
    Update(RequestId, Caller, Box<TaskUpdate>),
    Cancel(RequestId, Caller),
    Answer(RequestId, Caller, Answer),
    Chunks(RequestId, Caller, ChunksQuery),
    CancelFrame(ConnId, Caller),
    Result(ConnId, PeerId, Box<TaskResult>),
    Release(ConnId, PeerId, TaskRelease),
    Watch(ConnId),
}

impl Ask {
    /// The REST request that waits for it.
    pub(crate) fn request(&self) -> Option<RequestId> {
        match self {
            Self::Submit(Origin::Rest(request), _)
            | Self::Get(request)
            | Self::Wait(request, _)
            | Self::Update(request, ..)
            | Self::Cancel(request, _)
            | Self::Chunks(request, ..)
            | Self::Answer(request, ..) => Some(*request),
            _ => None,
        }
    }

    /// The socket that waits for it, and the kind of its frame.
    fn socket(&self) -> Option<(ConnId, &'static str)> {
        match self {
            Self::Submit(Origin::Frame(conn, _), _) => Some((*conn, "task_submit")),
            Self::CancelFrame(conn, _) => Some((*conn, "task_cancel")),
            Self::Result(conn, ..) => Some((*conn, "task_result")),
            Self::Release(conn, ..) => Some((*conn, "task_release")),
            Self::Watch(conn) => Some((*conn, "task_watch")),
            _ => None,
        }
    }
}

/// What the store is asked for.
#[derive(Clone, Debug)]
struct Question {
    ids: Vec<TaskId>,
    key: Option<TaskKey>,
}

/// The questions that are open.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    open: BTreeMap<LookupId, (Question, Ask)>,
    by_task: BTreeMap<TaskId, BTreeSet<LookupId>>,
    by_key: BTreeMap<TaskKey, BTreeSet<LookupId>>,
    /// Open questions about a task that ended meanwhile: their answer may be older than that end.
    outrun: BTreeSet<LookupId>,
}

impl Lookups {
    fn add(&mut self, lookup: LookupId, question: Question, ask: Ask) {
        for id in &question.ids {
            self.by_task.entry(id.clone()).or_default().insert(lookup);
        }
        if let Some(key) = &question.key {
            self.by_key.entry(key.clone()).or_default().insert(lookup);
        }
        self.open.insert(lookup, (question, ask));
    }

    fn take(&mut self, lookup: LookupId) -> Option<(Question, Ask)> {
        let (question, ask) = self.open.remove(&lookup)?;
        for id in &question.ids {
            drop_from(&mut self.by_task, id, lookup);
        }
        if let Some(key) = &question.key {
            drop_from(&mut self.by_key, key, lookup);
        }
        Some((question, ask))
    }

    /// A task ended: an answer that is on its way may not show it yet.
    pub(crate) fn task_ended(&mut self, spec: &TaskSpec) {
        let by_key = spec.key().and_then(|key| self.by_key.get(&key));
        for lookups in self.by_task.get(&spec.id).into_iter().chain(by_key) {
            self.outrun.extend(lookups);
        }
    }

    /// Every open question, when the core starts anew.
    pub(crate) fn drain(&mut self) -> Vec<Ask> {
        let open = std::mem::take(&mut self.open);
        self.by_task.clear();
        self.by_key.clear();
        self.outrun.clear();
        open.into_values().map(|(_, ask)| ask).collect()
    }
}

fn drop_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<LookupId>>, key: &K, lookup: LookupId) {
    if let Some(lookups) = index.get_mut(key) {
        lookups.remove(&lookup);
        if lookups.is_empty() {
            index.remove(key);
        }
    }
}

impl Core {
    /// Asks the store for tasks by id, then goes on with `ask`.
    pub(crate) fn look_up(&mut self, ids: Vec<TaskId>, ask: Ask) {
        self.question(Question { ids, key: None }, ask);
    }

    /// Asks the store whether a submission came before, under its id or its key.
    pub(crate) fn look_up_submission(&mut self, origin: Origin, submission: Submission) {
        let question = Question {
            ids: vec![submission.spec.id.clone()],
            key: submission.spec.key(),
        };
        self.question(question, Ask::Submit(origin, Box::new(submission)));
    }

    fn question(&mut self, question: Question, ask: Ask) {
        if self.lookups.open.len() >= MAX_LOOKUPS {
            let problem = Problem::new(Code::Overloaded, "too many questions to the store");
            return self.refuse_ask(&ask, problem);
        }
        let lookup = self.out.lookup(question.ids.clone(), question.key.clone());
        self.lookups.add(lookup, question, ask);
    }

    fn refuse_ask(&mut self, ask: &Ask, problem: Problem) {
        if let Some(request) = ask.request() {
            self.out.reply(request, Err(problem));
        } else if let Some((conn, kind)) = ask.socket() {
            self.refuse(conn, kind, problem);
        }
    }

    /// The store answered.
    pub(crate) fn found(&mut self, lookup: LookupId, tasks: Vec<StoredTask>) {
        let Some((question, ask)) = self.lookups.take(lookup) else {
            return;
        };
        if self.lookups.outrun.remove(&lookup) {
            return self.question(question, ask);
        }
        match (ask, question.ids.into_iter().next()) {
            (Ask::Watch(conn), _) => self.watch_found(conn, &tasks),
            (Ask::Submit(origin, submission), _) => {
                self.submit_found(origin, *submission, tasks);
            }
            (ask, Some(id)) => self.found_one(ask, &id, tasks.into_iter().next()),
            (_, None) => {}
        }
    }

    fn found_one(&mut self, ask: Ask, id: &TaskId, found: Option<StoredTask>) {
        match ask {
            Ask::Get(request) | Ask::Wait(request, _) if !self.is_live(id) => {
                self.reply_task(request, id, found);
            }
            Ask::Get(request) => self.get_task(request, id),
            Ask::Wait(request, timeout_ms) => self.wait_task(request, id, timeout_ms),
            Ask::Update(request, caller, update) => {
                let result = self.update_found(&caller, id, *update, found);
                self.out.reply(request, result.map(|()| Reply::Done));
            }
            Ask::Cancel(request, caller) => {
                let result = self.cancel_found(&caller, id, found.as_ref());
                self.out.reply(request, result.map(|()| Reply::Done));
            }
            Ask::Answer(request, caller, answer) => {
                let result = self.answer_found(&caller, id, answer, found.as_ref());
                self.out.reply(request, result.map(|()| Reply::Done));
            }
            Ask::Chunks(request, caller, read) if self.is_live(id) => {
                self.read_chunks(request, caller, id, read);
            }
            Ask::Chunks(request, caller, read) => {
                let result = chunks_of_ended(&caller, id, &read, found.as_ref());
                self.out.reply(request, result);
            }
            Ask::CancelFrame(conn, caller) => self.push_cancel_found(conn, &caller, id, found),
            Ask::Result(conn, peer, result) => self.result_found(conn, &peer, *result, found),
            Ask::Release(conn, peer, release) => self.release_found(conn, &peer, &release, found),
            // `found` took these.
            Ask::Watch(_) | Ask::Submit(..) => {}
        }
    }

    /// Whether a task lives.
    pub(crate) fn is_live(&self, id: &TaskId) -> bool {
        self.tasks.get(id).is_some()
    }

    fn reply_task(&mut self, request: RequestId, id: &TaskId, found: Option<StoredTask>) {
        let shown = found.map(|task| Task {
            reason: Some(ended_reason(&task)),
            run_traceparent: task.run_span(),
            ..task.view()
        });
        let result = shown
            .map(|task| Reply::Task(Box::new(task)))
            .ok_or_else(|| crate::tasks::unknown_task(id));
        self.out.reply(request, result);
    }

    /// `GET /api/hub/tasks/{id}`.
    pub(crate) fn get_task(&mut self, request: RequestId, id: &TaskId) {
        match self.show(id) {
            Some(task) => self.out.reply(request, Ok(Reply::Task(Box::new(task)))),
            None => self.look_up(vec![id.clone()], Ask::Get(request)),
        }
    }
}
