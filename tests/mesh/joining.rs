//! A new machine joins with an invite, and is out at once when it is revoked.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use seamesh_harness::{Mesh, Process, binaries};
use seamesh_proto::events::MeshEvent;
use seamesh_proto::rest::PairingStatus;
use seamesh_tests::{Checked, in_time};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::command_line::{run, stderr, stdout};

/// A project whose agent is the Rust example, in a directory of its own.
pub(crate) struct Machine {
    directory: PathBuf,
}

impl Machine {
    pub(crate) fn new(mesh: &Mesh, name: &str) -> Result<Self> {
        let directory = mesh.directory().join(format!("machine-{name}"));
        std::fs::create_dir_all(&directory)?;
        // `seamesh run` starts the sidecar; the agent behind it does not matter here.
        let manifest = format!(
            "name: {name}\nregistry: {}\nrun: [sleep, \"1000\"]\n",
            mesh.url()
        );
        std::fs::write(directory.join("agent.yaml"), manifest)?;
        Ok(Self { directory })
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binaries::seamesh()?);
        command
            .args(arguments)
            .current_dir(&self.directory)
            .kill_on_drop(true);
        for name in [
            "SEAMESH_API_KEY",
            "SEAMESH_REGISTRY",
            "SEAMESH_SOCKET",
            "SEAMESH_ALLOW_UNIDENTIFIED",
        ] {
            command.env_remove(name);
        }
        command.env("SEAMESH_DATA", self.directory.join("no-registry-here"));
        Ok(command)
    }

    pub(crate) fn pair(&self, code: &str) -> Result<Child> {
        let mut command = self.command(&["pair", code, "--json"])?;
        Ok(command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join(".seamesh")
    }

    /// Starts the sidecar as `seamesh run` does, with what pairing left on disk.
    pub(crate) async fn sidecar(&self, mesh: &Mesh, name: &str) -> Result<Process> {
        let stored: Value =
            serde_json::from_slice(&std::fs::read(self.data().join("credentials.json"))?)?;
        let url = mesh.url().trim_end_matches('/');
        let tokens = stored["device_tokens"]
            .as_object()
            .context("device tokens")?;
        let token = tokens
            .values()
            .next()
            .and_then(Value::as_str)
            .context(url.to_owned())?;
        let mut command = Command::new(binaries::seamesh()?);
        command
            .args(["sidecar", "--registry", mesh.url(), "--socket"])
            .arg(self.directory.join("s"))
            .arg("--identity")
            .arg(self.data().join("identity.json"))
            .env("SEAMESH_DEVICE_TOKEN", token)
            .env("SEAMESH_LOG", "trace")
            .env_remove("SEAMESH_API_KEY")
            .env_remove("SEAMESH_ALLOW_UNIDENTIFIED");
        Ok(
            Process::start(&format!("sidecar-{name}"), command, &self.directory)
                .await?
                .0,
        )
    }
}

pub(crate) async fn invite(mesh: &Mesh, more: &[&str]) -> Result<String> {
    let mut arguments = vec!["invite", "--json"];
    arguments.extend(more);
    let output = run(mesh, &arguments).await?;
    let made: Value = serde_json::from_str(&stdout(&output)).with_context(|| stderr(&output))?;
    Ok(made["code"].as_str().context("a code")?.to_owned())
}

/// The newcomer with this name, once it waits.
pub(crate) async fn waiting(mesh: &Mesh, name: &str) -> Result<String> {
    loop {
        let all: Vec<Value> =
            serde_json::from_str(&stdout(&run(mesh, &["newcomers", "--json"]).await?))?;
        let found = all
            .iter()
            .find(|n| n["agent_name"] == name && n["status"] == "pending_approval");
        if let Some(id) = found.and_then(|n| n["id"].as_str()) {
            return Ok(id.to_owned());
        }
    }
}

fn mode(path: &Path) -> Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

#[tokio::test]
async fn two_machines_join_link_with_checked_identities_and_one_is_out_at_once_when_revoked()
-> Checked {
    let mesh = Mesh::start().await?;
    let (one, two) = (Machine::new(&mesh, "one")?, Machine::new(&mesh, "two")?);
    // One comes by an invite and an approval, the other by a join token.
    let code = invite(&mesh, &[]).await?;
    let pairing = one.pair(&code)?;
    let id = in_time("one waits", waiting(&mesh, "one")).await??;
    let approved = run(&mesh, &["approve", &id]).await?;
    let expected = format!("approved {id}: it is ");
    assert!(
        stdout(&approved).starts_with(&expected),
        "{}",
        stderr(&approved)
    );
    let paired = in_time("one is in", pairing.wait_with_output()).await??;
    assert!(paired.status.success(), "{}", stderr(&paired));
    let token = invite(&mesh, &["--join-token"]).await?;
    let paired = in_time("two is in", two.pair(&token)?.wait_with_output()).await??;
    assert!(paired.status.success(), "{}", stderr(&paired));
    assert_eq!(mode(&one.data().join("identity.json"))?, 0o600);
    assert_eq!(mode(&one.data().join("credentials.json"))?, 0o600);

    let _first = one.sidecar(&mesh, "one").await?;
    let _second = two.sidecar(&mesh, "two").await?;
    mesh.wait_links(1).await?;
    in_time("both ends tell that they checked the other", async {
        // Each end tells for itself; each look is a round trip.
        while !mesh.admin().topology().await?.mesh_edges[0].identified {}
        anyhow::Ok(())
    })
    .await??;

    let revoked = run(&mesh, &["revoke", &id]).await?;
    assert_eq!(
        stdout(&revoked).trim(),
        format!("revoked {id}"),
        "{}",
        stderr(&revoked)
    );
    mesh.wait_links(0).await?;
    Ok(())
}

#[tokio::test]
async fn seam_rest_reject_turns_a_newcomer_away_and_pairing_changed_tells_who_watches() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let machine = Machine::new(&mesh, "one")?;
    let pairing = machine.pair(&invite(&mesh, &[]).await?)?;
    let asked = watch.find(|event| match event {
        MeshEvent::PairingChanged(entry) => Some(entry.clone()),
        _ => None,
    });
    let asked = asked.await?;
    assert_eq!(
        (asked.agent_name.as_str(), asked.status),
        ("one", PairingStatus::PendingApproval)
    );
    let rejected = run(&mesh, &["reject", &asked.id]).await?;
    assert_eq!(
        stdout(&rejected).trim(),
        format!("rejected {}", asked.id),
        "{}",
        stderr(&rejected)
    );
    let told = in_time("it is told", pairing.wait_with_output()).await??;
    assert!(!told.status.success());
    assert!(stderr(&told).contains("refused"), "{}", stderr(&told));
    assert!(!machine.data().join("credentials.json").exists());
    Ok(())
}

#[tokio::test]
async fn seam_rest_certify_lets_a_newcomer_in_with_a_root_key_that_is_kept_elsewhere() -> Checked {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("root.key");
    let mut make = Command::new(binaries::seamesh()?);
    let made = make.arg("root-key").arg(&file).output().await?;
    let public = stdout(&made);
    let mesh = Mesh::builder()
        .registry_arg("--root")
        .registry_arg(public.trim())
        .start()
        .await?;
    let machine = Machine::new(&mesh, "one")?;
    let pairing = machine.pair(&invite(&mesh, &[]).await?)?;
    let id = in_time("one waits", waiting(&mesh, "one")).await??;
    let key = file.to_str().context("a path")?;
    let approved = run(&mesh, &["approve", &id, "--root-key", key]).await?;
    let expected = format!("approved {id}: it is ");
    assert!(
        stdout(&approved).starts_with(&expected),
        "{}",
        stderr(&approved)
    );
    let paired = in_time("it is in", pairing.wait_with_output()).await??;
    assert!(paired.status.success(), "{}", stderr(&paired));
    Ok(())
}

#[tokio::test]
async fn plain_http_beyond_this_machine_needs_the_operators_word() -> Checked {
    let mesh = Mesh::start().await?;
    let machine = Machine::new(&mesh, "one")?;
    let mut command =
        machine.command(&["registry", "--listen", "192.0.2.1:0", "--data", "data"])?;
    let output = in_time("it refuses", command.output()).await??;
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("--insecure-http"),
        "{}",
        stderr(&output)
    );
    assert!(!machine.directory.join("data").exists());
    Ok(())
}

#[tokio::test]
async fn a_code_whose_second_half_names_another_root_key_joins_nothing() -> Checked {
    let mesh = Mesh::start().await?;
    let machine = Machine::new(&mesh, "one")?;
    let code = invite(&mesh, &[]).await?;
    let forged = format!("{}ZZZZ-ZZZZ-ZZZZ", &code[..15]);
    let output = in_time("it gives up", machine.pair(&forged)?.wait_with_output()).await??;
    assert!(!output.status.success());
    assert!(stderr(&output).contains("root key"), "{}", stderr(&output));
    assert!(!machine.data().join("credentials.json").exists());
    Ok(())
}
