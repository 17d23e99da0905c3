//! What passes between a sidecar and the registry: each test fails when the receiver of its frame ignores it, or the
//! sender keeps it back.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result};
use seamesh_agent::{Agent, Via};
use seamesh_harness::Mesh;
use seamesh_proto::agent::Health;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::rest::{Role, TaskQuery};
use seamesh_proto::signaling::SignalFrame;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Payload, PeerId, TaskState};
use seamesh_tests::{
    Checked, Member, Probe, SignalingPeer, StunServer, cap, in_time, is_binding_request,
};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

/// An address of nobody (RFC 5737).
const OUTER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), 4_000);

/// A sidecar that takes STUN's word for where it is: it does not stay on this machine's own address.
const ROAMING: [(&str, &str); 1] = [("SEAMESH_UDP", "0.0.0.0:0")];

/// A sidecar that links with identities only.
const STRICT: [(&str, &str); 1] = [("SEAMESH_ALLOW_UNIDENTIFIED", "false")];

async fn offer_to(peer: &mut SignalingPeer, from: &PeerId) -> Result<SignalFrame> {
    loop {
        let offer = peer.wait_for("offer").await?;
        if offer.peer_id == *from {
            return Ok(offer);
        }
    }
}

#[tokio::test]
async fn seam_ice_config_and_ice_candidate_tell_a_peer_where_a_sidecar_is_seen_from_outside()
-> Checked {
    let stun = StunServer::start(OUTER).await?;
    let mesh = Mesh::builder()
        .registry_arg("--stun")
        .registry_arg(stun.url())
        .start()
        .await?;
    let mut peer = SignalingPeer::join(&mesh, "witness").await?;
    let sidecar = mesh.sidecar_with_env("roamer", &ROAMING).await?;
    let outer = OUTER.ip().to_string();
    in_time("the outer address is told", async {
        // It stands in the offer when STUN was quicker, else in a candidate of its own.
        let offer = offer_to(&mut peer, &sidecar.peer_id).await?;
        if offer.payload["sdp"].to_string().contains(&outer) {
            return anyhow::Ok(());
        }
        while !peer.wait_for("ice_candidate").await?.payload["candidate"]
            .to_string()
            .contains(&outer)
        {}
        Ok(())
    })
    .await??;
    Ok(())
}

#[tokio::test]
async fn seam_ice_candidate_makes_a_sidecar_look_there_for_its_peer() -> Checked {
    let mesh = Mesh::start().await?;
    let mut peer = SignalingPeer::join(&mesh, "witness").await?;
    let asked = mesh.sidecar("asked").await?;
    let offer = offer_to(&mut peer, &asked.peer_id).await?;
    let sdp = offer.payload["sdp"].as_str().context("an SDP")?;
    // Its own description with nowhere to go serves as the answer of a peer that knows no address of its own yet.
    let nowhere: String = sdp
        .lines()
        .filter(|line| !line.starts_with("a=candidate") && !line.starts_with("a=end-of-candidates"))
        .map(|line| line.replace("a=setup:actpass", "a=setup:active") + "\r\n")
        .collect();
    let link = offer.payload["link"].clone();
    let answer = json!({ "sdp": nowhere, "link": link });
    peer.say("answer", Some(&asked.peer_id), answer).await?;
    let here = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = here.local_addr()?.port();
    let candidate = json!({
        "candidate": format!("candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host"), "sdpMid": "0",
        "sdpMLineIndex": 0, "link": link,
    });
    peer.say("ice_candidate", Some(&asked.peer_id), candidate)
        .await?;
    let mut packet = [0; 1_500];
    let (length, _) = in_time("it is looked for", here.recv_from(&mut packet)).await??;
    assert!(is_binding_request(&packet[..length]));
    Ok(())
}

#[tokio::test]
async fn seam_link_refused_tells_a_peer_why_it_gets_no_link() -> Checked {
    let mesh = Mesh::start().await?;
    let mut peer = SignalingPeer::join(&mesh, "witness").await?;
    let strict = mesh.sidecar_with_env("strict", &STRICT).await?;
    let offer = offer_to(&mut peer, &strict.peer_id).await?;
    peer.say("answer", Some(&strict.peer_id), offer.payload)
        .await?;
    let refused = peer.wait_for("link_refused").await?;
    assert_eq!(refused.peer_id, strict.peer_id);
    assert_eq!(
        refused.payload["code"], "identity_required",
        "{}",
        refused.payload
    );
    Ok(())
}

#[tokio::test]
async fn seam_link_refused_ends_an_attempt_at_once() -> Checked {
    let mesh = Mesh::start().await?;
    let mut peer = SignalingPeer::join(&mesh, "witness").await?;
    let sidecar = mesh.sidecar("refused").await?;
    let first = offer_to(&mut peer, &sidecar.peer_id).await?;
    let refusal = json!({
        "link": first.payload["link"], "code": "identity_invalid", "detail": "not you",
    });
    peer.say("link_refused", Some(&sidecar.peer_id), refusal)
        .await?;
    // It tries anew, with a new attempt, and long before it would have given up waiting for an answer.
    let second = offer_to(&mut peer, &sidecar.peer_id).await?;
    assert_ne!(first.payload["link"], second.payload["link"]);
    let log = sidecar.process.log();
    assert!(log.contains("identity_invalid"), "{log}");
    Ok(())
}

#[tokio::test]
async fn seam_connect_from_rust_dials_a_peer_that_does_not_dial_itself() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let registered =
        |event: &MeshEvent| matches!(event, MeshEvent::AgentRegistered(_)).then_some(());
    watch.find(registered).await?;
    let mut peer = SignalingPeer::join(&mesh, "witness").await?;
    asker.view().connect(&"witness".parse()?).await?;
    let offer = peer.wait_for("offer").await?;
    assert_eq!(offer.peer_id, asker.sidecar.peer_id);
    Ok(())
}

#[tokio::test]
async fn seam_agent_away_shows_a_crashed_agent_as_offline() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let (agent, _probe) = Probe::agent("a");
    let mut member = Member::join(&mesh, "a-peer", agent).await?;
    let health = |event: &MeshEvent| match event {
        MeshEvent::AgentRegistered(agent) => Some(agent.health),
        MeshEvent::AgentHealth(change) => Some(change.health),
        _ => None,
    };
    assert_eq!(watch.find(health).await?, Health::Active);
    member.crash();
    let gone = watch.find(|e| matches!(e, MeshEvent::AgentHealth(_)).then(|| health(e)));
    assert_eq!(gone.await?, Some(Health::Offline));
    let agents = mesh.admin().agents().await?;
    assert_eq!(agents[0].health, Health::Offline);
    Ok(())
}

#[tokio::test]
async fn seam_links_of_a_sidecar_are_told_to_the_registry() -> Checked {
    let mesh = Mesh::start().await?;
    let _one = mesh.sidecar("one").await?;
    let _two = mesh.sidecar("two").await?;
    mesh.wait_links(1).await?;
    let edges = mesh.admin().topology().await?.mesh_edges;
    assert_eq!(
        (edges[0].from_peer.as_str(), edges[0].to_peer.as_str()),
        ("one", "two")
    );
    Ok(())
}

#[tokio::test]
async fn seam_agent_down_takes_an_agent_off_every_sidecars_list() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let mut worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    asker.knows("add").await?;
    worker.leave().await;
    in_time("the worker is off the list", async {
        // Each look is a round trip over IPC.
        while asker
            .view()
            .agents()
            .await?
            .iter()
            .any(|a| a.info.agent_id.as_str() == "worker")
        {}
        anyhow::Ok(())
    })
    .await??;
    Ok(())
}

fn held() -> SubmitTask {
    SubmitTask {
        skill: "hold".to_owned(),
        payload: Payload::new(json!({})),
        ..SubmitTask::default()
    }
}

#[tokio::test]
async fn seam_task_ack_ends_the_telling_of_a_result() -> Checked {
    let mut mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("worker");
    let worker = Member::join(&mesh, "worker-peer", agent).await?;
    let id = mesh.admin().submit(&held()).await?;
    probe.started().await?;
    probe.release();
    let done = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(done.state, TaskState::Completed);
    // Frames keep their order: with this one's acceptance the sidecar has the acknowledgement.
    let view = worker.view();
    view.delegate("hold", json!({}))
        .to("nobody")
        .submit()
        .await?;
    // A result that nobody acknowledged is said again to the registry that comes back, before anything else is.
    mesh.registry.kill().await?;
    mesh.restart_registry().await?;
    let again = mesh.admin().submit(&held()).await?;
    probe.started().await?;
    probe.release();
    mesh.admin().wait(&again, cap()).await?;
    assert_eq!(
        results_told(&mesh).await?,
        1,
        "the result of {id} was told again"
    );
    Ok(())
}

/// How many results sidecars have told this registry since it started.
async fn results_told(mesh: &Mesh) -> Result<u64> {
    let key = std::fs::read_to_string(mesh.directory().join("registry/admin.key"))?;
    let http = seamesh_client::http_builder(false)?.build()?;
    let request = http.get(format!("{}/metrics", mesh.url()));
    let answer = request.header("x-api-key", key.trim()).send().await?;
    let text = answer.error_for_status()?.text().await?;
    let counter = "seamesh_signaling_frames_total{kind=\"task_result\"} ";
    let count = text.lines().find_map(|line| line.strip_prefix(counter));
    Ok(count.context("a count of results")?.parse()?)
}

#[tokio::test]
async fn seam_task_watch_brings_the_end_of_work_that_was_asked_for_before_the_registry_went_away()
-> Checked {
    let mut mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let (agent, mut probe) = Probe::agent("worker");
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    asker.knows("hold").await?;
    let view = asker.view().clone();
    let asking = tokio::spawn(async move {
        let asked = view.delegate("hold", json!({ "n": 1 })).via(Via::Queue);
        // Without a deadline that comes sooner than the test's: giving up tells how it ended, too.
        asked.reply().await
    });
    probe.started().await?;
    // Frames keep their order: with this one's acceptance the asker has the other's, and will not submit it again.
    asker
        .view()
        .delegate("hold", json!({}))
        .to("nobody")
        .submit()
        .await?;
    // It ends while the asker is away.
    asker.sidecar.process.pause()?;
    mesh.registry.kill().await?;
    mesh.restart_registry().await?;
    probe.release();
    let tasks = mesh.admin().tasks(&TaskQuery::default()).await?.tasks;
    let held = tasks.iter().find(|task| task.target_agent_id != "nobody");
    mesh.admin()
        .wait(&held.context("its task")?.id, cap())
        .await?;
    asker.sidecar.process.resume()?;
    let reply = in_time("the answer comes", asking).await???;
    assert_eq!(reply.result, json!({ "n": 1 }));
    Ok(())
}

#[tokio::test]
async fn seam_registry_event_tells_a_rust_agent_that_the_registry_is_away_and_back() -> Checked {
    let mut mesh = Mesh::start().await?;
    let member = Member::join(&mesh, "a-peer", Agent::new("a")).await?;
    let is = async |wanted: bool| {
        in_time("the agent knows of the registry", async {
            // Each look is a round trip over IPC.
            while member.view().registry_connected() != wanted {
                member.view().peers().await?;
            }
            anyhow::Ok(())
        })
        .await?
    };
    is(true).await?;
    mesh.registry.kill().await?;
    is(false).await?;
    mesh.restart_registry().await?;
    is(true).await?;
    Ok(())
}

#[tokio::test]
async fn seam_accepted_gives_a_rust_agent_the_id_of_work_it_does_not_wait_for() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let submitted = asker.view().delegate("hold", json!({})).submit();
    let id = in_time("the work is accepted", submitted).await??;
    assert_eq!(mesh.admin().task(&id).await?.skill, "hold");
    Ok(())
}

#[tokio::test]
async fn seam_stale_result_is_told_to_whoever_watches() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let mut peer = SignalingPeer::join(&mesh, "liar").await?;
    peer.say("register", None, json!({ "version": 1 })).await?;
    let agent =
        json!({ "agent_id": "liar", "hostname": "h", "capabilities": { "skills": ["hold"] } });
    peer.say("agent_register", None, json!({ "agent": agent }))
        .await?;
    let id = mesh.admin().submit(&held()).await?;
    let assigned = peer.wait_for("task_assign").await?;
    let lease = assigned.payload["lease"].as_u64().context("a lease")?;
    let outcome = json!({ "state": "completed", "result": Value::Null });
    let result = json!({ "task_id": id, "lease": lease + 1, "outcome": outcome });
    peer.say("task_result", None, result).await?;
    let told = watch.find(|event| match event {
        MeshEvent::StaleResult(stale) => Some(stale.clone()),
        _ => None,
    });
    let told = told.await?;
    assert_eq!(
        (&told.task_id, told.lease, told.peer_id.as_str()),
        (&id, lease + 1, "liar")
    );
    assert_eq!(mesh.admin().task(&id).await?.state, TaskState::Assigned);
    Ok(())
}

#[tokio::test]
async fn seam_agent_health_of_an_agent_that_lost_its_sidecar_is_told_to_whoever_watches() -> Checked
{
    let mesh = Mesh::start().await?;
    let client = mesh.client("watcher", Role::Viewer).await?;
    let mut watch = mesh.watch().await?;
    let mut member = Member::join(&mesh, "a-peer", Agent::new("a")).await?;
    watch
        .find(|event| matches!(event, MeshEvent::AgentRegistered(_)).then_some(()))
        .await?;
    member.sidecar.process.kill().await?;
    let told = watch.find(|event| match event {
        MeshEvent::AgentHealth(change) => Some((change.agent_id.to_string(), change.health)),
        _ => None,
    });
    assert_eq!(told.await?, ("a".to_owned(), Health::Stale));
    assert_eq!(client.agents().await?[0].health, Health::Stale);
    Ok(())
}
