//! What a submission may ask for, and what a task's history tells, over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Registry, refused};

async fn submit(registry: &Registry, body: Value) -> String {
    let answer = registry.post("/api/hub/tasks", &registry.admin, body).await;
    let id = answer["task_id"].as_str().unwrap();
    format!("/api/hub/tasks/{id}")
}

async fn beat(registry: &Registry, key: &str) -> Vec<Value> {
    let body = json!({"agent_id": "a1", "skill_names": ["search"], "hostname": "h"});
    let answer = registry.post("/api/hub/heartbeat", key, body).await;
    answer["pending_tasks"].as_array().unwrap().clone()
}

#[tokio::test]
async fn options_are_shown_and_a_delayed_task_is_not_handed_out() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let options =
        json!({"skill": "search", "priority": 7, "not_before_ms": 60_000, "deadline_ms": 120_000});
    let later = submit(&registry, options).await;
    let urgent = json!({"skill": "search", "priority": 100});
    submit(&registry, json!({"skill": "search"})).await;
    let urgent = submit(&registry, urgent).await;
    let task = registry.get(&later, &registry.admin).await;
    assert_eq!(task["priority"], 7);
    let at = |field: &str| task[field].as_f64().unwrap() - task["created_at"].as_f64().unwrap();
    assert!((at("not_before_at") - 60.0).abs() < 0.01, "{task}");
    assert!((at("deadline_at") - 120.0).abs() < 0.01, "{task}");
    let handed = beat(&registry, &key).await;
    assert_eq!(handed.len(), 2, "the delayed one stays");
    assert!(urgent.ends_with(handed[0]["id"].as_str().unwrap()));
    assert_eq!(handed[1]["priority"], 0);
}

#[tokio::test]
async fn options_out_of_range_are_refused_by_code() {
    let registry = Registry::start().await;
    for options in [
        json!({"priority": 101}),
        json!({"priority": -101}),
        json!({"priority": 1.5}),
        json!({"priority": "high"}),
        json!({"deadline_ms": 0}),
        json!({"deadline_ms": -5}),
        json!({"deadline_ms": 2_592_000_001_u64}),
        json!({"not_before_ms": -1}),
        json!({"not_before_ms": 300_000, "ttl": 300}),
        json!({"idempotency_key": ""}),
        json!({"idempotency_key": "k".repeat(129)}),
        json!({"idempotency_key": 5}),
    ] {
        let request = registry.request(Method::POST, "/api/hub/tasks", &registry.admin);
        let answer = refused(request.json(&options)).await;
        assert_eq!(answer, (422, "bad_field".to_owned()), "{options}");
    }
}

#[tokio::test]
async fn submissions_at_once_under_one_key_are_one_task_and_other_content_is_a_conflict() {
    let registry = Registry::start().await;
    let body =
        |n: u32| json!({"skill": "search", "payload": {"n": n}, "idempotency_key": "order 1"});
    let many = (0..20).map(|_| submit(&registry, body(1)));
    let mut ids = futures_util::future::join_all(many).await;
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let request = registry.request(Method::POST, "/api/hub/tasks", &registry.admin);
    let other = refused(request.json(&body(2))).await;
    assert_eq!(other, (409, "conflict".to_owned()));
    let page = registry.get("/api/hub/tasks", &registry.admin).await;
    assert_eq!(page["tasks"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_history_tells_every_change_and_every_stale_result_in_order_and_in_pages() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let task = submit(&registry, json!({"skill": "search"})).await;
    submit(&registry, json!({"skill": "other"})).await;
    beat(&registry, &key).await;
    let late = json!({"state": "failed", "error": "late", "lease": 9});
    let request = registry.request(Method::POST, &task, &key).json(&late);
    assert_eq!(refused(request).await, (409, "lease_stale".to_owned()));
    registry
        .post(&task, &key, json!({"state": "completed", "lease": 1}))
        .await;

    let path = format!("{task}/history");
    let whole = registry.get(&path, &registry.admin).await;
    let told = |event: &Value| match event["event"]["type"].as_str() {
        Some("task_changed") => event["event"]["payload"]["state"]
            .as_str()
            .map(str::to_owned),
        Some("stale_result") => {
            let stale = &event["event"]["payload"];
            assert_eq!(stale["peer_id"], "p1");
            Some(format!("stale {}", stale["lease"]))
        }
        other => panic!("{other:?}"),
    };
    let events = whole["events"].as_array().unwrap();
    let story: Vec<_> = events.iter().filter_map(told).collect();
    assert_eq!(story, ["pending", "assigned", "stale 9", "completed"]);
    assert_eq!(whole.get("next_after"), None);

    let mut paged = Vec::new();
    let mut next = format!("{path}?limit=3");
    loop {
        let page = registry.get(&next, &key).await;
        paged.extend(page["events"].as_array().unwrap().clone());
        let Some(after) = page["next_after"].as_u64() else {
            break;
        };
        next = format!("{path}?limit=3&after={after}");
    }
    assert_eq!(&paged, events);
}

#[tokio::test]
async fn a_history_is_asked_for_well_and_of_a_task_that_is() {
    let registry = Registry::start().await;
    let task = submit(&registry, json!({"skill": "search"})).await;
    for (path, answer) in [
        (
            "/api/hub/tasks/never/history".to_owned(),
            (404, "task_unknown"),
        ),
        (format!("{task}/history?limit=0"), (422, "bad_field")),
        (format!("{task}/history?limit=1001"), (422, "bad_field")),
        (format!("{task}/history?after=-1"), (422, "bad_field")),
    ] {
        let request = registry.request(Method::GET, &path, &registry.admin);
        let (status, code) = refused(request).await;
        assert_eq!((status, code.as_str()), answer, "{path}");
    }
    let request = registry.bare(Method::GET, &format!("{task}/history"));
    assert_eq!(refused(request).await.0, 401);
}
