//! Work over REST: the seam the classic bug lived on, from the registry's side.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Registry, ok, refused, soon};

async fn beat(registry: &Registry, key: &str, agent: &str) -> Vec<Value> {
    let body = json!({"agent_id": agent, "skill_names": ["search"], "hostname": "h"});
    let answer = registry.post("/api/hub/heartbeat", key, body).await;
    assert_eq!(answer["status"], "ok");
    answer["pending_tasks"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_heartbeat_is_answered_with_pending_tasks_and_their_result_reaches_who_waits() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    assert!(beat(&registry, &key, "a1").await.is_empty());
    let body = json!({"skill": "search", "payload": {"q": "x"}});
    let submitted = registry.post("/api/hub/tasks", &registry.admin, body).await;
    let path = format!("/api/hub/tasks/{}", submitted["task_id"].as_str().unwrap());

    let handed = beat(&registry, &key, "a1").await;
    assert_eq!(handed.len(), 1);
    assert_eq!(handed[0]["id"], submitted["task_id"]);
    assert_eq!(handed[0]["payload"], json!({"q": "x"}));
    assert!(
        beat(&registry, &key, "a1").await.is_empty(),
        "handed out once"
    );

    let wait = registry.request(Method::GET, &format!("{path}/wait"), &registry.admin);
    let waiting = tokio::spawn(ok(wait));
    let update = json!({"state": "completed", "result": "found"});
    registry.post(&path, &key, update.clone()).await;
    let ended = soon("the wait ends", waiting).await.unwrap();
    assert_eq!(
        (&ended["state"], &ended["result"]),
        (&json!("completed"), &json!("found"))
    );
    assert_eq!(ended["assigned_agent_id"], "a1");
    // Once more, read from the store: it left the memory when it ended.
    assert_eq!(registry.get(&path, &registry.admin).await, ended);
    let late = json!({"state": "failed", "error": "late"});
    let (status, _) = refused(registry.request(Method::POST, &path, &key).json(&late)).await;
    assert_eq!(status, 409, "a terminal state never changes");
}

#[tokio::test]
async fn an_agent_cannot_take_or_end_the_work_of_another() {
    let registry = Registry::start().await;
    let (one, two) = (
        registry.key("p1", "agent").await,
        registry.key("p2", "agent").await,
    );
    beat(&registry, &one, "a1").await;
    beat(&registry, &two, "a2").await;
    let body = json!({"skill": "search", "target_agent_id": "a1"});
    let submitted = registry.post("/api/hub/tasks", &registry.admin, body).await;
    assert!(
        beat(&registry, &two, "a2").await.is_empty(),
        "a target is a target"
    );
    let as_a1 = json!({"agent_id": "a1"});
    let stolen = registry
        .request(Method::POST, "/api/hub/heartbeat", &two)
        .json(&as_a1);
    assert_eq!(refused(stolen).await, (403, "forbidden".into()));
    assert_eq!(beat(&registry, &one, "a1").await.len(), 1);
    let path = format!("/api/hub/tasks/{}", submitted["task_id"].as_str().unwrap());
    let update = json!({"state": "completed", "result": "mine"});
    let (status, _) = refused(registry.request(Method::POST, &path, &two).json(&update)).await;
    assert!(matches!(status, 403 | 409), "{status}");
    assert_eq!(
        registry.get(&path, &registry.admin).await["state"],
        "assigned"
    );
}

#[tokio::test]
async fn both_lists_give_the_same_pages() {
    let registry = Registry::start().await;
    for n in 0..5 {
        registry
            .post(
                "/api/hub/tasks",
                &registry.admin,
                json!({"skill": format!("s{n}")}),
            )
            .await;
    }
    let mut cursor = String::new();
    let mut skills = Vec::new();
    loop {
        let query = format!("limit=2{cursor}");
        let page = registry
            .get(&format!("/api/hub/tasks?{query}"), &registry.admin)
            .await;
        let path = format!("/api/hub/tasks/all?{query}");
        let array = registry
            .request(Method::GET, &path, &registry.admin)
            .send()
            .await
            .unwrap();
        let header = array
            .headers()
            .get("x-next-cursor")
            .map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(page["next_cursor"].as_str(), header.as_deref());
        assert_eq!(array.json::<Value>().await.unwrap(), page["tasks"]);
        let tasks = page["tasks"].as_array().unwrap();
        skills.extend(
            tasks
                .iter()
                .map(|t| t["skill"].as_str().unwrap().to_owned()),
        );
        match header {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(skills, ["s4", "s3", "s2", "s1", "s0"]);
}

#[tokio::test]
async fn a_cursor_goes_on_where_it_stood_whatever_comes_meanwhile_and_filters_hold_on_every_page() {
    let registry = Registry::start().await;
    let submit = async |n: u32, skill: &str| {
        let body = json!({"task_id": format!("t{n}"), "skill": skill, "parent_id": "r", "target_agent_id": "bob"});
        registry.post("/api/hub/tasks", &registry.admin, body).await
    };
    for n in 0..6 {
        submit(n, if n % 2 == 0 { "even" } else { "odd" }).await;
    }
    let filter = "skill=even&state=pending&root=r&limit=1";
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for n in 6.. {
        let path = format!("/api/hub/tasks?{filter}{cursor}");
        let page = registry.get(&path, &registry.admin).await;
        for task in page["tasks"].as_array().unwrap() {
            seen.push(task["id"].as_str().unwrap().to_owned());
        }
        submit(n, "even").await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["t4", "t2", "t0"], "each once, and nothing newer");
}

#[tokio::test]
async fn the_old_client_finds_its_answers_where_they_were() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let agent = json!({"agent_id": "a1", "hostname": "h", "capabilities": {"skills": ["search"]}, "sidecar_peer_id": "a1-sidecar"});
    let answer = registry.post("/api/registry/agents", &key, agent).await;
    assert_eq!(answer, json!({"status": "ok"}));
    let found = registry.get("/api/registry/route?skill=search", &key).await;
    assert_eq!(
        (&found["agent_id"], &found["health"]),
        (&json!("a1"), &json!("active"))
    );
    assert_eq!(
        found["sidecar_peer_id"], "p1",
        "not the guess: the credential's own peer"
    );
    let listed = registry.get("/api/registry/agents", &key).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let submitted = registry.post("/api/hub/tasks", &key, json!({})).await;
    let path = format!("/api/hub/tasks/{}", submitted["task_id"].as_str().unwrap());
    let task = registry.get(&path, &key).await;
    assert_eq!((&task["result"], &task["error"]), (&json!(""), &json!("")));
    assert_eq!(
        (&task["state"], &task["payload"]),
        (&json!("pending"), &json!({}))
    );
    ok(registry.request(Method::DELETE, "/api/registry/agents/a1", &key)).await;
    assert_eq!(registry.get("/api/registry/agents", &key).await, json!([]));
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    beat(&registry, &key, "a1").await;
    registry
        .post("/api/hub/tasks", &registry.admin, json!({"skill": "none"}))
        .await;
    let request = registry.request(Method::GET, "/metrics", &registry.admin);
    let text = request.send().await.unwrap().text().await.unwrap();
    for line in [
        r#"seamesh_tasks{state="pending"} 1"#,
        r#"seamesh_tasks{state="completed"} 0"#,
        r#"seamesh_agents{health="active"} 1"#,
        r#"seamesh_http_requests_total{operation="submit_task",status="2xx"} 1"#,
        "seamesh_signaling_sockets 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
    }
    let fsyncs = text
        .lines()
        .find_map(|l| l.strip_prefix("seamesh_store_fsyncs_total "));
    assert!(fsyncs.unwrap().parse::<u64>().unwrap() >= 3);
}

#[tokio::test]
async fn a_traceparent_comes_in_a_header_or_in_the_body_and_one_that_is_none_begins_a_new_trace() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let field = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let submit = |body: Value, header: &str| {
        registry
            .request(Method::POST, "/api/hub/tasks", &registry.admin)
            .header("traceparent", header.to_owned())
            .json(&body)
    };
    for (body, given, kept) in [
        (json!({"skill": "search"}), header, json!(header)),
        (
            json!({"skill": "search", "traceparent": field}),
            header,
            json!(field),
        ),
        (json!({"skill": "search"}), "00-none", Value::Null),
    ] {
        let submitted = ok(submit(body, given)).await;
        let path = format!("/api/hub/tasks/{}", submitted["task_id"].as_str().unwrap());
        let task = registry.get(&path, &registry.admin).await;
        assert_eq!(task["traceparent"], kept, "{given}");
        // Whoever runs it gets the span of the run, in the same trace.
        let handed = beat(&registry, &key, "a1").await;
        let run = handed[0]["run_traceparent"].as_str().unwrap();
        let trace = kept.as_str().map_or_else(
            || submitted["task_id"].as_str().unwrap().replace('-', ""),
            |kept| kept[3..35].to_owned(),
        );
        assert_eq!(run[3..35], trace);
        let done = json!({"state": "completed", "result": ""});
        registry.post(&path, &key, done).await;
    }
    let bad = json!({"skill": "search", "traceparent": "00-none"});
    let refusal = refused(submit(bad, header)).await;
    assert_eq!(refusal, (422, "bad_field".into()));
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_or_that_is_none_is_refused_with_its_reason() {
    let registry = Registry::start().await;
    let body = json!({"skill": "search"});
    let submitted = registry.post("/api/hub/tasks", &registry.admin, body).await;
    let id = submitted["task_id"].as_str().unwrap();
    let answer = |id: &str, body: &Value| {
        let path = format!("/api/hub/tasks/{id}/input");
        registry
            .request(Method::POST, &path, &registry.admin)
            .json(body)
    };
    let good = json!({"number": 1, "value": "yes"});
    for (task, body, refusal) in [
        (id, good.clone(), (409, "task_state")),
        ("unknown", good, (404, "task_unknown")),
        (id, json!({"number": "one", "value": 1}), (422, "bad_field")),
        (id, json!({"value": 1}), (422, "bad_field")),
        (id, json!([]), (422, "bad_field")),
    ] {
        let (status, code) = refused(answer(task, &body)).await;
        assert_eq!((status, code.as_str()), refusal, "{body}");
    }
}

#[tokio::test]
async fn tasks_are_found_by_a_text_they_hold_and_by_when_they_were_accepted() {
    let registry = Registry::start().await;
    let submit = async |skill: &str| {
        let answer = registry
            .post("/api/hub/tasks", &registry.admin, json!({ "skill": skill }))
            .await;
        answer["task_id"].as_str().unwrap().to_owned()
    };
    let found = async |query: &str| {
        let page = registry
            .get(&format!("/api/hub/tasks?{query}"), &registry.admin)
            .await;
        let tasks = page["tasks"].as_array().unwrap().iter();
        tasks
            .map(|task| task["skill"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = submit("Translate").await;
    submit("summarize").await;
    assert_eq!(found("text=transLATE").await, ["Translate"]);
    assert_eq!(found(&format!("text={first}")).await, ["Translate"]);
    assert_eq!(found("text=100%25").await, [""; 0]);

    let task = registry
        .get(&format!("/api/hub/tasks/{first}"), &registry.admin)
        .await;
    let at_ms = (task["created_at"].as_f64().unwrap() * 1000.0).round() as u64;
    let of_first = format!("since_ms={at_ms}&until_ms={}&text=translate", at_ms + 1);
    assert_eq!(found(&of_first).await, ["Translate"]);
    assert_eq!(found(&format!("until_ms={at_ms}")).await, [""; 0]);
    assert_eq!(found(&format!("since_ms={at_ms}")).await.len(), 2);
}
