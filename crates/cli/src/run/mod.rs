//! `seamesh run`: an agent with everything it needs, kept running (docs/adr/0021).

mod credential;
mod parts;
mod patience;
mod socket;

use std::cell::OnceCell;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use seamesh_client::{ClientError, Credential, Registry};
use seamesh_manifest::told;
use seamesh_proto::manifest::HANDED_ENV;
use seamesh_proto::{AgentId, Code};
use seamesh_sidecar::RegistryNews;
use serde_json::json;
use tokio::sync::watch;

pub(crate) use socket::socket_path;

use crate::credentials::private_directory;
use crate::exit::Refused;
use crate::manifest::Manifest;
use crate::project::{Given, ProjectArgs};
use crate::{children, serving};
use parts::Parts;

/// Seconds until an agent that has not joined is worth a warning.
const JOIN_S: u64 = 10;

/// First and longest pause, in milliseconds, between two looks at whether the agent has joined.
const JOIN_LOOK_MS: (u64, u64) = (10, 500);

/// Seconds that the registry has to be told that an agent which was killed is gone.
const DEREGISTER_S: u64 = 2;

/// Options of `seamesh run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Starts a registry when the manifest names one on this machine and none runs; makes the agent a key of its own when this user
may; starts the sidecar and the agent. One that dies is started again; one that dies at once five times in a row is given up
(exit code 6). Ctrl-C or SIGTERM ends all of it: the agent has 12 seconds to finish or hand back its work; a second signal
means now. `seamesh logs` shows what they write.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    project: ProjectArgs,
    /// Print one line `ready {json}` once the agent is in the mesh; what the agent prints goes to standard error.
    #[arg(long)]
    json: bool,
}

/// Runs an agent with everything it needs, until it ends or somebody asks for the end.
///
/// # Errors
/// What could not be started, or which process died too often and why.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    let ended = serving::asked_to_end()?;
    let manifest = Manifest::load(&args.project.manifest)?;
    let project = Project::new(args, manifest)?;
    let mut parts = Parts::default();
    let outcome = tokio::select! {
        outcome = project.live(&mut parts) => outcome,
        () = ended => Ok(()),
    };
    parts.stop(project.deregister()).await;
    outcome
}

/// An agent being run.
struct Project {
    manifest: Manifest,
    given: Given,
    registry_data: PathBuf,
    json: bool,
    /// What lets the agent in, once that is known.
    admitted: OnceCell<Credential>,
}

impl Project {
    fn new(args: RunArgs, manifest: Manifest) -> Result<Self> {
        private_directory(&manifest.data_dir)?;
        Ok(Self {
            given: args.project.given(Some(&manifest))?,
            registry_data: args.project.registry_data(),
            json: args.json,
            admitted: OnceCell::new(),
            manifest,
        })
    }

    fn say(&self, text: &str) -> Result<()> {
        match self.json {
            true => Ok(()),
            false => serving::print(text),
        }
    }

    fn client(&self, credential: Credential) -> Result<Registry> {
        Ok(Registry::new(self.given.registry.clone(), credential)?)
    }

    fn log(&self, of: &str) -> PathBuf {
        self.manifest.data_dir.join(format!("{of}.log"))
    }

    async fn live(&self, parts: &mut Parts) -> Result<()> {
        for finding in &self.manifest.findings {
            self.say(&told(&self.manifest.path, finding))?;
        }
        let is_there = self.find_registry(parts).await?;
        let credential = self.credential().await?;
        let credential = self.admitted.get_or_init(|| credential);
        let socket = self.start_sidecar(credential, parts).await?;
        self.start_agent(&socket, parts).await?;
        let client = self.client(credential.clone())?;
        let news = parts.news();
        let watching = async {
            tokio::try_join!(self.greet(&client, &socket), self.tell_news(news, is_there))
        };
        tokio::select! {
            kept = parts.keep() => kept,
            watched = watching => watched.map(|_| ()),
        }
    }

    /// Starts a registry when none runs where one of ours should. Whether there is one.
    async fn find_registry(&self, parts: &mut Parts) -> Result<bool> {
        let url = &self.given.registry;
        let is_ours = url.is_loopback() && !url.is_tls();
        match self.client(Credential::None)?.health().await {
            Ok(_) => {
                self.say(&format!("registry  {url} (it runs already)"))?;
                return Ok(true);
            }
            Err(ClientError::Unreachable { .. }) if is_ours => {}
            Err(ClientError::Unreachable { reason, .. }) => {
                serving::warn(&format!(
                    "the registry {url} cannot be reached ({reason}); trying again until it can"
                ));
                return Ok(false);
            }
            Err(error @ ClientError::BadAnswer { .. }) => {
                return Err(error).context(format!("{url} is taken by something else: {OCCUPIED}"));
            }
            Err(error) => return Err(error.into()),
        }
        let (host, port) = url.host_port();
        let listen = match host {
            "::1" => format!("[::1]:{port}"),
            "localhost" => format!("127.0.0.1:{port}"),
            host => format!("{host}:{port}"),
        };
        // Something that takes connections and is no registry; one that is about to serve says so by its health.
        if let Err(error) = TcpListener::bind(&listen)
            && error.kind() == std::io::ErrorKind::AddrInUse
        {
            bail!("port {port} is taken by something that is no registry: {OCCUPIED}");
        }
        let data = self.registry_data.clone();
        let recipe = move || {
            let mut command = children::seamesh("registry")?;
            command.args(["--listen", &listen, "--data"]).arg(&data);
            Ok(command)
        };
        let log = self.log("registry");
        parts.start_registry(Box::new(recipe), &log).await?;
        let data = self.registry_data.display();
        self.say(&format!("registry  {url} (started here; data in {data})"))?;
        Ok(true)
    }

    fn identity_path(&self) -> PathBuf {
        self.manifest.data_dir.join("identity.json")
    }

    async fn start_sidecar(&self, credential: &Credential, parts: &mut Parts) -> Result<PathBuf> {
        let socket = match &self.manifest.socket {
            Some(path) => self.manifest.directory().join(path),
            None => socket_path(&self.manifest.data_dir)?,
        };
        let secret = match credential {
            Credential::ApiKey(key) => ("SEAMESH_API_KEY", key.clone()),
            Credential::DeviceToken(token) => ("SEAMESH_DEVICE_TOKEN", token.clone()),
            Credential::Bearer(_) | Credential::None => {
                bail!("a sidecar needs a key or a device token")
            }
        };
        let registry = self.given.registry.to_string();
        let identity = self.identity_path();
        let place = socket.clone();
        let recipe = move || {
            let mut command = children::seamesh("sidecar")?;
            command
                .args(["--registry", &registry, "--socket"])
                .arg(&place)
                .env(secret.0, &secret.1);
            if identity.exists() {
                command.arg("--identity").arg(&identity);
            }
            Ok(command)
        };
        let log = self.log("sidecar");
        parts.start_sidecar(Box::new(recipe), &log).await?;
        self.say(&format!("sidecar   {}", socket.display()))?;
        Ok(socket)
    }

    async fn start_agent(&self, socket: &Path, parts: &mut Parts) -> Result<()> {
        let words = self.manifest.run.clone();
        if words.is_empty() {
            bail!("run: names no program");
        }
        let handed = self.manifest.data_dir.join("handed.json");
        std::fs::write(&handed, serde_json::to_vec(&self.manifest.handed)?)
            .with_context(|| handed.display().to_string())?;
        let (directory, path) = (
            self.manifest.directory().to_owned(),
            self.manifest.path.clone(),
        );
        let (environment, socket) = (self.given.environment.clone(), socket.to_owned());
        let recipe = move || {
            let mut command = children::tied(&words[0])?;
            command
                .args(&words[1..])
                .current_dir(&directory)
                .envs(environment.iter().map(|(key, value)| (key, value)))
                .env("SEAMESH_SOCKET", &socket)
                .env("SEAMESH_MANIFEST", &path)
                .env(HANDED_ENV, &handed)
                .env("PYTHONUNBUFFERED", "1")
                .env_remove("SEAMESH_API_KEY")
                .env_remove("SEAMESH_DEVICE_TOKEN");
            Ok(command)
        };
        let log = self.log("agent");
        parts.start_agent(Box::new(recipe), &log, self.json).await?;
        let (name, words) = (&self.manifest.name, self.manifest.run.join(" "));
        self.say(&format!("agent     {name} (`{words}`)"))
    }

    /// Says that the agent is in the mesh, as soon as it is.
    async fn greet(&self, client: &Registry, socket: &Path) -> Result<()> {
        let name = &self.manifest.name;
        let mut joining = std::pin::pin!(joined(client, name));
        let warn_after = Duration::from_secs(JOIN_S);
        let has_joined = tokio::time::timeout(warn_after, joining.as_mut()).await;
        if has_joined.is_err() {
            serving::warn(&format!(
                "{name} has not joined the mesh yet; waiting for it. `seamesh logs` shows what its sidecar and it say"
            ));
            joining.await;
        }
        self.announce(socket).await
    }

    /// Says that the agent is in the mesh, and where to watch it.
    async fn announce(&self, socket: &Path) -> Result<()> {
        let link = match self.admin()? {
            Some(admin) => admin.login_link().await.ok().map(|(link, _)| link),
            None => None,
        };
        let registry = self.given.registry.to_string();
        if self.json {
            let ready = json!({"agent": self.manifest.name, "registry": registry, "socket": socket, "hub_url": link});
            serving::say_ready(&ready);
            return Ok(());
        }
        let hub = link.unwrap_or(registry);
        self.say(&format!(
            "hub       {hub}\n\n{} is in the mesh. Ctrl-C ends it.",
            self.manifest.name
        ))
    }

    /// Says when the registry goes away and when it is back, for ever.
    ///
    /// # Errors
    /// [`Refused`], when it does not let the sidecar in.
    async fn tell_news(
        &self,
        mut news: watch::Receiver<Option<RegistryNews>>,
        mut is_there: bool,
    ) -> Result<()> {
        let url = &self.given.registry;
        loop {
            let told = news.borrow_and_update().clone();
            match told {
                Some(told) if told.is_refused => {
                    return Err(Refused {
                        registry: url.to_string(),
                        reason: told.reason,
                    }
                    .into());
                }
                Some(told) if told.is_up != is_there => {
                    is_there = told.is_up;
                    serving::warn(&match is_there {
                        true => format!("the registry {url} is reached again"),
                        false => format!(
                            "the registry {url} is away; links stay, other work waits, and it is tried again: {}",
                            told.reason
                        ),
                    });
                }
                _ => {}
            }
            news.changed().await?;
        }
    }

    /// Takes the agent out of the registry, which did not hear its goodbye.
    async fn deregister(&self) {
        let Some(credential) = self.admitted.get() else {
            return;
        };
        let removing = async {
            let client = self.client(credential.clone())?;
            match client.remove_agent(&self.manifest.name).await {
                Ok(()) => Ok(()),
                // It never was in the mesh, or the goodbye came through after all.
                Err(error) if error.code() == Code::AgentUnknown => Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        let removed = tokio::time::timeout(Duration::from_secs(DEREGISTER_S), removing).await;
        let problem: Option<anyhow::Error> = match removed {
            Ok(removed) => removed.err(),
            Err(_) => Some(anyhow::anyhow!("no answer within {DEREGISTER_S} s")),
        };
        if let Some(problem) = problem {
            serving::warn(&format!(
                "{} was ended before its goodbye, and the registry could not be told: {problem:#}",
                self.manifest.name
            ));
        }
    }
}

/// What to do about a port that is taken.
const OCCUPIED: &str =
    "end it, or choose another port for the registry (`registry:` in the manifest, or --registry)";

/// Resolves once the registry knows the agent.
async fn joined(client: &Registry, name: &AgentId) {
    let mut pause_ms = JOIN_LOOK_MS.0;
    while client.agent(name).await.is_err() {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        pause_ms = (pause_ms * 2).min(JOIN_LOOK_MS.1);
    }
}
