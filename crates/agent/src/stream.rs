//! Taking the parts of delegated work as they come.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use seamesh_proto::Code;
use seamesh_proto::ipc::RequestNews;
use seamesh_proto::limits::{MAX_ARTIFACT_BYTES, STREAM_GRANT};
use seamesh_proto::talk::{Answer, ArtifactPart, Chunk, Progress, Question, TaskInput};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::delegation::{Reply, reply};
use crate::error::MeshError;
use crate::port::{Asking, Settled, Word};

type Answering = Pin<Box<dyn Future<Output = Result<Value, MeshError>> + Send>>;

/// Answers a question of a handler.
pub(crate) type Answerer = Arc<dyn Fn(Question) -> Answering + Send + Sync>;

/// Hears how far a handler is.
pub(crate) type Watcher = Arc<dyn Fn(&Progress) + Send + Sync>;

/// One step of a request on its way to its end.
pub(crate) enum Step {
    /// A chunk of the attempt with this number.
    Chunk(u32, Chunk),
    /// It is so far.
    Progress(Progress),
    /// Its last word.
    End(Result<Settled, MeshError>),
}

/// An open request with whoever answers its questions.
pub(crate) struct Conversation {
    pub(crate) asking: Asking,
    pub(crate) answerer: Option<Answerer>,
    pub(crate) watcher: Option<Watcher>,
    pub(crate) answering: Option<(u32, Answering)>,
}

impl Conversation {
    /// The next thing that happens.
    pub(crate) async fn step(&mut self) -> Step {
        loop {
            let news = tokio::select! {
                biased;
                word = self.asking.word() => match word {
                    Word::News(news) => news,
                    Word::Last(last) => return Step::End(last),
                },
                (number, value) = answered(&mut self.answering) => {
                    self.answering = None;
                    match value {
                        Ok(value) => self.answer(number, value),
                        Err(error) => return Step::End(Err(error)),
                    }
                    continue;
                }
            };
            if let Some(step) = self.take(news) {
                return step;
            }
        }
    }

    fn take(&mut self, news: RequestNews) -> Option<Step> {
        let RequestNews { attempt, news, .. } = news;
        if let (Some(question), Some(answerer)) = (news.question, &self.answerer) {
            self.answering = Some((question.number, answerer(question)));
        }
        if let Some(progress) = news.progress {
            if let Some(watcher) = &self.watcher {
                watcher(&progress);
            }
            return Some(Step::Progress(progress));
        }
        news.chunk.map(|chunk| Step::Chunk(attempt, chunk))
    }

    fn answer(&self, number: u32, value: Value) {
        self.asking.tell(TaskInput {
            answer: Some(Answer { number, value }),
            ..TaskInput::default()
        });
    }

    fn taken(&self, taken: u64) {
        self.asking.tell(TaskInput {
            taken: Some(taken),
            ..TaskInput::default()
        });
    }
}

async fn answered(answering: &mut Option<(u32, Answering)>) -> (u32, Result<Value, MeshError>) {
    match answering {
        Some((number, work)) => (*number, work.await),
        None => std::future::pending().await,
    }
}

/// Bytes that came with a task, whole and checked against their hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its name, unique within the task's attempt.
    pub name: String,
    /// Its media type (RFC 6838).
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A part of what delegated work tells before its result.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A chunk, as the skill sent it.
    Chunk(Value),
    /// An artifact, once it is whole.
    Artifact(Artifact),
    /// How far the skill is.
    Progress(Progress),
    /// The attempt was lost and another one began: what came so far comes again.
    Restarted,
}

/// Delegated work whose parts are taken as they come: from [`Delegation::stream`](crate::Delegation::stream). Dropping
/// it before its end gives the work up. A reader that does not read slows the skill down: it gets at most
/// [`STREAM_WINDOW`](seamesh_proto::limits::STREAM_WINDOW) chunks ahead.
pub struct Stream {
    conversation: Conversation,
    attempt: u32,
    /// Chunks read of this attempt, and those that the other end was told of.
    read: u64,
    told: u64,
    is_whole: bool,
    partial: Option<(ArtifactPart, Vec<u8>)>,
    ready: VecDeque<Part>,
    last: Option<Result<Reply, MeshError>>,
}

impl Stream {
    pub(crate) fn new(conversation: Conversation) -> Self {
        Self {
            conversation,
            attempt: 0,
            read: 0,
            told: 0,
            is_whole: false,
            partial: None,
            ready: VecDeque::new(),
            last: None,
        }
    }

    /// The next part; `None` at the end of the work. Not to be called inside `select!` with a branch that drops it
    /// half-way: a part that was taken is gone.
    ///
    /// # Errors
    /// `stream_broken` when parts were lost or an artifact is not what it should be; the result may still be had.
    pub async fn next(&mut self) -> Option<Result<Part, MeshError>> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Some(Ok(part));
            }
            if self.last.is_some() {
                return None;
            }
            match self.conversation.step().await {
                Step::Progress(progress) => return Some(Ok(Part::Progress(progress))),
                Step::Chunk(attempt, chunk) => {
                    if let Err(error) = self.take(attempt, chunk) {
                        return Some(Err(error));
                    }
                }
                Step::End(last) => {
                    let last = last.and_then(ended);
                    let is_cut = last.is_ok() && self.read > 0 && !self.is_whole;
                    self.last = Some(last);
                    if is_cut {
                        return Some(Err(broken(
                            "the work ended, and the end of its stream is missing",
                        )));
                    }
                }
            }
        }
    }

    /// The result, whether or not every part was taken.
    ///
    /// # Errors
    /// As [`Delegation::reply`](crate::Delegation::reply).
    pub async fn reply(mut self) -> Result<Reply, MeshError> {
        // What is wrong with a part is its reader's matter; here only the end counts.
        while self.last.is_none() {
            let _ = self.next().await;
        }
        self.last
            .unwrap_or_else(|| Err(broken("the work has no end")))
    }

    fn take(&mut self, attempt: u32, chunk: Chunk) -> Result<(), MeshError> {
        if attempt != self.attempt {
            if self.read > 0 {
                self.ready.push_back(Part::Restarted);
            }
            (self.attempt, self.read, self.told) = (attempt, 0, 0);
            (self.is_whole, self.partial) = (false, None);
        }
        self.read += 1;
        self.is_whole |= chunk.last;
        if self.read - self.told >= STREAM_GRANT {
            self.told = self.read;
            self.conversation.taken(self.read);
        }
        match chunk.artifact {
            _ if chunk.last => {}
            None => self.ready.push_back(Part::Chunk(chunk.data)),
            Some(part) => self.assemble(part, &chunk.data)?,
        }
        Ok(())
    }

    fn assemble(&mut self, part: ArtifactPart, data: &Value) -> Result<(), MeshError> {
        let bytes = data.as_str().and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.ok_or_else(|| broken(format!("artifact {}: no base64", part.name)))?;
        let (first, mut all) = match self.partial.take() {
            Some(begun) if part.offset > 0 => begun,
            _ => (part.clone(), Vec::new()),
        };
        let fits = first.name == part.name
            && first.size == part.size
            && part.size <= MAX_ARTIFACT_BYTES
            && all.len() as u64 == part.offset
            && part.offset + bytes.len() as u64 <= part.size;
        if !fits {
            return Err(broken(format!(
                "artifact {}: its parts do not fit",
                part.name
            )));
        }
        all.extend_from_slice(&bytes);
        if (all.len() as u64) < first.size {
            self.partial = Some((first, all));
            return Ok(());
        }
        if sha256(&all) != first.sha256 {
            return Err(broken(format!(
                "artifact {}: its hash is another",
                first.name
            )));
        }
        self.ready.push_back(Part::Artifact(Artifact {
            name: first.name,
            media_type: first.media_type,
            bytes: all,
        }));
        Ok(())
    }
}

/// The last word as a reply.
pub(crate) fn ended(last: Settled) -> Result<Reply, MeshError> {
    match last {
        Settled::Response(response) => reply(response),
        _ => Err(MeshError::new(
            Code::Internal,
            "the sidecar answered something else",
        )),
    }
}

fn broken(text: impl Into<String>) -> MeshError {
    MeshError::new(Code::StreamBroken, text)
}

/// Lower-case hexadecimal SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
