//! Work that goes through the registry's durable queue.

use seamesh_agent::{Agent, Code, Path};
use seamesh_harness::Mesh;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Payload, TaskState};
use seamesh_tests::{Checked, Member, Probe, cap};
use serde_json::json;

fn add(target: &str) -> SubmitTask {
    SubmitTask {
        skill: "add".to_owned(),
        target_agent_id: target.to_owned(),
        payload: Payload::new(json!({ "a": 2, "b": 3 })),
        ..SubmitTask::default()
    }
}

#[tokio::test]
async fn a_task_is_submitted_assigned_executed_and_its_result_kept() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let id = mesh.admin().submit(&add("")).await?;
    for state in [
        TaskState::Pending,
        TaskState::Assigned,
        TaskState::Completed,
    ] {
        let task = watch.task(&id, |_| true).await?;
        assert_eq!(task.state, state, "every step is an event, in order");
    }
    let task = mesh.admin().task(&id).await?;
    assert_eq!(
        (task.result, task.path, task.attempt),
        (json!(5), Path::Queue, 1)
    );
    Ok(())
}

#[tokio::test]
async fn a_task_for_an_agent_that_is_away_is_executed_when_it_comes() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, _probe) = Probe::agent("late");
    let mut watch = mesh.watch().await?;
    let mut member = Member::join(&mesh, "late-peer", agent).await?;
    watch
        .find(|event| matches!(event, MeshEvent::AgentRegistered(_)).then_some(()))
        .await?;
    member.leave().await;
    watch
        .find(|event| matches!(event, MeshEvent::AgentRemoved(_)).then_some(()))
        .await?;
    let id = mesh.admin().submit(&add("late")).await?;
    assert_eq!(mesh.admin().task(&id).await?.state, TaskState::Pending);
    member.come_back(Probe::agent("late").0).await?;
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!((task.state, task.result), (TaskState::Completed, json!(5)));
    Ok(())
}

#[tokio::test]
async fn an_agent_submits_without_waiting_and_another_does_the_work() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let id = asker
        .view()
        .delegate("add", json!({ "a": 1, "b": 1 }))
        .to("worker")
        .submit()
        .await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(
        (task.state, task.result, task.source_agent_id.as_str()),
        (TaskState::Completed, json!(2), "a")
    );
    Ok(())
}

#[tokio::test]
async fn a_request_to_an_agent_without_a_link_comes_back_through_the_queue() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let view = asker.view().clone();
    let asking = tokio::spawn(async move {
        view.delegate("add", json!({ "a": 4, "b": 4 }))
            .to("worker")
            .timeout(cap())
            .reply()
            .await
    });
    let mut watch = mesh.watch().await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let reply = asking.await??;
    assert_eq!((reply.result, reply.path), (json!(8), Path::Queue));
    let task = mesh.admin().task(&reply.task_id).await?;
    assert_eq!(task.path, Path::Queue);
    Ok(watch.links(1).await?)
}

#[tokio::test]
async fn a_canceled_task_ends_the_work_at_its_agent() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("worker");
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    let hold = SubmitTask {
        skill: "hold".to_owned(),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&hold).await?;
    probe.started().await?;
    mesh.admin().cancel(&id).await?;
    probe.given_up().await?;
    let task = mesh.admin().task(&id).await?;
    assert_eq!(
        (task.state, task.error_code),
        (TaskState::Canceled, Some(Code::Canceled))
    );
    Ok(())
}

#[tokio::test]
async fn unfinished_work_goes_to_another_agent_when_a_sidecar_is_told_to_end() -> Checked {
    let mesh = Mesh::start().await?;
    let (first, mut probe) = Probe::agent("first");
    let mut first = Member::join(&mesh, "first-peer", first).await?;
    let hold = SubmitTask {
        skill: "hold".to_owned(),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&hold).await?;
    probe.started().await?;
    first.crash();
    first.sidecar.process.terminate().await?;
    let (second, mut probe) = Probe::agent("second");
    let _second = Member::join(&mesh, "second-peer", second).await?;
    let ctx = probe.started().await?;
    assert_eq!((ctx.task_id(), ctx.attempt()), (&id, 2));
    probe.release();
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(
        (task.state, task.assigned_agent_id.as_str()),
        (TaskState::Completed, "second")
    );
    Ok(())
}
