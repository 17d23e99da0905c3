//! Agents that ask each other: how far a loop gets, how wide one task spreads, and how the tree of it all is shown.

use std::time::{Duration, Instant};

use seamesh_agent::{Agent, Code, Ctx, MeshError, SkillError, Via};
use seamesh_harness::Mesh;
use seamesh_proto::limits::{HEARTBEAT_MS, MAX_CHILDREN, MAX_DEPTH};
use seamesh_proto::rest::TaskQuery;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Path, Task, TaskId, TaskState};
use seamesh_tests::{Checked, Member, Probe, cap};
use serde_json::{Value, json};

use crate::command_line::{run, stderr, stdout};

fn passed_on(error: MeshError) -> SkillError {
    SkillError::with_code(error.code, error.message)
}

/// An agent whose only skill asks another agent's.
fn asks(name: &str, skill: &str, to: &'static str, other: &'static str, via: Via) -> Agent {
    let handler = move |ctx: Ctx, _: Value| async move {
        let asked = ctx.delegate(other, json!({})).to(to).via(via).await;
        asked.map(drop).map_err(passed_on)
    };
    Agent::new(name).skill(skill, handler)
}

fn work(skill: &str) -> SubmitTask {
    SubmitTask {
        skill: skill.to_owned(),
        ..SubmitTask::default()
    }
}

async fn tree(mesh: &Mesh, root: &TaskId) -> anyhow::Result<Vec<Task>> {
    let query = TaskQuery {
        root: Some(root.clone()),
        limit: Some(1_000),
        ..TaskQuery::default()
    };
    let mut tasks = mesh.admin().tasks(&query).await?.tasks;
    tasks.sort_by_key(|task| task.lineage.depth);
    Ok(tasks)
}

async fn runs_in_a_loop(via: Via, path: Path) -> Checked {
    let mesh = Mesh::start().await?;
    let a = asks("a", "plan", "b", "check", via);
    let a = Member::join(&mesh, "a-peer", a).await?;
    let b = asks("b", "check", "a", "plan", via);
    let b = Member::join(&mesh, "b-peer", b).await?;
    for (member, other, skill) in [(&a, "b-peer", "check"), (&b, "a-peer", "plan")] {
        member.linked_with(&[other]).await?;
        member.knows(skill).await?;
    }
    let id = mesh.admin().submit(&work("plan")).await?;
    let root = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(root.error_code, Some(Code::DepthExceeded), "{}", root.error);
    let hops = "a.plan -> b.check -> ".repeat(MAX_DEPTH as usize / 2);
    let whole = format!("{hops}a.plan -> b.check");
    assert!(root.error.ends_with(&whole), "{}", root.error);
    let tasks = tree(&mesh, &id).await?;
    let depths: Vec<u32> = tasks.iter().map(|task| task.lineage.depth).collect();
    assert_eq!(depths, (0..=MAX_DEPTH).collect::<Vec<_>>());
    assert!(tasks[1..].iter().all(|task| task.path == path));
    let deepest = &tasks[MAX_DEPTH as usize];
    assert_eq!(deepest.lineage.chain.len(), MAX_DEPTH as usize);
    Ok(())
}

#[tokio::test]
async fn two_agents_that_ask_each_other_forever_are_stopped_and_told_their_chain() -> Checked {
    runs_in_a_loop(Via::Direct, Path::Direct).await
}

#[tokio::test]
async fn a_loop_through_the_queue_is_stopped_as_well() -> Checked {
    runs_in_a_loop(Via::Queue, Path::Queue).await
}

#[tokio::test]
async fn a_task_that_asks_without_end_is_stopped_after_so_many() -> Checked {
    let mesh = Mesh::start().await?;
    let spread = |ctx: Ctx, _: Value| async move {
        for asked in 0.. {
            let adding = ctx.delegate("add", json!({ "a": asked, "b": 1 }));
            if let Err(error) = adding.via(Via::Direct).await {
                let text = format!("{asked}: {}", error.message);
                return Err(SkillError::with_code(error.code, text));
            }
        }
        Ok(())
    };
    let asker = Agent::new("asker").skill("spread", spread);
    let asker = Member::join(&mesh, "asker-peer", asker).await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    asker.linked_with(&["worker-peer"]).await?;
    asker.knows("add").await?;
    let id = mesh.admin().submit(&work("spread")).await?;
    let task = mesh.admin().wait(&id, 3 * cap()).await?;
    assert_eq!(
        task.error_code,
        Some(Code::FanOutExceeded),
        "{}",
        task.error
    );
    let asked = format!("{MAX_CHILDREN}: task {id} (spread)");
    assert!(task.error.starts_with(&asked), "{}", task.error);
    Ok(())
}

#[tokio::test]
async fn a_task_is_shown_in_its_tree_with_its_reason_and_its_history() -> Checked {
    let mesh = Mesh::start().await?;
    let (worker, mut probe) = Probe::agent("worker");
    let lead = |ctx: Ctx, _: Value| async move {
        let direct = ctx
            .delegate("add", json!({ "a": 1, "b": 1 }))
            .via(Via::Direct);
        direct.await.map_err(passed_on)?;
        let wrong = ctx.delegate("add", json!({ "a": "x" })).via(Via::Direct);
        let _ = wrong.await;
        let queued = ctx.delegate("hold", json!({ "n": 1 })).via(Via::Queue);
        queued.await.map_err(passed_on)
    };
    let lead = Member::join(&mesh, "lead-peer", Agent::new("lead").skill("lead", lead)).await?;
    let _worker = Member::join(&mesh, "worker-peer", worker).await?;
    lead.linked_with(&["worker-peer"]).await?;
    lead.knows("hold").await?;
    let root = mesh.admin().submit(&work("lead")).await?;
    let held = probe.started().await?.task_id().to_string();

    let shown = run(&mesh, &["tasks", "show", &held]).await?;
    let text = stdout(&shown);
    assert!(shown.status.success(), "{}", stderr(&shown));
    let held_line = text.lines().find(|line| line.contains("hold"));
    let held_line = held_line.unwrap_or_default();
    for part in [
        "lead -> worker",
        "queue",
        "attempt 1 of 3",
        "assigned",
        "◀ this task",
    ] {
        assert!(held_line.contains(part), "{text}");
    }
    assert!(text.starts_with("lead  you -> lead  queue"), "{text}");
    assert!(text.contains("agent worker holds lease 1 since"), "{text}");
    assert!(
        text.contains("assigned: attempt 1 by worker under lease 1"),
        "{text}"
    );

    probe.release();
    let ended = mesh.admin().wait(&root, cap()).await?;
    assert_eq!(ended.state, TaskState::Completed, "{}", ended.error);
    let shown = stdout(&run(&mesh, &["tasks", "show", root.as_str()]).await?);
    let mut tree = shown.lines().take(4);
    let first = tree.next().unwrap_or_default();
    assert!(
        first.starts_with("lead  you -> lead") && first.ends_with("◀ this task"),
        "{shown}"
    );
    // What was asked for within one millisecond stands in any order.
    let below: Vec<&str> = tree.collect();
    let marks: Vec<String> = below
        .iter()
        .map(|line| line.chars().take(2).collect())
        .collect();
    assert_eq!(marks, ["├─", "├─", "└─"], "{shown}");
    for parts in [
        ["add  lead -> worker", "direct", "completed"],
        ["add  lead -> worker", "failed", "bad_arguments"],
        ["hold  lead -> worker", "queue", "completed"],
    ] {
        let is_it = |line: &&str| parts.iter().all(|part| line.contains(part));
        assert!(below.iter().any(is_it), "{shown}");
    }
    let data = run(&mesh, &["tasks", "show", &held, "--json"]).await?;
    let data: Value = serde_json::from_str(&stdout(&data))?;
    assert_eq!(data["id"], held);
    assert_eq!(data["reason"], "completed by agent worker in attempt 1");
    assert_eq!(
        data["chain"],
        json!([{"agent_id": "lead", "skill": "lead"}])
    );
    let children = data["tree"][0]["children"].as_array().unwrap();
    let asked = children.iter().map(|child| child["asked"] == true);
    assert_eq!(asked.filter(|is_it| *is_it).count(), 1);
    assert_eq!(data["history"][0]["what"], "pending");
    Ok(())
}

#[tokio::test]
async fn a_rust_agent_that_stops_gracefully_hands_its_work_back_and_another_ends_it_at_once()
-> Checked {
    let mesh = Mesh::start().await?;
    let (first, mut probe) = Probe::agent("first");
    let mut first = Member::join(&mesh, "first-peer", first).await?;
    let id = mesh.admin().submit(&work("hold")).await?;
    probe.started().await?;
    let (second, mut second_probe) = Probe::agent("second");
    let second = Member::join(&mesh, "second-peer", second).await?;
    second.knows("hold").await?;
    let told = Instant::now();
    first.drain(Duration::from_millis(50)).await;
    let ctx = second_probe.started().await?;
    let took = told.elapsed();
    assert!(
        took < Duration::from_millis(HEARTBEAT_MS),
        "no lease ran out: {took:?}"
    );
    assert_eq!((ctx.task_id(), ctx.attempt()), (&id, 2));
    second_probe.release();
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(
        (task.state, task.assigned_agent_id.as_str()),
        (TaskState::Completed, "second")
    );

    let data = run(&mesh, &["tasks", "show", id.as_str(), "--json"]).await?;
    let data: Value = serde_json::from_str(&stdout(&data))?;
    let history = data["history"].as_array().unwrap();
    let what = history.iter().filter_map(|e| e["what"].as_str());
    // That the sidecar hands back once more what its goodbye has handed back is nobody's refused result.
    let what: Vec<&str> = what.collect();
    let expected = [
        "pending",
        "assigned: attempt 1 by first under lease 1",
        "pending again: attempt 1 ended without a result",
        "assigned: attempt 2 by second under lease 2",
        "completed",
    ];
    assert_eq!(what, expected);
    Ok(())
}
