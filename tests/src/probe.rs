//! Skills whose doings a test watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use seamesh_agent::{Agent, Ctx, SkillError};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use crate::member::in_time;

/// An agent's skills `add` (at once) and `hold` (when the test says so), and what became of them.
pub struct Probe {
    /// Contexts of the runs of `hold`, as they start.
    started: mpsc::UnboundedReceiver<Ctx>,
    release: Arc<Notify>,
    runs: Arc<AtomicUsize>,
    dropped: Arc<Notify>,
}

/// Adds two numbers.
#[derive(Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

/// Says so when it is dropped.
struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Probe {
    /// An agent with the skills, and the probe to watch it with.
    pub fn agent(name: &str) -> (Agent, Self) {
        let (starts, started) = mpsc::unbounded_channel();
        let (release, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let runs = Arc::new(AtomicUsize::new(0));
        let shared = (release.clone(), runs.clone(), dropped.clone());
        let hold = move |ctx: Ctx, args: Value| {
            let ((release, runs, dropped), starts) = (shared.clone(), starts.clone());
            async move {
                runs.fetch_add(1, Ordering::SeqCst);
                // Nobody watches in a test that only wants the result.
                let _ = starts.send(ctx);
                let ending = OnDrop(dropped);
                release.notified().await;
                std::mem::forget(ending);
                Ok::<_, SkillError>(args)
            }
        };
        let add = |_: Ctx, args: Add| async move { Ok::<_, SkillError>(args.a + args.b) };
        let agent = Agent::new(name).skill("add", add).skill("hold", hold);
        let probe = Self {
            started,
            release,
            runs,
            dropped,
        };
        (agent, probe)
    }

    /// Waits until `hold` starts to run.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn started(&mut self) -> Result<Ctx> {
        in_time("hold starts", self.started.recv())
            .await?
            .context("the agent is gone")
    }

    /// Lets one run of `hold` end.
    pub fn release(&self) {
        self.release.notify_one();
    }

    /// How often `hold` was begun.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// Waits until a run of `hold` was given up before its end.
    ///
    /// # Errors
    /// When none is in time.
    pub async fn given_up(&self) -> Result<()> {
        in_time("hold is given up", self.dropped.notified()).await
    }
}
