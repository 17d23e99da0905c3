//! Asking another agent to do something.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use seamesh_proto::ipc::{Request, Response, Via};
use seamesh_proto::limits::{DEFAULT_REQUEST_TIMEOUT_MS, MAX_PAYLOAD_BYTES};
use seamesh_proto::talk::{Listens, Progress, Question};
use seamesh_proto::{AgentId, Code, Path, Payload, TaskId, TraceContext};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ctx::Mesh;
use crate::error::MeshError;
use crate::port::Settled;
use crate::skill::serialized_bytes;
use crate::stream::{Answerer, Conversation, Step, Stream, Watcher, ended};

/// Milliseconds past a request's deadline that the sidecar, which keeps it, has to say so.
const ANSWER_GRACE_MS: u64 = 5_000;

/// Work about to be delegated. `.await` it for the result as JSON, [`get`](Self::get) for a type of yours,
/// [`reply`](Self::reply) for how it went too, [`submit`](Self::submit) not to wait. Dropping it while it waits gives
/// the work up.
#[must_use = "work is delegated when it is awaited"]
pub struct Delegation {
    mesh: Mesh,
    request: Result<Request, MeshError>,
    answerer: Option<Answerer>,
    watcher: Option<Watcher>,
}

/// How delegated work went.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The task it became.
    pub task_id: TaskId,
    /// The skill's result.
    pub result: Value,
    /// The way the answer came.
    pub path: Path,
    /// The agent that answered.
    pub agent_id: String,
    /// From request to answer.
    pub duration: Duration,
}

impl Delegation {
    pub(crate) fn new(
        mesh: Mesh,
        skill: &str,
        args: impl Serialize,
        parent: Option<TaskId>,
    ) -> Self {
        let request = serde_json::to_value(args)
            .map_err(|e| {
                MeshError::new(
                    Code::BadArguments,
                    format!("the arguments are no JSON: {e}"),
                )
            })
            .map(|payload| Request {
                request_id: String::new(),
                skill: skill.to_owned(),
                to: None,
                payload: Payload::new(payload),
                timeout_ms: None,
                wait: true,
                via: Via::Auto,
                parent,
                traceparent: None,
                listens: Listens::default(),
            });
        Self {
            mesh,
            request,
            answerer: None,
            watcher: None,
        }
    }

    /// Asks this agent, and no other.
    pub fn to(mut self, agent: &str) -> Self {
        self.request = self.request.and_then(|request| {
            let to: AgentId = agent.parse().map_err(|e| {
                MeshError::new(Code::BadField, format!("{agent:?} is no agent id: {e}"))
            })?;
            Ok(Request {
                to: Some(to),
                ..request
            })
        });
        self
    }

    /// Gives up after this long (rounded to milliseconds). Otherwise: what is left of the task at hand, else 120 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.change(|request| request.timeout_ms = Some(ms.max(1)))
    }

    /// Only directly, or only through the durable queue; otherwise directly when linked, else through the queue.
    pub fn via(self, via: Via) -> Self {
        self.change(|request| request.via = via)
    }

    /// Puts the work under a span of your own tracing (W3C Trace Context). Otherwise: under the run at hand.
    pub fn traceparent(self, span: TraceContext) -> Self {
        self.change(|request| request.traceparent = Some(span))
    }

    /// Answers the skill's questions. Without it the questions of work that a skill delegates go to that skill's own
    /// asker, and those of other work to a person, where it goes through the queue. An error gives the work up.
    pub fn on_question<F, R>(mut self, answer: F) -> Self
    where
        F: Fn(Question) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, MeshError>> + Send + 'static,
    {
        self.answerer = Some(Arc::new(move |question| Box::pin(answer(question))));
        self
    }

    /// Calls a function with how far the skill is, whenever it tells.
    pub fn on_progress(mut self, watch: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Arc::new(watch));
        self
    }

    /// Takes what the skill sends as it comes: chunks, artifacts, progress, and in the end its result.
    ///
    /// # Errors
    /// As [`reply`](Self::reply), as far as it concerns handing the work over.
    pub async fn stream(self) -> Result<Stream, MeshError> {
        let this = self.change(|request| request.listens.stream = true);
        Ok(Stream::new(this.ask().await?.0))
    }

    fn change(mut self, change: impl FnOnce(&mut Request)) -> Self {
        if let Ok(request) = &mut self.request {
            change(request);
        }
        self
    }

    /// The result, as a type of yours.
    ///
    /// # Errors
    /// As [`reply`](Self::reply), and `bad_result` when the result does not fit the type.
    pub async fn get<T: DeserializeOwned>(self) -> Result<T, MeshError> {
        let result = self.reply().await?.result;
        serde_json::from_value(result)
            .map_err(|e| MeshError::new(Code::BadResult, format!("the result does not fit: {e}")))
    }

    /// The result, and how it came about.
    ///
    /// # Errors
    /// The code of whatever went wrong: the skill failed, nobody offers it, the deadline passed, the sidecar went away.
    pub async fn reply(self) -> Result<Reply, MeshError> {
        ended(self.last_word().await?)
    }

    /// Does not wait: the work goes to the durable queue, and its id comes back once it is there.
    ///
    /// # Errors
    /// As [`reply`](Self::reply), as far as it concerns handing the work over.
    pub async fn submit(self) -> Result<TaskId, MeshError> {
        match self
            .change(|request| request.wait = false)
            .last_word()
            .await?
        {
            Settled::Accepted(task_id) => Ok(task_id),
            Settled::Response(response) => reply(response).map(|reply| reply.task_id),
            Settled::Agents(_) => Err(MeshError::new(
                Code::Internal,
                "the sidecar answered something else",
            )),
        }
    }

    async fn last_word(self) -> Result<Settled, MeshError> {
        let (mut conversation, patience) = self.ask().await?;
        let last = async {
            loop {
                if let Step::End(last) = conversation.step().await {
                    break last;
                }
            }
        };
        match tokio::time::timeout(patience, last).await {
            Ok(last) => last,
            Err(_) => Err(MeshError::new(
                Code::DeadlineExceeded,
                "the sidecar did not answer in time",
            )),
        }
    }

    /// Hands the work over. Beside it the time after which the sidecar has said how it ended.
    async fn ask(self) -> Result<(Conversation, Duration), MeshError> {
        let mut request = self.request?;
        request.listens.answers = self.answerer.is_some();
        let bytes = serialized_bytes(&request.payload);
        if bytes > MAX_PAYLOAD_BYTES {
            let text =
                format!("a payload of {bytes} bytes; at most {MAX_PAYLOAD_BYTES} are allowed");
            return Err(MeshError::new(Code::TooLarge, text));
        }
        let patience = request.timeout_ms.unwrap_or(DEFAULT_REQUEST_TIMEOUT_MS);
        let patience = Duration::from_millis(patience.saturating_add(ANSWER_GRACE_MS));
        self.mesh.port.welcomed().await?;
        let conversation = Conversation {
            asking: self.mesh.port.request(request)?,
            answerer: self.answerer,
            watcher: self.watcher,
            answering: None,
        };
        Ok((conversation, patience))
    }
}

pub(crate) fn reply(response: Response) -> Result<Reply, MeshError> {
    if let Some(error) = response.outcome.error {
        return Err(error.into());
    }
    Ok(Reply {
        task_id: response.task_id,
        result: response.outcome.result,
        path: response.path,
        agent_id: response.agent_id,
        duration: Duration::from_millis(response.duration_ms),
    })
}

impl IntoFuture for Delegation {
    type Output = Result<Value, MeshError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.reply().await?.result) })
    }
}
