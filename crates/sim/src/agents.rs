//! Model agents. They keep what the SDKs keep over the life of their process: what runs, what was answered, what could
//! not be told while the sidecar was away. What a handler does stands in its work's payload.

use std::collections::{BTreeMap, VecDeque};

use seamesh_proto::ipc::{AgentCommand, Hello, Respond, RunRef, TaskEvent, TaskNews};
use seamesh_proto::limits::STREAM_WINDOW;
use seamesh_proto::talk::{Chunk, News, Question, TaskInput};
use seamesh_proto::task::Outcome;
use seamesh_proto::{AgentProfile, PROTOCOL_VERSION, SkillInfo, TaskId};
use serde_json::{Value, json};

/// Milliseconds a handler runs unless the script says otherwise.
const WORK_MS: u64 = 10;

/// Answers an agent remembers: as many as the SDKs do.
const KEPT: usize = 256;

/// One attempt at one task.
pub(crate) type Key = (TaskId, u32);

/// Something a handler does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It takes so many milliseconds.
    Work(u64),
    /// It asks another agent for a skill, and waits; that one's handler does the rest.
    Ask { skill: String, does: String },
    /// It sends so many chunks, when anybody takes them.
    Chunks(u64),
    /// It asks whoever wanted the work, when anybody answers.
    Question,
    /// It fails.
    Fail,
    /// It never ends.
    Hang,
}

impl Deed {
    /// Reads `work:5,chunks:40,question,ask:x/work:5`. What it cannot read it leaves out.
    pub(crate) fn parse_all(text: &str) -> VecDeque<Self> {
        let mut deeds = VecDeque::new();
        for part in text.split(',') {
            let (name, rest) = part.split_once(':').unwrap_or((part, ""));
            let deed = match name {
                "work" => rest.parse().map(Self::Work).ok(),
                "chunks" => rest.parse().map(Self::Chunks).ok(),
                "question" => Some(Self::Question),
                "fail" => Some(Self::Fail),
                "hang" => Some(Self::Hang),
                "ask" => {
                    let (skill, does) = rest.split_once('/').unwrap_or((rest, ""));
                    let (skill, does) = (skill.to_owned(), does.replace('+', ","));
                    Some(Self::Ask { skill, does })
                }
                _ => None,
            };
            deeds.extend(deed);
        }
        deeds
    }
}

/// A handler at work.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) run: RunRef,
    pub(crate) deeds: VecDeque<Deed>,
    pub(crate) streams: bool,
    pub(crate) asks: bool,
    /// It is busy for a while.
    pub(crate) works: bool,
    /// The request it waits for.
    pub(crate) waits_for: Option<String>,
    next: u64,
    taken: u64,
    unheard: VecDeque<Chunk>,
    asked: u32,
    pub(crate) question: Option<Question>,
}

impl Job {
    /// The next chunk, when its window has room.
    pub(crate) fn chunk(&mut self) -> Option<News> {
        (self.next - self.taken < STREAM_WINDOW).then(|| self.push(false))
    }

    fn push(&mut self, last: bool) -> News {
        let data = if last { Value::Null } else { json!(self.next) };
        let chunk = Chunk {
            index: self.next,
            data,
            artifact: None,
            last,
        };
        self.next += 1;
        self.unheard.push_back(chunk.clone());
        chunk_news(chunk)
    }

    pub(crate) fn ask(&mut self) -> News {
        self.asked += 1;
        let question = Question {
            number: self.asked,
            prompt: "which?".to_owned(),
            schema: None,
        };
        self.question = Some(question.clone());
        question_news(question)
    }

    /// What has to be said again over a new connection.
    pub(crate) fn unheard(&self) -> Vec<News> {
        let chunks = self.unheard.iter().cloned().map(chunk_news);
        chunks
            .chain(self.question.clone().map(question_news))
            .collect()
    }

    /// `true`: its question was answered.
    pub(crate) fn hear(&mut self, input: &TaskInput) -> bool {
        if let Some(taken) = input.taken {
            self.taken = self.taken.max(taken.min(self.next));
            let taken = self.taken;
            self.unheard.retain(|chunk| chunk.index >= taken);
        }
        let number = input.answer.as_ref().map(|answer| answer.number);
        let answered = self.question.take_if(|q| Some(q.number) == number);
        answered.is_some()
    }
}

fn chunk_news(chunk: Chunk) -> News {
    News {
        chunk: Some(chunk),
        ..News::default()
    }
}

fn question_news(question: Question) -> News {
    News {
        question: Some(question),
        ..News::default()
    }
}

/// An open request of an agent.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) waits: bool,
    /// The handler that waits for it.
    pub(crate) parent: Option<Key>,
    /// When it is over at the latest, in virtual milliseconds, if its agent said how long it waits.
    pub(crate) until: Option<u64>,
}

/// What an agent does about a task that it is handed.
pub(crate) enum Begins {
    /// It begins.
    New,
    /// It runs already.
    Runs,
    /// It was answered: this again.
    Answered(Box<AgentCommand>),
}

/// An agent behind a sidecar. What is in it ends with its process.
#[derive(Debug, Default)]
pub(crate) struct ModelAgent {
    pub(crate) skills: Vec<String>,
    pub(crate) work_ms: u64,
    /// It takes work and never answers.
    pub(crate) hangs: bool,
    /// How often its process was started.
    pub(crate) life: u32,
    pub(crate) is_up: bool,
    /// The sidecar took it.
    pub(crate) is_welcomed: bool,
    /// How often its handler ran each attempt, in every life.
    pub(crate) runs: BTreeMap<Key, u32>,
    pub(crate) open: BTreeMap<String, Asked>,
    pub(crate) jobs: BTreeMap<Key, Job>,
    pub(crate) undelivered: BTreeMap<Key, (RunRef, Vec<AgentCommand>)>,
    answers: BTreeMap<Key, AgentCommand>,
    order: VecDeque<Key>,
    pub(crate) requests: u64,
}

impl ModelAgent {
    pub(crate) fn new(skills: Vec<String>) -> Self {
        Self {
            skills,
            work_ms: WORK_MS,
            ..Self::default()
        }
    }

    /// A new process: it remembers nothing.
    pub(crate) fn start(&mut self) {
        *self = Self {
            skills: std::mem::take(&mut self.skills),
            work_ms: self.work_ms,
            hangs: self.hangs,
            life: self.life + 1,
            is_up: true,
            runs: std::mem::take(&mut self.runs),
            requests: self.requests,
            ..Self::default()
        };
    }

    pub(crate) fn hello(&self, name: &str) -> AgentCommand {
        let skill = |name: &String| SkillInfo {
            name: name.clone(),
            description: String::new(),
            input_schema: None,
            callers: None,
        };
        let jobs = self.jobs.values().map(|job| &job.run);
        let undelivered = self.undelivered.values().map(|(run, _)| run);
        AgentCommand::Hello(Hello {
            version: PROTOCOL_VERSION,
            agent: AgentProfile {
                agent_id: name.parse().expect("a node's name is a valid id"),
                description: String::new(),
                skills: self.skills.iter().map(skill).collect(),
                hostname: String::new(),
                mode: String::new(),
                version: String::new(),
                instance: format!("{name}-{}", self.life),
                max_concurrent: 0,
            },
            running: jobs.chain(undelivered).cloned().collect(),
        })
    }

    pub(crate) fn takes(&mut self, task: &TaskEvent) -> Begins {
        let key = (task.task_id.clone(), task.attempt);
        if let Some(job) = self.jobs.get_mut(&key) {
            job.run.lease = task.lease.or(job.run.lease);
            return Begins::Runs;
        }
        match self.answers.get(&key) {
            Some(answer) => Begins::Answered(Box::new(answer.clone())),
            None => Begins::New,
        }
    }

    pub(crate) fn begin(&mut self, task: &TaskEvent) {
        let key = (task.task_id.clone(), task.attempt);
        *self.runs.entry(key.clone()).or_default() += 1;
        let does = task.payload.get("does").and_then(Value::as_str);
        let deeds = match does {
            Some(text) => Deed::parse_all(text),
            None if self.hangs => VecDeque::from([Deed::Hang]),
            None => VecDeque::from([Deed::Work(self.work_ms)]),
        };
        let job = Job {
            run: RunRef {
                task_id: task.task_id.clone(),
                attempt: task.attempt,
                lease: task.lease,
                timeout_ms: task.timeout_ms,
                lineage: task.lineage.clone(),
            },
            deeds,
            streams: task.listens.stream,
            asks: task.listens.answers,
            works: false,
            waits_for: None,
            next: 0,
            taken: 0,
            unheard: VecDeque::new(),
            asked: 0,
            question: None,
        };
        self.jobs.insert(key, job);
    }

    /// A handler ended. Answers what to tell now: nothing without a sidecar.
    pub(crate) fn end(&mut self, key: &Key, outcome: Outcome) -> Vec<AgentCommand> {
        let Some(mut job) = self.jobs.remove(key) else {
            return Vec::new();
        };
        let answer = AgentCommand::Respond(Respond {
            task_id: key.0.clone(),
            attempt: key.1,
            outcome,
        });
        self.remember(key.clone(), answer.clone());
        let last = job.streams.then(|| job.push(true));
        if self.is_welcomed {
            let last = last.map(|news| news_of(key, news));
            return last.into_iter().chain([answer]).collect();
        }
        let untaken = job.unheard.drain(..).map(chunk_news);
        let untaken = untaken.map(|news| news_of(key, news));
        let told = untaken.chain([answer]).collect();
        self.undelivered.insert(key.clone(), (job.run, told));
        Vec::new()
    }

    fn remember(&mut self, key: Key, answer: AgentCommand) {
        self.order.push_back(key.clone());
        self.answers.insert(key, answer);
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }
}

pub(crate) fn news_of(key: &Key, news: News) -> AgentCommand {
    AgentCommand::TaskNews(TaskNews {
        task_id: key.0.clone(),
        attempt: key.1,
        news,
    })
}
