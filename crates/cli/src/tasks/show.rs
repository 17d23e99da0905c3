//! `seamesh tasks show`: a task within its delegation tree, why it stands where it does, and what happened to it.

use anyhow::Result;
use clap::Args;
use seamesh_client::{ClientError, Registry};
use seamesh_proto::events::{EventRecord, MeshEvent};
use seamesh_proto::limits::MAX_PAGE;
use seamesh_proto::rest::{HistoryQuery, TaskQuery};
use seamesh_proto::{Code, Task, TaskId, TaskState, TraceContext};
use serde::Serialize;
use serde_json::Value;

use crate::access::Access;
use crate::serving;
use crate::table::plain;
use crate::times::{clock, unix_s};

use super::change::change;
use super::tree::{Node, draw, grow};

/// Tasks of one tree that are read at most: more than fits a screen, and few enough to wait for.
const MAX_TREE_TASKS: usize = 10_000;

/// Longest text of arguments or result that is printed, in characters. `--json` has all of it.
const MAX_VALUE_CHARS: usize = 1_000;

/// Options of `seamesh tasks show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    access: Access,
    /// The task.
    id: TaskId,
    /// Print the task as one JSON object, with `tree` and `history`.
    #[arg(long)]
    json: bool,
}

/// A task with its tree and what happened to it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    task: Task,
    tree: Vec<Node>,
    /// The tree has more tasks than are shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tree_is_cut: bool,
    history: Vec<Entry>,
}

/// One thing that happened to a task.
#[derive(Serialize)]
struct Entry {
    seq: u64,
    at_ms: u64,
    what: String,
}

/// Shows one task.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn run(args: ShowArgs) -> Result<()> {
    let registry = args.access.registry()?;
    let task = registry.task(&args.id).await?;
    let history = history(&registry, &args.id).await?;
    let root = task.lineage.root_id.as_ref().unwrap_or(&task.id);
    let (tasks, tree_is_cut) = tree(&registry, root).await?;
    let shown = Shown {
        tree: grow(tasks, &task.id, unix_s()),
        task,
        tree_is_cut,
        history,
    };
    serving::print(&match args.json {
        true => serde_json::to_string_pretty(&shown)?,
        false => shown.text(),
    })
}

/// The tasks of a tree, and whether it has more.
async fn tree(registry: &Registry, root: &TaskId) -> Result<(Vec<Task>, bool), ClientError> {
    let mut tasks = Vec::new();
    let mut query = TaskQuery {
        root: Some(root.clone()),
        limit: Some(MAX_PAGE),
        ..TaskQuery::default()
    };
    loop {
        let page = registry.tasks(&query).await?;
        tasks.extend(page.tasks);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() || tasks.len() >= MAX_TREE_TASKS {
            return Ok((tasks, query.cursor.is_some()));
        }
    }
}

impl Shown {
    fn text(&self) -> String {
        let task = &self.task;
        let mut lines = vec![draw(&self.tree)];
        if self.tree_is_cut {
            lines.push(format!(
                "… and more: only the newest {MAX_TREE_TASKS} tasks are shown"
            ));
        }
        lines.push(String::new());
        lines.push(format!("task       {}", task.id));
        let trace = TraceContext::of_task(&task.id, &task.lineage);
        lines.push(format!("trace      {}", trace.trace_id()));
        // An older registry gives none.
        if let Some(reason) = &task.reason {
            lines.push(format!("reason     {}", plain(reason, MAX_VALUE_CHARS)));
        }
        if !task.payload.is_empty() {
            lines.push(format!("arguments  {}", value(&task.payload.to_value())));
        }
        if task.state == TaskState::Completed {
            lines.push(format!("result     {}", value(&task.result)));
        }
        lines.push(String::new());
        lines.extend(self.history.iter().map(|entry| {
            format!(
                "{}  {}",
                clock(entry.at_ms),
                plain(&entry.what, MAX_VALUE_CHARS)
            )
        }));
        if self.history.is_empty() {
            lines.push("Its history is no longer kept.".to_owned());
        }
        lines.join("\n")
    }
}

fn value(value: &Value) -> String {
    plain(&value.to_string(), MAX_VALUE_CHARS)
}

async fn history(registry: &Registry, id: &TaskId) -> Result<Vec<Entry>, ClientError> {
    let (mut entries, mut query) = (Vec::new(), HistoryQuery::default());
    loop {
        let page = match registry.task_history(id, &query).await {
            Ok(page) => page,
            // An older registry keeps none.
            Err(ClientError::Problem(problem)) if problem.code == Code::NotFound => break,
            Err(error) => return Err(error),
        };
        entries.extend(page.events.iter().map(entry));
        query.after = page.next_after;
        if query.after.is_none() {
            break;
        }
    }
    Ok(entries)
}

fn entry(record: &EventRecord) -> Entry {
    let what = match &record.event {
        MeshEvent::TaskChanged(task) => change(task),
        MeshEvent::StaleResult(stale) => {
            format!(
                "refused {} under stale lease {}",
                stale.peer_id, stale.lease
            )
        }
        _ => "something else".to_owned(),
    };
    Entry {
        seq: record.seq,
        at_ms: record.at_ms,
        what,
    }
}
