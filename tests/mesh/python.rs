//! Agents on the Python SDK.

use std::path::PathBuf;

use anyhow::Result;
use seamesh_agent::{Agent, Path, Via};
use seamesh_harness::{Mesh, Process, binaries};
use seamesh_proto::Payload;
use seamesh_proto::TaskState;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::rest::Role;
use seamesh_proto::task::SubmitTask;
use seamesh_tests::{Checked, Member, Probe, cap};
use serde_json::json;
use tokio::process::Command;

const AGENT: &str = r#"
from seamesh import Agent, Context

agent = Agent("snake", description="An agent in Python.")

@agent.skill
def double(n: int) -> int:
    """Doubles a number."""
    return n * 2

@agent.skill
async def ask(ctx: Context, n: int) -> int:
    """Asks the adder."""
    return await ctx.delegate("add", a=n, b=1, to="adder", timeout=10)

if __name__ == "__main__":
    agent.run()
"#;

fn write_agent(mesh: &Mesh) -> Result<PathBuf> {
    let file = mesh.directory().join("agent.py");
    std::fs::write(&file, AGENT)?;
    Ok(file)
}

fn double(n: i64) -> SubmitTask {
    SubmitTask {
        skill: "double".to_owned(),
        payload: Payload::new(json!({ "n": n })),
        ..SubmitTask::default()
    }
}

#[tokio::test]
async fn a_python_agent_executes_direct_and_queued_work_and_delegates() -> Checked {
    let mesh = Mesh::start().await?;
    let adder = Member::join(&mesh, "adder-peer", Probe::agent("adder").0).await?;
    let mut snake = mesh.sidecar("snake-peer").await?;
    let process = mesh.python_agent("snake", &write_agent(&mesh)?, &snake)?;
    adder.linked_with(&["snake-peer"]).await?;
    adder.knows("double").await?;
    let reply = adder
        .view()
        .delegate("double", json!({ "n": 21 }))
        .via(Via::Direct)
        .reply()
        .await?;
    assert_eq!((reply.result, reply.path), (json!(42), Path::Direct));
    let id = mesh.admin().submit(&double(4)).await?;
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!((task.state, task.result), (TaskState::Completed, json!(8)));
    let asked: i64 = adder
        .view()
        .delegate("ask", json!({ "n": 6 }))
        .to("snake")
        .get()
        .await?;
    assert_eq!(asked, 7, "asked back over the same link");
    drop(process);
    Ok(snake.process.kill().await?)
}

#[tokio::test]
async fn seam_rest_pending_tasks_are_executed_by_the_http_only_python_loop() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let key = mesh.key("http-agent", Role::Agent).await?;
    let mut command = Command::new(binaries::python()?);
    command
        .args(["-m", "seamesh.http_agent"])
        .arg(write_agent(&mesh)?)
        .args(["--registry", mesh.url(), "--interval", "0.05"])
        .env("SEAMESH_API_KEY", key);
    let (_process, _) = Process::spawn("http-agent", command, &mesh.directory().join("logs"))?;
    watch
        .find(|event| match event {
            MeshEvent::AgentRegistered(agent) if agent.info.agent_id.as_str() == "snake" => {
                Some(())
            }
            _ => None,
        })
        .await?;
    let id = mesh.admin().submit(&double(5)).await?;
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!((task.state, task.result), (TaskState::Completed, json!(10)));
    assert_eq!(
        (task.assigned_agent_id.as_str(), task.path),
        ("snake", Path::Queue)
    );
    Ok(())
}

#[tokio::test]
async fn a_python_agent_comes_back_to_a_sidecar_that_was_killed() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let mut snake = mesh.sidecar("snake-peer").await?;
    let _process = mesh.python_agent("snake", &write_agent(&mesh)?, &snake)?;
    asker.knows("double").await?;
    snake.process.kill().await?;
    mesh.restart_sidecar(&mut snake).await?;
    let result: i64 = asker
        .view()
        .delegate("double", json!({ "n": 3 }))
        .to("snake")
        .timeout(cap())
        .get()
        .await?;
    assert_eq!(result, 6);
    Ok(())
}
