//! Skills that name their callers: who is served, on either path, and who is told `forbidden`.

use seamesh_agent::{Agent, Code, Ctx, SkillError, Via};
use seamesh_harness::Mesh;
use seamesh_proto::TaskState;
use seamesh_proto::task::SubmitTask;
use seamesh_tests::{Checked, Member, cap};
use serde_json::{Value, json};

const AGENT: &str = r#"
from seamesh import Agent

agent = Agent("vault")
opened = 0

@agent.skill(callers=["friend"])
def open_it() -> int:
    """Opens the vault; says how often it did."""
    global opened
    opened += 1
    return opened

if __name__ == "__main__":
    agent.run()
"#;

async fn checks_who_may_open_it(mesh: &Mesh) -> Checked {
    let friend = Member::join(mesh, "friend-peer", Agent::new("friend")).await?;
    let stranger = Member::join(mesh, "stranger-peer", Agent::new("stranger")).await?;
    for member in [&friend, &stranger] {
        member.knows("open_it").await?;
        member.links(|links| links.contains("vault-peer")).await?;
    }
    for via in [Via::Direct, Via::Queue, Via::Auto] {
        let asked = stranger.view().delegate("open_it", json!({})).via(via);
        let refused = asked.timeout(cap()).await.unwrap_err();
        assert_eq!(refused.code, Code::Forbidden, "{via:?}: {refused}");
        for name in ["open_it", "stranger"] {
            assert!(refused.message.contains(name), "{refused}");
        }
        let aimed = stranger.view().delegate("open_it", json!({})).to("vault");
        let refused = aimed.via(via).timeout(cap()).await.unwrap_err();
        assert_eq!(refused.code, Code::Forbidden, "{via:?}: {refused}");
    }
    // It counts its runs: nothing of what was refused reached it.
    for (via, count) in [(Via::Direct, 1), (Via::Queue, 2)] {
        let asked = friend.view().delegate("open_it", json!({})).via(via);
        let opened: i64 = asked.timeout(cap()).get().await?;
        assert_eq!(opened, count, "{via:?}");
    }
    let task = SubmitTask {
        skill: "open_it".to_owned(),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&task).await?;
    let task = mesh.admin().wait(&id, cap()).await?;
    assert_eq!((task.state, task.result), (TaskState::Completed, json!(3)));
    Ok(())
}

#[tokio::test]
async fn a_python_skill_that_names_its_callers_runs_for_them_and_for_operators_only() -> Checked {
    let mesh = Mesh::start().await?;
    let file = mesh.directory().join("vault.py");
    std::fs::write(&file, AGENT)?;
    let sidecar = mesh.sidecar("vault-peer").await?;
    let _process = mesh.python_agent("vault", &file, &sidecar)?;
    checks_who_may_open_it(&mesh).await
}

#[tokio::test]
async fn a_rust_skill_that_names_its_callers_runs_for_them_and_for_operators_only() -> Checked {
    let mesh = Mesh::start().await?;
    let opened = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let open_it = move |_: Ctx, _: Value| {
        let before = opened.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move { Ok::<_, SkillError>(before + 1) }
    };
    let vault = Agent::new("vault")
        .skill("open_it", open_it)
        .callers(["friend"]);
    let _vault = Member::join(&mesh, "vault-peer", vault).await?;
    checks_who_may_open_it(&mesh).await
}
