//! How long the work of an agent process that ends is without an agent: not until a lease lapses.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use seamesh_harness::{Mesh, Process, Sidecar};
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Payload, TaskId, TaskState};
use seamesh_tests::{Checked, Member, Probe, cap};
use serde_json::json;
use tokio::process::Command;

/// Longest a killed agent's work is without an agent.
const MOVED_WITHIN: Duration = Duration::from_secs(1);

/// Milliseconds that the work takes which an agent is interrupted in: longer than any test runs.
const LONG_MS: u64 = 600_000;

/// An agent process of the chaos test behind a sidecar of its own.
pub(crate) async fn process(mesh: &Mesh, name: &str, grace_ms: u64) -> Result<(Sidecar, Process)> {
    let sidecar = mesh.sidecar(&format!("{name}-peer")).await?;
    let agent = mesh.agent(name, program(mesh.directory(), name, grace_ms), &sidecar)?;
    Ok((sidecar, agent))
}

/// The Rust agent; its log is `<directory>/<name>.facts`.
pub(crate) fn program(directory: &Path, name: &str, grace_ms: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-agent"));
    command
        .arg(name)
        .arg(directory.join(format!("{name}.facts")))
        .arg(grace_ms.to_string());
    command
}

/// Submits work that the agent process begins, then lets a second agent join that could do it.
async fn in_work(mesh: &Mesh) -> Result<(TaskId, Member, Probe)> {
    let work = SubmitTask {
        skill: "hold".to_owned(),
        payload: Payload::new(json!({ "ms": LONG_MS, "n": 1 })),
        ..SubmitTask::default()
    };
    let mut watch = mesh.watch().await?;
    let id = mesh.admin().submit(&work).await?;
    watch
        .task(&id, |task| task.state == TaskState::Assigned)
        .await?;
    let (agent, probe) = Probe::agent("second");
    let second = Member::join(mesh, "second-peer", agent).await?;
    second.linked_with(&["first-peer"]).await?;
    Ok((id, second, probe))
}

/// Waits until the process has begun its work: its log says so.
async fn begun(mesh: &Mesh) -> Result<()> {
    let log = mesh.directory().join("first.facts");
    let begun = async {
        while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("started")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(cap(), begun)
        .await
        .context("the work begins")
}

#[tokio::test]
async fn a_killed_agents_work_runs_elsewhere_within_a_second() -> Checked {
    let mesh = Mesh::start().await?;
    let (_sidecar, mut first) = process(&mesh, "first", 0).await?;
    let (id, _second, mut probe) = in_work(&mesh).await?;
    begun(&mesh).await?;
    let killed = Instant::now();
    first.kill().await?;
    let ctx = probe.started().await?;
    let took = killed.elapsed();
    assert_eq!((ctx.task_id(), ctx.attempt()), (&id, 2));
    assert!(took < MOVED_WITHIN, "{took:?}");
    probe.release();
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(task.state, TaskState::Completed);
    Ok(())
}

#[tokio::test]
async fn an_agent_that_is_told_to_end_hands_its_unfinished_work_over_at_once() -> Checked {
    let mesh = Mesh::start().await?;
    let (_sidecar, mut first) = process(&mesh, "first", 0).await?;
    let (id, _second, mut probe) = in_work(&mesh).await?;
    begun(&mesh).await?;
    let told = Instant::now();
    let status = first.terminate().await?;
    assert!(status.success(), "{status}");
    let ctx = probe.started().await?;
    let took = told.elapsed();
    assert_eq!((ctx.task_id(), ctx.attempt()), (&id, 2));
    assert!(took < MOVED_WITHIN, "{took:?}");
    probe.release();
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(task.state, TaskState::Completed);
    Ok(())
}
