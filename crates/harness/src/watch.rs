//! Waiting for something to happen in the mesh: on its event stream, with a hard cap.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use seamesh_client::{Events, Registry};
use seamesh_proto::events::{EventRecord, MeshEvent};
use seamesh_proto::{PeerId, Task, TaskId};
use tokio::time::timeout;

/// Longest anything may take that a test waits for. A cap, not a wait.
pub const EVENT_CAP: Duration = Duration::from_secs(20);

/// A cap, brought down to `SEAMESH_TEST_CAP_MS` when that is set: a run that plants faults need not wait for what will
/// not come.
pub fn capped(cap: Duration) -> Duration {
    let lower = std::env::var("SEAMESH_TEST_CAP_MS");
    let lower = lower.ok().and_then(|ms| ms.parse().ok());
    lower.map_or(cap, |ms| cap.min(Duration::from_millis(ms)))
}

/// A place in the event stream: reads on from where it stands, so that nothing between two waits is missed.
pub struct Watch {
    events: Events,
    links: BTreeSet<(PeerId, PeerId)>,
}

impl Watch {
    /// Watches from the present state on.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses.
    pub async fn from_now(registry: &Registry) -> Result<Self> {
        let state = registry.state().await?;
        let links = state
            .links
            .into_iter()
            .map(|edge| (edge.from_peer, edge.to_peer))
            .collect();
        Ok(Self {
            events: registry.events(Some(state.seq)).await?,
            links,
        })
    }

    /// The next event, whatever it is.
    ///
    /// # Errors
    /// When none comes within [`EVENT_CAP`], or the stream is refused.
    pub async fn next(&mut self) -> Result<EventRecord> {
        let record = timeout(capped(EVENT_CAP), self.events.next())
            .await
            .context("no event came in time")??;
        match &record.event {
            MeshEvent::LinkUp(link) => {
                self.links
                    .insert((link.from_peer.clone(), link.to_peer.clone()));
            }
            MeshEvent::LinkDown(link) => {
                self.links
                    .remove(&(link.from_peer.clone(), link.to_peer.clone()));
            }
            _ => {}
        }
        Ok(record)
    }

    /// Reads on until an event for which `wanted` finds something, and returns that.
    ///
    /// # Errors
    /// When it does not come within [`EVENT_CAP`].
    pub async fn find<T>(&mut self, mut wanted: impl FnMut(&MeshEvent) -> Option<T>) -> Result<T> {
        let search = async {
            loop {
                let record = self.next().await?;
                if let Some(found) = wanted(&record.event) {
                    return anyhow::Ok(found);
                }
            }
        };
        match timeout(capped(EVENT_CAP), search).await {
            Ok(found) => found,
            Err(_) => bail!(
                "what was waited for did not happen within {:?}",
                capped(EVENT_CAP)
            ),
        }
    }

    /// Waits until a task is as `wanted` says, and returns it as it was then (without payload and result).
    ///
    /// # Errors
    /// When that does not happen within [`EVENT_CAP`].
    pub async fn task(&mut self, id: &TaskId, wanted: impl Fn(&Task) -> bool) -> Result<Task> {
        self.find(|event| match event {
            MeshEvent::TaskChanged(task) if task.id == *id && wanted(task) => {
                Some((**task).clone())
            }
            _ => None,
        })
        .await
    }

    /// Links that were open at the last event read.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Waits until exactly `count` links are open.
    ///
    /// # Errors
    /// When that is not so within [`EVENT_CAP`].
    pub async fn links(&mut self, count: usize) -> Result<()> {
        let wait = async {
            while self.links.len() != count {
                self.next().await?;
            }
            anyhow::Ok(())
        };
        let ended = timeout(capped(EVENT_CAP), wait).await;
        match ended {
            Ok(result) => result,
            Err(_) => bail!(
                "{} links are open instead of {count}: {:?}",
                self.links.len(),
                self.links
            ),
        }
    }
}
