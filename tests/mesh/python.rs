//! Agents on the Python SDK.

use std::path::PathBuf;

use anyhow::Result;
use seamesh_agent::{Agent, Ctx, Part, Path, SkillError, Via};
use seamesh_harness::{Mesh, Process, binaries};
use seamesh_proto::Payload;
use seamesh_proto::TaskState;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::rest::Role;
use seamesh_proto::task::SubmitTask;
use seamesh_tests::{CAP, Checked, Member, Probe, in_time};
use serde_json::{Value, json};
use tokio::process::Command;

const AGENT: &str = r#"
from typing import Literal

from seamesh import Agent, Artifact, Context

agent = Agent("snake", description="An agent in Python.")

@agent.skill
def double(n: int) -> int:
    """Doubles a number."""
    return n * 2

@agent.skill
async def ask(ctx: Context, n: int) -> int:
    """Asks the adder."""
    return await ctx.delegate("add", a=n, b=1, to="adder", timeout=10)

@agent.skill
async def count(ctx: Context, to: int):
    """Counts in chunks, and gives an artifact and the answer to a question in the end."""
    for n in range(to):
        yield n
    await ctx.artifact("picture", bytes(n % 251 for n in range(300_000)), "image/x-test")
    ctx.progress(1.0, "asking")
    yield {"answer": await ctx.ask("Which one?")}

@agent.skill
async def follow(ctx: Context, to: int, via: Literal["direct", "queue"]) -> dict:
    """Reads another agent's stream, and answers its question."""
    parts: list[object] = []
    async with ctx.stream("pour", payload=to, via=via, on_question=lambda q: q.prompt.upper()) as stream:
        async for part in stream:
            parts.append([part.name, len(part.data)] if isinstance(part, Artifact) else part)
        return {"parts": parts, "result": await stream.result()}

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
    let task = mesh.admin().wait(&id, CAP).await?;
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
    let task = mesh.admin().wait(&id, CAP).await?;
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
        .timeout(CAP)
        .get()
        .await?;
    assert_eq!(result, 6);
    Ok(())
}

/// Streams, sends an artifact, and asks: the same as `count` of the Python agent.
async fn pour(ctx: Ctx, to: u64) -> Result<Value, SkillError> {
    for n in 0..to {
        ctx.chunk(n).await?;
    }
    ctx.artifact("picture", "image/x-test", &[7; 300_000])
        .await?;
    Ok(ctx.ask("which one?").await?)
}

#[tokio::test]
async fn streams_artifacts_and_questions_pass_between_python_and_rust_on_both_paths() -> Checked {
    let mesh = Mesh::start().await?;
    let rusty = Agent::new("rusty").skill("pour", pour);
    let rusty = Member::join(&mesh, "rusty-peer", rusty).await?;
    let snake = mesh.sidecar("snake-peer").await?;
    let _process = mesh.python_agent("snake", &write_agent(&mesh)?, &snake)?;
    rusty.linked_with(&["snake-peer"]).await?;
    rusty.knows("count").await?;
    for (via, name) in [(Via::Direct, "direct"), (Via::Queue, "queue")] {
        let asked = rusty.view().delegate("count", json!({ "to": 100 }));
        let answering = asked.on_question(|question| async move { Ok(json!(question.prompt)) });
        let mut stream = answering.via(via).stream().await?;
        let (mut chunks, mut artifacts) = (Vec::new(), Vec::new());
        while let Some(part) = in_time("a part", stream.next()).await? {
            match part? {
                Part::Chunk(value) => chunks.push(value),
                Part::Artifact(artifact) => artifacts.push(artifact),
                Part::Progress(_) | Part::Restarted => {}
            }
        }
        let mut expected: Vec<_> = (0..100).map(Value::from).collect();
        expected.push(json!({ "answer": "Which one?" }));
        assert_eq!(chunks, expected, "{name}");
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        assert_eq!(artifacts.len(), 1, "{name}");
        assert!(artifacts[0].bytes == bytes, "{name}");

        let args = json!({ "to": 100, "via": name });
        let followed: Value = rusty.view().delegate("follow", args).get().await?;
        let mut expected: Vec<_> = (0..100).map(Value::from).collect();
        expected.push(json!(["picture", 300_000]));
        let expected = json!({ "parts": expected, "result": "WHICH ONE?" });
        assert_eq!(followed, expected, "{name}");
    }
    Ok(())
}
