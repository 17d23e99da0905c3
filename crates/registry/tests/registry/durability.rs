//! What was answered is on disk; what cannot be written is refused, and the registry lives on.

use reqwest::Method;
use seamesh_proto::signaling::{ClientSignal, Register, RegistrySignal};
use seamesh_registry::RunError;
use serde_json::json;

use crate::fixture::{Registry, ok, options, refused, soon};

#[tokio::test]
async fn accepted_tasks_agents_and_leases_are_there_after_a_restart() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let beat = json!({"agent_id": "a1", "skill_names": ["search"]});
    registry
        .post("/api/hub/heartbeat", &key, beat.clone())
        .await;
    let submit = |skill: &str| json!({"skill": skill, "payload": {"n": 1}});
    let held = registry
        .post("/api/hub/tasks", &registry.admin, submit("search"))
        .await;
    registry.post("/api/hub/heartbeat", &key, beat).await;
    let waiting = registry
        .post("/api/hub/tasks", &registry.admin, submit("later"))
        .await;
    let path =
        |task: &serde_json::Value| format!("/api/hub/tasks/{}", task["task_id"].as_str().unwrap());
    let (held, waiting) = (path(&held), path(&waiting));
    let mut before = registry.get(&held, &registry.admin).await;
    assert_eq!(before["state"], "assigned");

    let data = registry.stop().await;
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    let mut after = registry.get(&held, &registry.admin).await;
    // Why it stands where it does is worked out anew: its times pass.
    for task in [&mut before, &mut after] {
        assert!(task["reason"].take().is_string());
    }
    assert_eq!(after, before);
    assert_eq!(
        registry.get(&waiting, &registry.admin).await["payload"],
        json!({"n": 1})
    );
    assert_eq!(
        registry.get("/api/registry/agents/a1", &key).await["health"],
        "active"
    );
    let done = json!({"state": "completed", "result": "under the lease from before"});
    registry.post(&held, &key, done).await;
    assert_eq!(
        registry.get(&held, &registry.admin).await["state"],
        "completed"
    );
}

#[tokio::test]
async fn nobody_else_on_the_machine_can_read_what_it_keeps() {
    use std::os::unix::fs::PermissionsExt as _;
    let registry = Registry::start().await;
    registry.key("p1", "agent").await;
    let directory = registry.data.path().join("data");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    assert!(
        files.iter().any(|f| f.ends_with("registry.db-wal")),
        "{files:?}"
    );
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_second_registry_on_the_same_data_is_refused() {
    let registry = Registry::start().await;
    let chosen = options(registry.data.path());
    let second = seamesh_registry::run(
        chosen,
        |_| panic!("it must not serve"),
        std::future::pending(),
    );
    assert!(matches!(second.await, Err(RunError::Data(_))));
    ok(registry.bare(Method::GET, "/healthz")).await;
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let registry = Registry::with(|options| options.max_database_bytes = Some(1 << 20)).await;
    let key = registry.key("p1", "agent").await;
    let mut socket = registry.socket("p1", &key).await;
    socket
        .say(&ClientSignal::Register(Register { version: Some(1) }))
        .await;
    socket
        .hear(|s| matches!(s, RegistrySignal::PeerList(_)).then_some(()))
        .await;
    let kept = registry
        .post("/api/hub/tasks", &registry.admin, json!({"skill": "kept"}))
        .await;

    let large = json!({"skill": "large", "payload": "x".repeat(900_000)});
    let submit = || {
        registry
            .request(Method::POST, "/api/hub/tasks", &registry.admin)
            .json(&large)
    };
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(submit().send().await.unwrap());
    }
    let last = crate::fixture::problem(answers.pop().unwrap()).await;
    assert_eq!(last, (503, "store_unavailable".into()));
    let code = u16::from(socket.closed().await.code);
    assert_eq!(
        code, 1013,
        "its sidecar shall come back with its whole truth"
    );

    let path = format!("/api/hub/tasks/{}", kept["task_id"].as_str().unwrap());
    assert_eq!(
        registry.get(&path, &registry.admin).await["state"],
        "pending"
    );
    // Whatever still fits is taken again.
    let small = registry
        .post("/api/hub/tasks", &registry.admin, json!({"skill": "small"}))
        .await;
    assert!(small["task_id"].is_string());
    assert_eq!(refused(submit()).await.1, "store_unavailable");
    let mut back = registry.socket("p1", &key).await;
    back.say(&ClientSignal::Register(Register { version: Some(1) }))
        .await;
    back.hear(|s| matches!(s, RegistrySignal::PeerList(_)).then_some(()))
        .await;
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_registry_from_stopping_in_order() {
    use tokio::io::AsyncWriteExt as _;
    let registry = Registry::start().await;
    registry
        .post("/api/hub/tasks", &registry.admin, json!({"skill": "kept"}))
        .await;
    let address = registry.url.strip_prefix("http://").unwrap().to_owned();
    let mut half = tokio::net::TcpStream::connect(&address).await.unwrap();
    half.write_all(b"POST /api/hub/tasks HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    let data = registry.stop().await;
    // Closed in order: the log is merged into the database file, and another registry may have it at once.
    assert!(!data.path().join("data/registry.db-wal").exists());
    let chosen = options(data.path());
    Registry::over(data, chosen).await;
}

#[tokio::test]
async fn a_database_of_something_else_stops_the_start_and_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let chosen = options(data.path());
    std::fs::create_dir(&chosen.data).unwrap();
    let file = chosen.data.join("registry.db");
    std::fs::write(
        &file,
        "this is no database, and long enough to be looked at as one".repeat(100),
    )
    .unwrap();
    let before = std::fs::read(&file).unwrap();
    let run = seamesh_registry::run(
        chosen,
        |_| panic!("it must not serve"),
        std::future::pending(),
    );
    let text = run.await.unwrap_err().to_string();
    assert!(text.contains("registry.db"), "{text}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_registry_that_starts_lets_go_of_tasks_that_ended_too_long_ago() {
    let registry = Registry::start().await;
    let body = json!({"skill": "search"});
    let submitted = registry
        .post("/api/hub/tasks", &registry.admin, body.clone())
        .await;
    let old = format!("/api/hub/tasks/{}", submitted["task_id"].as_str().unwrap());
    let cancel = format!("{old}/cancel");
    ok(registry.request(Method::POST, &cancel, &registry.admin)).await;
    let submitted = registry.post("/api/hub/tasks", &registry.admin, body).await;
    let waits = format!("/api/hub/tasks/{}", submitted["task_id"].as_str().unwrap());

    let data = registry.stop().await;
    let mut chosen = options(data.path());
    chosen.keep_ended = std::time::Duration::ZERO;
    let registry = Registry::over(data, chosen).await;
    let gone = async {
        while registry
            .request(Method::GET, &old, &registry.admin)
            .send()
            .await
            .unwrap()
            .status()
            != 404
        {
            tokio::task::yield_now().await;
        }
    };
    soon("the old task is gone", gone).await;
    assert_eq!(
        registry.get(&waits, &registry.admin).await["state"],
        "pending"
    );
}
