//! Tasks: submit, look, end, cancel, wait, list.

use std::sync::atomic::Ordering::Relaxed;

use axum::http::HeaderValue;
use seamesh_proto::limits::{DEFAULT_PAGE, MAX_PAGE, MAX_SEARCH_BYTES};
use seamesh_proto::rest::{
    ChunkPage, ChunksQuery, HistoryQuery, Ok as Done, SubmitAnswer, TaskPage, TaskQuery,
    TaskUpdate, WaitQuery,
};
use seamesh_proto::talk;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Code, Task, TaskId};
use seamesh_registry_core::store::StoredTask;
use seamesh_registry_core::{Op, Reply};

use super::call::{Answer, Call, json, json_text};
use super::problem::Failure;
use crate::metrics::Metrics;

/// Milliseconds a `wait` lasts when the caller does not say.
const DEFAULT_WAIT_MS: u64 = 30_000;

pub(super) async fn submit(call: Call) -> Answer {
    let mut task: SubmitTask = call.json()?;
    if task.lineage.traceparent.is_none() {
        // A header that is none is as good as absent (W3C Trace Context, section 4.3).
        task.lineage.traceparent = call.header("traceparent").and_then(|h| h.parse().ok());
    }
    match call.ask(Op::SubmitTask(Box::new(task))).await? {
        Reply::Submitted(task_id) => Ok(json(&SubmitAnswer { task_id })),
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn get(call: Call) -> Answer {
    let id = task_id(&call)?;
    task(call.ask(Op::GetTask(id)).await?)
}

pub(super) async fn update(call: Call) -> Answer {
    let update: TaskUpdate = call.json()?;
    let op = Op::UpdateTask {
        task_id: task_id(&call)?,
        update: Box::new(update),
    };
    call.ask(op).await?;
    Ok(json(&Done::default()))
}

pub(super) async fn cancel(call: Call) -> Answer {
    let id = task_id(&call)?;
    call.ask(Op::CancelTask(id)).await?;
    Ok(json(&Done::default()))
}

pub(super) async fn answer(call: Call) -> Answer {
    let answer: talk::Answer = call.json()?;
    let task_id = task_id(&call)?;
    call.ask(Op::AnswerTask { task_id, answer }).await?;
    Ok(json(&Done::default()))
}

pub(super) async fn wait(call: Call) -> Answer {
    let WaitQuery { timeout_ms } = call.query()?;
    let task_id = task_id(&call)?;
    let op = Op::WaitTask {
        task_id: task_id.clone(),
        timeout_ms: timeout_ms.unwrap_or(DEFAULT_WAIT_MS),
    };
    let _open = OpenWait::begin(&call.app.metrics);
    tokio::select! {
        reply = call.ask(op) => task(reply?),
        // A registry that goes away answers its waiters as things stand, so that it need not wait for them.
        () = call.app.stopped() => task(call.ask(Op::GetTask(task_id)).await?),
    }
}

pub(super) async fn chunks(call: Call) -> Answer {
    let read: ChunksQuery = call.query()?;
    let task_id = task_id(&call)?;
    let op = Op::ReadChunks {
        task_id,
        read: read.clone(),
    };
    let _open = OpenWait::begin(&call.app.metrics);
    tokio::select! {
        reply = call.ask(op) => match reply? {
            Reply::Chunks(page) => Ok(json(&page)),
            other => Err(Failure::unexpected(&other)),
        },
        () = call.app.stopped() => Ok(json(&ChunkPage {
            attempt: read.attempt.unwrap_or(0),
            chunks: Vec::new(),
            next: read.taken.unwrap_or(0),
            ended: false,
        })),
    }
}

/// Counts one open `wait`, for as long as it lives.
struct OpenWait<'a>(&'a Metrics);

impl<'a> OpenWait<'a> {
    fn begin(metrics: &'a Metrics) -> Self {
        metrics.waits.fetch_add(1, Relaxed);
        Self(metrics)
    }
}

impl Drop for OpenWait<'_> {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Relaxed);
    }
}

pub(super) async fn list(call: Call) -> Answer {
    let page = page(&call).await?;
    Ok(json(&page))
}

pub(super) async fn list_array(call: Call) -> Answer {
    let page = page(&call).await?;
    let mut response = json(&page.tasks);
    if let Some(cursor) = page.next_cursor.and_then(|c| HeaderValue::try_from(c).ok()) {
        response.headers_mut().insert("x-next-cursor", cursor);
    }
    Ok(response)
}

async fn page(call: &Call) -> Result<TaskPage, Failure> {
    let query: TaskQuery = call.query()?;
    let limit = page_size(query.limit)?;
    if let Some(text) = &query.text
        && !(1..=MAX_SEARCH_BYTES).contains(&text.len())
    {
        let detail = format!("text: 1 to {MAX_SEARCH_BYTES} bytes");
        return Err(Failure::new(Code::BadField, detail));
    }
    let before = query.cursor.as_deref().map(parse_cursor).transpose()?;
    let page = call.app.reader.tasks(query, before, limit, true).await;
    let page = page.map_err(seamesh_proto::Problem::from)?;
    Ok(TaskPage {
        tasks: page.tasks.iter().map(StoredTask::view).collect(),
        next_cursor: page.next.map(|n| format!("n{n}")),
    })
}

fn page_size(asked: Option<usize>) -> Result<usize, Failure> {
    let limit = asked.unwrap_or(DEFAULT_PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit: {limit} is not within 1 to {MAX_PAGE}");
    Err(Failure::new(Code::BadField, detail))
}

pub(super) async fn history(call: Call) -> Answer {
    let query: HistoryQuery = call.query()?;
    let limit = page_size(query.limit)?;
    let id = task_id(&call)?;
    // One more than asked for tells whether there is a next page.
    let rows = call
        .app
        .reader
        .history(id.clone(), query.after.unwrap_or(0), limit + 1);
    let rows = rows.await.map_err(seamesh_proto::Problem::from)?;
    let mut rows =
        rows.ok_or_else(|| Failure::new(Code::TaskUnknown, format!("there is no task {id}")))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last().filter(|_| more) {
        Some(last) => format!(r#","next_after":{}"#, last.seq),
        None => String::new(),
    };
    // The records are JSON already: the answer is put together without parsing them.
    let records: Vec<&str> = rows.iter().map(|row| row.record.as_str()).collect();
    let text = format!(r#"{{"events":[{}]{next}}}"#, records.join(","));
    Ok(json_text(text.into_bytes()))
}

/// A cursor is opaque to clients; here it is the number of the last task of the page before.
fn parse_cursor(text: &str) -> Result<i64, Failure> {
    let number = text.strip_prefix('n').and_then(|n| n.parse().ok());
    number.filter(|n| *n > 0).ok_or_else(|| {
        Failure::new(
            Code::BadField,
            "cursor: not one that this list gave; begin again without it",
        )
    })
}

fn task_id(call: &Call) -> Result<TaskId, Failure> {
    call.id("task_id", Code::TaskUnknown)
}

fn task(reply: Reply) -> Answer {
    match reply {
        Reply::Task(task) => Ok(json::<Task>(&task)),
        other => Err(Failure::unexpected(&other)),
    }
}
