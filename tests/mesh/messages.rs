//! Messages between agents: every kind, from each SDK to each. Links keep their order, so a question asked after the
//! messages finds them all read.

use anyhow::{Context, Result};
use seamesh_agent::{Agent, BUILTIN, Ctx, Path, SkillError, Via};
use seamesh_harness::{Mesh, Process, Sidecar};
use seamesh_proto::link::{AgentLink, MeshMessage};
use seamesh_proto::payload::Payload;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{PeerId, TaskState};
use seamesh_tests::{Checked, Member, Probe, cap, in_time};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::python;

const AGENT: &str = r#"
import sys
from seamesh import Agent, Context, Message

agent = Agent(sys.argv[1])
read: list[list[object]] = []

@agent.on_message
def take(message: Message) -> None:
    read.append([message.kind, message.payload])

@agent.skill
def heard() -> list[list[object]]:
    """What was read."""
    return read

@agent.skill
async def say(ctx: Context, peer: str, kinds: list[str]) -> int:
    """Sends a message of each kind. Who asks names the question, else it gets no answer."""
    for kind in kinds:
        await ctx.send(peer, {"type": kind, "request_id": f"{kind}-1", "payload": {"n": kind}})
    return len(kinds)

@agent.skill
async def say_and_ask(ctx: Context, peer: str, to: str, kinds: list[str]) -> list[list[object]]:
    """Sends a message of each kind, and asks what was read of them."""
    await say(ctx, peer, kinds)
    return await ctx.delegate("heard", to=to, via="direct")

agent.run()
"#;

/// What a reader shall have read, in this order.
fn expected() -> Value {
    let kinds = AgentLink::KINDS.iter();
    kinds.map(|kind| json!([kind, { "n": kind }])).collect()
}

fn message(kind: &str) -> MeshMessage {
    let mut message = MeshMessage::new(kind, Payload::new(json!({ "n": kind })));
    // Who asks names the question, else it gets no answer.
    message.request_id = format!("{kind}-1");
    message
}

type Reads = mpsc::UnboundedReceiver<(String, Value)>;

/// An agent on the Rust SDK, and what it reads.
fn reader(name: &str) -> (Agent, Reads) {
    let (heard, reads) = mpsc::unbounded_channel();
    let agent = Probe::agent(name).0.on_message(move |_, message| {
        let read = MeshMessage::parse(message.message.text().as_bytes());
        let read = read.expect("a message");
        let payload = serde_json::to_value(&read.payload).expect("JSON");
        // The test may have ended.
        let _ = heard.send((read.kind, payload));
    });
    (agent, reads)
}

async fn all_read(reads: &mut Reads) -> Result<Value> {
    let mut all = Vec::new();
    for kind in AgentLink::KINDS.iter().filter(|k| **k != "skill_query") {
        let read = in_time(&format!("{kind} is read"), reads.recv()).await?;
        let (kind, payload) = read.context("the reader is gone")?;
        all.push(json!([kind, payload]));
    }
    Ok(Value::Array(all))
}

/// What the SDKs leave to their agent: they answer a query for skills by themselves.
fn left_to_the_handler() -> Value {
    let mut all = expected();
    if let Some(all) = all.as_array_mut() {
        all.retain(|read| read[0] != "skill_query");
    }
    all
}

async fn snake(mesh: &Mesh, name: &str) -> Result<(Sidecar, Process)> {
    let file = mesh.directory().join("agent.py");
    std::fs::write(&file, AGENT)?;
    let sidecar = mesh.sidecar(&format!("{name}-peer")).await?;
    let mut command = tokio::process::Command::new(seamesh_harness::binaries::python()?);
    command.arg(file).arg(name);
    let process = mesh.agent(name, command, &sidecar)?;
    Ok((sidecar, process))
}

#[tokio::test]
async fn seam_link_every_message_kind_passes_from_rust_to_rust() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut answers) = reader("w");
    let writer = Member::join(&mesh, "writer", agent).await?;
    let (agent, mut reads) = reader("r");
    let reader = Member::join(&mesh, "reader", agent).await?;
    writer.linked_with(&["reader"]).await?;
    for kind in AgentLink::KINDS {
        let peer = &reader.sidecar.peer_id;
        writer.view().send_message(peer, &message(kind)).await?;
    }
    assert_eq!(all_read(&mut reads).await?, left_to_the_handler());
    let answer = in_time("the query is answered", answers.recv()).await?;
    assert_eq!(answer.context("the reader is gone")?.0, "skill_response");
    Ok(())
}

#[tokio::test]
async fn built_in_skills_of_a_rust_agent_act_at_their_receiver_on_both_paths() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("asker")).await?;
    let desk = Agent::new("desk").builtin(BUILTIN);
    let _desk = Member::join(&mesh, "desk-peer", desk).await?;
    let (heard, mut told) = mpsc::unbounded_channel();
    let near = Agent::new("near").on_prompt(move |ctx: Ctx, message: String| {
        let said = (message.clone(), ctx.path());
        // The test may have ended.
        let _ = heard.send(said);
        async move { Ok::<_, SkillError>(message.to_uppercase()) }
    });
    let _near = Member::join(&mesh, "near-peer", near).await?;
    let file = python::write(&mesh, "far.py", &python::DESK.replace("WHO", "far"))?;
    let _far = python::http_agent(&mesh, "far", file).await?;
    asker.linked_with(&["desk-peer", "near-peer"]).await?;
    mesh.wait_links(3).await?;
    let ask = async |skill: &str, args: Value| {
        let asked = asker.view().delegate(skill, args).to("desk").timeout(cap());
        anyhow::Ok(asked.get::<Value>().await?)
    };
    in_time("the desk knows both, and the link to one", async {
        loop {
            let agents = ask("list_agents", json!({ "skill": "agent_prompt" })).await?;
            let agents = agents.as_array().context("agents")?;
            let linked: Vec<_> = agents
                .iter()
                .map(|a| (&a["agent_id"], &a["linked"]))
                .collect();
            if linked
                == [
                    (&json!("far"), &json!(false)),
                    (&json!("near"), &json!(true)),
                ]
            {
                return anyhow::Ok(());
            }
        }
    })
    .await??;
    for (whom, path) in [("near", "direct"), ("far", "queue")] {
        let sent = ask(
            "mesh_send",
            json!({ "target_agent_id": whom, "message": "one" }),
        )
        .await?;
        assert_eq!(sent["path"], path);
        let work = json!({ "target_agent_id": whom, "message": "two" });
        assert_eq!(ask("delegate", work).await?, "TWO");
    }
    for message in ["one", "two"] {
        let read = in_time("near reads", told.recv()).await?;
        assert_eq!(
            read.context("near is gone")?,
            (message.to_owned(), Path::Direct)
        );
    }
    let said = asker.view().delegate("said", json!({})).to("far");
    let said: Value = said.timeout(cap()).get().await?;
    let said = said.as_array().context("what far was told")?;
    for message in ["one", "two"] {
        assert!(
            said.contains(&json!(["desk", message, "queue"])),
            "{said:?}"
        );
    }
    let all = ask("mesh_broadcast", json!({ "message": "all" })).await?;
    assert_eq!(all["queue"], json!(["far"]), "{all}");
    let read = in_time("near reads", told.recv()).await?;
    assert_eq!(
        read.context("near is gone")?,
        ("all".to_owned(), Path::Direct)
    );

    // A prompt is answered over the link, and a person's word through the queue.
    let view = asker.view();
    assert_eq!(view.prompt("near", "who").timeout(cap()).await?, "WHO");
    let skills = view.skills_of("near").await?;
    assert_eq!(skills[0].name, "agent_prompt");
    assert!(view.ping("near").await? < cap());
    let word = SubmitTask {
        skill: "agent_prompt".to_owned(),
        target_agent_id: "near".to_owned(),
        payload: Payload::new(json!({ "message": "stop" })),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&word).await?;
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(
        (task.state, task.result),
        (TaskState::Completed, json!("STOP"))
    );
    Ok(())
}

#[tokio::test]
async fn seam_link_every_message_kind_passes_from_rust_to_python() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut answers) = reader("w");
    let writer = Member::join(&mesh, "writer", agent).await?;
    let _snake = snake(&mesh, "snake").await?;
    writer.linked_with(&["snake-peer"]).await?;
    writer.knows("heard").await?;
    for kind in AgentLink::KINDS {
        let peer: PeerId = "snake-peer".parse()?;
        writer.view().send_message(&peer, &message(kind)).await?;
    }
    let asked = writer.view().delegate("heard", json!({})).to("snake");
    let asked = asked.via(Via::Direct);
    let heard: Value = in_time("what was heard", asked.get()).await??;
    assert_eq!(heard, left_to_the_handler());
    let answer = in_time("the query is answered", answers.recv()).await?;
    assert_eq!(answer.context("the reader is gone")?.0, "skill_response");
    Ok(())
}

#[tokio::test]
async fn seam_link_every_message_kind_passes_from_python_to_rust() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut reads) = reader("r");
    let reader = Member::join(&mesh, "reader", agent).await?;
    let _snake = snake(&mesh, "snake").await?;
    reader.linked_with(&["snake-peer"]).await?;
    reader.knows("say").await?;
    let what = json!({ "peer": "reader", "kinds": AgentLink::KINDS });
    let said = reader.view().delegate("say", what).to("snake");
    let _: i64 = in_time("all is said", said.get()).await??;
    assert_eq!(all_read(&mut reads).await?, left_to_the_handler());
    let is_answered = |heard: &Value| heard[0][0] == "skill_response";
    python::until(&reader, "heard", "snake", json!({}), is_answered).await?;
    Ok(())
}

#[tokio::test]
async fn seam_link_every_message_kind_passes_from_python_to_python() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let _one = snake(&mesh, "one").await?;
    let _two = snake(&mesh, "two").await?;
    asker.linked_with(&["one-peer", "two-peer"]).await?;
    mesh.wait_links(3).await?;
    in_time("both snakes are known", async {
        // The asker's own agent is among them.
        while asker.view().agents().await?.len() < 3 {}
        anyhow::Ok(())
    })
    .await??;
    let what = json!({ "peer": "two-peer", "to": "two", "kinds": AgentLink::KINDS });
    let asked = asker.view().delegate("say_and_ask", what).to("one");
    let asked = asked.via(Via::Direct);
    let heard: Value = in_time("what was heard", asked.get()).await??;
    assert_eq!(heard, left_to_the_handler());
    Ok(())
}
