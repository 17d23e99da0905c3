//! Python agents that have no sidecar: everything over REST, each answer read.

use anyhow::Result;
use seamesh_harness::{Mesh, Process, binaries};
use seamesh_proto::TaskState;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::rest::Role;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Payload, TaskId};
use seamesh_tests::{Checked, Member, Probe, cap};
use serde_json::{Value, json};
use tokio::process::Command;

const AGENT: &str = r#"
import asyncio

from seamesh import Agent, Context

agent = Agent("far", description="Lives without a sidecar.")

@agent.skill
def double(n: int) -> int:
    """Doubles a number."""
    return n * 2

@agent.skill
async def ask(ctx: Context, a: int, b: int) -> int:
    """Has another add."""
    return await ctx.delegate("add", a=a, b=b, timeout=10)

@agent.skill
async def give_up(ctx: Context) -> str:
    """Has another work, and does not wait for its end."""
    try:
        return await asyncio.wait_for(ctx.delegate("hold", timeout=600), 0.3)
    except TimeoutError:
        return "gave up"

@agent.skill
async def who(ctx: Context) -> list[str]:
    """Who is there."""
    return sorted(found.agent_id for found in await ctx.agents())
"#;

async fn far(mesh: &Mesh) -> Result<Process> {
    let file = mesh.directory().join("far.py");
    std::fs::write(&file, AGENT)?;
    let mut watch = mesh.watch().await?;
    let mut command = Command::new(binaries::python()?);
    command
        .args(["-m", "seamesh.http_agent"])
        .arg(file)
        .args(["--registry", mesh.url(), "--interval", "0.05"])
        .env("SEAMESH_API_KEY", mesh.key("far-key", Role::Agent).await?)
        .env("SEAMESH_LOG", "info");
    let (process, _) = Process::spawn("far", command, &mesh.directory().join("logs"))?;
    let registered = watch.find(|event| match event {
        MeshEvent::AgentRegistered(agent) if !agent.info.description.is_empty() => {
            Some(agent.info.clone())
        }
        _ => None,
    });
    let info = registered.await?;
    assert_eq!(info.agent_id.as_str(), "far");
    assert_eq!(
        info.skills.len(),
        4,
        "with what each takes: {:?}",
        info.skills
    );
    Ok(process)
}

async fn run(mesh: &Mesh, skill: &str, args: Value) -> Result<(TaskId, Value)> {
    let task = SubmitTask {
        skill: skill.to_owned(),
        target_agent_id: "far".to_owned(),
        payload: Payload::new(args),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&task).await?;
    let done = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(done.state, TaskState::Completed, "{}", done.error);
    Ok((id, done.result))
}

#[tokio::test]
async fn seam_rest_submit_and_wait_let_an_agent_without_a_sidecar_delegate() -> Checked {
    let mesh = Mesh::start().await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let _far = far(&mesh).await?;
    let (_, sum) = run(&mesh, "ask", json!({ "a": 2, "b": 40 })).await?;
    assert_eq!(sum, 42);
    Ok(())
}

#[tokio::test]
async fn seam_rest_cancel_task_ends_what_an_agent_without_a_sidecar_gave_up() -> Checked {
    let mesh = Mesh::start().await?;
    let (worker, probe) = Probe::agent("worker");
    let _worker = Member::join(&mesh, "worker-peer", worker).await?;
    let far = far(&mesh).await?;
    let (_, said) = run(&mesh, "give_up", json!({})).await?;
    assert_eq!(said, "gave up");
    probe.given_up().await?;
    let log = far.log();
    assert!(
        log.contains("is canceled: nobody waits for its end"),
        "{log}"
    );
    Ok(())
}

#[tokio::test]
async fn seam_rest_list_agents_shows_an_agent_without_a_sidecar_who_is_there() -> Checked {
    let mesh = Mesh::start().await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let _far = far(&mesh).await?;
    let (_, who) = run(&mesh, "who", json!({})).await?;
    assert_eq!(who, json!(["far", "worker"]));
    Ok(())
}

#[tokio::test]
async fn seam_rest_register_update_and_remove_are_said_once_and_their_answers_read() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let mut far = far(&mesh).await?;
    let (_, doubled) = run(&mesh, "double", json!({ "n": 4 })).await?;
    assert_eq!(doubled, 8);
    let status = far.terminate().await?;
    assert!(status.success(), "{status}");
    // Nothing was said again for want of an answer.
    let (mut registered, mut removed) = (0, 0);
    while removed == 0 {
        match watch.next().await?.event {
            MeshEvent::AgentRegistered(_) => registered += 1,
            MeshEvent::AgentRemoved(_) => removed += 1,
            MeshEvent::StaleResult(stale) => panic!("{stale:?}"),
            _ => {}
        }
    }
    assert_eq!(registered, 1);
    let log = far.log();
    assert!(log.contains("agent far left the registry"), "{log}");
    Ok(())
}
