//! What a kill -9 costs: nothing that was promised.

use std::sync::Arc;

use seamesh_agent::{Agent, Path, Via};
use seamesh_harness::Mesh;
use seamesh_proto::rest::Role;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Payload, TaskState};
use seamesh_tests::{Checked, Member, Probe, cap};
use serde_json::json;

/// Programs that submit at the same time.
const SUBMITTERS: usize = 16;

#[tokio::test]
async fn a_killed_registry_has_every_task_it_accepted() -> Checked {
    let mut mesh = Mesh::start().await?;
    let admin = Arc::new(mesh.admin().clone());
    // As fast as they can, until the registry dies under them.
    let submitters: Vec<_> = (0..SUBMITTERS)
        .map(|_| {
            let admin = admin.clone();
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                let task = SubmitTask {
                    skill: "add".to_owned(),
                    payload: Payload::new(json!({ "a": 1, "b": 1 })),
                    ..SubmitTask::default()
                };
                while let Ok(id) = admin.submit(&task).await {
                    accepted.push(id);
                }
                accepted
            })
        })
        .collect();
    let mut watch = mesh.watch().await?;
    for _ in 0..100 {
        watch.next().await?;
    }
    mesh.registry.kill().await?;
    let mut accepted = Vec::new();
    for submitter in submitters {
        accepted.extend(submitter.await?);
    }
    mesh.restart_registry().await?;
    // Each submitter may have lost the answer to its last one.
    assert!(accepted.len() >= 100 - SUBMITTERS);
    for id in &accepted {
        assert_eq!(
            mesh.admin().task(id).await?.state,
            TaskState::Pending,
            "{id}"
        );
    }
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let last = accepted.last().unwrap();
    assert_eq!(
        mesh.admin().wait(last, cap()).await?.state,
        TaskState::Completed
    );
    Ok(())
}

#[tokio::test]
async fn links_and_direct_work_outlive_a_registry_that_is_away_and_it_hears_of_the_work_later()
-> Checked {
    let mut mesh = Mesh::start().await?;
    let alpha = Member::join(&mesh, "alpha", Agent::new("a")).await?;
    let _beta = Member::join(&mesh, "beta", Probe::agent("b").0).await?;
    alpha.linked_with(&["beta"]).await?;
    alpha.knows("add").await?;
    mesh.registry.kill().await?;
    let view = alpha.view();
    let mut last = None;
    for n in 0..20 {
        let reply = view
            .delegate("add", json!({ "a": n, "b": 1 }))
            .via(Via::Direct)
            .reply()
            .await?;
        assert_eq!((reply.result, reply.path), (json!(n + 1), Path::Direct));
        last = Some(reply.task_id);
    }
    mesh.restart_registry().await?;
    let mut watch = mesh.watch().await?;
    let id = last.unwrap();
    if mesh.admin().task(&id).await.is_err() {
        watch.task(&id, |task| task.state.is_terminal()).await?;
    }
    assert_eq!(mesh.admin().task(&id).await?.state, TaskState::Completed);
    Ok(alpha.linked_with(&["beta"]).await?)
}

#[tokio::test]
async fn a_task_in_work_when_the_registry_is_killed_runs_once_and_completes() -> Checked {
    let mut mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("worker");
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    let hold = SubmitTask {
        skill: "hold".to_owned(),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&hold).await?;
    probe.started().await?;
    mesh.registry.kill().await?;
    probe.release();
    mesh.restart_registry().await?;
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(
        (task.state, task.attempt, probe.runs()),
        (TaskState::Completed, 1, 1)
    );
    Ok(())
}

#[tokio::test]
async fn sidecars_started_before_their_registry_link_when_it_comes() -> Checked {
    let mut mesh = Mesh::start().await?;
    let (key_a, key_b) = (
        mesh.key("alpha", Role::Agent).await?,
        mesh.key("beta", Role::Agent).await?,
    );
    mesh.registry.kill().await?;
    let alpha = mesh.sidecar_with_key("alpha", key_a).await?;
    let beta = mesh.sidecar_with_key("beta", key_b).await?;
    let alpha = Member::behind(alpha, Agent::new("a")).await?;
    let _beta = Member::behind(beta, Probe::agent("b").0).await?;
    mesh.restart_registry().await?;
    alpha.linked_with(&["beta"]).await?;
    alpha.knows("add").await?;
    let sum: i64 = alpha
        .view()
        .delegate("add", json!({ "a": 1, "b": 2 }))
        .via(Via::Direct)
        .get()
        .await?;
    assert_eq!(sum, 3);
    Ok(())
}

#[tokio::test]
async fn a_direct_request_whose_worker_loses_its_sidecar_ends_once_under_the_same_task() -> Checked
{
    let mesh = Mesh::start().await?;
    let alpha = Member::join(&mesh, "alpha", Agent::new("a")).await?;
    let (agent, mut probe) = Probe::agent("b");
    let mut beta = Member::join(&mesh, "beta", agent).await?;
    alpha.linked_with(&["beta"]).await?;
    alpha.knows("hold").await?;
    let view = alpha.view().clone();
    let asking = tokio::spawn(async move {
        view.delegate("hold", json!({ "n": 1 }))
            .to("b")
            .timeout(cap())
            .reply()
            .await
    });
    let ctx = probe.started().await?;
    assert_eq!(ctx.path(), Path::Direct);
    beta.sidecar.process.kill().await?;
    mesh.restart_sidecar(&mut beta.sidecar).await?;
    // The handler outlived its sidecar; its answer goes wherever the task is now.
    probe.release();
    let reply = asking.await??;
    assert_eq!(
        (&reply.task_id, reply.result),
        (ctx.task_id(), json!({ "n": 1 }))
    );
    assert_eq!(probe.runs(), 1);
    Ok(())
}
