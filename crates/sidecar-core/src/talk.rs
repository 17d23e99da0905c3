//! What a handler and its asker say to each other while the work goes on, as both sidecars keep it: the handler's side
//! holds what was not taken yet, the asker's side knows what it has heard.

use std::collections::VecDeque;

use seamesh_proto::ipc::RequestNews;
use seamesh_proto::limits::{PROGRESS_EVERY_MS, STREAM_WINDOW};
use seamesh_proto::link::{self, MeshMessage};
use seamesh_proto::payload::Raw;
use seamesh_proto::signaling::{self, ClientSignal};
use seamesh_proto::talk::{Answer, Chunk, Listens, News, Progress, Question, TaskInput};
use seamesh_proto::{Code, Now, Payload, Problem, TaskId};

use crate::effects::Effects;
use crate::peers::Peers;
use crate::run::{Asker, Origin, Run};

/// What the handler of one attempt told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Number of the next chunk.
    next: u64,
    /// Chunks below it were taken.
    taken: u64,
    /// Those that were not.
    chunks: VecDeque<Chunk>,
    /// The question that waits for its answer.
    question: Option<Question>,
    /// Number of the last question.
    asked: u32,
    /// The newest progress, while it is too soon to tell it.
    progress: Option<Progress>,
    /// When the next progress may leave.
    progress_from: Now,
    /// The work is older than this sidecar: the first chunk it hears of tells where the stream stands.
    is_adopted: bool,
}

impl Told {
    /// What work from before this sidecar was started told.
    pub(crate) fn adopted() -> Self {
        Self {
            is_adopted: true,
            ..Self::default()
        }
    }

    /// Takes news in. Answers what to carry now, if anything.
    ///
    /// # Errors
    /// `bad_field`, `too_large`, `overloaded`, `not_streamed` or `nobody_answers`: for the agent.
    pub(crate) fn take(
        &mut self,
        news: News,
        listens: Listens,
        now: Now,
    ) -> Result<Option<News>, Problem> {
        news.check()?;
        if let Some(progress) = &news.progress {
            if now < self.progress_from {
                self.progress = Some(progress.clone());
                return Ok(None);
            }
            self.progress_from = now.plus(PROGRESS_EVERY_MS);
        }
        if let Some(chunk) = &news.chunk
            && !self.take_chunk(chunk, listens)?
        {
            return Ok(None);
        }
        if let Some(question) = &news.question {
            self.take_question(question, listens)?;
        }
        Ok(Some(news))
    }

    /// Whether it is new: an agent that lost its socket says again what was not taken.
    fn take_chunk(&mut self, chunk: &Chunk, listens: Listens) -> Result<bool, Problem> {
        if !listens.stream {
            let detail = "whoever asked for this work takes no chunks: return the result";
            return Err(Problem::new(Code::NotStreamed, detail));
        }
        if std::mem::take(&mut self.is_adopted) {
            (self.next, self.taken) = (chunk.index, chunk.index);
        }
        if chunk.index < self.next {
            return Ok(false);
        }
        if chunk.index > self.next {
            let detail = format!("chunk.index: {} comes next", self.next);
            return Err(Problem::new(Code::BadField, detail));
        }
        // The end of a stream has a place of its own, so that work that ends need not wait for its reader.
        if self.next - self.taken >= STREAM_WINDOW && !chunk.last {
            let detail = format!("{STREAM_WINDOW} chunks wait: go on when some were taken");
            return Err(Problem::new(Code::Overloaded, detail));
        }
        self.next += 1;
        self.chunks.push_back(chunk.clone());
        Ok(true)
    }

    fn take_question(&mut self, question: &Question, listens: Listens) -> Result<(), Problem> {
        if !listens.answers {
            let detail = "whoever asked for this work answers no questions";
            return Err(Problem::new(Code::NobodyAnswers, detail));
        }
        // Said again after a reconnect it is the same question.
        let is_repeat = self.question.as_ref() == Some(question);
        if question.number <= self.asked && !is_repeat {
            let detail = format!("question.number: {} comes next", self.asked + 1);
            return Err(Problem::new(Code::BadField, detail));
        }
        self.asked = question.number;
        self.question = Some(question.clone());
        Ok(())
    }

    /// The progress whose time has come.
    pub(crate) fn due_progress(&mut self, now: Now) -> Option<News> {
        let progress = self.progress.take()?;
        self.progress_from = now.plus(PROGRESS_EVERY_MS);
        Some(News {
            progress: Some(progress),
            ..News::default()
        })
    }

    /// When a progress that waits may leave.
    pub(crate) fn progress_due(&self) -> Option<Now> {
        self.progress.as_ref().map(|_| self.progress_from)
    }

    /// The asker took chunks.
    fn on_taken(&mut self, taken: u64) {
        self.taken = self.taken.max(taken.min(self.next));
        while self.chunks.front().is_some_and(|c| c.index < self.taken) {
            self.chunks.pop_front();
        }
    }

    /// The asker answered. `false`: no such question is open.
    fn on_answer(&mut self, answer: &Answer) -> bool {
        let is_open = self
            .question
            .as_ref()
            .is_some_and(|q| q.number == answer.number);
        if is_open {
            self.question = None;
        }
        is_open
    }

    /// Everything that the asker may not have heard.
    fn unheard(&self) -> impl Iterator<Item = News> + '_ {
        let chunks = self.chunks.iter().cloned().map(|chunk| News {
            chunk: Some(chunk),
            ..News::default()
        });
        let question = self.question.clone().map(|question| News {
            question: Some(question),
            ..News::default()
        });
        chunks.chain(question)
    }
}

impl Run {
    /// Carries news to everybody who asked for this attempt.
    pub(crate) fn carry(&self, news: &News, peers: &mut Peers, fx: &mut Effects) {
        for origin in self.origins() {
            self.carry_to(&origin, news, peers, fx);
        }
    }

    /// Says once more what may not have been heard.
    pub(crate) fn repeat_to(&self, origin: &Origin, peers: &mut Peers, fx: &mut Effects) {
        for news in self.told.unheard() {
            self.carry_to(origin, &news, peers, fx);
        }
    }

    fn carry_to(&self, origin: &Origin, news: &News, peers: &mut Peers, fx: &mut Effects) {
        match origin {
            Origin::Direct(asker) if asker.wants(news) => {
                let body = link::TaskNews {
                    attempt: self.event.attempt,
                    news: news.clone(),
                };
                let mut message = MeshMessage::new("task_news", body_of(&body));
                message.request_id.clone_from(&asker.request_id);
                message.target_agent.clone_from(&asker.agent);
                // A link that is gone has nobody to tell: the queue takes over, and hears it again.
                let text = Raw::of(&message);
                let _ = peers.send(asker.peer.as_str(), text.text().as_bytes(), fx);
            }
            Origin::Direct(_) => {}
            Origin::Queue(lease) => {
                let news = signaling::TaskNews {
                    task_id: self.event.task_id.clone(),
                    lease: *lease,
                    news: news.clone(),
                };
                fx.signal(None, &ClientSignal::TaskNews(news));
            }
        }
    }

    /// The asker, or a person, told something. Answers what the agent has to hear.
    pub(crate) fn hear(
        &mut self,
        input: TaskInput,
        from: &Origin,
        peers: &mut Peers,
        fx: &mut Effects,
    ) -> Option<TaskInput> {
        if let Some(taken) = input.taken {
            self.told.on_taken(taken);
        }
        if input.again {
            self.repeat_to(from, peers, fx);
        }
        // An answer that comes again, or too late, is nobody's.
        let is_known = match &input.answer {
            Some(answer) => self.told.on_answer(answer),
            None => true,
        };
        is_known.then_some(input)
    }
}

impl Asker {
    fn wants(&self, news: &News) -> bool {
        match (&news.chunk, &news.question) {
            (Some(_), _) => self.listens.stream,
            (_, Some(_)) => self.listens.answers,
            _ => true,
        }
    }
}

/// Who has to know of news.
#[derive(Debug, PartialEq)]
pub(crate) enum Use {
    /// The agent: they are new.
    Agent,
    /// Their handler, who does not know this.
    Handler(TaskInput),
    /// Nobody: they are a repeat, or an earlier attempt's.
    Nobody,
}

/// What an asker has heard of one of its requests.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The attempt it heard.
    pub(crate) attempt: u32,
    /// Number of the chunk that comes next.
    next: u64,
    /// Chunks below it were taken by the agent.
    taken: u64,
    /// Number of the last question.
    asked: u32,
    /// The last answer, until another attempt begins: said again when the registry may have missed it.
    answer: Option<Answer>,
    /// The last progress.
    progress: Option<Progress>,
}

impl Heard {
    /// Who has to know of this news.
    pub(crate) fn take(&mut self, attempt: u32, news: &News) -> Use {
        if attempt < self.attempt {
            return Use::Nobody;
        }
        if attempt > self.attempt {
            *self = Self {
                attempt,
                ..Self::default()
            };
        }
        match &news.chunk {
            // Its sidecar was started anew and does not know what was taken.
            Some(chunk) if chunk.index < self.taken => Use::Handler(TaskInput {
                taken: Some(self.taken),
                ..TaskInput::default()
            }),
            Some(chunk) if chunk.index != self.next => Use::Nobody,
            Some(_) => {
                self.next += 1;
                Use::Agent
            }
            None if news.question.is_some() => self.take_question(news),
            None if news.progress == self.progress => Use::Nobody,
            None => {
                self.progress.clone_from(&news.progress);
                Use::Agent
            }
        }
    }

    /// A question that is asked again has its answer already, or is being answered.
    fn take_question(&mut self, news: &News) -> Use {
        let Some(question) = &news.question else {
            return Use::Agent;
        };
        if question.number > self.asked {
            self.asked = question.number;
            return Use::Agent;
        }
        match &self.answer {
            Some(answer) if answer.number == question.number => Use::Handler(TaskInput {
                answer: Some(answer.clone()),
                ..TaskInput::default()
            }),
            _ => Use::Nobody,
        }
    }

    /// The agent told something.
    ///
    /// # Errors
    /// `bad_field`: it took what was not there yet.
    pub(crate) fn told(&mut self, input: &TaskInput) -> Result<(), Problem> {
        input.check()?;
        if let Some(taken) = input.taken {
            if taken > self.next {
                let detail = format!("taken: {} chunks came so far", self.next);
                return Err(Problem::new(Code::BadField, detail));
            }
            self.taken = self.taken.max(taken);
        }
        if let Some(answer) = &input.answer {
            self.answer = Some(answer.clone());
        }
        Ok(())
    }

    /// What the other end may have missed while we could not be heard.
    pub(crate) fn again(&self, listens: Listens) -> Vec<TaskInput> {
        let answer = self.answer.clone().map(|answer| TaskInput {
            answer: Some(answer),
            ..TaskInput::default()
        });
        let taken = listens.stream.then(|| TaskInput {
            taken: Some(self.taken),
            ..TaskInput::default()
        });
        answer.into_iter().chain(taken).collect()
    }

    /// The news as the agent is told it.
    pub(crate) fn event(&self, request_id: &str, task_id: &TaskId, news: News) -> RequestNews {
        RequestNews {
            request_id: request_id.to_owned(),
            task_id: task_id.clone(),
            attempt: self.attempt,
            news,
        }
    }
}

/// A body of one of our own types.
pub(crate) fn body_of<T: serde::Serialize>(body: &T) -> Payload {
    // Wire types serialise into memory without failing.
    Payload::new(serde_json::to_value(body).expect("wire types serialise"))
}
