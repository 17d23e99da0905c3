//! Tasks as spans, in OTLP's JSON.
//!
//! A task is one span from its acceptance to its end, told by the agent that asked; each of its runs is a span below,
//! told by the agent that ran it. What a run's handler asked for stands below the run.

use std::collections::BTreeMap;

use seamesh_proto::task::{Path, Task, TaskState};
use seamesh_proto::{Code, TraceContext};
use serde_json::{Value, json};

/// Who asks when no agent does.
const OUTSIDE: &str = "seamesh";

/// Bytes of an error's text that go along: a trace is for finding a failure, the task holds all of it.
const MESSAGE_BYTES: usize = 512;

/// `SpanKind` of the protocol: a task is asked for (directly or through the queue), a run answers (the same).
const KINDS: [(Path, u8, u8); 2] = [(Path::Direct, 3, 2), (Path::Queue, 4, 5)];

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// A change of a task.
#[derive(Debug)]
pub(super) struct Moment {
    /// When, Unix milliseconds.
    pub(super) at_ms: u64,
    /// The task after it.
    pub(super) task: Task,
}

/// Spans, by who tells them.
#[derive(Debug, Default)]
pub(super) struct Traces {
    services: BTreeMap<String, Vec<Value>>,
}

/// One run of a task.
struct Run {
    attempt: u32,
    agent: String,
    start_ms: u64,
}

impl Traces {
    /// Whether whoever began the task's trace has it recorded.
    pub(super) fn wants(&self, task: &Task) -> bool {
        TraceContext::of_task(&task.id, &task.lineage).is_sampled()
    }

    /// Adds the spans of a task that ended; `moments` is its history, oldest first.
    pub(super) fn add(&mut self, task: &Task, moments: &[Moment]) {
        let own = TraceContext::of_task(&task.id, &task.lineage);
        let parent = task.lineage.traceparent.map(|above| above.span_id());
        let asker = match task.source_agent_id.as_str() {
            "" => OUTSIDE,
            agent => agent,
        };
        let (kind, _) = kinds(task.path);
        let span = span(
            own,
            parent,
            task,
            kind,
            ms(task.created_at),
            ms(task.updated_at),
        );
        let failed = task
            .error_code
            .map(|code| (code.as_str(), task.error.as_str()));
        self.tell(asker, ended(span, failed));

        let mut open: Option<Run> = None;
        for moment in moments {
            let now = &moment.task;
            if open.as_ref().is_some_and(|run| !runs(now, run)) {
                // Its lease lapsed or it was handed back: the next attempt is another run.
                let given_up = Some((Code::LeaseStale.as_str(), "this attempt was given up"));
                self.end(task, open.take(), moment.at_ms, given_up);
            }
            if open.is_none() && now.attempt > 0 && now.state != TaskState::Pending {
                open = Some(Run {
                    attempt: now.attempt,
                    agent: now.assigned_agent_id.clone(),
                    start_ms: now.started_at.map_or(moment.at_ms, ms),
                });
            }
        }
        // What was never handed out has none.
        self.end(task, open, ms(task.updated_at), failed);
    }

    fn end(&mut self, task: &Task, run: Option<Run>, end_ms: u64, failed: Option<(&str, &str)>) {
        let Some(run) = run.filter(|run| !run.agent.is_empty()) else {
            return;
        };
        let own = TraceContext::of_run(&task.id, run.attempt, &task.lineage);
        let parent = TraceContext::of_task(&task.id, &task.lineage).span_id();
        let (_, kind) = kinds(task.path);
        let mut span = span(own, Some(parent), task, kind, run.start_ms, end_ms);
        let attempt =
            json!({ "key": "seamesh.attempt", "value": { "intValue": run.attempt.to_string() } });
        if let Some(attributes) = span["attributes"].as_array_mut() {
            attributes.push(attempt);
        }
        self.tell(&run.agent, ended(span, failed));
    }

    fn tell(&mut self, service: &str, span: Value) {
        self.services
            .entry(service.to_owned())
            .or_default()
            .push(span);
    }

    /// Spans in it.
    pub(super) fn len(&self) -> usize {
        self.services.values().map(Vec::len).sum()
    }

    /// An `ExportTraceServiceRequest`; `None` when there is nothing to tell.
    pub(super) fn body(&self) -> Option<Vec<u8>> {
        if self.services.is_empty() {
            return None;
        }
        let scope = json!({ "name": "seamesh", "version": env!("CARGO_PKG_VERSION") });
        let services = self.services.iter().map(|(name, spans)| {
            json!({
                "resource": { "attributes": [text("service.name", name), text("service.namespace", "seamesh")] },
                "scopeSpans": [{ "scope": scope, "spans": spans }],
            })
        });
        let request = json!({ "resourceSpans": services.collect::<Vec<_>>() });
        Some(request.to_string().into_bytes())
    }
}

/// Whether the task, as it is now, is in this run or came to its end in it.
fn runs(now: &Task, run: &Run) -> bool {
    now.attempt == run.attempt && now.state != TaskState::Pending
}

fn kinds(path: Path) -> (u8, u8) {
    let kinds = KINDS.iter().find(|(of, ..)| *of == path);
    kinds.map_or((1, 1), |(_, asks, answers)| (*asks, *answers))
}

fn span(
    own: TraceContext,
    parent: Option<String>,
    task: &Task,
    kind: u8,
    start_ms: u64,
    end_ms: u64,
) -> Value {
    let path = match task.path {
        Path::Direct => "direct",
        Path::Queue => "queue",
    };
    let mut span = json!({
        "traceId": own.trace_id(),
        "spanId": own.span_id(),
        "name": task.skill,
        "kind": kind,
        "startTimeUnixNano": nanos(start_ms),
        "endTimeUnixNano": nanos(end_ms.max(start_ms)),
        "attributes": [
            text("seamesh.task.id", task.id.as_str()),
            text("seamesh.skill", &task.skill),
            text("seamesh.path", path),
            text("seamesh.state", task.state.as_str()),
            text("seamesh.source", &task.source_agent_id),
            text("seamesh.agent", &task.assigned_agent_id),
        ],
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = Value::String(parent);
    }
    span
}

/// The span with the error that ended it, if one did.
fn ended(mut span: Value, failed: Option<(&str, &str)>) -> Value {
    if let Some((code, message)) = failed {
        let end = message.floor_char_boundary(MESSAGE_BYTES);
        span["status"] = json!({ "code": ERROR, "message": &message[..end] });
        if let Some(attributes) = span["attributes"].as_array_mut() {
            attributes.push(text("error.type", code));
        }
    }
    span
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Unix seconds as milliseconds; the wire's are whole ones.
fn ms(seconds: f64) -> u64 {
    // Times are positive and far below 2^53 milliseconds.
    (seconds * 1000.0).round() as u64
}

/// The protocol writes 64-bit numbers as text.
fn nanos(ms: u64) -> String {
    ms.saturating_mul(1_000_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(state: &str, attempt: u32, agent: &str) -> Task {
        serde_json::from_value(json!({
            "id": "0192f0c1-2d3e-7f40-8a5b-6c7d8e9fa0b1", "skill": "plan", "target_agent_id": "",
            "source_agent_id": "editor", "assigned_agent_id": agent, "state": state, "created_at": 1000.0,
            "updated_at": 1009.5, "ttl": 300, "attempt": attempt, "path": "queue",
        }))
        .unwrap()
    }

    fn moment(at_ms: u64, state: &str, attempt: u32, agent: &str) -> Moment {
        let mut task = task(state, attempt, agent);
        task.started_at = (attempt > 0).then_some(at_ms as f64 / 1000.0);
        Moment { at_ms, task }
    }

    fn told(traces: &Traces) -> Value {
        serde_json::from_slice(&traces.body().unwrap()).unwrap()
    }

    #[test]
    fn every_attempt_is_a_span_of_the_agent_that_ran_it_below_the_tasks_own() {
        let mut traces = Traces::default();
        let moments = [
            moment(1_000_000, "pending", 0, ""),
            moment(1_001_000, "assigned", 1, "slow"),
            moment(1_004_000, "pending", 1, "slow"),
            moment(1_005_000, "assigned", 2, "quick"),
            moment(1_006_000, "input_required", 2, "quick"),
            moment(1_009_500, "completed", 2, "quick"),
        ];
        traces.add(&task("completed", 2, "quick"), &moments);
        assert_eq!(traces.len(), 3);
        let told = told(&traces);
        let one = |service: &str| {
            let all = told["resourceSpans"].as_array().unwrap();
            let name = &json!(service);
            let found = all
                .iter()
                .find(|r| r["resource"]["attributes"][0]["value"]["stringValue"] == *name);
            let spans = found.unwrap()["scopeSpans"][0]["spans"].as_array().unwrap();
            assert_eq!(spans.len(), 1, "{service}");
            spans[0].clone()
        };
        let (own, slow, quick) = (one("editor"), one("slow"), one("quick"));
        assert_eq!(own["traceId"], "0192f0c12d3e7f408a5b6c7d8e9fa0b1");
        assert_eq!(own.get("parentSpanId"), None);
        assert_eq!(own["startTimeUnixNano"], "1000000000000");
        assert_eq!(own["endTimeUnixNano"], "1009500000000");
        for run in [&slow, &quick] {
            assert_eq!(run["parentSpanId"], own["spanId"]);
            assert_eq!(run["traceId"], own["traceId"]);
        }
        assert_eq!(slow["endTimeUnixNano"], "1004000000000");
        assert_eq!(slow["status"]["code"], ERROR);
        assert_eq!(quick["startTimeUnixNano"], "1005000000000");
        assert_eq!(quick["endTimeUnixNano"], "1009500000000");
        assert_eq!(quick.get("status"), None);
    }

    #[test]
    fn a_task_that_nobody_ran_is_one_span_with_its_error() {
        let mut ended = task("failed", 0, "");
        ended.error_code = Some(Code::Expired);
        ended.error = "é".repeat(MESSAGE_BYTES);
        ended.source_agent_id.clear();
        let mut traces = Traces::default();
        traces.add(&ended, &[moment(1_000_000, "pending", 0, "")]);
        assert_eq!(traces.len(), 1);
        let told = told(&traces);
        let span = &told["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        let service = &told["resourceSpans"][0]["resource"]["attributes"][0];
        assert_eq!(service["value"]["stringValue"], OUTSIDE);
        assert_eq!(
            span["status"]["message"].as_str().unwrap().len(),
            MESSAGE_BYTES
        );
        let attributes = span["attributes"].as_array().unwrap();
        assert!(attributes.contains(&text("error.type", "expired")));
    }

    #[test]
    fn a_trace_that_its_beginner_does_not_record_is_not_wanted() {
        let mut quiet = task("completed", 1, "quick");
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        quiet.lineage.traceparent = Some(given.parse().unwrap());
        assert!(!Traces::default().wants(&quiet));
        assert!(Traces::default().wants(&task("completed", 1, "quick")));
    }
}
