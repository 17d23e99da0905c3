//! A new machine joins with an invite, and is out at once when it is revoked.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use seamesh_harness::{Mesh, Process, binaries};
use seamesh_tests::{Checked, in_time};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::command_line::{run, stderr, stdout};

/// A project whose agent is the Rust example, in a directory of its own.
struct Machine {
    directory: PathBuf,
}

impl Machine {
    fn new(mesh: &Mesh, name: &str) -> Result<Self> {
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

    fn pair(&self, code: &str) -> Result<Child> {
        let mut command = self.command(&["pair", code, "--json"])?;
        Ok(command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?)
    }

    fn data(&self) -> PathBuf {
        self.directory.join(".seamesh")
    }

    /// Starts the sidecar as `seamesh run` does, with what pairing left on disk.
    async fn sidecar(&self, mesh: &Mesh, name: &str) -> Result<Process> {
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
            .env_remove("SEAMESH_API_KEY")
            .env_remove("SEAMESH_ALLOW_UNIDENTIFIED");
        Ok(
            Process::start(&format!("sidecar-{name}"), command, &self.directory)
                .await?
                .0,
        )
    }
}

async fn invite(mesh: &Mesh, more: &[&str]) -> Result<String> {
    let mut arguments = vec!["invite", "--json"];
    arguments.extend(more);
    let output = run(mesh, &arguments).await?;
    let made: Value = serde_json::from_str(&stdout(&output)).with_context(|| stderr(&output))?;
    Ok(made["code"].as_str().context("a code")?.to_owned())
}

/// The newcomer with this name, once it waits.
async fn waiting(mesh: &Mesh, name: &str) -> Result<String> {
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
    run(&mesh, &["approve", &id]).await?;
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
    let topology = mesh.admin().topology().await?;
    assert!(topology.mesh_edges[0].identified, "{topology:?}");

    run(&mesh, &["revoke", &id]).await?;
    mesh.wait_links(0).await?;
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
