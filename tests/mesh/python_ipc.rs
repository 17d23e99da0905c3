//! What passes between a Python agent and its sidecar: each test fails when either ignores a line, or keeps it back.

use anyhow::Result;
use seamesh_agent::{Agent, Via};
use seamesh_harness::{Mesh, Process, Sidecar, binaries};
use seamesh_proto::events::MeshEvent;
use seamesh_tests::{Checked, Member, Probe, SignalingPeer, in_time};
use serde_json::{Value, json};
use tokio::process::Command;

/// Notes what it is told, and lets others wait for a note.
const AGENT: &str = r#"
import asyncio

from seamesh import Agent, Context

agent = Agent("snake")
notes: list[str] = []
changed = asyncio.Condition()

async def note(text: str) -> None:
    async with changed:
        notes.append(text)
        changed.notify_all()

@agent.on_peer
async def peer(peer: str, is_up: bool) -> None:
    await note(f"{'linked' if is_up else 'lost'} {peer}")

@agent.on_registry
async def registry(connected: bool) -> None:
    await note("registry is there" if connected else "registry is away")

@agent.on_error
async def refused(error: Exception) -> None:
    await note(f"refused: {error.code}")

@agent.skill
async def noted(what: str) -> bool:
    """Waits for a note."""
    async with changed:
        await changed.wait_for(lambda: what in notes)
    return True

@agent.skill
async def linked(ctx: Context) -> list[str]:
    """The peers it is linked with."""
    return sorted(await ctx.peers())

@agent.skill
async def dial(ctx: Context, peer: str) -> None:
    """Asks for a link."""
    await ctx.connect(peer)

@agent.skill
async def hang(ctx: Context) -> None:
    """Runs until it is canceled."""
    try:
        ctx.progress(0.5, "hanging")
        await asyncio.Event().wait()
    finally:
        await note("hang was canceled" if ctx.canceled else "hang ended otherwise")

@agent.skill
async def give_up(ctx: Context, to: str) -> str:
    """Asks for work, and gives it up once it is under way."""
    under_way = asyncio.Event()
    asked = asyncio.create_task(ctx.delegate("hold", to=to, via="direct", on_progress=lambda _: under_way.set()))
    await under_way.wait()
    asked.cancel()
    await asyncio.wait([asked])
    return "given up"

agent.run()
"#;

struct Snake {
    sidecar: Sidecar,
    process: Process,
}

async fn snake(mesh: &Mesh) -> Result<Snake> {
    let file = mesh.directory().join("snake.py");
    std::fs::write(&file, AGENT)?;
    let sidecar = mesh.sidecar("snake-peer").await?;
    let mut command = Command::new(binaries::python()?);
    command.arg(file);
    let process = mesh.agent("snake", command, &sidecar)?;
    Ok(Snake { sidecar, process })
}

/// An asker that is linked with the Python agent and knows it.
async fn asker(mesh: &Mesh, agent: Agent) -> Result<Member> {
    let asker = Member::join(mesh, "asker", agent).await?;
    asker.linked_with(&["snake-peer"]).await?;
    asker.knows("noted").await?;
    Ok(asker)
}

async fn ask(asker: &Member, skill: &str, args: Value) -> Result<Value> {
    let asked = asker.view().delegate(skill, args).to("snake");
    in_time(skill, asked.via(Via::Direct).get())
        .await?
        .map_err(Into::into)
}

async fn noted(asker: &Member, what: &str) -> Result<()> {
    in_time(what, ask(asker, "noted", json!({ "what": what }))).await??;
    Ok(())
}

#[tokio::test]
async fn seam_peer_connected_and_peer_disconnected_are_told_to_a_python_agent() -> Checked {
    let mesh = Mesh::start().await?;
    let _snake = snake(&mesh).await?;
    let asker = asker(&mesh, Agent::new("a")).await?;
    noted(&asker, "linked asker").await?;
    let mut third = mesh.sidecar("third").await?;
    noted(&asker, "linked third").await?;
    third.process.kill().await?;
    noted(&asker, "lost third").await?;
    Ok(())
}

#[tokio::test]
async fn seam_list_peers_and_peer_list_tell_a_python_agent_its_links() -> Checked {
    let mesh = Mesh::start().await?;
    let _snake = snake(&mesh).await?;
    let asker = asker(&mesh, Agent::new("a")).await?;
    assert_eq!(ask(&asker, "linked", json!({})).await?, json!(["asker"]));
    Ok(())
}

#[tokio::test]
async fn seam_connect_from_python_dials_a_peer_that_does_not_dial_itself() -> Checked {
    let mesh = Mesh::start().await?;
    let _snake = snake(&mesh).await?;
    let asker = asker(&mesh, Agent::new("a")).await?;
    let mut peer = SignalingPeer::join(&mesh, "witness").await?;
    ask(&asker, "dial", json!({ "peer": "witness" })).await?;
    let offer = peer.wait_for("offer").await?;
    assert_eq!(offer.peer_id.as_str(), "snake-peer");
    Ok(())
}

#[tokio::test]
async fn seam_registry_and_error_events_reach_a_python_agent() -> Checked {
    let mut mesh = Mesh::start().await?;
    let _snake = snake(&mesh).await?;
    let asker = asker(&mesh, Agent::new("a")).await?;
    mesh.registry.kill().await?;
    noted(&asker, "registry is away").await?;
    ask(&asker, "dial", json!({ "peer": "nobody" })).await?;
    noted(&asker, "refused: registry_unavailable").await?;
    mesh.restart_registry().await?;
    noted(&asker, "registry is there").await?;
    Ok(())
}

#[tokio::test]
async fn seam_cancel_from_python_stops_the_handler_it_asked() -> Checked {
    let mesh = Mesh::start().await?;
    let _snake = snake(&mesh).await?;
    let (agent, mut probe) = Probe::agent("holder");
    let asker = asker(&mesh, agent).await?;
    let view = asker.view().clone();
    let giving_up = tokio::spawn(async move {
        let asked = view
            .delegate("give_up", json!({ "to": "holder" }))
            .to("snake");
        asked.via(Via::Direct).get::<Value>().await
    });
    let ctx = probe.started().await?;
    ctx.progress(0.5, "");
    probe.given_up().await?;
    assert_eq!(in_time("it goes on", giving_up).await???, "given up");
    Ok(())
}

#[tokio::test]
async fn seam_task_cancel_stops_a_python_handler() -> Checked {
    let mesh = Mesh::start().await?;
    let _snake = snake(&mesh).await?;
    let asker = asker(&mesh, Agent::new("a")).await?;
    let asked = asker.view().delegate("hang", json!({})).to("snake");
    let mut stream = asked.via(Via::Direct).stream().await?;
    let begun = in_time("it hangs", stream.next()).await?;
    assert!(matches!(begun, Some(Ok(_))), "{begun:?}");
    drop(stream);
    noted(&asker, "hang was canceled").await?;
    Ok(())
}

#[tokio::test]
async fn seam_goodbye_takes_a_python_agent_that_ends_off_the_list() -> Checked {
    let mesh = Mesh::start().await?;
    let mut snake = snake(&mesh).await?;
    let _asker = asker(&mesh, Agent::new("a")).await?;
    let mut watch = mesh.watch().await?;
    let status = snake.process.terminate().await?;
    assert!(status.success(), "{status}");
    let gone = watch.find(|event| match event {
        MeshEvent::AgentRemoved(agent) => Some(agent.agent_id.to_string()),
        MeshEvent::AgentHealth(change) => Some(format!("{:?}", change.health)),
        _ => None,
    });
    assert_eq!(gone.await?, "snake", "removed, not lost");
    drop(snake.sidecar);
    Ok(())
}
