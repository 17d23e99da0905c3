//! One test per seam whose deafness lost work before: each fails when the consumer parses the message and ignores it.

use seamesh_agent::{Agent, Path, Via};
use seamesh_harness::Mesh;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Payload, TaskState};
use seamesh_tests::{Checked, Member, Probe, SignalingPeer, cap};
use serde_json::json;

#[tokio::test]
async fn seam_signaling_peer_list_makes_the_newcomer_offer() -> Checked {
    let mesh = Mesh::start().await?;
    let mut peer = SignalingPeer::join(&mesh, "witness").await?;
    let sidecar = mesh.sidecar("newcomer").await?;
    let offer = peer.wait_for("offer").await?;
    assert_eq!(offer.peer_id, sidecar.peer_id);
    assert!(
        offer.payload["sdp"]
            .as_str()
            .unwrap()
            .contains("m=application")
    );
    Ok(())
}

#[tokio::test]
async fn seam_signaling_offer_is_answered() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let asked = Member::join(&mesh, "asked", Agent::new("asked-agent")).await?;
    // Once its agent is registered it is on signaling, and does not dial who comes later.
    watch
        .find(|event| matches!(event, MeshEvent::AgentRegistered(_)).then_some(()))
        .await?;
    let asked = &asked.sidecar.peer_id;
    let mut peer = SignalingPeer::join(&mesh, "between").await?;
    // A real description to offer: the one a newcomer offers to the peer between.
    let _newcomer = mesh.sidecar("newcomer").await?;
    let offer = peer.wait_for("offer").await?;
    assert_eq!(offer.peer_id.as_str(), "newcomer");
    let sdp = offer.payload["sdp"].clone();
    peer.say("offer", Some(asked), json!({ "sdp": sdp }))
        .await?;
    let answer = peer.wait_for("answer").await?;
    assert_eq!(&answer.peer_id, asked);
    assert!(
        answer.payload["sdp"]
            .as_str()
            .unwrap()
            .contains("m=application")
    );
    Ok(())
}

#[tokio::test]
async fn seam_link_task_request_runs_the_skill_behind_the_other_sidecar() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Probe::agent("asker-agent").0).await?;
    let (agent, mut probe) = Probe::agent("worker");
    let worker = Member::join(&mesh, "worker-peer", agent).await?;
    asker.linked_with(&["worker-peer"]).await?;
    asker.knows("hold").await?;
    let view = asker.view().clone();
    let asking = tokio::spawn(async move {
        view.delegate("hold", json!({ "n": 1 }))
            .to("worker")
            .via(Via::Direct)
            .timeout(cap())
            .reply()
            .await
    });
    let ctx = probe.started().await?;
    assert_eq!(
        (ctx.path(), ctx.from_agent()),
        (Path::Direct, "asker-agent")
    );
    probe.release();
    let reply = asking.await??;
    assert_eq!(reply.result, json!({ "n": 1 }));
    assert_eq!(
        (reply.path, reply.agent_id.as_str()),
        (Path::Direct, "worker")
    );
    drop(worker);
    Ok(())
}

#[tokio::test]
async fn seam_signaling_task_assign_runs_a_pushed_task() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("worker");
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    let task = SubmitTask {
        skill: "hold".to_owned(),
        payload: Payload::new(json!({ "n": 2 })),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&task).await?;
    let ctx = probe.started().await?;
    assert_eq!(
        (ctx.path(), ctx.task_id(), ctx.attempt()),
        (Path::Queue, &id, 1)
    );
    probe.release();
    let done = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(
        (done.state, done.result),
        (TaskState::Completed, json!({ "n": 2 }))
    );
    assert_eq!(done.assigned_agent_id, "worker");
    Ok(())
}
