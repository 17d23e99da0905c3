//! The flags of `seamesh call`, seen from the agent that gets the work.

use std::process::Output;

use anyhow::Result;
use seamesh_agent::{Agent, Ctx, SkillError};
use seamesh_harness::Mesh;
use seamesh_proto::{TaskId, TaskState};
use seamesh_tests::{Checked, Member, Probe, cap, in_time};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::command_line::{run, stderr, stdout};

/// An agent that does one thing at a time, with a skill that tells the test of each run.
fn noting(agent: Agent) -> (Agent, mpsc::UnboundedReceiver<Value>) {
    let (notes, noted) = mpsc::unbounded_channel();
    let note = move |_: Ctx, args: Value| {
        // A test that looks at something else does not listen.
        let _ = notes.send(args);
        async move { Ok::<_, SkillError>(()) }
    };
    (agent.skill("note", note).max_concurrent(1), noted)
}

async fn submitted(mesh: &Mesh, arguments: &[&str]) -> Result<TaskId> {
    let mut all = vec!["call"];
    all.extend(arguments);
    all.push("--no-wait");
    let output = run(mesh, &all).await?;
    assert!(output.status.success(), "{}", stderr(&output));
    Ok(stdout(&output).trim().parse()?)
}

fn ended(output: &Output, code: i32, says: &str) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(told.contains(says), "{told}");
}

#[tokio::test]
async fn the_highest_priority_is_run_first_though_it_came_last() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("worker");
    let (agent, mut noted) = noting(agent);
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    submitted(&mesh, &["hold"]).await?;
    probe.started().await?;
    for (n, priority) in [("1", "-5"), ("2", "0"), ("3", "7"), ("4", "7")] {
        let arguments = format!(r#"{{"n": {n}}}"#);
        submitted(&mesh, &["note", &arguments, "--priority", priority]).await?;
    }
    let waits = run(&mesh, &["tasks", "--skill", "note", "--state", "pending"]).await?;
    assert_eq!(stdout(&waits).matches("note").count(), 4);
    probe.release();
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(in_time("a note", noted.recv()).await?.unwrap()["n"].clone());
    }
    assert_eq!(order, [json!(3), json!(4), json!(2), json!(1)]);
    Ok(())
}

#[tokio::test]
async fn delayed_work_reaches_its_agent_at_its_time_and_says_so_before() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut noted) = noting(Agent::new("worker"));
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    let id = submitted(&mesh, &["note", "--delay", "1"]).await?;
    let task = mesh.admin().task(&id).await?;
    if task.state == TaskState::Pending {
        let reason = task.reason.unwrap_or_default();
        assert!(reason.starts_with("not before "), "{reason}");
    }
    in_time("the note", noted.recv()).await?;
    let task = mesh.admin().wait(&id, cap()).await?;
    let waited = task.started_at.unwrap_or_default() - task.created_at;
    assert!((0.999..5.0).contains(&waited), "{waited}");
    assert_eq!(task.attempt, 1);
    Ok(())
}

#[tokio::test]
async fn work_past_its_deadline_is_stopped_at_its_agent_and_told_to_the_caller() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("worker");
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    let output = run(&mesh, &["call", "hold", "--deadline", "1"]).await?;
    ended(&output, 5, "deadline_exceeded");
    probe.started().await?;
    probe.given_up().await?;
    let refused = run(&mesh, &["call", "hold", "--delay", "2", "--deadline", "1"]).await?;
    ended(&refused, 1, "bad_field");
    assert_eq!(probe.runs(), 1);
    Ok(())
}

#[tokio::test]
async fn the_same_key_is_the_same_task_and_runs_once() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("worker");
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    let keyed = ["hold", r#"{"n": 1}"#, "--idempotency-key", "order 7"];
    let first = submitted(&mesh, &keyed).await?;
    probe.started().await?;
    assert_eq!(submitted(&mesh, &keyed).await?, first);
    probe.release();
    mesh.admin().wait(&first, cap()).await?;
    let mut again = vec!["call"];
    again.extend(keyed);
    let again = run(&mesh, &again).await?;
    let result: Value = serde_json::from_str(&stdout(&again))?;
    assert_eq!(result, json!({ "n": 1 }), "the result of the one run");
    let other = [
        "call",
        "hold",
        r#"{"n": 2}"#,
        "--idempotency-key",
        "order 7",
    ];
    ended(&run(&mesh, &other).await?, 1, "conflict");
    assert_eq!(probe.runs(), 1);
    Ok(())
}

#[tokio::test]
async fn work_of_one_attempt_is_not_handed_to_a_second_agent() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("first");
    let mut first = Member::join(&mesh, "first-peer", agent).await?;
    let once = submitted(&mesh, &["hold", "--max-attempts", "1"]).await?;
    probe.started().await?;
    let (agent, mut second) = Probe::agent("second");
    let _second = Member::join(&mesh, "second-peer", agent).await?;
    first.sidecar.process.kill().await?;
    let task = mesh.admin().wait(&once, cap()).await?;
    assert_eq!(task.state, TaskState::Failed);
    let shown = run(&mesh, &["tasks", "show", once.as_str()]).await?;
    let shown = stdout(&shown);
    assert!(shown.contains("failed with attempts_exhausted"), "{shown}");
    // What may be handed out twice comes to the second: the first did not.
    let twice = submitted(&mesh, &["hold", "--max-attempts", "2"]).await?;
    assert_eq!(second.started().await?.task_id(), &twice);
    assert_eq!(second.runs(), 1);
    Ok(())
}

#[tokio::test]
async fn flags_out_of_range_are_refused_before_anything_is_submitted() -> Checked {
    let mesh = Mesh::start().await?;
    for (flag, value) in [
        ("--priority", "101"),
        ("--deadline", "0"),
        ("--max-attempts", "0"),
        ("--delay", "many"),
    ] {
        let output = run(&mesh, &["call", "hold", flag, value]).await?;
        ended(&output, 2, flag);
    }
    let long = "k".repeat(129);
    let output = run(&mesh, &["call", "hold", "--idempotency-key", &long]).await?;
    ended(&output, 1, "bad_field");
    let page = mesh.admin().tasks(&Default::default()).await?;
    assert!(page.tasks.is_empty());
    Ok(())
}
