//! Messages between agents: every kind, from each SDK to each. Links keep their order, so a question asked after the
//! messages finds them all read.

use anyhow::{Context, Result};
use seamesh_agent::{Agent, Via};
use seamesh_harness::{Mesh, Process, Sidecar};
use seamesh_proto::PeerId;
use seamesh_proto::link::{AgentLink, MeshMessage};
use seamesh_proto::payload::Payload;
use seamesh_tests::{Checked, Member, Probe, in_time};
use serde_json::{Value, json};
use tokio::sync::mpsc;

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
    """Sends a message of each kind."""
    for kind in kinds:
        await ctx.send(peer, {"type": kind, "payload": {"n": kind}})
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
    for kind in AgentLink::KINDS {
        let read = in_time(&format!("{kind} is read"), reads.recv()).await?;
        let (kind, payload) = read.context("the reader is gone")?;
        all.push(json!([kind, payload]));
    }
    Ok(Value::Array(all))
}

/// What the Python SDK leaves to its agent: it answers a query for skills by itself.
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
    let writer = Member::join(&mesh, "writer", Agent::new("w")).await?;
    let (agent, mut reads) = reader("r");
    let reader = Member::join(&mesh, "reader", agent).await?;
    writer.linked_with(&["reader"]).await?;
    for kind in AgentLink::KINDS {
        let peer = &reader.sidecar.peer_id;
        writer.view().send_message(peer, &message(kind)).await?;
    }
    assert_eq!(all_read(&mut reads).await?, expected());
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
    let heard: Value = asked.via(Via::Direct).get().await?;
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
    let _: i64 = reader
        .view()
        .delegate("say", what)
        .to("snake")
        .get()
        .await?;
    assert_eq!(all_read(&mut reads).await?, expected());
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
    let heard: Value = asked.via(Via::Direct).get().await?;
    assert_eq!(heard, left_to_the_handler());
    Ok(())
}
