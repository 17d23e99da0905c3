//! The socket between an agent and its sidecar.

use std::os::unix::fs::PermissionsExt;

use seamesh_agent::Agent;
use seamesh_harness::Mesh;
use seamesh_proto::TaskState;
use seamesh_proto::task::SubmitTask;
use seamesh_tests::{Checked, Member, OldClient, Probe, cap};
use serde_json::json;

#[tokio::test]
async fn a_second_client_is_refused_with_a_reason_and_the_first_is_served_on() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, _probe) = Probe::agent("worker");
    let worker = Member::join(&mesh, "worker-peer", agent).await?;
    let mut second = OldClient::connect(&worker.sidecar.socket).await?;
    let refusal = second.hear().await?.unwrap();
    assert_eq!(
        (&refusal["type"], &refusal["payload"]["code"]),
        (&json!("error"), &json!("sidecar_busy"))
    );
    assert_eq!(second.hear().await?, None, "and hung up on");
    let task = serde_json::from_value(json!({ "skill": "add", "payload": { "a": 1, "b": 1 } }))?;
    let id = mesh.admin().submit(&task).await?;
    assert_eq!(
        mesh.admin().wait(&id, cap()).await?.state,
        TaskState::Completed
    );
    Ok(())
}

#[tokio::test]
async fn an_agent_that_lost_its_socket_comes_back_and_works() -> Checked {
    let mesh = Mesh::start().await?;
    let mut member = Member::join(&mesh, "worker-peer", Agent::new("worker")).await?;
    for _ in 0..3 {
        member.crash();
        member.come_back(Probe::agent("worker").0).await?;
        let task =
            serde_json::from_value(json!({ "skill": "add", "payload": { "a": 1, "b": 1 } }))?;
        let id = mesh.admin().submit(&task).await?;
        assert_eq!(
            mesh.admin().wait(&id, cap()).await?.state,
            TaskState::Completed
        );
    }
    Ok(())
}

#[tokio::test]
async fn work_of_an_agent_that_was_killed_is_handed_out_again_to_its_next_process() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("worker");
    let mut member = Member::join(&mesh, "worker-peer", agent).await?;
    let hold = SubmitTask {
        skill: "hold".to_owned(),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&hold).await?;
    probe.started().await?;
    member.crash();
    let (agent, mut probe) = Probe::agent("worker");
    member.come_back(agent).await?;
    assert_eq!(probe.started().await?.task_id(), &id);
    probe.release();
    assert_eq!(
        mesh.admin().wait(&id, cap()).await?.state,
        TaskState::Completed
    );
    Ok(())
}

#[tokio::test]
async fn the_socket_and_its_directory_are_for_their_owner_alone() -> Checked {
    let mesh = Mesh::start().await?;
    let sidecar = mesh.sidecar("private").await?;
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sidecar.socket), 0o600);
    assert_eq!(mode(sidecar.socket.parent().unwrap()), 0o700);
    Ok(())
}
