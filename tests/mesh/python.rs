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
use seamesh_tests::{Checked, Member, Probe, cap, in_time};
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

/// Offers every built-in skill, says what it was told, and answers prompts.
pub(crate) const DESK: &str = r#"
from seamesh import Agent, Context
from seamesh.builtin import NAMES

agent = Agent("WHO", builtin=NAMES)
heard = []

@agent.on_prompt
async def read(ctx: Context, message: str) -> str:
    heard.append([ctx.from_agent, message, ctx.path])
    return message.upper()

@agent.skill
def said() -> list:
    """What it was told."""
    return heard

@agent.skill
async def asks(ctx: Context, whom: str) -> list:
    """Asks another for an answer in parts, for its skills, and how far it is."""
    parts = []
    answer = await ctx.prompt(whom, "are you there", on_chunk=parts.append)
    skills = [skill.name for skill in await ctx.skills_of(whom)]
    return [answer, "said" in skills, await ctx.ping(whom) < 10]

if __name__ == "__main__":
    agent.run()
"#;

fn write_agent(mesh: &Mesh) -> Result<PathBuf> {
    write(mesh, "agent.py", AGENT)
}

pub(crate) fn write(mesh: &Mesh, name: &str, text: &str) -> Result<PathBuf> {
    let file = mesh.directory().join(name);
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Serves an agent without a sidecar.
pub(crate) async fn http_agent(mesh: &Mesh, name: &str, file: PathBuf) -> Result<Process> {
    let key = mesh.key(name, Role::Agent).await?;
    let mut command = Command::new(binaries::python()?);
    command
        .args(["-m", "seamesh.http_agent"])
        .arg(file)
        .args(["--registry", mesh.url(), "--interval", "0.05"])
        .env("SEAMESH_API_KEY", key);
    let (process, _) = Process::spawn(name, command, &mesh.directory().join("logs"))?;
    Ok(process)
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
    let _process = http_agent(&mesh, "http-agent", write_agent(&mesh)?).await?;
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
        let follow = rusty.view().delegate("follow", args);
        let followed: Value = in_time("all parts and the result", follow.get()).await??;
        let mut expected: Vec<_> = (0..100).map(Value::from).collect();
        expected.push(json!(["picture", 300_000]));
        let expected = json!({ "parts": expected, "result": "WHICH ONE?" });
        assert_eq!(followed, expected, "{name}");
    }
    Ok(())
}

/// Asks the desk until it answers as `wanted`; each look is a delegated task.
pub(crate) async fn until(
    asker: &Member,
    skill: &str,
    to: &str,
    args: Value,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let look = async {
        loop {
            let asked = asker.view().delegate(skill, args.clone()).to(to);
            let answer: Value = asked.get().await?;
            if wanted(&answer) {
                return Ok(answer);
            }
        }
    };
    in_time(&format!("{skill} of {to} is as it should be"), look).await?
}

#[tokio::test]
async fn built_in_skills_and_prompts_act_at_their_receiver_on_both_paths() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("asker")).await?;
    let desk = mesh.sidecar("desk-peer").await?;
    let file = write(&mesh, "desk.py", &DESK.replace("WHO", "desk"))?;
    let _desk = mesh.python_agent("desk", &file, &desk)?;
    let near = mesh.sidecar("near-peer").await?;
    let file = write(&mesh, "near.py", &DESK.replace("WHO", "near"))?;
    let _near = mesh.python_agent("near", &file, &near)?;
    let file = write(&mesh, "far.py", &DESK.replace("WHO", "far"))?;
    let _far = http_agent(&mesh, "far", file).await?;
    asker.knows("mesh_send").await?;
    asker.linked_with(&["desk-peer", "near-peer"]).await?;

    let is = |agents: &Value, name: &str, linked: bool| {
        let mut agents = agents.as_array().into_iter().flatten();
        agents.any(|a| a["agent_id"] == name && a["linked"] == linked)
    };
    let there = |agents: &Value| is(agents, "near", true) && is(agents, "far", false);
    until(&asker, "list_agents", "desk", json!({}), there).await?;
    let found = json!({ "skill": "said" });
    let found: Value = asker
        .view()
        .delegate("find_agent", found)
        .to("desk")
        .get()
        .await?;
    assert!(
        found["skills"]
            .as_array()
            .is_some_and(|s| s.contains(&json!("said")))
    );

    for (whom, path) in [("near", "direct"), ("far", "queue")] {
        let ask =
            |skill: &str, args: Value| asker.view().delegate(skill, args).to("desk").timeout(cap());
        let sent = ask(
            "mesh_send",
            json!({ "target_agent_id": whom, "message": "one" }),
        );
        let sent: Value = sent.get().await?;
        assert_eq!(sent["path"], path);
        let work = json!({ "target_agent_id": whom, "message": "two" });
        let answer: Value = ask("delegate", work).get().await?;
        assert_eq!(answer, "TWO");
        let told = |said: &Value| {
            let said = said.as_array();
            let has = |m: &str| said.is_some_and(|s| s.contains(&json!(["desk", m, path])));
            has("one") && has("two")
        };
        until(&asker, "said", whom, json!({}), told).await?;
    }
    let all = json!({ "message": "all" });
    let told: Value = asker
        .view()
        .delegate("mesh_broadcast", all)
        .to("desk")
        .get()
        .await?;
    assert_eq!(told["direct"].as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(told["queue"], json!(["far"]), "{told}");
    for (whom, path) in [("near", "direct"), ("far", "queue")] {
        let said = json!(["desk", "all", path]);
        let has = |s: &Value| s.as_array().is_some_and(|s| s.contains(&said));
        until(&asker, "said", whom, json!({}), has).await?;
    }
    let asked: Value = asker
        .view()
        .delegate("asks", json!({ "whom": "near" }))
        .to("desk")
        .get()
        .await?;
    assert_eq!(asked, json!(["ARE YOU THERE", true, true]));

    // The hub, and an agent of the old dialect that has no link, put a person's word into the queue.
    for skill in ["user_intervention", ""] {
        let word = SubmitTask {
            skill: skill.to_owned(),
            target_agent_id: "near".to_owned(),
            payload: Payload::new(json!({ "message": "stop", "direct": true })),
            ..SubmitTask::default()
        };
        let id = mesh.admin().submit(&word).await?;
        let task = mesh.admin().wait(&id, cap()).await?;
        assert_eq!(
            (task.state, task.result),
            (TaskState::Completed, json!("STOP"))
        );
    }
    Ok(())
}
