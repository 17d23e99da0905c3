//! `seamesh call`.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use seamesh_client::Registry;
use seamesh_proto::limits::{
    DEFAULT_MAX_ATTEMPTS, MAX_ATTEMPTS, MAX_HTTP_BODY_BYTES, MAX_PRIORITY, MAX_TTL_S,
};
use seamesh_proto::task::{Lineage, SubmitTask};
use seamesh_proto::{AgentId, Code, Payload, Task, TaskError, TaskId, TaskState, TraceContext};
use serde_json::Value;

use crate::access::Access;
use crate::exit::TaskFailed;
use crate::serving;
use crate::tasks::questions;

/// Seconds past the task's end that its last word may take to arrive.
const LAST_WORD_S: u64 = 5;

/// Options of `seamesh call`.
#[derive(Debug, Args)]
#[command(after_help = "Prints the result as JSON. Exit code 5: the task ended without one.")]
pub(crate) struct CallArgs {
    #[command(flatten)]
    access: Access,
    /// The skill to run.
    skill: String,
    /// Its arguments, a JSON object; `-` reads them from standard input.
    #[arg(default_value = "{}", value_name = "JSON")]
    payload: String,
    /// The agent to ask, and no other [default: any that offers the skill].
    #[arg(long, value_name = "AGENT")]
    to: Option<AgentId>,
    /// Seconds until the task is given up.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Goes before others that wait for the same skill: -100 to 100.
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-i64::from(MAX_PRIORITY)..=i64::from(MAX_PRIORITY)))]
    priority: i32,
    /// Seconds from now after which it fails with `deadline_exceeded`, wherever it is.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=MAX_TTL_S))]
    deadline: Option<u64>,
    /// Seconds from now before which it is not handed out; --timeout counts from then.
    #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..MAX_TTL_S))]
    delay: u64,
    /// Names this call: the same key again, with the same skill, agent and arguments, is the same task.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// The span that asks (W3C Trace Context): the task goes on in its trace.
    #[arg(long, env = "TRACEPARENT", value_name = "TRACEPARENT")]
    traceparent: Option<TraceContext>,
    /// Times it may be handed out.
    #[arg(long, default_value_t = DEFAULT_MAX_ATTEMPTS, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ATTEMPTS)))]
    max_attempts: u32,
    /// Print the task's id as soon as it is in the queue, and do not wait.
    #[arg(long)]
    no_wait: bool,
    /// Print the whole task as one JSON object instead of its result.
    #[arg(long)]
    json: bool,
}

/// Puts a task into the queue and waits for its end.
///
/// # Errors
/// [`TaskFailed`], or as the registry answers.
pub(crate) async fn run(args: CallArgs) -> Result<()> {
    let lasts_s = args.timeout.saturating_add(args.delay);
    let task = SubmitTask {
        skill: args.skill,
        target_agent_id: args
            .to
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        payload: Payload::new(payload(&args.payload)?),
        ttl: lasts_s,
        priority: args.priority,
        not_before_ms: (args.delay > 0).then_some(args.delay * 1000),
        deadline_ms: args.deadline.map(|s| s * 1000),
        idempotency_key: args.idempotency_key,
        max_attempts: args.max_attempts,
        lineage: Lineage {
            traceparent: args.traceparent,
            ..Lineage::default()
        },
        ..SubmitTask::default()
    };
    let registry = args.access.registry()?;
    let id = registry.submit(&task).await?;
    if args.no_wait {
        return serving::print(id.as_str());
    }
    let task = ended(&registry, &id, lasts_s).await?;
    if args.json {
        serving::print(&serde_json::to_string(&task)?)?;
    }
    let result = result(&task)?;
    match args.json {
        true => Ok(()),
        false => serving::print(&serde_json::to_string_pretty(result)?),
    }
}

/// The result of a task that was waited for.
///
/// # Errors
/// [`TaskFailed`] when it has none.
pub(crate) fn result(task: &Task) -> Result<&Value> {
    if task.state == TaskState::Completed {
        return Ok(&task.result);
    }
    let error = match task.outcome().and_then(|outcome| outcome.error) {
        Some(error) => error,
        None => {
            let (id, state) = (&task.id, task.state.as_str());
            let why = task.reason.as_ref().map(|reason| format!(": {reason}"));
            let why = why.unwrap_or_default();
            let text = format!("task {id} is {state}{why}; see `seamesh tasks show {id}`");
            TaskError::new(Code::DeadlineExceeded, text)
        }
    };
    Err(TaskFailed(error).into())
}

/// The task once it is terminal. Ctrl-C cancels it first.
pub(crate) async fn ended(registry: &Registry, id: &TaskId, timeout_s: u64) -> Result<Task> {
    let at_most = Duration::from_secs(timeout_s.saturating_add(LAST_WORD_S));
    tokio::select! {
        task = registry.wait(id, at_most) => Ok(task?),
        never = questions::attend(registry, id) => match never {},
        () = serving::asked_to_end()? => {
            registry.cancel(id).await?;
            let text = format!("canceled task {id}");
            Err(TaskFailed(TaskError::new(Code::Canceled, text)).into())
        }
    }
}

fn payload(text: &str) -> Result<Value> {
    let mut read = String::new();
    let text = match text {
        "-" => {
            let limit = MAX_HTTP_BODY_BYTES as u64 + 1;
            let stdin = std::io::stdin()
                .lock()
                .take(limit)
                .read_to_string(&mut read);
            stdin.context("read the arguments from standard input")?;
            read.as_str()
        }
        given => given,
    };
    serde_json::from_str(text).context(
        "the arguments are no JSON: write them like '{\"name\": \"Ada\"}', in single quotes",
    )
}
