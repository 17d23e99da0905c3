//! The demo's mesh: a registry with the hub, three sidecars, three agents, all processes of their own.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use seamesh_harness::{Mesh, Process, Sidecar, Watch, binaries};
use seamesh_proto::events::MeshEvent;
use seamesh_proto::rest::TaskQuery;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Payload, Task, TaskId, TaskState};
use tokio::process::Command;

use crate::report::{Answer, Timings};

/// Links of three sidecars: every pair.
const LINKS: usize = 3;

/// A running demo. Dropping it ends its processes.
pub(crate) struct Demo {
    mesh: Mesh,
    /// Held so that they run on.
    _sidecars: [Sidecar; 3],
    agents: Vec<Process>,
    /// How long the steps took.
    pub(crate) timings: Timings,
}

impl Demo {
    /// Starts everything and returns when every agent is registered and every pair is linked.
    ///
    /// # Errors
    /// When a part does not start; the error quotes its log.
    pub(crate) async fn start(docs: &Path) -> Result<Self> {
        let begin = Instant::now();
        let mesh = Mesh::start().await?;
        let registry_ready = elapsed_ms(begin);
        let begin = Instant::now();
        let mut watch = mesh.watch().await?;
        let (librarian, reader, editor) = tokio::try_join!(
            mesh.sidecar("librarian"),
            mesh.sidecar("reader"),
            mesh.sidecar("editor")
        )?;
        let mut index = Command::new(binaries::librarian()?);
        index.env("LIBRARIAN_DOCS", docs);
        let examples = binaries::project().join("examples");
        let agents = vec![
            mesh.agent("librarian", index, &librarian)?,
            mesh.python_agent("reader", &examples.join("reader/agent.py"), &reader)?,
            mesh.python_agent("editor", &examples.join("editor/agent.py"), &editor)?,
        ];
        let sidecars = [librarian, reader, editor];
        if let Err(error) = everybody(&mut watch, &sidecars).await {
            bail!("the mesh did not come up: {error:#}\n{}", mesh.log_tails());
        }
        let timings = Timings {
            registry_ready,
            links_open: elapsed_ms(begin),
            first_answer: 0,
        };
        Ok(Self {
            mesh,
            _sidecars: sidecars,
            agents,
            timings,
        })
    }

    /// Asks the mesh through the queue, as a person would, and returns the answer and the whole delegation tree.
    ///
    /// # Errors
    /// When the question is not answered; the error says why.
    pub(crate) async fn ask(&mut self, question: &str) -> Result<(Answer, Vec<Task>)> {
        let begin = Instant::now();
        let mut watch = self.mesh.watch().await?;
        let payload = Payload::new(serde_json::json!({ "question": question }));
        let submit = SubmitTask {
            skill: "answer".to_owned(),
            payload,
            ..SubmitTask::default()
        };
        let id = self.mesh.admin().submit(&submit).await?;
        watch
            .task(&id, |task| task.state.is_terminal())
            .await
            .with_context(|| self.mesh.log_tails())?;
        self.timings.first_answer = elapsed_ms(begin);
        let task = self.mesh.admin().task(&id).await?;
        if task.state != TaskState::Completed {
            bail!(
                "the question was not answered: {} ({:?})\n{}",
                task.error,
                task.error_code,
                self.mesh.log_tails()
            );
        }
        let answer = serde_json::from_value(task.result)
            .context("the editor's answer is not of the known shape")?;
        Ok((answer, self.tree(&id).await?))
    }

    async fn tree(&self, root: &TaskId) -> Result<Vec<Task>> {
        let query = TaskQuery {
            root: Some(root.clone()),
            ..TaskQuery::default()
        };
        let mut tasks = self.mesh.admin().tasks(&query).await?.tasks;
        tasks.sort_by(|a, b| {
            a.lineage
                .depth
                .cmp(&b.lineage.depth)
                .then(a.created_at.total_cmp(&b.created_at))
        });
        Ok(tasks)
    }

    /// The hub's address, and the same with a one-time login.
    ///
    /// # Errors
    /// When the registry makes no link.
    pub(crate) async fn hub(&self) -> Result<(String, String)> {
        let (link, _) = self.mesh.admin().login_link().await?;
        Ok((format!("{}/", self.mesh.url()), link))
    }

    /// Ends every process, agents first, so that they say goodbye.
    ///
    /// # Errors
    /// When one does not end.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for agent in &mut self.agents {
            agent.terminate().await?;
        }
        Ok(())
    }
}

/// Waits for three agents and three links.
async fn everybody(watch: &mut Watch, sidecars: &[Sidecar]) -> Result<()> {
    let mut missing: BTreeSet<String> = sidecars.iter().map(|s| s.peer_id.to_string()).collect();
    let mut links = watch.link_count();
    while !missing.is_empty() || links < LINKS {
        let event = watch
            .next()
            .await
            .with_context(|| {
                format!("still missing: agents {missing:?}; {links} of {LINKS} links")
            })?
            .event;
        if let MeshEvent::AgentRegistered(agent) = event {
            missing.remove(agent.info.agent_id.as_str());
        }
        links = watch.link_count();
    }
    Ok(())
}

fn elapsed_ms(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}
