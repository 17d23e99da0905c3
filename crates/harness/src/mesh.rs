//! A registry and its sidecars as real processes in a directory of their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use seamesh_client::{Credential, Registry, Trust};
use seamesh_proto::PeerId;
use seamesh_proto::ledger::Party;
use seamesh_proto::rest::{KeyBody, Role};
use tempfile::TempDir;
use tokio::process::Command;

use crate::binaries;
use crate::process::Process;
use crate::watch::Watch;

/// How a mesh is started.
#[derive(Debug, Default)]
pub struct MeshBuilder {
    registry_args: Vec<OsString>,
    registry_env: Env,
    keep: Option<PathBuf>,
    late: bool,
    test_control: bool,
}

impl MeshBuilder {
    /// Adds an argument to `seamesh registry`.
    #[must_use]
    pub fn registry_arg(mut self, argument: impl Into<OsString>) -> Self {
        self.registry_args.push(argument.into());
        self
    }

    /// Sets a variable of the registry.
    #[must_use]
    pub fn registry_env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.registry_env.push((name, value.into()));
        self
    }

    /// Has every process serve a socket by which the test breaks it: [`Mesh::registry_control`], [`Mesh::control_of`].
    #[must_use]
    pub fn test_control(mut self) -> Self {
        self.test_control = true;
        self
    }

    /// Uses this directory, and keeps it, instead of a temporary one.
    #[must_use]
    pub fn in_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.keep = Some(directory.into());
        self
    }

    /// Starts the registry once to make its keys, and ends it again: for what must hold while it is away. Use
    /// [`Mesh::restart_registry`] to bring it back on the same port.
    #[must_use]
    pub fn registry_away(mut self) -> Self {
        self.late = true;
        self
    }

    /// Starts the mesh: the registry serves when this returns.
    ///
    /// # Errors
    /// When the binary is missing or the registry does not get ready.
    pub async fn start(self) -> Result<Mesh> {
        let temp = match &self.keep {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("seamesh-").tempdir()?),
        };
        let root = self
            .keep
            .or_else(|| temp.as_ref().map(|t| t.path().to_path_buf()))
            .context("a directory")?;
        for part in ["registry", "logs"] {
            std::fs::create_dir_all(root.join(part))?;
        }
        let mut args = self.registry_args;
        if self.test_control {
            args.extend(["--test-control".into(), registry_control(&root).into()]);
        }
        let env = self.registry_env;
        let listen = "127.0.0.1:0";
        let (process, url, trust) = start_registry(&root, listen, &args, &env, Life::First).await?;
        let admin_key =
            std::fs::read_to_string(root.join("registry/admin.key")).context("read admin.key")?;
        let admin = client(&url, &trust, admin_key.trim())?;
        let mut mesh = Mesh {
            registry: process,
            url,
            trust,
            admin,
            args,
            env,
            root,
            temp,
            test_control: self.test_control,
        };
        if self.late {
            mesh.registry.kill().await?;
        }
        Ok(mesh)
    }
}

/// A running mesh. Dropping it ends every process it started; with a test that fails, their logs are printed.
pub struct Mesh {
    /// The registry's process.
    pub registry: Process,
    url: String,
    trust: Trust,
    admin: Registry,
    args: Vec<OsString>,
    env: Env,
    root: PathBuf,
    temp: Option<TempDir>,
    test_control: bool,
}

/// A sidecar's process and its socket.
#[derive(Debug)]
pub struct Sidecar {
    /// Its name on the network.
    pub peer_id: PeerId,
    /// Its IPC socket.
    pub socket: PathBuf,
    /// Its process.
    pub process: Process,
    key: String,
    env: Env,
}

/// Whether a process is started for the first time, or again after it was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    First,
    Later,
}

impl Life {
    /// What a process does in a later life is recorded apart, when `cargo xtask seams` wants records.
    fn tell(self, command: &mut Command) -> Result<()> {
        const RECORDS: &str = "SEAMESH_SEAM_RECORDS";
        if let Some(folder) = std::env::var_os(RECORDS).filter(|_| self == Self::Later) {
            let again = Path::new(&folder).join("again");
            std::fs::create_dir_all(&again)?;
            command.env(RECORDS, again);
        }
        Ok(())
    }
}

/// Variables of a process.
type Env = Vec<(&'static str, String)>;

impl Mesh {
    /// A builder with nothing but a registry.
    pub fn builder() -> MeshBuilder {
        MeshBuilder::default()
    }

    /// A mesh with nothing but a registry.
    ///
    /// # Errors
    /// When the binary is missing or the registry does not get ready.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// The registry's address, `http://127.0.0.1:PORT`; with TLS `https`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The fingerprint of the registry's certificate, with TLS (`--tls-self-made`).
    pub fn fingerprint(&self) -> Option<String> {
        self.trust.fingerprint.map(|f| f.to_string())
    }

    /// A client with the admin key.
    pub fn admin(&self) -> &Registry {
        &self.admin
    }

    /// The registry's control socket, if it has one.
    pub fn registry_control(&self) -> PathBuf {
        registry_control(&self.root)
    }

    /// The control socket of the sidecar with this IPC socket, if it has one.
    pub fn control_of(socket: &Path) -> PathBuf {
        socket.with_file_name("control")
    }

    /// The mesh's directory: `registry/` is the data directory, `logs/` has a file per process.
    pub fn directory(&self) -> &Path {
        &self.root
    }

    /// Makes an API key.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn key(&self, peer_id: &str, role: Role) -> Result<String> {
        let body = KeyBody {
            peer_id: peer_id.parse()?,
            role,
        };
        Ok(self.admin.create_key(&body).await?.api_key)
    }

    /// A client with a credential of its own.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub async fn client(&self, peer_id: &str, role: Role) -> Result<Registry> {
        client(&self.url, &self.trust, &self.key(peer_id, role).await?)
    }

    /// Starts a sidecar under a new key; its socket is served when this returns.
    ///
    /// # Errors
    /// When the key cannot be made or the sidecar does not get ready.
    pub async fn sidecar(&self, peer_id: &str) -> Result<Sidecar> {
        let key = self.key(peer_id, Role::Agent).await?;
        self.sidecar_with_key(peer_id, key).await
    }

    /// Starts a sidecar under a new key with these variables set, over those it gets anyway.
    ///
    /// # Errors
    /// When the key cannot be made or the sidecar does not get ready.
    pub async fn sidecar_with_env(
        &self,
        peer_id: &str,
        env: &[(&'static str, &str)],
    ) -> Result<Sidecar> {
        let key = self.key(peer_id, Role::Agent).await?;
        let env = env.iter().map(|(name, value)| (*name, (*value).to_owned()));
        self.sidecar_of(peer_id, key, env.collect()).await
    }

    /// Starts a sidecar under a key made before: also while the registry is away.
    ///
    /// # Errors
    /// When the sidecar does not get ready.
    pub async fn sidecar_with_key(&self, peer_id: &str, key: String) -> Result<Sidecar> {
        self.sidecar_of(peer_id, key, Vec::new()).await
    }

    async fn sidecar_of(&self, peer_id: &str, key: String, env: Env) -> Result<Sidecar> {
        let socket = self.root.join(format!("{peer_id}.d")).join("s");
        let process = self
            .start_sidecar(peer_id, &socket, &key, &env, Life::First)
            .await?;
        Ok(Sidecar {
            peer_id: peer_id.parse()?,
            socket,
            process,
            key,
            env,
        })
    }

    /// Starts a killed sidecar again, under the same name and socket.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn restart_sidecar(&self, sidecar: &mut Sidecar) -> Result<()> {
        let name = sidecar.peer_id.as_str();
        let (socket, key, env) = (&sidecar.socket, &sidecar.key, &sidecar.env);
        sidecar.process = self
            .start_sidecar(name, socket, key, env, Life::Later)
            .await?;
        Ok(())
    }

    async fn start_sidecar(
        &self,
        name: &str,
        socket: &Path,
        key: &str,
        env: &Env,
        life: Life,
    ) -> Result<Process> {
        let mut command = Command::new(binaries::seamesh()?);
        command
            .arg("sidecar")
            .arg("--registry")
            .arg(&self.url)
            .arg("--socket")
            .arg(socket);
        if self.test_control {
            command.arg("--test-control").arg(Self::control_of(socket));
        }
        command
            .env("SEAMESH_API_KEY", key)
            // Keys alone, as old sidecars have them. Meshes with identities are made by `seamesh pair` and `seamesh run`.
            .env("SEAMESH_ALLOW_UNIDENTIFIED", "true")
            .env_remove("SEAMESH_SOCKET")
            .envs(env.iter().map(|(name, value)| (*name, value)));
        if let Some(fingerprint) = self.fingerprint() {
            command.env("SEAMESH_REGISTRY_FINGERPRINT", fingerprint);
        }
        life.tell(&mut command)?;
        Ok(
            Process::start(&format!("sidecar-{name}"), command, &self.logs())
                .await?
                .0,
        )
    }

    /// Starts a killed registry again on the same port and data.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn restart_registry(&mut self) -> Result<()> {
        let (_, listen) = self.url.split_once("://").context("the registry's URL")?;
        let started =
            start_registry(&self.root, listen, &self.args, &self.env, Life::Later).await?;
        (self.registry, self.url, self.trust) = started;
        Ok(())
    }

    /// Starts an agent as a process with `SEAMESH_SOCKET` set; whether it is connected shows on the event stream.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn agent(&self, name: &str, mut command: Command, sidecar: &Sidecar) -> Result<Process> {
        command
            .env("SEAMESH_SOCKET", &sidecar.socket)
            .env("PYTHONUNBUFFERED", "1");
        Ok(Process::spawn(&format!("agent-{name}"), command, &self.logs())?.0)
    }

    /// Starts a Python agent from its file.
    ///
    /// # Errors
    /// When there is no Python environment or it cannot be started.
    pub fn python_agent(&self, name: &str, file: &Path, sidecar: &Sidecar) -> Result<Process> {
        let mut command = Command::new(binaries::python()?);
        command.arg(file);
        self.agent(name, command, sidecar)
    }

    /// A watch on the event stream, from the present state on.
    ///
    /// # Errors
    /// When the registry cannot be reached.
    pub async fn watch(&self) -> Result<Watch> {
        Watch::from_now(&self.admin).await
    }

    /// Waits until exactly `count` links are open.
    ///
    /// # Errors
    /// When that is not so within [`EVENT_CAP`](crate::EVENT_CAP).
    pub async fn wait_links(&self, count: usize) -> Result<()> {
        self.watch().await?.links(count).await
    }

    fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The end of every process's log.
    pub fn log_tails(&self) -> String {
        let entries = std::fs::read_dir(self.logs())
            .into_iter()
            .flatten()
            .flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
        files.sort();
        let tail = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(30)..].join("\n");
            format!("--- {}\n{end}\n", path.display())
        };
        files.iter().map(tail).collect()
    }
}

impl Drop for Mesh {
    #[expect(
        clippy::print_stderr,
        reason = "a failing test shows what its processes logged"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tails());
        }
        drop(self.temp.take());
    }
}

fn registry_control(root: &Path) -> PathBuf {
    root.join("registry.d").join("control")
}

async fn start_registry(
    root: &Path,
    listen: &str,
    args: &[OsString],
    env: &Env,
    life: Life,
) -> Result<(Process, String, Trust)> {
    let mut command = Command::new(binaries::seamesh()?);
    command
        .arg("registry")
        .arg("--listen")
        .arg(listen)
        .arg("--data")
        .arg(root.join("registry"))
        .args(args)
        .envs(env.iter().map(|(name, value)| (*name, value)));
    life.tell(&mut command)?;
    let (process, ready) = Process::start("registry", command, &root.join("logs")).await?;
    let url = ready["url"]
        .as_str()
        .context("the registry's ready line has no url")?
        .to_owned();
    let fingerprint = ready["fingerprint"].as_str().map(str::parse);
    let trust = Trust {
        fingerprint: fingerprint.transpose()?,
        ca_file: None,
    };
    Ok((process, url, trust))
}

fn client(url: &str, trust: &Trust, key: &str) -> Result<Registry> {
    Ok(Registry::trusting(
        trust,
        Party::Cli,
        url.parse()?,
        Credential::ApiKey(key.to_owned()),
    )?)
}
