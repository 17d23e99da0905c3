//! The processes of an agent, kept running: docs/adr/0021.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use seamesh_sidecar::RegistryNews;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::watch;

use super::patience::{Patience, QUICK_DEATHS, STOOD_S};
use crate::children::{Child, News, STOP_S};
use crate::exit::GaveUp;
use crate::log_file::LogFile;
use crate::serving;

/// Seconds the agent has to finish or hand back what it does once it is told to end: the 10 of the SDKs, and time to say so.
pub(super) const DRAIN_S: u64 = 12;

/// Seconds after which somebody who waits for the end is told for what.
const TELL_S: u64 = 1;

/// The processes, each started with what was started before it.
#[derive(Default)]
pub(super) struct Parts {
    registry: Option<Part>,
    sidecar: Option<Part>,
    agent: Option<Part>,
    news: News,
}

/// How a part is started each time.
type Recipe = Box<dyn Fn() -> Result<Command>>;

impl Parts {
    /// Starts the registry.
    ///
    /// # Errors
    /// Why it does not serve.
    pub(super) async fn start_registry(&mut self, recipe: Recipe, log: &Path) -> Result<()> {
        let mut part = Part::new("registry", recipe, log, Kind::Serves(self.news.clone()))?;
        part.start().await?;
        self.registry = Some(part);
        Ok(())
    }

    /// Starts the sidecar.
    ///
    /// # Errors
    /// Why it does not serve.
    pub(super) async fn start_sidecar(&mut self, recipe: Recipe, log: &Path) -> Result<()> {
        let mut part = Part::new("sidecar", recipe, log, Kind::Serves(self.news.clone()))?;
        part.start().await?;
        self.sidecar = Some(part);
        Ok(())
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) async fn start_agent(
        &mut self,
        recipe: Recipe,
        log: &Path,
        is_json: bool,
    ) -> Result<()> {
        let mut part = Part::new("agent", recipe, log, Kind::Shown { is_json })?;
        part.start().await?;
        self.agent = Some(part);
        Ok(())
    }

    /// What the sidecar says of the registry.
    pub(super) fn news(&self) -> watch::Receiver<Option<RegistryNews>> {
        self.news.subscribe()
    }

    /// Starts again what dies, until the agent ends well.
    ///
    /// # Errors
    /// [`GaveUp`].
    pub(super) async fn keep(&mut self) -> Result<()> {
        tokio::select! {
            ended = keep(&mut self.registry) => ended,
            ended = keep(&mut self.sidecar) => ended,
            ended = keep(&mut self.agent) => ended,
        }
    }

    /// Ends all of it: the agent first, which finishes or hands back what it does, then those that carry its last words.
    /// `deregister` is done for an agent that did not end well and in time, and so said no goodbye.
    pub(super) async fn stop(&mut self, deregister: impl Future<Output = ()>) {
        // A second signal means now.
        let (hurried, hurry) = watch::channel(false);
        if let Ok(again) = serving::asked_to_end() {
            tokio::spawn(async move {
                again.await;
                hurried.send_replace(true);
            });
        }
        if !stop(self.agent.take(), DRAIN_S, &hurry).await {
            deregister.await;
        }
        stop(self.sidecar.take(), STOP_S, &hurry).await;
        stop(self.registry.take(), STOP_S, &hurry).await;
    }
}

/// Whether it ended by itself, and well.
async fn stop(part: Option<Part>, grace_s: u64, hurry: &watch::Receiver<bool>) -> bool {
    let Some((name, Some(mut child))) = part.map(|part| (part.name, part.child)) else {
        return true;
    };
    let mut hurry = hurry.clone();
    let hurry = async move {
        if hurry.wait_for(|&is_hurried| is_hurried).await.is_err() {
            std::future::pending().await
        }
    };
    let mut stopping = pin!(child.stop(Duration::from_secs(grace_s), hurry));
    match tokio::time::timeout(Duration::from_secs(TELL_S), stopping.as_mut()).await {
        Ok(ended_well) => ended_well,
        Err(_) => {
            serving::warn(&format!(
                "the {name} has up to {grace_s} s to end what it does; a second signal means now"
            ));
            stopping.await
        }
    }
}

async fn keep(part: &mut Option<Part>) -> Result<()> {
    match part {
        Some(part) => part.keep().await,
        None => std::future::pending().await,
    }
}

/// What becomes of a process's output.
enum Kind {
    /// It says when it serves, and is logged.
    Serves(News),
    /// Logged and shown. When it ends well, all ends.
    Shown { is_json: bool },
}

/// One process, over all its lives.
struct Part {
    name: &'static str,
    recipe: Recipe,
    log: LogFile,
    kind: Kind,
    child: Option<Child>,
    begun: Instant,
    patience: Patience,
}

impl Part {
    fn new(name: &'static str, recipe: Recipe, log: &Path, kind: Kind) -> Result<Self> {
        Ok(Self {
            name,
            recipe,
            log: LogFile::open(log)?,
            kind,
            child: None,
            begun: Instant::now(),
            patience: Patience::default(),
        })
    }

    async fn start(&mut self) -> Result<Value> {
        self.begun = Instant::now();
        let command = (self.recipe)()?;
        let (child, ready) = match &self.kind {
            Kind::Serves(news) => Child::serving(self.name, command, &self.log, news).await?,
            Kind::Shown { is_json } => {
                let child = Child::visible(self.name, command, &self.log, *is_json)?;
                (child, Value::Null)
            }
        };
        self.child = Some(child);
        Ok(ready)
    }

    /// Waits for its end and starts it again, for ever.
    async fn keep(&mut self) -> Result<()> {
        loop {
            let child = self.child.as_mut().context("it was started")?;
            let status = child.ended().await?;
            if status.success() && matches!(self.kind, Kind::Shown { .. }) {
                return Ok(());
            }
            self.revive(status.to_string()).await?;
        }
    }

    async fn revive(&mut self, mut reason: String) -> Result<()> {
        loop {
            let name = self.name;
            let Some(pause) = self.patience.after(self.begun.elapsed()) else {
                let tail = self.log.tail();
                return Err(GaveUp(format!(
                    "the {name} ended {QUICK_DEATHS} times in a row within {STOOD_S} s of its start, the last time with \
                     {reason}: it is not started again{tail}"
                ))
                .into());
            };
            let told = format!(
                "the {name} ended ({reason}); starting it again in {} ms",
                pause.as_millis()
            );
            self.log.line(format!("seamesh: {told}").as_bytes());
            serving::warn(&told);
            tokio::time::sleep(pause).await;
            match self.start().await {
                Ok(_) => return Ok(()),
                // Its words are in the log, and at the end those of the last try are told.
                Err(error) => reason = first_line(&error),
            }
        }
    }
}

fn first_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().next().unwrap_or_default().to_owned()
}
