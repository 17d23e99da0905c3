//! Work that goes from sidecar to sidecar.

use std::time::Duration;

use seamesh_agent::{Agent, Code, Ctx, Path, SkillError, Via};
use seamesh_harness::Mesh;
use seamesh_proto::TaskState;
use seamesh_proto::rest::TaskQuery;
use seamesh_tests::{Checked, Member, Probe, cap, in_time};
use serde_json::{Value, json};

#[tokio::test]
async fn two_agents_register_link_delegate_and_the_registry_hears_of_it() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let alpha = Member::join(&mesh, "alpha", Probe::agent("a").0).await?;
    let beta = Member::join(&mesh, "beta", Probe::agent("b").0).await?;
    watch.links(1).await?;
    alpha.linked_with(&["beta"]).await?;
    beta.linked_with(&["alpha"]).await?;
    alpha.knows("add").await?;
    let reply = alpha
        .view()
        .delegate("add", json!({ "a": 20, "b": 22 }))
        .to("b")
        .reply()
        .await?;
    assert_eq!(
        (reply.result, reply.path, reply.agent_id.as_str()),
        (json!(42), Path::Direct, "b")
    );
    let told = watch
        .task(&reply.task_id, |task| task.state.is_terminal())
        .await?;
    assert_eq!(
        (told.state, told.path),
        (TaskState::Completed, Path::Direct)
    );
    assert_eq!(
        (
            told.source_agent_id.as_str(),
            told.assigned_agent_id.as_str()
        ),
        ("a", "b")
    );
    Ok(())
}

#[tokio::test]
async fn a_skill_that_delegates_stands_above_what_it_asked_for_in_the_tree() -> Checked {
    let mesh = Mesh::start().await?;
    let ask = |ctx: Ctx, (): ()| async move {
        let sum: i64 = ctx
            .delegate("add", json!({ "a": 1, "b": 2 }))
            .to("adder")
            .get()
            .await?;
        Ok::<_, SkillError>(sum * 10)
    };
    let mut watch = mesh.watch().await?;
    let editor = Member::join(&mesh, "editor-peer", Agent::new("editor").skill("ask", ask)).await?;
    let _adder = Member::join(&mesh, "adder-peer", Probe::agent("adder").0).await?;
    editor.linked_with(&["adder-peer"]).await?;
    editor.knows("add").await?;
    let task = serde_json::from_value(json!({ "skill": "ask", "target_agent_id": "editor" }))?;
    let root = mesh.admin().submit(&task).await?;
    let done = mesh.admin().wait(&root, cap()).await?;
    assert_eq!(done.result, json!(30));
    // The hop below is reported after the fact.
    watch
        .find(|event| match event {
            seamesh_proto::events::MeshEvent::TaskChanged(task) if task.skill == "add" => Some(()),
            _ => None,
        })
        .await?;
    let query = TaskQuery {
        root: Some(root.clone()),
        ..TaskQuery::default()
    };
    let tree = mesh.admin().tasks(&query).await?.tasks;
    let below: Vec<_> = tree.iter().filter(|task| task.id != root).collect();
    assert_eq!((tree.len(), below.len()), (2, 1));
    assert_eq!(below[0].lineage.parent_id.as_ref(), Some(&root));
    assert_eq!((below[0].lineage.depth, below[0].path), (1, Path::Direct));
    Ok(())
}

#[tokio::test]
async fn an_asker_that_gives_up_ends_the_work_at_the_other_end() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let (agent, mut probe) = Probe::agent("worker");
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    asker.linked_with(&["worker-peer"]).await?;
    asker.knows("hold").await?;
    let view = asker.view().clone();
    let asking =
        tokio::spawn(async move { view.delegate("hold", json!({})).via(Via::Direct).await });
    probe.started().await?;
    asking.abort();
    Ok(probe.given_up().await?)
}

#[tokio::test]
async fn errors_keep_their_code_across_the_link() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker", Agent::new("a")).await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    asker.linked_with(&["worker-peer"]).await?;
    asker.knows("add").await?;
    let view = asker.view();
    let answer_of = async |skill: &str, args: Value, patience: Duration| {
        let asked = view.delegate(skill, args).via(Via::Direct);
        in_time(skill, asked.timeout(patience).reply()).await
    };
    let wrong = answer_of("add", json!({ "a": "x" }), cap()).await?;
    assert_eq!(wrong.unwrap_err().code, Code::BadArguments);
    let late = answer_of("hold", json!({}), Duration::from_millis(50)).await?;
    assert_eq!(late.unwrap_err().code, Code::DeadlineExceeded);
    let nobody = answer_of("no_such_skill", json!({}), cap()).await?;
    assert!(matches!(
        nobody.unwrap_err().code,
        Code::NoAgent | Code::NoLink
    ));
    Ok(())
}

#[tokio::test]
async fn a_message_reaches_the_other_agent_whole_and_in_order() -> Checked {
    let mesh = Mesh::start().await?;
    let (seen, mut messages) = tokio::sync::mpsc::unbounded_channel();
    let listener = Agent::new("listener").on_message(move |_, message| seen.send(message).unwrap());
    let alpha = Member::join(&mesh, "alpha", Agent::new("a")).await?;
    let _beta = Member::join(&mesh, "beta", listener).await?;
    alpha.linked_with(&["beta"]).await?;
    let long = "ü".repeat(200_000);
    for text in ["first", long.as_str(), "last"] {
        alpha.view().send(&"beta".parse()?, text).await?;
    }
    for text in ["first", long.as_str(), "last"] {
        let message = in_time("a message", messages.recv()).await?.unwrap();
        assert_eq!(message.from_peer.as_str(), "alpha");
        let body: Value = serde_json::from_str(message.message.text())?;
        assert_eq!(body["type"], "agent_prompt");
        assert!(
            body["payload"]["message"] == text,
            "{} bytes",
            message.message.text().len()
        );
    }
    Ok(())
}
