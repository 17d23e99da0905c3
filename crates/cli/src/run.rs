//! `seamesh run` and `seamesh validate`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use seamesh_client::{ClientError, Credential, Registry, RegistryUrl};
use seamesh_identity::{IdentityFile, Membership};
use seamesh_manifest::{BadManifest, Finding, Weight, told};
use seamesh_proto::manifest::HANDED_ENV;
use seamesh_proto::rest::{IdentityBody, KeyBody, Role};
use seamesh_proto::{Code, PeerId};
use serde_json::json;

use crate::access::admin_key;
use crate::children::{self, Child};
use crate::credentials::{Credentials, private_directory};
use crate::manifest::Manifest;
use crate::{data, dotenv, serving};

/// Bytes of a Unix socket's path on every system we know (Linux: 108 with the final NUL; macOS: 104).
const MAX_SOCKET_PATH: usize = 103;

/// Seconds until an agent that has not joined is worth a warning.
const JOIN_S: u64 = 10;

/// Options of `seamesh run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Starts a registry when the manifest names one on this machine and none runs; makes the agent a key \
    of its own when this user may; starts the sidecar and the agent. Ctrl-C ends all of it."
)]
pub(crate) struct RunArgs {
    /// The manifest, or its directory.
    #[arg(default_value = "agent.yaml")]
    manifest: PathBuf,
    /// The registry's address, instead of the manifest's.
    #[arg(long, env = "SEAMESH_REGISTRY", value_name = "URL")]
    registry: Option<RegistryUrl>,
    /// The agent's API key, instead of the manifest's or one made here.
    #[arg(
        long,
        env = "SEAMESH_API_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    api_key: Option<String>,
    /// Data directory of a registry on this machine [default: ~/.local/share/seamesh/registry].
    #[arg(long, env = "SEAMESH_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one line `ready {json}` once the agent is in the mesh.
    #[arg(long)]
    json: bool,
}

/// Options of `seamesh validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The manifest, or its directory.
    #[arg(default_value = "agent.yaml")]
    manifest: PathBuf,
    /// Print one JSON object: `file`, `is_good`, and `findings` with line, column, weight and what.
    #[arg(long)]
    json: bool,
}

/// Says whether a manifest can be used, and everything there is to say about it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn validate(args: ValidateArgs) -> Result<()> {
    let loaded = Manifest::load(&args.manifest);
    let bad = loaded
        .as_ref()
        .err()
        .and_then(|error| error.downcast_ref::<BadManifest>());
    let (path, findings) = match (&loaded, bad) {
        (Ok(manifest), _) => (&manifest.path, &manifest.findings),
        (Err(_), Some(bad)) => (&bad.path, &bad.findings),
        (Err(_), None) => return loaded.map(|_| ()),
    };
    if args.json {
        let said = json!({"file": path, "is_good": bad.is_none(), "findings": findings});
        serving::print(&said.to_string())?;
    } else {
        let is_told = |finding: &&Finding| bad.is_none() || finding.weight == Weight::Warning;
        for finding in findings.iter().filter(is_told) {
            serving::print(&told(path, finding))?;
        }
    }
    let manifest = loaded?;
    if args.json {
        return Ok(());
    }
    serving::print(&format!(
        "{} is good: agent {}, registry {}, started with `{}`",
        manifest.path.display(),
        manifest.name,
        manifest.registry,
        manifest.run.join(" ")
    ))
}

/// Runs an agent with everything it needs, until it ends or somebody asks for the end.
///
/// # Errors
/// What could not be started, or which process died and why.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    let ended = serving::asked_to_end()?;
    let manifest = Manifest::load(&args.manifest)?;
    let mut project = Project::new(args, manifest)?;
    let outcome = tokio::select! {
        outcome = project.live() => outcome,
        () = ended => Ok(()),
    };
    project.stop().await;
    outcome
}

/// An agent being run.
struct Project {
    manifest: Manifest,
    registry: RegistryUrl,
    registry_data: PathBuf,
    api_key: Option<String>,
    environment: Vec<(String, String)>,
    json: bool,
    /// In the order they are started; ended in the opposite one.
    children: Vec<Child>,
}

impl Project {
    fn new(args: RunArgs, manifest: Manifest) -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).is_some();
        let mut environment = dotenv::read(&manifest.directory().join(".env"))?;
        environment.retain(|(name, _)| !set(name));
        let named = |name: &str| {
            let found = environment.iter().find(|(key, _)| key == name);
            found
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty())
        };
        let registry = match (args.registry, named("SEAMESH_REGISTRY")) {
            (Some(url), _) => url,
            (None, Some(text)) => text.parse().context(".env: SEAMESH_REGISTRY")?,
            (None, None) => manifest.registry.clone(),
        };
        let api_key = args
            .api_key
            .or_else(|| named("SEAMESH_API_KEY"))
            .or_else(|| manifest.api_key.clone());
        private_directory(&manifest.data_dir)?;
        Ok(Self {
            registry,
            registry_data: args.data.unwrap_or_else(data::registry_directory),
            api_key,
            environment,
            json: args.json,
            manifest,
            children: Vec::new(),
        })
    }

    fn say(&self, text: &str) -> Result<()> {
        match self.json {
            true => Ok(()),
            false => serving::print(text),
        }
    }

    async fn live(&mut self) -> Result<()> {
        for finding in &self.manifest.findings {
            self.say(&told(&self.manifest.path, finding))?;
        }
        self.find_registry().await?;
        let credential = self.credential().await?;
        let socket = self.start_sidecar(&credential).await?;
        self.start_agent(&socket)?;
        let client = Registry::new(self.registry.clone(), credential)?;
        let name = self.manifest.name.clone();
        let joined = tokio::time::timeout(Duration::from_secs(JOIN_S), joined(&client, &name));
        tokio::select! {
            joined = joined => match joined {
                Ok(()) => self.announce(&socket).await?,
                Err(_) => self.say(&format!("warning: {name} has not joined the mesh yet; is the registry there?"))?,
            },
            died = first_death(&mut self.children) => return died,
        }
        first_death(&mut self.children).await
    }

    /// Starts a registry when none runs where one of ours should.
    async fn find_registry(&mut self) -> Result<()> {
        let client = Registry::new(self.registry.clone(), Credential::None)?;
        match client.health().await {
            Ok(_) => return self.say(&format!("registry  {} (it runs already)", self.registry)),
            Err(ClientError::Unreachable { .. })
                if self.registry.is_loopback() && !self.registry.is_tls() => {}
            Err(ClientError::Unreachable { reason, .. }) => {
                return self.say(&format!(
                    "registry  {} cannot be reached ({reason}); waiting for it",
                    self.registry
                ));
            }
            Err(error) => return Err(error.into()),
        }
        let (host, port) = self.registry.host_port();
        let listen = match host {
            "::1" => format!("[::1]:{port}"),
            "localhost" => format!("127.0.0.1:{port}"),
            host => format!("{host}:{port}"),
        };
        let mut command = children::seamesh("registry")?;
        command
            .args(["--listen", &listen, "--data"])
            .arg(&self.registry_data);
        let log = self.manifest.data_dir.join("registry.log");
        let (child, _) = Child::serving("registry", command, &log).await?;
        self.children.push(child);
        let data = self.registry_data.display();
        self.say(&format!(
            "registry  {} (started here; data in {data})",
            self.registry
        ))
    }

    fn identity_path(&self) -> PathBuf {
        self.manifest.data_dir.join("identity.json")
    }

    /// What lets the agent in: given, from pairing, stored, or made now.
    async fn credential(&self) -> Result<Credential> {
        if let Some(key) = &self.api_key {
            return Ok(Credential::ApiKey(key.clone()));
        }
        let mut stored = Credentials::open(&self.manifest.data_dir)?;
        let registry = self.registry.to_string();
        if let Some(token) = stored.device_token(&registry) {
            let credential = Credential::DeviceToken(token);
            let client = Registry::new(self.registry.clone(), credential.clone())?;
            return match client.token().await {
                Ok(_) | Err(ClientError::Unreachable { .. }) => Ok(credential),
                Err(error) if error.code() == Code::Unauthorized => bail!(
                    "the registry does not let this agent in any more: its access was revoked. Join anew with `seamesh \
                     pair`"
                ),
                Err(error) => Err(error.into()),
            };
        }
        self.key(&mut stored, registry)
            .await
            .map(Credential::ApiKey)
    }

    /// The agent's key: stored, or made now with the administrator's.
    async fn key(&self, stored: &mut Credentials, registry: String) -> Result<String> {
        if let Some(key) = stored.get(&registry) {
            let client = Registry::new(self.registry.clone(), Credential::ApiKey(key.clone()))?;
            match client.token().await {
                Ok(answer) => {
                    self.certify_once(&answer.peer_id).await?;
                    return Ok(key);
                }
                // Away for now: the sidecar waits for it.
                Err(ClientError::Unreachable { .. }) => return Ok(key),
                Err(error) if error.code() == Code::Unauthorized => {
                    self.say("key       the stored one is no longer known to the registry")?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Some(admin) = self.admin()? else {
            bail!(
                "no credential for {registry}: join with `seamesh pair CODE` (an administrator makes the code with `seamesh \
                 invite`), or set SEAMESH_API_KEY"
            );
        };
        // The name existing agents guess for the sidecar of an agent.
        let peer_id = format!("{}-sidecar", self.manifest.name).parse()?;
        let role = Role::Agent;
        let made = admin.create_key(&KeyBody { peer_id, role }).await?;
        stored.put(&registry, &made.api_key)?;
        self.certify(&admin, &made.peer_id).await?;
        self.say(&format!(
            "key       {} made for {}, kept in {}",
            made.key_id,
            made.peer_id,
            self.manifest.data_dir.display()
        ))?;
        Ok(made.api_key)
    }

    /// Gives an agent its identity that got its key before there were any.
    async fn certify_once(&self, peer_id: &PeerId) -> Result<()> {
        match self.admin()? {
            Some(admin) if !self.identity_path().exists() => self.certify(&admin, peer_id).await,
            _ => Ok(()),
        }
    }

    /// Makes the agent's identity and has it signed. Where the root key is kept elsewhere the agent has none.
    async fn certify(&self, admin: &Registry, peer_id: &PeerId) -> Result<()> {
        let mut file = IdentityFile::open_or_make(&self.identity_path())?;
        let body = IdentityBody {
            peer_id: peer_id.clone(),
            key: file.key().public(),
        };
        match admin.certify(&body).await {
            Ok(signed) => {
                let membership = Membership {
                    root: signed.root,
                    certificate: Some(signed.certificate),
                };
                Ok(file.put(&self.registry.to_string(), membership)?)
            }
            Err(error) if error.code() == Code::Conflict => self.say(
                "warning: no identity, because the mesh's root key is kept elsewhere; join with `seamesh pair`",
            ),
            Err(error) => Err(error.into()),
        }
    }

    /// An administrator's client, when the registry is on this machine and this user's.
    fn admin(&self) -> Result<Option<Registry>> {
        let key = match self.registry.is_loopback() {
            true => admin_key(&self.registry_data),
            false => None,
        };
        let client = key.map(|key| Registry::new(self.registry.clone(), Credential::ApiKey(key)));
        Ok(client.transpose()?)
    }

    async fn start_sidecar(&mut self, credential: &Credential) -> Result<PathBuf> {
        let socket = match &self.manifest.socket {
            Some(path) => self.manifest.directory().join(path),
            None => socket_path(&self.manifest.data_dir)?,
        };
        let mut command = children::seamesh("sidecar")?;
        command
            .args(["--registry", &self.registry.to_string(), "--socket"])
            .arg(&socket);
        match credential {
            Credential::ApiKey(key) => command.env("SEAMESH_API_KEY", key),
            Credential::DeviceToken(token) => command.env("SEAMESH_DEVICE_TOKEN", token),
            Credential::Bearer(_) | Credential::None => {
                bail!("a sidecar needs a key or a device token")
            }
        };
        if self.identity_path().exists() {
            command.arg("--identity").arg(self.identity_path());
        }
        let log = self.manifest.data_dir.join("sidecar.log");
        let (child, _) = Child::serving("sidecar", command, &log).await?;
        self.children.push(child);
        self.say(&format!("sidecar   {}", socket.display()))?;
        Ok(socket)
    }

    fn start_agent(&mut self, socket: &Path) -> Result<()> {
        let (program, arguments) = self
            .manifest
            .run
            .split_first()
            .context("run: names no program")?;
        let handed = self.manifest.data_dir.join("handed.json");
        std::fs::write(&handed, serde_json::to_vec(&self.manifest.handed)?)
            .with_context(|| handed.display().to_string())?;
        let mut command = children::tied(program)?;
        command
            .args(arguments)
            .current_dir(self.manifest.directory())
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .env("SEAMESH_SOCKET", socket)
            .env("SEAMESH_MANIFEST", &self.manifest.path)
            .env(HANDED_ENV, &handed)
            .env("PYTHONUNBUFFERED", "1")
            .env_remove("SEAMESH_API_KEY")
            .env_remove("SEAMESH_DEVICE_TOKEN");
        if self.json {
            // Standard output is for the ready line.
            command.stdout(std::io::stderr());
        }
        self.children.push(Child::visible("agent", command)?);
        self.say(&format!(
            "agent     {} (`{}`)",
            self.manifest.name,
            self.manifest.run.join(" ")
        ))
    }

    /// Says that the agent is in the mesh, and where to watch it.
    async fn announce(&self, socket: &Path) -> Result<()> {
        let link = match self.admin()? {
            Some(admin) => admin.login_link().await.ok().map(|(link, _)| link),
            None => None,
        };
        if self.json {
            let registry = self.registry.to_string();
            let ready = json!({"agent": self.manifest.name, "registry": registry, "socket": socket, "hub_url": link});
            serving::say_ready(&ready);
            return Ok(());
        }
        let hub = link.unwrap_or_else(|| self.registry.to_string());
        self.say(&format!(
            "hub       {hub}\n\n{} is in the mesh. Ctrl-C ends it.",
            self.manifest.name
        ))
    }

    async fn stop(&mut self) {
        while let Some(mut child) = self.children.pop() {
            child.stop().await;
        }
    }
}

/// Resolves once the registry knows the agent.
async fn joined(client: &Registry, name: &seamesh_proto::AgentId) {
    let mut pause = Duration::from_millis(10);
    while client.agent(name).await.is_err() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// Resolves when a process ends: well when it was the agent and it ended well.
async fn first_death(children: &mut [Child]) -> Result<()> {
    let last = children.len().saturating_sub(1);
    let waiting = children.iter_mut().enumerate().map(|(place, child)| {
        Box::pin(async move {
            let status = child.ended().await?;
            match place == last && status.success() {
                true => Ok(()),
                false => bail!("{}", child.obituary(status)),
            }
        })
    });
    let mut waiting: Vec<_> = waiting.collect();
    std::future::poll_fn(|cx| {
        let ready = waiting
            .iter_mut()
            .find_map(|one| match one.as_mut().poll(cx) {
                std::task::Poll::Ready(result) => Some(result),
                std::task::Poll::Pending => None,
            });
        ready.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    })
    .await
}

/// A place for the socket in a directory of this user alone, short enough for the system.
pub(crate) fn socket_path(data_dir: &Path) -> Result<PathBuf> {
    let preferred = data_dir.join("run").join("agent.sock");
    let fits = |path: &Path| path.as_os_str().as_bytes().len() <= MAX_SOCKET_PATH;
    if fits(&preferred) {
        return Ok(preferred);
    }
    let base = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let base = base.map_or_else(std::env::temp_dir, PathBuf::from);
    // The directory's name is short, and the same at each start.
    let short = preferred
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut name = OsString::from(format!("seamesh-{}-", rustix::process::getuid().as_raw()));
    name.push(format!("{short:016x}"));
    let path = base.join(name).join("agent.sock");
    if !fits(&path) {
        bail!(
            "no place for the socket: {} is too long; set `sidecar: {{socket: …}}`",
            path.display()
        );
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_in_a_deep_directory_gets_a_short_path_that_stays_the_same() {
        let short = socket_path(Path::new("/a/.seamesh")).unwrap();
        assert_eq!(short, Path::new("/a/.seamesh/run/agent.sock"));
        let deep = PathBuf::from("/").join("x".repeat(120));
        let moved = socket_path(&deep).unwrap();
        assert!(moved.as_os_str().len() <= MAX_SOCKET_PATH);
        assert_eq!(moved, socket_path(&deep).unwrap());
        assert_ne!(moved, socket_path(&deep.join("y")).unwrap());
    }
}
