//! The testkit's verbs, and `--test-control` under them: what each does to real processes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use seamesh_agent::{Agent, Code, Ctx, SkillError, Via};
use seamesh_control::{Client, Command};
use seamesh_testkit::{Answer, Cassette, REGISTRY, TestMesh};
use serde_json::{Value, json};

/// Edits with the help of whoever summarizes.
fn editor() -> Agent {
    async fn edit(ctx: Ctx, args: Value) -> Result<String, SkillError> {
        let summary: String = ctx.delegate("summarize", args).get().await?;
        Ok(format!("Edited: {summary}"))
    }
    Agent::new("editor").skill("edit", edit)
}

/// Takes work and does not finish it.
fn dozer(name: &'static str) -> impl Fn() -> Agent + Send + Sync + 'static {
    async fn doze(_: Ctx, _: Value) -> Result<(), SkillError> {
        std::future::pending().await
    }
    move || Agent::new(name).skill("doze", doze)
}

async fn edited() -> Result<TestMesh> {
    let mut mesh = TestMesh::start().await?;
    mesh.add(editor).await?;
    mesh.fake_agent("reader", [("summarize", Answer::from(json!("Short.")))])
        .await?;
    Ok(mesh)
}

fn paths(mesh: &TestMesh, agent: &str) -> Vec<String> {
    let calls = mesh.calls().into_iter();
    calls
        .filter(|call| call.agent == agent)
        .map(|call| call.path)
        .collect()
}

#[tokio::test]
async fn what_is_cut_loses_its_link_and_work_takes_the_queue_until_it_is_healed() -> Result<()> {
    let mut mesh = edited().await?;
    assert_eq!(
        mesh.call("edit", json!({"text": "Long."})).await?,
        "Edited: Short."
    );
    mesh.partition("editor", "reader").await?;
    assert_eq!(mesh.agent("editor")?.peers().await?, []);
    assert_eq!(
        mesh.call("edit", json!({"text": "Long."})).await?,
        "Edited: Short."
    );
    mesh.heal("editor", "reader").await?;
    assert_eq!(
        mesh.call("edit", json!({"text": "Long."})).await?,
        "Edited: Short."
    );
    assert_eq!(paths(&mesh, "reader"), ["direct", "queue", "direct"]);
    Ok(())
}

#[tokio::test]
async fn what_is_cut_off_from_the_registry_keeps_its_links_and_comes_back() -> Result<()> {
    let mut mesh = edited().await?;
    mesh.partition("reader", REGISTRY).await?;
    let queued = mesh.agent("reader")?.delegate("edit", json!({}));
    let queued = queued.via(Via::Queue).timeout(Duration::from_millis(300));
    assert!(queued.get::<Value>().await.is_err());
    let asked = mesh.call_by("editor", "summarize", json!({})).await?;
    assert_eq!(
        (asked, paths(&mesh, "reader")),
        (json!("Short."), vec!["direct".to_owned()])
    );
    mesh.heal("reader", REGISTRY).await?;
    assert_eq!(mesh.call("summarize", json!({})).await?, "Short.");
    Ok(())
}

#[tokio::test]
async fn a_deadline_of_an_hour_passes_without_waiting() -> Result<()> {
    let mut mesh = TestMesh::start().await?;
    mesh.add(editor).await?;
    mesh.add(dozer("dozer")).await?;
    let asked = mesh.agent("editor")?.delegate("doze", json!({}));
    let hour = Duration::from_secs(3600);
    let asked = tokio::spawn(asked.timeout(hour).get::<Value>());
    mesh.wait_until("the work begins", |calls| calls.len() == 1)
        .await?;
    mesh.advance(hour / 2).await?;
    assert!(!asked.is_finished());
    mesh.advance(hour / 2 + Duration::from_secs(1)).await?;
    assert_eq!(asked.await?.unwrap_err().code, Code::DeadlineExceeded);
    Ok(())
}

#[tokio::test]
async fn a_lease_outlasts_an_hour_while_its_agent_lives_and_lapses_when_it_is_cut_off() -> Result<()>
{
    let mut mesh = TestMesh::start().await?;
    mesh.add(dozer("one")).await?;
    let task = seamesh_proto::task::SubmitTask {
        skill: "doze".to_owned(),
        ttl: 7_200,
        ..Default::default()
    };
    let id = mesh.processes().admin().submit(&task).await?;
    mesh.wait_until("the work begins", |calls| calls.len() == 1)
        .await?;
    mesh.add(dozer("two")).await?;
    mesh.advance(Duration::from_secs(3600)).await?;
    assert_eq!(mesh.processes().admin().task(&id).await?.attempt, 1);
    mesh.partition("one", REGISTRY).await?;
    mesh.advance(Duration::from_secs(20)).await?;
    mesh.wait_until("the other gets it", |calls| calls.len() == 2)
        .await?;
    let second = mesh.calls().remove(1);
    assert_eq!((second.agent.as_str(), second.attempt), ("two", 2));
    assert_eq!(second.task_id, id.as_str());
    Ok(())
}

#[tokio::test]
async fn a_delayed_link_is_slow_both_ways() -> Result<()> {
    let mesh = edited().await?;
    mesh.delay("editor", "reader", Duration::from_millis(100))
        .await?;
    let began = Instant::now();
    mesh.call_by("editor", "summarize", json!({})).await?;
    assert!(began.elapsed() >= Duration::from_millis(200));
    mesh.delay("editor", "reader", Duration::ZERO).await?;
    assert_eq!(paths(&mesh, "reader"), ["direct"]);
    Ok(())
}

#[tokio::test]
async fn a_deaf_skill_is_reached_and_not_answered() -> Result<()> {
    let mesh = edited().await?;
    mesh.deaf("reader.summarize", Some("editor"))?;
    let asked = mesh.agent("editor")?.delegate("summarize", json!({}));
    let answer = asked
        .timeout(Duration::from_millis(300))
        .get::<Value>()
        .await;
    assert_eq!(answer.unwrap_err().code, Code::DeadlineExceeded);
    assert_eq!(
        mesh.call("summarize", json!({})).await?,
        "Short.",
        "others are heard"
    );
    mesh.hear("reader.summarize", Some("editor"))?;
    assert_eq!(
        mesh.call_by("editor", "summarize", json!({})).await?,
        "Short."
    );
    let deaf: Vec<bool> = mesh.calls().iter().map(|call| call.is_deaf).collect();
    assert_eq!(deaf, [true, false, false]);
    assert!(mesh.deaf("reader.write", None).is_err());
    Ok(())
}

#[tokio::test]
async fn a_killed_agents_work_waits_until_it_is_back() -> Result<()> {
    let mut mesh = edited().await?;
    mesh.kill("reader").await?;
    let asked = mesh.agent("editor")?.delegate("summarize", json!({}));
    let asked = tokio::spawn(asked.to("reader").get::<Value>());
    mesh.restart("reader").await?;
    assert_eq!(asked.await??, "Short.");
    assert_eq!(paths(&mesh, "reader"), ["queue"]);
    Ok(())
}

#[tokio::test]
async fn recorded_calls_are_replayed_by_a_fake() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("reader.json");
    let mesh = edited().await?;
    mesh.record();
    mesh.call_by("editor", "summarize", json!({"page": 1}))
        .await?;
    mesh.recorded().save(&file)?;
    drop(mesh);

    let mut mesh = TestMesh::start().await?;
    mesh.add(editor).await?;
    mesh.fake_agent("reader", Cassette::load(&file)?.answers("reader")?)
        .await?;
    assert_eq!(
        mesh.call("edit", json!({"page": 1})).await?,
        "Edited: Short."
    );
    let other = mesh
        .call("summarize", json!({"page": 2}))
        .await
        .unwrap_err();
    assert_eq!(other.code, Code::NotFound, "{other}");
    Ok(())
}

#[tokio::test]
async fn a_process_refuses_what_it_cannot_do_and_serves_no_control_beyond_this_machine()
-> Result<()> {
    let mesh = TestMesh::start().await?;
    let mut registry = Client::open(&mesh.processes().registry_control()).await?;
    let refused = registry.ask(&Command::CutRegistry {}).await.unwrap_err();
    assert!(refused.to_string().contains("no links"), "{refused}");

    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("d").join("control");
    let said = |arguments: &[&str]| -> Result<String> {
        let mut command = std::process::Command::new(seamesh_harness::binaries::seamesh()?);
        command.args(arguments).arg("--test-control").arg(&socket);
        command.arg("--data").arg(directory.path());
        let output = command.output()?;
        assert!(!output.status.success());
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let text = said(&["registry", "--insecure-http", "--listen", "0.0.0.0:0"])?;
    assert!(
        text.contains("--test-control is for a registry that listens on loopback"),
        "{text}"
    );
    assert!(!socket.exists());
    Ok(())
}

#[tokio::test]
async fn a_test_mesh_leaves_no_directory() -> Result<()> {
    let mesh = edited().await?;
    let agents: BTreeSet<_> = mesh
        .processes()
        .admin()
        .agents()
        .await?
        .into_iter()
        .map(|a| a.info.agent_id)
        .collect();
    assert_eq!(agents.len(), 2);
    let directory = mesh.processes().directory().to_owned();
    drop(mesh);
    assert!(!directory.exists());
    Ok(())
}
