//! Which registry a command talks to, and as whom.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use seamesh_client::{Credential, Registry, RegistryUrl};

use crate::data;

/// No credential was given and none was found.
#[derive(Debug, thiserror::Error)]
#[error(
    "no credential: give --api-key or set SEAMESH_API_KEY (on the registry's own machine its {file} is used, which \
    is not there: name the registry's data directory with --data)"
)]
pub(crate) struct NoCredential {
    file: String,
}

/// Options of every command that talks to a registry.
#[derive(Clone, Debug, Args)]
pub(crate) struct Access {
    /// The registry's address.
    #[arg(
        long,
        env = "SEAMESH_REGISTRY",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    registry: RegistryUrl,
    /// API key [default: for a registry on this machine, admin.key in its data directory].
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

impl Access {
    /// The registry's address.
    pub(crate) fn url(&self) -> &RegistryUrl {
        &self.registry
    }

    /// A client of the registry.
    ///
    /// # Errors
    /// [`NoCredential`].
    pub(crate) fn registry(&self) -> Result<Registry> {
        let key = match &self.api_key {
            Some(key) => key.clone(),
            None => self.found_key()?,
        };
        Ok(Registry::new(
            self.registry.clone(),
            Credential::ApiKey(key),
        )?)
    }

    fn found_key(&self) -> Result<String> {
        let directory = self.data.clone().unwrap_or_else(data::registry_directory);
        let found = match self.registry.is_loopback() {
            true => admin_key(&directory),
            false => None,
        };
        let file = directory.join("admin.key").display().to_string();
        found.ok_or_else(|| NoCredential { file }.into())
    }
}

/// The admin's key of a registry on this machine, if this user may read it.
pub(crate) fn admin_key(directory: &Path) -> Option<String> {
    let text = std::fs::read_to_string(directory.join("admin.key")).ok()?;
    let key = text.trim();
    (!key.is_empty()).then(|| key.to_owned())
}
