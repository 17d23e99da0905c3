//! An agent of the mesh: a sidecar as a process, and the agent on the Rust SDK in the test's own.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use seamesh_agent::{Agent, Mesh as View, Running};
use seamesh_harness::{Mesh, Sidecar, capped};
use seamesh_proto::PeerId;
use tokio::sync::watch;

/// Longest a test waits for anything: 20 s, or less when a fault is planted.
pub fn cap() -> Duration {
    capped(Duration::from_secs(20))
}

/// Waits for `work`, at most [`cap`].
///
/// # Errors
/// When it takes longer; `what` says what did not happen.
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    match tokio::time::timeout(cap(), work).await {
        Ok(done) => Ok(done),
        Err(_) => bail!("{what}: not within {:?}", cap()),
    }
}

/// An agent and its sidecar.
pub struct Member {
    /// The sidecar's process.
    pub sidecar: Sidecar,
    running: Option<Running>,
    links: watch::Receiver<BTreeSet<PeerId>>,
}

impl Member {
    /// Starts a sidecar of this name and an agent behind it. The sidecar serves the agent when this returns.
    ///
    /// # Errors
    /// When either does not start.
    pub async fn join(mesh: &Mesh, peer_id: &str, agent: Agent) -> Result<Self> {
        Self::behind(mesh.sidecar(peer_id).await?, agent).await
    }

    /// Starts an agent behind a sidecar that runs.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn behind(sidecar: Sidecar, agent: Agent) -> Result<Self> {
        let (running, links) = start(&sidecar, agent)?;
        running.mesh().ready().await?;
        Ok(Self {
            sidecar,
            running: Some(running),
            links,
        })
    }

    /// The mesh as the agent sees it.
    ///
    /// # Panics
    /// After [`leave`](Self::leave) or [`crash`](Self::crash).
    pub fn view(&self) -> &View {
        self.running.as_ref().expect("the agent is there").mesh()
    }

    /// Waits until the agent was told of exactly these links.
    ///
    /// # Errors
    /// When that is not so in time.
    pub async fn linked_with(&self, peers: &[&str]) -> Result<()> {
        let wanted: BTreeSet<PeerId> = peers.iter().map(|p| p.parse()).collect::<Result<_, _>>()?;
        self.links(|links| *links == wanted).await
    }

    /// Waits until the links the agent was told of are as `wanted` says.
    ///
    /// # Errors
    /// When that is not so in time.
    pub async fn links(&self, wanted: impl FnMut(&BTreeSet<PeerId>) -> bool) -> Result<()> {
        let mut links = self.links.clone();
        let reached = in_time("links", links.wait_for(wanted)).await;
        let seen = self.links.borrow().clone();
        reached
            .with_context(|| format!("{} is linked with {seen:?}", self.sidecar.peer_id))?
            .context("the agent ended")?;
        Ok(())
    }

    /// Waits until the sidecar knows of an agent that offers `skill`: each look is a round trip over IPC.
    ///
    /// # Errors
    /// When that is not so in time.
    pub async fn knows(&self, skill: &str) -> Result<()> {
        let look = async { while self.view().find(skill).await.is_err() {} };
        in_time(&format!("somebody offers {skill}"), look).await
    }

    /// Ends the agent without a goodbye, as a crash does. The sidecar stays.
    pub fn crash(&mut self) {
        self.running = None;
    }

    /// Ends the agent with a goodbye. The sidecar stays.
    pub async fn leave(&mut self) {
        self.drain(cap()).await;
    }

    /// Ends the agent as a graceful stop does: what runs longer than `grace` is handed back. The sidecar stays.
    pub async fn drain(&mut self, grace: Duration) {
        if let Some(running) = self.running.take() {
            running.stop(grace).await;
        }
    }

    /// Starts an agent behind the same sidecar again.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn come_back(&mut self, agent: Agent) -> Result<()> {
        let (running, links) = start(&self.sidecar, agent)?;
        running.mesh().ready().await?;
        self.running = Some(running);
        self.links = links;
        Ok(())
    }
}

type Links = watch::Receiver<BTreeSet<PeerId>>;

fn start(sidecar: &Sidecar, agent: Agent) -> Result<(Running, Links)> {
    let (known, links) = watch::channel(BTreeSet::new());
    let agent = agent.on_peer(move |_, peer, is_up| {
        known.send_modify(|links| {
            match is_up {
                true => links.insert(peer.clone()),
                false => links.remove(peer),
            };
        });
    });
    Ok((agent.start(&sidecar.socket)?, links))
}
