//! The event stream: server-sent events (WHATWG HTML, section 9.2), read from the store at the watcher's own pace.
//!
//! A watcher holds no queue here: it reads the next page of the table when its socket takes more, and is woken when
//! something was committed. However slow it is, it costs one page of memory.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::rest::EventsQuery;
use seamesh_proto::{Code, Problem, TaskId, seam};
use tokio::sync::watch;
use tokio::time::timeout;

use super::call::{Answer, Call};
use super::problem::Failure;
use crate::app::App;
use crate::auth::{self, Principal};
use crate::store::{EVENTS_KEPT, EventRow, Progress};

/// Events read at a time: a few hundred kilobytes at most.
const PAGE: usize = 256;

/// Milliseconds between two comments on a quiet stream: proxies cut what is silent for a minute.
const KEEP_ALIVE_MS: u64 = 15_000;

/// The first words of every stream: they open it, and tell browsers to come back after a second.
const OPENING: &[u8] = b"retry: 1000\n\n";

pub(super) async fn stream(call: Call) -> Answer {
    let query: EventsQuery = call.query()?;
    let after = after(&call, &query).await?;
    if let Some(task) = &query.task {
        let known = call.app.reader.history(task.clone(), after, 1).await;
        if known.map_err(Problem::from)?.is_none() {
            let detail = format!("there is no task {task}");
            return Err(Failure::new(Code::TaskUnknown, detail));
        }
    }
    let watcher = Watcher {
        progress: call.app.writer.progress(),
        revoked: call.app.revoked.subscribe(),
        principal: call.principal()?.clone(),
        caller: call.caller(),
        app: call.app,
        after,
        seen: after,
        task: query.task,
        opened: false,
    };
    let pieces = stream::unfold(watcher, |mut watcher| async move {
        let piece = watcher.next().await?;
        Some((Ok::<_, Infallible>(piece), watcher))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    // Proxies of the nginx kind would collect the stream otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The number to begin after: `Last-Event-ID`, which a browser sends when it comes back; `?after=`; else the present.
async fn after(call: &Call, query: &EventsQuery) -> Result<u64, Failure> {
    let resumed = match call.header("last-event-id") {
        Some(text) => Some(text.trim().parse().map_err(|_| {
            Failure::new(Code::BadField, "last-event-id: not a number of this stream")
        })?),
        None => query.after,
    };
    let bounds = call.app.reader.event_bounds().await;
    let (first, last) = bounds.map_err(Problem::from)?.unwrap_or((1, 0));
    match resumed {
        None => Ok(last),
        // The history of one task is told as far as it is kept.
        Some(0) if query.task.is_some() => Ok(0),
        Some(after) if after.saturating_add(1) < first || after > last => {
            let detail = format!(
                "event {after} is not among the last {EVENTS_KEPT}, which are kept; load /api/hub/state and begin at \
                 its seq"
            );
            Err(Failure::new(Code::EventsGone, detail))
        }
        Some(after) => Ok(after),
    }
}

struct Watcher {
    app: Arc<App>,
    principal: Principal,
    caller: Option<Party>,
    progress: watch::Receiver<Progress>,
    revoked: watch::Receiver<u64>,
    after: u64,
    /// Everything up to this number was looked at.
    seen: u64,
    /// Only what happens to this task.
    task: Option<TaskId>,
    opened: bool,
}

impl Watcher {
    /// The next piece of the stream; `None` ends it.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.opened {
            self.opened = true;
            return Some(Bytes::from_static(OPENING));
        }
        loop {
            if !auth::is_alive(&self.app, &self.principal) || *self.app.stopping.borrow() {
                return None;
            }
            // Behind the last commit there is something to read.
            let last = self.progress.borrow().last_seq;
            if last > self.seen {
                let rows = self.read().await?;
                if self.task.is_none() {
                    return self.page(&rows);
                }
                if rows.is_empty() {
                    self.seen = last;
                } else {
                    return Some(self.text(&rows));
                }
            }
            let quiet = timeout(Duration::from_millis(KEEP_ALIVE_MS), self.woken()).await;
            if quiet.is_err() {
                return Some(Bytes::from_static(b": keep-alive\n\n"));
            }
        }
    }

    /// Waits for a commit, a revocation or the registry's end.
    async fn woken(&mut self) {
        let seen = self.seen;
        tokio::select! {
            _ = self.progress.wait_for(|p| p.last_seq > seen) => {}
            _ = self.revoked.changed() => {}
            () = self.app.stopped() => {}
        }
    }

    async fn read(&self) -> Option<Vec<EventRow>> {
        let reader = &self.app.reader;
        match self.task.clone() {
            None => reader.events_after(self.after, PAGE).await.ok(),
            // A task that retention took away meanwhile has nothing more to tell.
            Some(task) => reader.history(task, self.after, PAGE).await.ok()?,
        }
    }

    /// Events as text. A gap means that the table was pruned under a watcher that is too slow: the stream ends, and
    /// coming back is answered with `events_gone`.
    fn page(&mut self, rows: &[EventRow]) -> Option<Bytes> {
        if rows.first()?.seq != self.after + 1 {
            return None;
        }
        Some(self.text(rows))
    }

    fn text(&mut self, rows: &[EventRow]) -> Bytes {
        let mut text = String::new();
        for row in rows {
            self.after = row.seq;
            if !is_said(&row.record, self.caller) {
                continue;
            }
            // Writing to a String cannot fail. The record is one line: JSON escapes line ends.
            let _ = write!(text, "id: {}\ndata: {}\n\n", row.seq, row.record);
        }
        self.seen = self.seen.max(self.after);
        text.into()
    }
}

/// Whether an event is to be told: always, but for a planted fault.
fn is_said(record: &str, caller: Option<Party>) -> bool {
    #[derive(serde::Deserialize)]
    struct Peek<'a> {
        #[serde(borrow)]
        event: &'a serde_json::value::RawValue,
    }
    if !seam::is_on() || caller.is_none() {
        return true;
    }
    let event = serde_json::from_str::<Peek<'_>>(record);
    let kind = event
        .ok()
        .and_then(|p| seam::kind_of(p.event.get().as_bytes()));
    let kind = kind.unwrap_or_default();
    seam::said(Channel::EventStream, &kind, Party::Registry, caller) > 0
}
