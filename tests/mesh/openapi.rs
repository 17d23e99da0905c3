//! A running registry against its own description: schemathesis makes requests from the OpenAPI document, good and bad, and
//! holds every answer against it.

use std::time::Duration;

use anyhow::{Result, ensure};
use seamesh_harness::{Mesh, binaries};
use seamesh_proto::rest::Role;
use seamesh_tests::Checked;
use tokio::process::Command;

/// Longest a run may take. Ten times what it takes on a machine of its own.
const RUN_CAP: Duration = Duration::from_secs(300);

/// Requests per operation and phase.
const EXAMPLES: &str = "6";

/// What has no end or is no HTTP: the event stream, and the signaling socket. Their heads are walked by the registry's own
/// tests.
const ENDLESS: [&str; 2] = ["events", "signaling"];

async fn schemathesis(mesh: &Mesh, key: &str) -> Result<()> {
    let mut command = Command::new(binaries::python()?);
    let expected = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    command
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(expected.join("schemathesis.toml"))
        .arg("run")
        .arg(format!("{}/api/openapi.json", mesh.url()))
        .args(["--header", &format!("x-api-key: {key}")])
        .args(["--checks", "all", "--max-examples", EXAMPLES, "--seed", "1"])
        .args(["--continue-on-failure", "--no-color", "--no-shrink"])
        .args(["--suppress-health-check", "all"])
        .current_dir(mesh.directory())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", &expected)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .kill_on_drop(true);
    for operation in ENDLESS {
        command.args(["--exclude-operation-id", operation]);
    }
    let output = tokio::time::timeout(RUN_CAP, command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_the_registry_answers_an_administrator_is_what_its_description_says() -> Checked {
    let mesh = Mesh::start().await?;
    let key = mesh.key("tester", Role::Admin).await?;
    Ok(schemathesis(&mesh, &key).await?)
}

#[tokio::test]
async fn what_the_registry_answers_an_agent_is_what_its_description_says() -> Checked {
    let mesh = Mesh::start().await?;
    let key = mesh.key("tester", Role::Agent).await?;
    Ok(schemathesis(&mesh, &key).await?)
}
