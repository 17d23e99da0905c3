//! `seamesh health`: whether the registry of this machine serves, by TLS too.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use seamesh_client::{ClientError, Credential, Registry, Trust};
use seamesh_proto::ledger::Party;
use seamesh_registry::Ready;
use serde::Deserialize;
use serde_json::json;

use crate::{data, serving};

/// The file in the registry's data directory by which it is found. Nothing in it is secret.
const FILE: &str = "serving.json";

/// Options of `seamesh health`.
#[derive(Debug, Args)]
#[command(after_help = "\
A registry that serves notes its address and its certificate's fingerprint in its data directory: this looks there, and asks it.
It needs no credential, and no name in the certificate. Exit code 0: it serves; 3: it cannot be reached.")]
pub(crate) struct HealthArgs {
    /// Data directory of the registry [default: ~/.local/share/seamesh/registry].
    #[arg(long, env = "SEAMESH_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON object: `url` and `version`.
    #[arg(long)]
    json: bool,
}

/// Where a registry serves.
#[derive(Debug, Deserialize)]
struct Serving {
    url: String,
    fingerprint: Option<String>,
}

/// Notes where a registry serves.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn note(ready: &Ready) -> Result<()> {
    let path = ready.data.join(FILE);
    let next = path.with_extension("next");
    let told = || path.display().to_string();
    std::fs::write(&next, serde_json::to_vec(ready)?).with_context(told)?;
    std::fs::rename(&next, &path).with_context(told)
}

/// Asks the registry.
///
/// # Errors
/// When none was started with this data directory, or it does not answer.
pub(crate) async fn run(args: HealthArgs) -> Result<()> {
    let directory = args.data.unwrap_or_else(data::registry_directory);
    let registry = found(&directory)?;
    let health = registry.health().await?;
    let url = registry.url();
    serving::print(&match args.json {
        true => json!({"url": url.to_string(), "version": health.version}).to_string(),
        false => format!("{url} serves, version {}", health.version),
    })
}

fn found(directory: &Path) -> Result<Registry> {
    let path = directory.join(FILE);
    let text = std::fs::read(&path).map_err(|error| ClientError::Unreachable {
        url: directory.display().to_string(),
        reason: format!("no registry was started with this data directory: {error}"),
    })?;
    let serving: Serving =
        serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    let fingerprint = serving.fingerprint.map(|text| text.parse()).transpose()?;
    let trust = Trust {
        fingerprint,
        ca_file: None,
    };
    let url = serving.url.parse()?;
    Ok(Registry::trusting(
        &trust,
        Party::Cli,
        url,
        Credential::None,
    )?)
}
