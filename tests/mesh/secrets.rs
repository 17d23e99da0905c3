//! No secret in any output: a mesh lives a representative life with every process logging all it can, and then everything
//! that was printed, logged, answered or told is searched for the secrets that were used.

use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use seamesh_harness::Mesh;
use seamesh_proto::audit::AuditQuery;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::rest::{PasswordBody, Role};
use seamesh_tests::{Checked, Member, Probe, in_time};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::command_line::{run, seamesh, stderr, stdout};
use crate::joining::{Machine, invite, waiting};

const TURN_SECRET: &str = "turn-secret-3f9b1c7e5a";
const FILE_KEY: &str = "ak_of_the_key_file_81c2d7";
const PASSWORD: &str = "correct horse battery staple";

/// How every token of this registry begins: its header.
const TOKEN_HEAD: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.";

/// What was used, by name, and what was put out, by place.
#[derive(Default)]
struct Found {
    secrets: Vec<(String, String)>,
    outputs: Vec<(String, String)>,
}

impl Found {
    fn secret(&mut self, name: &str, secret: &str) {
        let secret = secret.trim();
        assert!(secret.len() >= 10, "{name}: too short to search for");
        self.secrets.push((name.to_owned(), secret.to_owned()));
    }

    /// A file with nothing but a secret in it, by its path.
    fn file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        self.secret(&path.display().to_string(), &text);
        Ok(())
    }

    fn output(&mut self, place: &str, text: impl Into<String>) {
        self.outputs.push((place.to_owned(), text.into()));
    }

    fn command(&mut self, output: &Output, arguments: &[&str]) {
        let place = arguments.join(" ");
        self.output(&format!("stdout of {place}"), stdout(output));
        self.output(&format!("stderr of {place}"), stderr(output));
    }

    /// Every log of every process, but the one line that is meant for whoever started the registry.
    fn logs(&mut self, directory: &Path) -> Result<()> {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "log") {
                let text = std::fs::read_to_string(&path)?;
                let lines = text
                    .lines()
                    .filter(|line| !line.starts_with("log in for the first"));
                let kept: Vec<&str> = lines.collect();
                self.output(&path.display().to_string(), kept.join("\n"));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        for (place, text) in &self.outputs {
            for (name, secret) in &self.secrets {
                ensure!(!text.contains(secret), "{place} shows {name}: {text}");
            }
            ensure!(!text.contains(TOKEN_HEAD), "{place} shows a token: {text}");
        }
        Ok(())
    }
}

/// One request over a connection of its own; the whole answer, its head included.
async fn exchange(mesh: &Mesh, line: &str, headers: &[(&str, &str)], body: &str) -> Result<String> {
    let address = mesh.url().trim_start_matches("http://");
    let mut head = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let length = body.len();
    head += &format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    in_time(line, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

async fn mesh() -> Result<(Mesh, Found)> {
    let directory = tempfile::tempdir()?.keep();
    let keys = directory.join("keys.json");
    let entry = format!(r#"{{"keys": {{"{FILE_KEY}": {{"peer_id": "f1", "role": "viewer"}}}}}}"#);
    std::fs::write(&keys, entry)?;
    let mut found = Found::default();
    found.secret("the TURN secret", TURN_SECRET);
    found.secret("a key of the key file", FILE_KEY);
    found.secret("the password", PASSWORD);
    let mesh = Mesh::builder()
        .registry_arg("--turn-url")
        .registry_arg("turn:127.0.0.1:3478")
        .registry_arg("--api-keys")
        .registry_arg(&keys)
        .registry_env("SEAMESH_TURN_SECRET", TURN_SECRET)
        .registry_env("SEAMESH_LOG", "trace")
        .start()
        .await?;
    std::fs::remove_dir_all(directory)?;
    for name in ["admin.key", "token.key", "root.key"] {
        found.file(&mesh.directory().join("registry").join(name))?;
    }
    Ok((mesh, found))
}

/// A machine joins by invite and approval, and another by a join token; both speak with the mesh.
async fn join(mesh: &Mesh, found: &mut Found) -> Result<()> {
    let mut machines = Vec::new();
    for (name, arguments) in [("one", &[][..]), ("two", &["--join-token"])] {
        let code = invite(mesh, arguments).await?;
        let half = code.get(..14).context("a code")?;
        found.secret("the half of an invite that is sent", half);
        found.secret("the same as it is sent", &half.replace('-', ""));
        let machine = Machine::new(mesh, name)?;
        let pairing = machine.pair(&code)?;
        if arguments.is_empty() {
            let id = in_time("it waits", waiting(mesh, name)).await??;
            let approve = ["approve", &id];
            found.command(&run(mesh, &approve).await?, &approve);
        }
        let paired = in_time("it is in", pairing.wait_with_output()).await??;
        found.command(&paired, &["pair"]);
        let stored = std::fs::read(machine.data().join("credentials.json"))?;
        let stored: Value = serde_json::from_slice(&stored)?;
        let tokens = stored["device_tokens"].as_object().context("tokens")?;
        for token in tokens.values() {
            found.secret("a device token", token.as_str().context("a token")?);
        }
        let identity = std::fs::read(machine.data().join("identity.json"))?;
        let identity: Value = serde_json::from_slice(&identity)?;
        let seed = identity["seed"].as_str().context("an identity's seed")?;
        found.secret("an identity's private key", seed);
        let sidecar = machine.sidecar(mesh, name).await?;
        machines.push((machine, sidecar));
    }
    // Each has shown the other who it is.
    mesh.wait_links(1).await?;
    for (machine, _sidecar) in machines {
        found.logs(machine.data().parent().context("a directory")?)?;
    }
    Ok(())
}

/// Logs in by link and by password, and fails to; what is answered, but for the cookie itself.
async fn log_in(mesh: &Mesh, found: &mut Found) -> Result<()> {
    let (path, _) = mesh.admin().login_link().await?;
    let code = path.rsplit('=').next().context("a code")?.to_owned();
    found.secret("a login code", &code);
    let log = std::fs::read_to_string(mesh.directory().join("logs/registry.log"))?;
    let first = log.split("#login=").nth(1).context("the first login")?;
    found.secret(
        "the first login's code",
        first.split_whitespace().next().context("it")?,
    );
    let password = PasswordBody {
        password: PASSWORD.to_owned(),
    };
    mesh.admin().set_password(&password).await?;
    let bodies = [
        format!(r#"{{"code": "{code}"}}"#),
        format!(r#"{{"password": "{PASSWORD}"}}"#),
        format!(r#"{{"password": "{PASSWORD}", "peer_id": "{PASSWORD}"}}"#),
        format!(r#"{{"password": ["{PASSWORD}"]}}"#),
        format!(r#"{{"code": "{code}"}}"#),
        format!(r#"{{"api_key": "{FILE_KEY}", "#),
        format!(r#""{FILE_KEY}""#),
    ];
    for body in bodies {
        let answer = exchange(mesh, "POST /api/session", &[], &body).await?;
        let (head, told) = answer.split_once("\r\n\r\n").context("an answer")?;
        for cookie in head.lines().filter_map(|l| l.strip_prefix("set-cookie: ")) {
            let value = cookie.split(['=', ';']).nth(1).context("a cookie")?;
            found.secret("a session", value);
        }
        found.output(&format!("the answer to {body}"), told);
    }
    Ok(())
}

/// What callers get who bring a secret to the wrong place.
async fn misuse(mesh: &Mesh, found: &mut Found, key: &str, token: &str) -> Result<()> {
    let bearer = format!("Bearer {token}");
    let spoiled = format!("{bearer}x");
    let broken = format!(r#"{{"skill": "{key}", "payload": "#);
    for (line, headers, body) in [
        (format!("GET /ws?token={token}"), vec![], ""),
        (
            format!("GET /api/hub/tasks/{key}?token={token}"),
            vec![("x-api-key", key)],
            "",
        ),
        (
            "GET /api/keys".to_owned(),
            vec![("authorization", bearer.as_str())],
            "",
        ),
        (
            "GET /api/session".to_owned(),
            vec![("authorization", spoiled.as_str())],
            "",
        ),
        (
            "GET /api/session".to_owned(),
            vec![("authorization", key)],
            "",
        ),
        (
            "POST /api/hub/tasks".to_owned(),
            vec![("x-api-key", key)],
            broken.as_str(),
        ),
    ] {
        let answer = exchange(mesh, &line, &headers, body).await?;
        // What the caller itself put into the path is told back to it alone.
        let told = answer.replace(key, "");
        let told = if line.contains(key) { told } else { answer };
        found.output(&line.replace([' ', '/'], "_"), told);
    }
    Ok(())
}

#[tokio::test]
async fn nothing_that_a_mesh_prints_logs_answers_or_tells_holds_a_secret() -> Checked {
    let (mesh, mut found) = mesh().await?;
    let mut watch = mesh.watch().await?;
    let key = mesh.key("worker-peer", Role::Agent).await?;
    found.secret("a made key", &key);
    let sidecar = mesh
        .sidecar_with_env("logged-peer", &[("SEAMESH_LOG", "trace")])
        .await?;
    let worker = Member::behind(sidecar, Probe::agent("worker").0).await?;
    let token = mesh
        .client("token-peer", Role::Agent)
        .await?
        .token()
        .await?;
    found.secret("a token", &token.token);
    join(&mesh, &mut found).await?;
    log_in(&mesh, &mut found).await?;
    misuse(&mesh, &mut found, &key, &token.token).await?;

    let keys = mesh.admin().keys().await?;
    let id = &keys.first().context("a key")?.key_id;
    for arguments in [
        &["call", "add", r#"{"a": 2, "b": 40}"#, "--timeout", "20"][..],
        &["keys"],
        &["keys", "list", "--json"],
        &["keys", "reload"],
        &["newcomers", "--json"],
        &["agents", "--json"],
        &["tasks", "list", "--json"],
        &["links"],
        &["doctor"],
        &["audit", "export"],
        &["keys", "revoke", id],
    ] {
        found.command(&run(&mesh, arguments).await?, arguments);
    }
    // Given on the command line and refused: the error does not repeat it.
    let mut wrong = seamesh(
        &["agents", "--api-key", &format!("{key}0")],
        mesh.directory(),
    )?;
    wrong.env("SEAMESH_REGISTRY", mesh.url());
    let refused = in_time("it is refused", wrong.output()).await??;
    found.command(&refused, &["agents with a wrong key"]);

    let admin = std::fs::read_to_string(mesh.directory().join("registry/admin.key"))?;
    for path in [
        "/metrics",
        "/api/hub/state",
        "/api/config",
        "/api/openapi.json",
    ] {
        let headers = [("x-api-key", admin.trim())];
        let answer = exchange(&mesh, &format!("GET {path}"), &headers, "").await?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        found.output(path, answer);
    }
    let audit = mesh.admin().audit(&AuditQuery::default()).await?;
    found.output("the audit", serde_json::to_string(&audit)?);
    drop(worker);
    let mut events = Vec::new();
    mesh.key("last", Role::Viewer).await?;
    mesh.admin().remove_agent(&"worker".parse()?).await?;
    let told = watch.find(|event| {
        events.push(serde_json::to_string(event));
        matches!(event, MeshEvent::AgentRemoved(_)).then_some(())
    });
    told.await?;
    let events: Vec<String> = events.into_iter().collect::<Result<_, _>>()?;
    found.output("the event stream", events.join("\n"));
    found.logs(&mesh.directory().join("logs"))?;
    assert!(
        found.secrets.len() >= 15,
        "{} secrets were used",
        found.secrets.len()
    );
    assert!(
        found.outputs.len() >= 40,
        "{} outputs were searched",
        found.outputs.len()
    );
    Ok(found.check()?)
}
