//! `seamesh tasks`.

mod change;
pub(crate) mod questions;
mod show;
mod tree;
mod watch;

use anyhow::Result;
use clap::{Args, Subcommand};
use seamesh_client::ClientError;
use seamesh_proto::rest::TaskQuery;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{AgentId, Code, Path, Problem, Task, TaskId, TaskState};

use crate::access::Access;
use crate::serving;
use crate::table::{plain, table};
use crate::times::{moment, span, unix_s};

use questions::AnswerArgs;
use show::ShowArgs;
use watch::WatchArgs;

/// Options of `seamesh tasks`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct TasksArgs {
    #[command(subcommand)]
    command: Option<TasksCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum TasksCommand {
    /// List tasks, newest first (this is what no subcommand does).
    List(ListArgs),
    /// Show one task: the tree it belongs to, why it stands where it does, its arguments, its result and its history.
    Show(ShowArgs),
    /// Answer the question of a task that waits for input.
    Answer(AnswerArgs),
    /// Cancel a task.
    Cancel(OneArgs),
    /// Ask again, in a new task, for what a failed or canceled task was asked for.
    Retry(OneArgs),
    /// Watch one task until it ends, or all of them until Ctrl-C.
    Watch(WatchArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    access: Access,
    /// Only tasks in this state: pending, assigned, input_required, completed, failed, canceled.
    #[arg(long, value_parser = state)]
    state: Option<TaskState>,
    /// Only tasks for this skill.
    #[arg(long)]
    skill: Option<String>,
    /// Only tasks this agent has, had last, or asked for.
    #[arg(long)]
    agent: Option<AgentId>,
    /// Only the tree under this task.
    #[arg(long)]
    root: Option<TaskId>,
    /// Only tasks whose id, skill, agents or error hold this text, upper and lower case alike; 1 to 256 bytes.
    #[arg(long)]
    text: Option<String>,
    /// Only tasks accepted then or later: an age (90s, 15min, 2h, 3d, 1w) or a time (2026-11-23T08:00:00Z).
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<u64>,
    /// Only tasks accepted before then, written as for --since.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<u64>,
    /// Most tasks to list, 1 to 1000.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Print the page as one JSON object: `tasks`, and `next_cursor` when there are more.
    #[arg(long)]
    json: bool,
    /// `next_cursor` of the page before.
    #[arg(long)]
    cursor: Option<String>,
}

#[derive(Debug, Args)]
struct OneArgs {
    #[command(flatten)]
    access: Access,
    /// The task.
    id: TaskId,
    /// Print one JSON object with the task's `id`.
    #[arg(long)]
    json: bool,
}

fn state(text: &str) -> Result<TaskState, String> {
    serde_json::from_value(text.into()).map_err(|_| "no such state".to_owned())
}

/// Lists, shows or cancels tasks.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn run(args: TasksArgs) -> Result<()> {
    match args.command {
        None => list(args.list).await,
        Some(TasksCommand::List(args)) => list(args).await,
        Some(TasksCommand::Answer(args)) => questions::answer(args).await,
        Some(TasksCommand::Show(args)) => show::run(args).await,
        Some(TasksCommand::Cancel(args)) => {
            args.access.registry()?.cancel(&args.id).await?;
            serving::done(args.json, "canceled", "id", args.id.as_str())
        }
        Some(TasksCommand::Retry(args)) => retry(args).await,
        Some(TasksCommand::Watch(args)) => watch::run(args).await,
    }
}

/// The new task stands on its own: it has the old one's skill, agent, arguments, priority and attempts.
async fn retry(args: OneArgs) -> Result<()> {
    let registry = args.access.registry()?;
    let old = registry.task(&args.id).await?;
    if !matches!(old.state, TaskState::Failed | TaskState::Canceled) {
        let state = old.state.as_str();
        let detail = format!(
            "task {} is {state}: only failed and canceled ones are retried",
            old.id
        );
        return Err(ClientError::Problem(Box::new(Problem::new(Code::TaskState, detail))).into());
    }
    let again = SubmitTask {
        skill: old.skill,
        target_agent_id: old.target_agent_id,
        payload: old.payload,
        ttl: old.ttl,
        priority: old.priority,
        max_attempts: old.max_attempts,
        ..SubmitTask::default()
    };
    let id = registry.submit(&again).await?;
    serving::done(args.json, "retried as", "id", id.as_str())
}

async fn list(args: ListArgs) -> Result<()> {
    let query = TaskQuery {
        state: args.state,
        skill: args.skill,
        agent: args.agent,
        root: args.root,
        text: args.text,
        since_ms: args.since,
        until_ms: args.until,
        limit: Some(args.limit),
        cursor: args.cursor,
    };
    if let (Some(since), Some(until)) = (query.since_ms, query.until_ms)
        && since >= until
    {
        anyhow::bail!("--since is not before --until, so no task can match; swap them");
    }
    let page = args.access.registry()?.tasks(&query).await?;
    if args.json {
        return serving::print(&serde_json::to_string(&page)?);
    }
    if page.tasks.is_empty() {
        return serving::print("No tasks. `seamesh call SKILL JSON` makes one.");
    }
    let now = unix_s();
    let rows: Vec<_> = page.tasks.iter().map(|task| row(task, now)).collect();
    let heads = [
        "TASK", "SKILL", "FROM", "TO", "PATH", "STATE", "TOOK", "AGO",
    ];
    serving::print(&table(heads, &rows))?;
    if page.next_cursor.is_some() {
        serving::print("… and more: raise --limit, or page with --json and --cursor.")?;
    }
    Ok(())
}

fn row(task: &Task, now: f64) -> [String; 8] {
    let or = |text: &str, other: &str| plain(if text.is_empty() { other } else { text }, 40);
    let path = match task.path {
        Path::Direct => "direct",
        Path::Queue => "queue",
    };
    let state = match task.error_code {
        Some(code) => format!("{} ({code})", task.state.as_str()),
        None => task.state.as_str().to_owned(),
    };
    let took = match task.state.is_terminal() {
        true => span(task.updated_at - task.created_at),
        false => "-".to_owned(),
    };
    [
        task.id.to_string(),
        or(&task.skill, "-"),
        or(&task.source_agent_id, "you"),
        or(&task.assigned_agent_id, "-"),
        path.to_owned(),
        state,
        took,
        span(now - task.created_at),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named_as_on_the_wire() {
        assert_eq!(state("input_required"), Ok(TaskState::InputRequired));
        assert!(state("done").is_err());
    }
}
