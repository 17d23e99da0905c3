//! `seamesh tasks watch`: what happens to tasks, as it happens.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use seamesh_client::{ClientError, Events, Registry};
use seamesh_proto::events::{EventRecord, MeshEvent};
use seamesh_proto::{Task, TaskId};

use crate::access::Access;
use crate::call::result;
use crate::serving;
use crate::table::plain;
use crate::times::clock;

use super::change::change;

/// Milliseconds between two attempts to reach a registry that went away meanwhile.
const RETRY_MS: u64 = 500;

/// Longest line of one event, in characters.
const MAX_LINE_CHARS: usize = 300;

/// Options of `seamesh tasks watch`.
#[derive(Debug, Args)]
#[command(
    after_help = "With a task: prints its history, then what happens to it, then its result. Exit code 0 when it \
    completed, 5 when it did not. A registry that goes away is waited for, and nothing is missed."
)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    access: Access,
    /// The task [default: all of them, from now on].
    id: Option<TaskId>,
    /// Print each event as one JSON object on a line.
    #[arg(long)]
    json: bool,
}

/// Prints what happens to one task until it ends, or to all.
///
/// # Errors
/// [`TaskFailed`](crate::exit::TaskFailed), or as the registry answers.
pub(crate) async fn run(args: WatchArgs) -> Result<()> {
    let registry = args.access.registry()?;
    let Some(id) = &args.id else {
        let mut events = registry.events(None).await?;
        loop {
            print(&next(&mut events).await?, args.json, true)?;
        }
    };
    let task = registry.task(id).await?;
    // One that ended long ago may have no history any more: then nothing would come.
    let task = match task.state.is_terminal() {
        true => task,
        false => follow(&registry, id, args.json).await?,
    };
    let result = result(&task)?;
    match args.json {
        true => Ok(()),
        false => serving::print(&serde_json::to_string_pretty(result)?),
    }
}

/// Prints the events of one task until it is terminal, and gives it with its result.
async fn follow(registry: &Registry, id: &TaskId, json: bool) -> Result<Task, ClientError> {
    let mut events = registry.task_events(id).await?;
    loop {
        let record = next(&mut events).await?;
        // With standard output closed there is nobody to print for; the exit code still counts.
        let _ = print(&record, json, false);
        if matches!(&record.event, MeshEvent::TaskChanged(task) if task.state.is_terminal()) {
            // Events leave the result out.
            return registry.task(id).await;
        }
    }
}

/// The next event, however long the registry is away.
async fn next(events: &mut Events) -> Result<EventRecord, ClientError> {
    let mut is_told = false;
    loop {
        match events.next().await {
            Err(ClientError::Unreachable { url, reason }) => {
                if !std::mem::replace(&mut is_told, true) {
                    let mut err = std::io::stderr();
                    let _ = writeln!(err, "{url} is away ({reason}); waiting for it");
                }
                tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
            }
            other => return other,
        }
    }
}

fn print(record: &EventRecord, json: bool, of_all: bool) -> Result<()> {
    let (id, skill, what) = match &record.event {
        MeshEvent::TaskChanged(task) => (&task.id, task.skill.as_str(), change(task)),
        MeshEvent::StaleResult(stale) => {
            let what = format!(
                "refused {} under stale lease {}",
                stale.peer_id, stale.lease
            );
            (&stale.task_id, "", what)
        }
        _ => return Ok(()),
    };
    if json {
        return serving::print(&serde_json::to_string(record)?);
    }
    let at = clock(record.at_ms);
    serving::print(&match of_all {
        true => plain(&format!("{at}  {id}  {skill}  {what}"), MAX_LINE_CHARS),
        false => plain(&format!("{at}  {what}"), MAX_LINE_CHARS),
    })
}
