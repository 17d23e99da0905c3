//! Which agent a command is about, where its registry is, and the key that was given for it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use seamesh_client::RegistryUrl;

use crate::manifest::Manifest;
use crate::{data, dotenv};

/// Address of a registry when nobody names one.
const LOCAL: &str = "http://127.0.0.1:8080";

/// Options of every command that acts for the agent of a manifest.
#[derive(Debug, Args)]
pub(crate) struct ProjectArgs {
    /// The manifest, or its directory.
    #[arg(default_value = "agent.yaml")]
    pub(crate) manifest: PathBuf,
    /// The registry's address, instead of the manifest's.
    #[arg(long, env = "SEAMESH_REGISTRY", value_name = "URL")]
    registry: Option<RegistryUrl>,
    /// The agent's API key, instead of the manifest's or the stored one.
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
}

/// What options, environment, `.env` and manifest say, the first of them that says anything.
#[derive(Debug)]
pub(crate) struct Given {
    /// The registry.
    pub(crate) registry: RegistryUrl,
    /// The key.
    pub(crate) key: Option<GivenKey>,
    /// What `.env` sets and the environment does not.
    pub(crate) environment: Vec<(String, String)>,
}

/// A key, and who gave it.
#[derive(Debug)]
pub(crate) struct GivenKey {
    /// The key.
    pub(crate) key: String,
    /// Where it stands, for people.
    pub(crate) place: &'static str,
}

impl ProjectArgs {
    /// Data directory of a registry on this machine.
    pub(crate) fn registry_data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(data::registry_directory)
    }

    /// The registry and the key.
    ///
    /// # Errors
    /// When the `.env` beside the manifest cannot be read, or names no address.
    pub(crate) fn given(&self, manifest: Option<&Manifest>) -> Result<Given> {
        let mut environment = match manifest {
            Some(manifest) => dotenv::read(&manifest.directory().join(".env"))?,
            None => Vec::new(),
        };
        environment.retain(|(name, _)| std::env::var_os(name).is_none());
        let named = |name: &str| {
            let found = environment.iter().find(|(key, _)| key == name);
            found
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty())
        };
        let registry = match (&self.registry, named("SEAMESH_REGISTRY"), manifest) {
            (Some(url), ..) => url.clone(),
            (None, Some(text), _) => text.parse().context(".env: SEAMESH_REGISTRY")?,
            (None, None, Some(manifest)) => manifest.registry.clone(),
            (None, None, None) => LOCAL.parse()?,
        };
        let of_manifest = manifest.and_then(|manifest| manifest.api_key.clone());
        let keys = [
            (self.api_key.clone(), "--api-key or SEAMESH_API_KEY"),
            (named("SEAMESH_API_KEY"), ".env"),
            (of_manifest, "the manifest's `sidecar: {api_key: …}`"),
        ];
        let mut keys = keys.into_iter();
        let key = keys.find_map(|(key, place)| key.map(|key| GivenKey { key, place }));
        Ok(Given {
            registry,
            key,
            environment,
        })
    }
}
