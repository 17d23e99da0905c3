//! The checks, in the order in which one needs the other.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seamesh_client::{ClientError, Credential, Registry, RegistryUrl};
use seamesh_proto::limits::{TOKEN_LEEWAY_S, TOKEN_TTL_S};
use seamesh_proto::rest::{Claims, Role, TokenAnswer};
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio::process::Command;

use super::{Check, stun};
use crate::access::admin_key;
use crate::credentials::Credentials;
use crate::manifest::Manifest;
use crate::project::ProjectArgs;
use crate::run::socket_path;
use crate::times::unix_s;

/// Seconds that one server or program may take to answer.
const ANSWER_S: u64 = 5;

/// Seconds that two clocks may differ before it is worth a word.
const SKEW_WARN_S: f64 = 5.0;

pub(super) async fn all(args: &ProjectArgs) -> Vec<Check> {
    let mut checks = Vec::new();
    let manifest = match Manifest::load(&args.manifest) {
        Ok(manifest) => {
            checks.push(described(&manifest));
            checks.push(directory(&manifest.data_dir));
            checks.push(socket(&manifest).await);
            checks.push(program(&manifest).await);
            Some(manifest)
        }
        Err(error) => {
            let next =
                "`seamesh init NAME` makes an agent; `seamesh validate` tells all that is wrong";
            checks.push(Check::fail("manifest", format!("{error:#}"), next));
            None
        }
    };
    checks.push(udp().await);
    let (url, credential) = match credential(args, manifest.as_ref()) {
        Ok(found) => found,
        Err(error) => {
            checks.push(Check::fail(
                "key",
                format!("{error:#}"),
                "mend or delete the file that it names",
            ));
            return checks;
        }
    };
    match Registry::new(url.clone(), credential.clone()) {
        Ok(registry) => checks.extend(of_registry(&registry, &url, &credential).await),
        Err(error) => checks.push(Check::fail(
            "registry",
            error.to_string(),
            error.next_step(),
        )),
    }
    checks
}

fn described(manifest: &Manifest) -> Check {
    let what = format!("{}: agent {}", manifest.path.display(), manifest.name);
    match manifest.findings.len() {
        0 => Check::ok("manifest", what),
        n => Check::warn(
            "manifest",
            format!("{what}, {n} warnings"),
            "`seamesh validate` tells them",
        ),
    }
}

/// Where `seamesh run` finds these, in the same order.
fn credential(
    args: &ProjectArgs,
    manifest: Option<&Manifest>,
) -> anyhow::Result<(RegistryUrl, Credential)> {
    let given = args.given(manifest)?;
    let url = given.registry;
    if let Some(given) = given.key {
        return Ok((url, Credential::ApiKey(given.key)));
    }
    if let Some(manifest) = manifest {
        let stored = Credentials::open(&manifest.data_dir)?;
        if let Some(token) = stored.device_token(&url.to_string()) {
            return Ok((url, Credential::DeviceToken(token)));
        }
        if let Some(key) = stored.get(&url.to_string()) {
            return Ok((url, Credential::ApiKey(key)));
        }
    }
    let admin = match url.is_loopback() {
        true => admin_key(&args.registry_data()),
        false => None,
    };
    Ok((url, admin.map_or(Credential::None, Credential::ApiKey)))
}

/// A directory that only this user reads, and can write.
fn directory(path: &Path) -> Check {
    let place = path.display();
    let Ok(found) = std::fs::metadata(path) else {
        return Check::ok("data", format!("{place} is made at the first run"));
    };
    if let Err(error) = tempfile::NamedTempFile::new_in(path) {
        let next = "give it to the user who runs the agent, or name another with `data_dir:`";
        return Check::fail("data", format!("{place} cannot be written: {error}"), next);
    }
    let mode = found.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Check::ok("data", format!("{place} is private and can be written")),
        _ => {
            let next = "it holds keys: chmod 700 it";
            Check::fail(
                "data",
                format!("others can open {place} (mode {mode:03o})"),
                next,
            )
        }
    }
}

async fn socket(manifest: &Manifest) -> Check {
    let path = match &manifest.socket {
        Some(path) => manifest.directory().join(path),
        None => match socket_path(&manifest.data_dir) {
            Ok(path) => path,
            Err(error) => return Check::fail("socket", error.to_string(), "name a shorter path"),
        },
    };
    let place = path.display();
    match std::fs::symlink_metadata(&path) {
        Err(_) => Check::ok("socket", format!("{place} is free")),
        Ok(found) if !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            let next = "move the file, or name another place with `sidecar: {socket: …}`";
            Check::fail("socket", format!("{place} is a file, not a socket"), next)
        }
        Ok(_) => match UnixStream::connect(&path).await {
            Ok(_) => {
                let next = "if that is not this agent's own `seamesh run`, end it";
                Check::warn("socket", format!("a sidecar serves {place}"), next)
            }
            Err(_) => Check::ok(
                "socket",
                format!("{place} was left behind and is made anew"),
            ),
        },
    }
}

/// Whether the agent's program is there; of Python also whether it has the SDK.
async fn program(manifest: &Manifest) -> Check {
    let Some(name) = manifest.run.first() else {
        return Check::fail("program", "`run:` names none", "name the agent's program");
    };
    let is_python = Path::new(name)
        .file_name()
        .is_some_and(|file| file.to_string_lossy().starts_with("python"));
    if !is_python {
        return match is_there(name, manifest.directory()) {
            true => Check::ok("program", format!("{name} is there")),
            false => Check::fail(
                "program",
                format!("{name} is not there"),
                "build or install it, or correct `run:`",
            ),
        };
    }
    let ask = "import platform, seamesh; print(platform.python_version(), seamesh.__version__)";
    let mut command = Command::new(name);
    command
        .args(["-c", ask])
        .current_dir(manifest.directory())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(Duration::from_secs(ANSWER_S), command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            let next = "install Python 3.11 or newer, or name another in `run:`";
            return Check::fail(
                "program",
                format!("{name} cannot be started: {error}"),
                next,
            );
        }
        Err(_) => {
            return Check::fail(
                "program",
                format!("{name} did not answer in {ANSWER_S} s"),
                "start it by hand",
            );
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let ours = env!("CARGO_PKG_VERSION");
    match said.split_once(' ') {
        Some((python, sdk)) if output.status.success() && sdk.trim() == ours => {
            Check::ok("program", format!("{name} {python} with the SDK {ours}"))
        }
        Some((python, sdk)) if output.status.success() => {
            let what = format!("{name} {python} has the SDK {}, this is {ours}", sdk.trim());
            Check::warn("program", what, "install the same version of both")
        }
        _ => {
            let error = String::from_utf8_lossy(&output.stderr);
            let last = error.lines().last().unwrap_or("it says nothing").to_owned();
            Check::fail(
                "program",
                format!("{name}: {last}"),
                "install the SDK into this Python: pip install seamesh",
            )
        }
    }
}

/// Whether a program is in a directory or, when its name has no slash, on the path.
fn is_there(name: &str, directory: &Path) -> bool {
    let runs = |path: &Path| {
        let found = std::fs::metadata(path);
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return runs(&directory.join(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| runs(&place.join(name)))
}

async fn udp() -> Check {
    match UdpSocket::bind("0.0.0.0:0").await {
        Ok(_) => Check::ok("udp", "a socket for links can be opened"),
        Err(error) => Check::fail(
            "udp",
            format!("no socket for links: {error}"),
            "let this user open UDP sockets",
        ),
    }
}

async fn of_registry(
    registry: &Registry,
    url: &RegistryUrl,
    credential: &Credential,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let refused =
        |name, error: &ClientError| Check::fail(name, error.to_string(), error.next_step());
    match registry.health().await {
        Ok(health) if health.version == env!("CARGO_PKG_VERSION") => {
            checks.push(Check::ok(
                "registry",
                format!("{url} answers, version {}", health.version),
            ));
        }
        Ok(health) => {
            let what = format!(
                "{url} has version {}, this is {}",
                health.version,
                env!("CARGO_PKG_VERSION")
            );
            checks.push(Check::warn("registry", what, "update the older one"));
        }
        // `seamesh run` starts one here.
        Err(ClientError::Unreachable { .. }) if url.is_loopback() && !url.is_tls() => {
            let next = "`seamesh run` starts one on this machine";
            return vec![Check::warn("registry", format!("{url} is not there"), next)];
        }
        Err(error) => return vec![refused("registry", &error)],
    }
    if matches!(credential, Credential::None) {
        let next = "join with `seamesh pair CODE`, or set SEAMESH_API_KEY";
        checks.push(Check::fail("key", "there is none for this registry", next));
        return checks;
    }
    match registry.token().await {
        Ok(answer) => {
            checks.push(key(&answer));
            checks.push(clock(&answer.token));
        }
        Err(error) => {
            checks.push(refused("key", &error));
            return checks;
        }
    }
    match registry.ice_config().await {
        Ok(config) => {
            let urls = config.ice_servers.iter().flat_map(|server| &server.urls);
            let urls: Vec<_> = urls.cloned().collect();
            if urls.is_empty() {
                let what =
                    "the registry names no STUN or TURN server: links work within one network";
                checks.push(Check::ok("ice", what));
            }
            for url in urls {
                checks.push(ice(&url).await);
            }
        }
        Err(error) => checks.push(refused("ice", &error)),
    }
    checks
}

fn key(answer: &TokenAnswer) -> Check {
    let who = format!("accepted as {}", answer.peer_id);
    match answer.role {
        Role::Agent => Check::ok("key", who),
        Role::Admin => Check::ok(
            "key",
            format!("{who}, an administrator: `seamesh run` makes the agent its own"),
        ),
        _ => Check::fail(
            "key",
            format!("{who}, which is no agent's"),
            "use an agent's key: `seamesh pair CODE`",
        ),
    }
}

/// Compares this clock with the registry's, by the time at which it made a token just now.
fn clock(token: &str) -> Check {
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|bytes| serde_json::from_slice::<Claims>(&bytes).ok());
    let Some(claims) = claims else {
        return Check::warn(
            "clock",
            "the registry's token names no time",
            "update the registry",
        );
    };
    // Times of tokens have whole seconds: the middle of one is the best guess.
    let ahead = unix_s() - (claims.iat as f64 + 0.5);
    let direction = if ahead > 0.0 { "ahead of" } else { "behind" };
    let what = format!("{:.0} s {direction} the registry's", ahead.abs());
    let next = "set the clock of the machine that is wrong (NTP)";
    match ahead.abs() {
        off if off <= SKEW_WARN_S => Check::ok("clock", "agrees with the registry's"),
        off if off <= (TOKEN_TTL_S + TOKEN_LEEWAY_S) as f64 => Check::warn("clock", what, next),
        _ => Check::fail("clock", what, next),
    }
}

/// Whether a STUN or TURN server answers.
async fn ice(url: &str) -> Check {
    let next =
        "mend the server, or correct the registry's ICE servers; links across networks need one";
    let Some(server) = stun::Server::parse(url) else {
        return Check::warn(
            "ice",
            format!("{url} is no address that can be checked"),
            next,
        );
    };
    let asked = async {
        match server.is_stream {
            true => TcpStream::connect((server.host.as_str(), server.port))
                .await
                .map(drop),
            false => stun::ask(&server).await,
        }
    };
    match tokio::time::timeout(Duration::from_secs(ANSWER_S), asked).await {
        Ok(Ok(())) => Check::ok("ice", format!("{url} answers")),
        Ok(Err(error)) => Check::fail("ice", format!("{url}: {error}"), next),
        Err(_) => Check::fail("ice", format!("{url} did not answer in {ANSWER_S} s"), next),
    }
}
