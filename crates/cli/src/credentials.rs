//! The keys `seamesh run` made for its agent, per registry: `<data_dir>/credentials.json`, mode 0600.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// Registry address -> API key.
    #[serde(default)]
    api_keys: BTreeMap<String, String>,
    /// Registry address -> device token, from pairing.
    #[serde(default)]
    device_tokens: BTreeMap<String, String>,
}

/// The keys of one agent.
pub(crate) struct Credentials {
    path: PathBuf,
    stored: Stored,
}

impl Credentials {
    /// Reads what is stored in an agent's data directory; nothing is not an error.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join("credentials.json");
        let stored = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!(
                    "{} is damaged: delete it to have a new key made",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Stored::default(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(Self { path, stored })
    }

    /// The key for a registry.
    pub(crate) fn get(&self, registry: &str) -> Option<String> {
        self.stored.api_keys.get(registry).cloned()
    }

    /// The device token for a registry.
    pub(crate) fn device_token(&self, registry: &str) -> Option<String> {
        self.stored.device_tokens.get(registry).cloned()
    }

    /// Keeps a device token.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn put_device_token(&mut self, registry: &str, token: &str) -> Result<()> {
        let (registry, token) = (registry.to_owned(), token.to_owned());
        self.stored.device_tokens.insert(registry, token);
        self.save()
    }

    /// Keeps a key. The file is replaced whole, so that a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn put(&mut self, registry: &str, key: &str) -> Result<()> {
        self.stored
            .api_keys
            .insert(registry.to_owned(), key.to_owned());
        self.save()
    }

    fn save(&self) -> Result<()> {
        let next = self.path.with_extension("next");
        let text = serde_json::to_vec_pretty(&self.stored)?;
        let mut options = std::fs::OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let mut file = options
            .open(&next)
            .with_context(|| next.display().to_string())?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.path).with_context(|| self.path.display().to_string())
    }
}

/// Makes a directory that only its owner enters.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn private_directory(path: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_kept_per_registry_and_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        Credentials::open(dir.path())
            .unwrap()
            .put("http://a", "ka")
            .unwrap();
        Credentials::open(dir.path())
            .unwrap()
            .put("http://b", "kb")
            .unwrap();
        let read = Credentials::open(dir.path()).unwrap();
        assert_eq!(read.get("http://a").as_deref(), Some("ka"));
        assert_eq!(read.get("http://b").as_deref(), Some("kb"));
        assert_eq!(read.get("http://c"), None);
        let mode = std::fs::metadata(&read.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("credentials.json"), "{").unwrap();
        let error = Credentials::open(dir.path()).err().unwrap();
        assert!(error.to_string().contains("delete it"), "{error}");
    }
}
