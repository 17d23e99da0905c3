//! The event stream: numbered, resumable, complete.

use futures_util::StreamExt as _;
use reqwest::Method;
use seamesh_proto::events::{EventRecord, MeshEvent};
use seamesh_proto::task::TaskState;
use serde_json::json;

use crate::fixture::{Registry, refused, soon};

/// A watcher of the stream.
struct Watch {
    response: reqwest::Response,
    text: String,
}

impl Watch {
    async fn after(registry: &Registry, after: u64) -> Self {
        let path = format!("/api/events?after={after}");
        Self::open(registry.request(Method::GET, &path, &registry.admin)).await
    }

    async fn open(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let text = String::new();
        Self { response, text }
    }

    /// The next event, checked: its `id` is its number.
    async fn next(&mut self) -> EventRecord {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(record) = parse(&block) {
                    return record;
                }
            } else {
                let piece = soon("a piece of the stream", self.response.chunk()).await;
                let piece = piece.unwrap().expect("the stream goes on");
                self.text.push_str(std::str::from_utf8(&piece).unwrap());
            }
        }
    }
}

fn parse(block: &str) -> Option<EventRecord> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let record: EventRecord = serde_json::from_str(field("data: ")?).unwrap();
    assert_eq!(field("id: "), Some(record.seq.to_string().as_str()));
    Some(record)
}

async fn submit(registry: &Registry, skill: &str) -> String {
    let task = registry
        .post("/api/hub/tasks", &registry.admin, json!({"skill": skill}))
        .await;
    task["task_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_watcher_is_told_what_happens_without_payloads() {
    let registry = Registry::start().await;
    let request = registry.request(Method::GET, "/api/events", &registry.admin);
    let mut watch = Watch::open(request).await;
    let body = json!({"skill": "s", "payload": {"secret": "of the user"}});
    let task = registry.post("/api/hub/tasks", &registry.admin, body).await;
    let record = watch.next().await;
    let MeshEvent::TaskChanged(changed) = record.event else {
        panic!("{record:?}");
    };
    assert_eq!(
        (changed.id.as_str(), changed.state),
        (task["task_id"].as_str().unwrap(), TaskState::Pending)
    );
    assert!(changed.payload.is_empty());
}

#[tokio::test]
async fn resuming_anywhere_under_concurrent_commits_misses_nothing_and_repeats_nothing() {
    const TASKS: usize = 300;
    let registry = Registry::start().await;
    let submits = async {
        let submits =
            (0..TASKS).map(|n| submit(&registry, if n % 2 == 0 { "even" } else { "odd" }));
        let ids: Vec<String> = futures_util::stream::iter(submits)
            .buffer_unordered(16)
            .collect()
            .await;
        ids
    };
    let watching = async {
        let mut seen = Vec::new();
        let mut after = 0;
        while seen.len() < TASKS {
            // A watcher that is cut after each few events, and comes back with the number it saw last.
            let mut watch = Watch::after(&registry, after).await;
            for _ in 0..(seen.len() % 7 + 1).min(TASKS - seen.len()) {
                let record = watch.next().await;
                assert_eq!(record.seq, after + 1, "no gap, no repetition");
                after = record.seq;
                if let MeshEvent::TaskChanged(task) = record.event {
                    seen.push(task.id.to_string());
                }
            }
        }
        seen
    };
    let (mut submitted, mut seen) = tokio::join!(submits, watching);
    submitted.sort();
    seen.sort();
    assert_eq!(submitted, seen);
}

#[tokio::test]
async fn the_last_event_id_counts_more_than_the_address_that_was_opened_first() {
    let registry = Registry::start().await;
    for skill in ["one", "two", "three"] {
        submit(&registry, skill).await;
    }
    let request = registry.request(Method::GET, "/api/events?after=0", &registry.admin);
    let mut watch = Watch::open(request.header("last-event-id", "2")).await;
    assert_eq!(watch.next().await.seq, 3);
}

#[tokio::test]
async fn a_number_that_is_not_kept_is_told_as_gone() {
    let registry = Registry::start().await;
    submit(&registry, "x").await;
    for path in [
        "/api/events?after=99",
        "/api/events?after=18446744073709551615",
    ] {
        let answer = refused(registry.request(Method::GET, path, &registry.admin)).await;
        assert_eq!(answer, (410, "events_gone".into()), "{path}");
    }
    let odd = registry.request(Method::GET, "/api/events", &registry.admin);
    assert_eq!(
        refused(odd.header("last-event-id", "x")).await,
        (422, "bad_field".into())
    );
}

#[tokio::test]
async fn the_hubs_state_and_the_stream_after_its_number_fit_together() {
    let registry = Registry::start().await;
    let first = submit(&registry, "before").await;
    let state = registry.get("/api/hub/state", &registry.admin).await;
    assert_eq!(state["tasks"][0]["id"], first.as_str());
    let mut watch = Watch::after(&registry, state["seq"].as_u64().unwrap()).await;
    let second = submit(&registry, "after").await;
    let record = watch.next().await;
    assert!(
        matches!(&record.event, MeshEvent::TaskChanged(t) if t.id.as_str() == second),
        "{record:?}"
    );
}

#[tokio::test]
async fn a_watcher_of_one_task_is_told_its_history_and_what_happens_to_it_and_nothing_else() {
    let registry = Registry::start().await;
    let mine = submit(&registry, "mine").await;
    submit(&registry, "other").await;
    let path = format!("/api/events?after=0&task={mine}");
    let mut watch = Watch::open(registry.request(Method::GET, &path, &registry.admin)).await;
    let state = |record: EventRecord| match record.event {
        MeshEvent::TaskChanged(task) => (task.id.to_string(), task.state),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        state(watch.next().await),
        (mine.clone(), TaskState::Pending)
    );
    submit(&registry, "other").await;
    let cancel = format!("/api/hub/tasks/{mine}/cancel");
    registry.post(&cancel, &registry.admin, json!({})).await;
    assert_eq!(state(watch.next().await), (mine, TaskState::Canceled));
    let unknown = registry.request(Method::GET, "/api/events?task=nobody", &registry.admin);
    assert_eq!(refused(unknown).await, (404, "task_unknown".to_owned()));
}
