//! `seamesh demo`: a whole mesh from this binary alone.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use schemars::JsonSchema;
use seamesh_agent::{Agent, Ctx, MeshError, Running, SkillError};
use seamesh_client::{Credential, Registry};
use seamesh_identity::{IdentityFile, Membership};
use seamesh_proto::Path as Way;
use seamesh_proto::rest::{IdentityBody, KeyBody, Role};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::children::{self, Child, News, STOP_S};
use crate::log_file::LogFile;
use crate::serving;

/// Milliseconds the two agents have to say goodbye.
const GOODBYE_MS: u64 = 500;

/// Seconds until the agents know each other.
const MEET_S: u64 = 10;

/// Options of `seamesh demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "A registry, two sidecars and two small agents, in a temporary directory that is gone afterwards. \
    The larger demo with Python agents is `cargo xtask demo`, from the source tree."
)]
pub(crate) struct DemoArgs {
    /// End after the first answer instead of waiting for Ctrl-C.
    #[arg(long)]
    once: bool,
}

/// Counts the words of a text.
#[derive(Debug, Deserialize, JsonSchema)]
struct Count {
    /// The text.
    text: String,
}

/// Says how long a text is, with the help of whoever counts.
#[derive(Debug, Deserialize, JsonSchema)]
struct Judge {
    /// The text.
    text: String,
}

async fn count(_: Ctx, args: Count) -> Result<usize, SkillError> {
    Ok(args.text.split_whitespace().count())
}

async fn judge(ctx: Ctx, args: Judge) -> Result<serde_json::Value, SkillError> {
    let reply = ctx
        .delegate("count", json!({ "text": args.text }))
        .reply()
        .await?;
    let words = reply.result.as_u64().unwrap_or_default();
    let verdict = if words > 8 { "long" } else { "short" };
    let path = match reply.path {
        Way::Direct => "direct",
        Way::Queue => "queue",
    };
    Ok(json!({
        "verdict": verdict, "words": words, "asked": reply.agent_id, "path": path,
        "took_ms": u64::try_from(reply.duration.as_millis()).unwrap_or(u64::MAX),
    }))
}

/// Starts the mesh, asks it something, shows who asked whom, and waits for Ctrl-C.
///
/// # Errors
/// What could not be started.
pub(crate) async fn run(args: DemoArgs) -> Result<()> {
    let ended = serving::asked_to_end()?;
    let mesh = Mesh::start().await?;
    let shown = tokio::select! {
        shown = mesh.show() => shown,
        () = ended => return mesh.stop().await,
    };
    if shown.is_ok() && !args.once {
        serving::print("\nCtrl-C ends the demo.")?;
        serving::asked_to_end()?.await;
    }
    mesh.stop().await?;
    shown
}

struct Mesh {
    admin: Registry,
    children: Vec<Child>,
    agents: Vec<Running>,
    directory: TempDir,
}

impl Mesh {
    async fn start() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("seamesh-demo-").tempdir()?;
        let data = directory.path().join("registry");
        let mut command = children::seamesh("registry")?;
        command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(&data);
        let log = directory.path().join("registry.log");
        let (log, news) = (LogFile::open(&log)?, News::default());
        let (child, ready) = Child::serving("registry", command, &log, &news).await?;
        let url = ready["url"].as_str().context("the registry's address")?;
        let key = crate::access::admin_key(&data).context("the registry's admin.key")?;
        let admin = Registry::new(url.parse()?, Credential::ApiKey(key))?;
        serving::print(&format!("registry  {url}"))?;
        let mut mesh = Self {
            admin,
            children: vec![child],
            agents: Vec::new(),
            directory,
        };
        let counter = Agent::new("counter")
            .describe("Counts words.")
            .skill("count", count);
        mesh.join("counter", counter).await?;
        let judge = Agent::new("judge")
            .describe("Judges texts.")
            .skill("judge", judge);
        mesh.join("judge", judge).await?;
        Ok(mesh)
    }

    async fn join(&mut self, name: &'static str, agent: Agent) -> Result<()> {
        let body = KeyBody {
            peer_id: format!("{name}-sidecar").parse()?,
            role: Role::Agent,
        };
        let key = self.admin.create_key(&body).await?;
        let identity = self.directory.path().join(format!("{name}.identity"));
        let mut file = IdentityFile::make(&identity)?;
        let body = IdentityBody {
            peer_id: body.peer_id,
            key: file.key().public(),
        };
        let signed = self.admin.certify(&body).await?;
        let membership = Membership {
            root: signed.root,
            certificate: Some(signed.certificate),
        };
        file.put(&self.admin.url().to_string(), membership)?;
        let socket = self.directory.path().join(name).join("s");
        let mut command = children::seamesh("sidecar")?;
        command
            .args(["--registry", &self.admin.url().to_string(), "--socket"])
            .arg(&socket)
            .arg("--identity")
            .arg(&identity)
            .env("SEAMESH_API_KEY", key.api_key);
        let log = self.directory.path().join(format!("{name}.log"));
        let (log, news) = (LogFile::open(&log)?, News::default());
        let (child, _) = Child::serving("sidecar", command, &log, &news).await?;
        self.children.push(child);
        self.agents.push(agent.start(&socket)?);
        serving::print(&format!("agent     {name}, behind a sidecar of its own"))
    }

    /// Asks a question that takes two agents, and tells how it went.
    async fn show(&self) -> Result<()> {
        let judge = self.agents.last().context("the judge")?.mesh();
        judge.ready().await?;
        self.linked().await?;
        let text = "Agents find each other by skill, and talk directly.";
        serving::print(&format!("\n> judge \"{text}\""))?;
        let asked = std::time::Instant::now();
        let answer = judge
            .delegate("judge", json!({ "text": text }))
            .to("judge")
            .await?;
        let total = asked.elapsed().as_millis();
        serving::print(&format!(
            "It is {}: {} words, says {}.\n\nyou -> judge (judge)  {total} ms\n└─ judge -> {} (count)  {} ms, {}",
            answer["verdict"].as_str().unwrap_or("?"),
            answer["words"],
            answer["asked"].as_str().unwrap_or("?"),
            answer["asked"].as_str().unwrap_or("?"),
            answer["took_ms"],
            answer["path"].as_str().unwrap_or("?"),
        ))?;
        let (link, _) = self.admin.login_link().await?;
        serving::print(&format!("\nhub       {link}"))
    }

    /// Resolves once the two sidecars are linked, or after a while: then the work goes through the queue.
    async fn linked(&self) -> Result<(), MeshError> {
        let Some(judge) = self.agents.last() else {
            return Ok(());
        };
        let linked = async {
            while judge.mesh().peers().await?.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        let wait = Duration::from_secs(MEET_S);
        tokio::time::timeout(wait, linked).await.unwrap_or(Ok(()))
    }

    async fn stop(mut self) -> Result<()> {
        for agent in self.agents.drain(..) {
            agent.stop(Duration::from_millis(GOODBYE_MS)).await;
        }
        while let Some(mut child) = self.children.pop() {
            let grace = Duration::from_secs(STOP_S);
            child.stop(grace, std::future::pending()).await;
        }
        Ok(())
    }
}
