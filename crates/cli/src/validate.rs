//! `seamesh validate`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use seamesh_manifest::{BadManifest, Finding, Weight, told};
use serde_json::json;

use crate::manifest::Manifest;
use crate::serving;

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
