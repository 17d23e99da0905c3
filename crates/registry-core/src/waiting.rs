//! Everybody who waits for a task's end: watching sockets and `wait` requests; and cancelling, which ends the wait.

use seamesh_proto::signaling::RegistrySignal;
use seamesh_proto::{Code, Problem, TaskId};

use crate::dispatch::Core;
use crate::io::{Caller, ConnId, Reply, RequestId};
use crate::limits::{MAX_IDS_PER_FRAME, MAX_WAIT_MS, MAX_WAITERS, MAX_WATCHES_PER_SOCKET};
use crate::lookups::Ask;
use crate::store::StoredTask;
use crate::tasks::unknown_task;
use crate::timers::Timer;

impl Core {
    /// `task_watch`: `task_done` follows for each task, at once for those that ended, and before it what the submitter's
    /// sidecar may have missed.
    pub(crate) fn push_watch(&mut self, conn: ConnId, ids: Vec<TaskId>) {
        let Some(socket) = self.relay.get_mut(conn) else {
            return;
        };
        let watches = socket.watches.len() + ids.len();
        if ids.len() > MAX_IDS_PER_FRAME || watches > MAX_WATCHES_PER_SOCKET {
            let detail = format!(
                "at most {MAX_IDS_PER_FRAME} tasks a frame and {MAX_WATCHES_PER_SOCKET} a socket"
            );
            return self.refuse(conn, "task_watch", Problem::new(Code::TooLarge, detail));
        }
        let (mut watched, mut ended) = (Vec::new(), Vec::new());
        for id in ids {
            if self.tasks.watch(&id, conn) {
                socket.watches.insert(id.clone());
                watched.push(id);
            } else {
                ended.push(id);
            }
        }
        for id in watched {
            self.repeat_news(conn, &id);
        }
        if !ended.is_empty() {
            self.look_up(ended, Ask::Watch(conn));
        }
    }

    /// The store told of tasks that ended before they were watched. Nothing is said of a task that does not exist.
    pub(crate) fn watch_found(&mut self, conn: ConnId, found: &[StoredTask]) {
        for done in found.iter().filter_map(StoredTask::done) {
            self.out.send(vec![conn], &RegistrySignal::TaskDone(done));
        }
    }

    /// `GET /api/hub/tasks/{id}/wait`.
    pub(crate) fn wait_task(&mut self, request: RequestId, id: &TaskId, timeout_ms: u64) {
        if !self.is_live(id) {
            return self.look_up(vec![id.clone()], Ask::Wait(request, timeout_ms));
        }
        if self.waiters() >= MAX_WAITERS {
            let detail = format!("{MAX_WAITERS} requests wait already");
            let problem = Problem::new(Code::Overloaded, detail);
            return self.out.reply(request, Err(problem));
        }
        self.tasks.wait(id, request);
        let until = self.now.plus(timeout_ms.min(MAX_WAIT_MS));
        self.timers.set(Timer::Wait(request), until);
    }

    /// Requests that are held open.
    pub(crate) fn waiters(&self) -> usize {
        self.tasks.waiting_len() + self.streams.reading_len()
    }

    /// A `wait` request's time is up: the task is answered as it stands.
    pub(crate) fn wait_ended(&mut self, request: RequestId) {
        let waited = self.tasks.stop_waiting(request);
        let id = waited.map(|live| live.task.spec.id.clone());
        if let Some(task) = id.and_then(|id| self.show(&id)) {
            self.out.reply(request, Ok(Reply::Task(Box::new(task))));
        }
    }

    /// The one who waited went away.
    pub(crate) fn request_gone(&mut self, request: RequestId) {
        self.timers.cancel(&Timer::Wait(request));
        self.tasks.stop_waiting(request);
        self.timers.cancel(&Timer::Chunks(request));
        self.streams.stop_reading(request);
    }

    /// `POST /api/hub/tasks/{id}/cancel`.
    pub(crate) fn rest_cancel(&mut self, request: RequestId, caller: Caller, id: &TaskId) {
        if self.is_live(id) {
            let result = self.cancel(&caller, id);
            self.out.reply(request, result.map(|()| Reply::Done));
        } else {
            self.look_up(vec![id.clone()], Ask::Cancel(request, caller));
        }
    }

    pub(crate) fn cancel_found(
        &mut self,
        caller: &Caller,
        id: &TaskId,
        found: Option<&StoredTask>,
    ) -> Result<(), Problem> {
        if self.is_live(id) {
            return self.cancel(caller, id);
        }
        Err(has_ended(id, found))
    }

    /// `task_cancel`: the submitter's sidecar gives up. When the task ended first, it is told how.
    pub(crate) fn push_cancel(&mut self, conn: ConnId, caller: Caller, id: TaskId) {
        if self.is_live(&id) {
            self.cancel_for(conn, &caller, &id);
        } else {
            self.look_up(vec![id], Ask::CancelFrame(conn, caller));
        }
    }

    pub(crate) fn push_cancel_found(
        &mut self,
        conn: ConnId,
        caller: &Caller,
        id: &TaskId,
        found: Option<StoredTask>,
    ) {
        if self.is_live(id) {
            return self.cancel_for(conn, caller, id);
        }
        match found.and_then(|task| task.done()) {
            Some(done) => self.out.send(vec![conn], &RegistrySignal::TaskDone(done)),
            None => {
                let problem = unknown_task(id).for_request(id.as_str());
                self.refuse(conn, "task_cancel", problem);
            }
        }
    }

    fn cancel_for(&mut self, conn: ConnId, caller: &Caller, id: &TaskId) {
        if let Err(problem) = self.cancel(caller, id) {
            self.refuse(conn, "task_cancel", problem.for_request(id.as_str()));
        }
    }
}

/// Why nothing can be done about a task that does not live.
pub(crate) fn has_ended(id: &TaskId, found: Option<&StoredTask>) -> Problem {
    match found {
        Some(task) => {
            let detail = format!("task {id} is {} already", task.state.as_str());
            Problem::new(Code::TaskState, detail)
        }
        None => unknown_task(id),
    }
}
