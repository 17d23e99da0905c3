//! What handler and asker of queued work say to each other before its end, on its way through the registry. Chunks and
//! progress are passed on and not kept; a question and its answer are part of the task, so that they survive whatever is
//! restarted meanwhile.

use seamesh_proto::rest::Role;
use seamesh_proto::signaling::{
    LeasedTaskInput, RegistrySignal, SignalFrame, SubmittedTaskNews, TaskInputTo, TaskNews,
};
use seamesh_proto::talk::{Answer, News, Question, TaskInput};
use seamesh_proto::task::TaskState;
use seamesh_proto::{Code, PeerId, Problem, TaskId};

use crate::dispatch::Core;
use crate::io::{Caller, ConnId, Reply, RequestId};
use crate::lookups::Ask;
use crate::store::StoredTask;
use crate::tasks::unknown_task;
use crate::waiting::has_ended;

/// Whether a signal may overtake what waits for a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// It says nothing that depends on a commit.
    Urgent,
    /// It waits for the commit it tells of.
    AfterCommit,
}

impl Core {
    /// The handler of an attempt tells something.
    pub(crate) fn push_news(&mut self, conn: ConnId, peer: &PeerId, body: TaskNews) {
        let TaskNews {
            task_id,
            lease,
            news,
        } = body;
        if let Err(problem) = news.check() {
            return self.refuse(conn, "task_news", problem.for_request(task_id.as_str()));
        }
        if !self.is_holder(peer, &task_id, lease) {
            return self.revoke(conn, &task_id, lease, Code::LeaseStale);
        }
        if let Some(question) = &news.question {
            return self.asked(conn, &task_id, lease, question);
        }
        if let Some(live) = self.tasks.get_mut(&task_id)
            && let Some(progress) = &news.progress
        {
            live.progress = Some(progress.clone());
            self.tell_progress(&task_id);
        }
        self.pass_news_on(&task_id, news, Haste::Urgent);
    }

    /// A question makes the task wait. Asked again, after a reconnect, it may have its answer already.
    fn asked(&mut self, conn: ConnId, id: &TaskId, lease: u64, question: &Question) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        let talk = &mut live.task.talk;
        if let Some(answer) = talk.answer.clone()
            && answer.number == question.number
        {
            return self.tell_holder(conn, id, lease, answer_input(answer), Haste::AfterCommit);
        }
        if talk.question.as_ref() != Some(question) {
            talk.question = Some(question.clone());
            talk.answer = None;
            live.task.state = TaskState::InputRequired;
            self.write_task(id);
        }
        let news = News {
            question: Some(question.clone()),
            ..News::default()
        };
        self.pass_news_on(id, news, Haste::AfterCommit);
    }

    /// To the sidecar that submitted the task, as far as its agent listens.
    fn pass_news_on(&mut self, id: &TaskId, news: News, haste: Haste) {
        let Some(live) = self.tasks.get(id) else {
            return;
        };
        let listens = live.task.spec.listens;
        let wants = match (&news.chunk, &news.question) {
            (Some(_), _) => listens.stream,
            (_, Some(_)) => listens.answers,
            _ => true,
        };
        let attempt = live.task.attempt;
        if let Some(chunk) = news.chunk.as_ref().filter(|_| wants) {
            self.streamed(id, chunk);
        }
        let Some(live) = self.tasks.get(id) else {
            return;
        };
        let route = self.relay.native_route(&live.task.spec.submitter);
        if let Some(conn) = route.filter(|_| wants) {
            let signal = RegistrySignal::TaskNews(SubmittedTaskNews {
                task_id: id.clone(),
                attempt,
                news,
            });
            self.say(conn, &signal, haste);
        }
    }

    /// The asker tells the handler something. What is for an earlier attempt, or for a task that has ended, is over.
    pub(crate) fn push_input(&mut self, conn: ConnId, caller: &Caller, body: TaskInputTo) {
        let TaskInputTo {
            task_id,
            attempt,
            input,
        } = body;
        let checked = input.check().and_then(|()| {
            let live = self.tasks.get(&task_id);
            match live.filter(|l| l.task.spec.submitter != caller.peer) {
                Some(_) => Err(not_the_submitter()),
                None => Ok(()),
            }
        });
        if let Err(problem) = checked {
            return self.refuse(conn, "task_input", problem.for_request(task_id.as_str()));
        }
        let live = self.tasks.get(&task_id);
        if live.is_none_or(|l| l.task.attempt != attempt) {
            return;
        }
        match input.answer {
            // One that was answered already, by somebody else or in an earlier try, needs no second answer.
            Some(answer) => drop(self.take_answer(&task_id, answer)),
            None => self.tell_any_holder(&task_id, input, Haste::Urgent),
        }
    }

    /// `POST /api/hub/tasks/{id}/input`.
    pub(crate) fn rest_answer(
        &mut self,
        request: RequestId,
        caller: Caller,
        id: &TaskId,
        answer: Answer,
    ) {
        if self.is_live(id) {
            let result = self.answer_task(&caller, id, answer);
            self.out.reply(request, result.map(|()| Reply::Done));
        } else {
            self.look_up(vec![id.clone()], Ask::Answer(request, caller, answer));
        }
    }

    pub(crate) fn answer_found(
        &mut self,
        caller: &Caller,
        id: &TaskId,
        answer: Answer,
        found: Option<&StoredTask>,
    ) -> Result<(), Problem> {
        if self.is_live(id) {
            return self.answer_task(caller, id, answer);
        }
        Err(has_ended(id, found))
    }

    /// A person, or the submitter over REST, answers.
    fn answer_task(&mut self, caller: &Caller, id: &TaskId, answer: Answer) -> Result<(), Problem> {
        let live = self.tasks.get(id).ok_or_else(|| unknown_task(id))?;
        if caller.role < Role::Operator && live.task.spec.submitter != caller.peer {
            return Err(not_the_submitter());
        }
        let input = answer_input(answer.clone());
        input.check()?;
        self.take_answer(id, answer)
    }

    fn take_answer(&mut self, id: &TaskId, answer: Answer) -> Result<(), Problem> {
        let live = self.tasks.get_mut(id).ok_or_else(|| unknown_task(id))?;
        let task = &mut live.task;
        let is_open = task
            .talk
            .question
            .as_ref()
            .is_some_and(|q| q.number == answer.number);
        if task.state != TaskState::InputRequired || !is_open {
            let detail = format!("task {id} has no open question {}", answer.number);
            return Err(Problem::new(Code::TaskState, detail));
        }
        task.state = TaskState::Assigned;
        task.talk.question = None;
        task.talk.answer = Some(answer.clone());
        self.write_task(id);
        self.tell_any_holder(id, answer_input(answer), Haste::AfterCommit);
        Ok(())
    }

    /// A sidecar came back with this lease: an answer given in the meantime is told again.
    pub(crate) fn repeat_answer(&mut self, conn: ConnId, id: &TaskId) {
        let Some(task) = self.tasks.get(id).map(|l| &l.task) else {
            return;
        };
        if let (Some(lease), Some(answer)) = (&task.lease, task.talk.answer.clone()) {
            let number = lease.number;
            self.tell_holder(conn, id, number, answer_input(answer), Haste::AfterCommit);
        }
    }

    /// The submitter's sidecar has another socket than before, and may have missed news: the last progress and the open
    /// question are told again, and the holder is asked for the chunks that nobody took.
    pub(crate) fn repeat_news(&mut self, conn: ConnId, id: &TaskId) {
        let Some((task, progress)) = self.tasks.get(id).map(|l| (&l.task, l.progress.clone()))
        else {
            return;
        };
        if self.relay.native_route(&task.spec.submitter) != Some(conn) {
            return;
        }
        let streams = task.spec.listens.stream;
        let question = task.talk.question.clone();
        if progress.is_some() {
            let news = News {
                progress,
                ..News::default()
            };
            self.pass_news_on(id, news, Haste::Urgent);
        }
        if let Some(question) = question {
            let news = News {
                question: Some(question),
                ..News::default()
            };
            self.pass_news_on(id, news, Haste::AfterCommit);
        }
        if streams {
            let again = TaskInput {
                taken: Some(0),
                again: true,
                ..TaskInput::default()
            };
            self.tell_any_holder(id, again, Haste::Urgent);
        }
    }

    pub(crate) fn tell_any_holder(&mut self, id: &TaskId, input: TaskInput, haste: Haste) {
        let lease = self.tasks.get(id).and_then(|l| l.task.lease.clone());
        if let Some(lease) = lease
            && let Some(conn) = self.agents.get(&lease.agent_id).and_then(|a| a.conn)
        {
            self.tell_holder(conn, id, lease.number, input, haste);
        }
    }

    fn tell_holder(
        &mut self,
        conn: ConnId,
        id: &TaskId,
        lease: u64,
        input: TaskInput,
        haste: Haste,
    ) {
        let signal = RegistrySignal::TaskInput(LeasedTaskInput {
            task_id: id.clone(),
            lease,
            input,
        });
        self.say(conn, &signal, haste);
    }

    fn say(&mut self, conn: ConnId, signal: &RegistrySignal, haste: Haste) {
        match haste {
            Haste::Urgent => self
                .out
                .send_urgent(conn, SignalFrame::from_registry(signal)),
            Haste::AfterCommit => self.out.send(vec![conn], signal),
        }
    }
}

fn answer_input(answer: Answer) -> TaskInput {
    TaskInput {
        answer: Some(answer),
        ..TaskInput::default()
    }
}

fn not_the_submitter() -> Problem {
    let detail = "only its submitter or an operator tells a task's handler something";
    Problem::new(Code::Forbidden, detail)
}
