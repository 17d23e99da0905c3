//! Questions of a task that somebody waits for: shown as they come, and answered from the terminal.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Result;
use clap::Args;
use seamesh_client::Registry;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::talk::{Answer, Question};
use seamesh_proto::{Code, Problem, TaskId, TaskState};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::access::Access;
use crate::serving;

/// Options of `seamesh tasks answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    #[command(flatten)]
    access: Access,
    /// The task that waits for input.
    id: TaskId,
    /// The answer: JSON, or text that is none.
    answer: String,
    /// Print one JSON object with the task's `id`.
    #[arg(long)]
    json: bool,
}

/// Answers the question that a task waits with.
///
/// # Errors
/// `task_state` when it waits for none, or as the registry answers.
pub(crate) async fn answer(args: AnswerArgs) -> Result<()> {
    let registry = args.access.registry()?;
    let task = registry.task(&args.id).await?;
    let Some(question) = task.question else {
        let detail = format!(
            "task {} is {}, and asks nothing",
            args.id,
            task.state.as_str()
        );
        return Err(seamesh_client::ClientError::Problem(Box::new(Problem::new(
            Code::TaskState,
            detail,
        )))
        .into());
    };
    let answer = Answer {
        number: question.number,
        value: value(&args.answer),
    };
    registry.answer_task(&args.id, &answer).await?;
    serving::done(args.json, "answered", "id", args.id.as_str())
}

/// Text that is JSON is what it says, any other text is itself.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Shows the questions of a task as they come. At a terminal the next line typed is the answer; otherwise it says how to
/// answer. Never returns: to be dropped when the task has ended.
pub(crate) async fn attend(registry: &Registry, id: &TaskId) -> std::convert::Infallible {
    // Without its events (an older registry, a role that may not watch) the task is still waited for.
    let Ok(mut events) = registry.task_events(id).await else {
        return std::future::pending().await;
    };
    let mut shown = None;
    loop {
        let Ok(record) = events.next().await else {
            return std::future::pending().await;
        };
        let MeshEvent::TaskChanged(task) = record.event else {
            continue;
        };
        let question = task
            .question
            .filter(|_| task.state == TaskState::InputRequired);
        if let Some(question) = question {
            let asked = Some((task.attempt, question.number));
            if shown != asked {
                shown = asked;
                ask(registry, id, &question).await;
            }
        }
    }
}

async fn ask(registry: &Registry, id: &TaskId, question: &Question) {
    // Standard output is the result's.
    let mut err = std::io::stderr();
    let _ = writeln!(err, "The task asks: {}", question.prompt);
    if !std::io::stdin().is_terminal() {
        let _ = writeln!(err, "Answer it with: seamesh tasks answer {id} ANSWER");
        return;
    }
    let _ = write!(err, "> ");
    let Some(line) = typed().await else { return };
    let answer = Answer {
        number: question.number,
        value: value(line.trim_end()),
    };
    if let Err(error) = registry.answer_task(id, &answer).await {
        let _ = writeln!(err, "The answer was not taken: {error}");
    }
}

/// The next line of the terminal. A thread of its own reads it, because nothing can be done about a read that waits
/// when the task ends otherwise.
async fn typed() -> Option<String> {
    let (typed, line) = oneshot::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        if std::io::stdin().read_line(&mut text).is_ok_and(|n| n > 0) {
            // Nobody waits any more when the task has ended.
            let _ = typed.send(text);
        }
    });
    line.await.ok()
}
