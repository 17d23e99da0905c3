//! `identity.json`: an agent's key and, per registry, what makes it a member of that mesh.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use seamesh_proto::identity::{Certificate, PublicKey};
use serde::{Deserialize, Serialize};

use crate::SecretKey;

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others may read it.
    #[error(
        "{0}: other users can read this key; make it private (chmod 600), and join anew if they may have read it"
    )]
    NotPrivate(PathBuf),
    /// It holds something else.
    #[error("{path}: {what}; restore it, or delete it and join anew with `seamesh pair`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The system gives no randomness.
    #[error("no randomness from the system: {0}")]
    Random(#[from] getrandom::Error),
}

/// What an agent has of one mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The mesh's root key, as the invite told it.
    pub root: PublicKey,
    /// What the root key says of the agent's key; absent until it is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    /// The seed of the key, hexadecimal.
    seed: PublicKey,
    /// Registry address -> membership.
    #[serde(default)]
    meshes: BTreeMap<String, Membership>,
}

/// An agent's identity, as its file has it.
#[derive(Debug)]
pub struct IdentityFile {
    path: PathBuf,
    key: SecretKey,
    meshes: BTreeMap<String, Membership>,
}

impl IdentityFile {
    /// Reads an identity.
    ///
    /// # Errors
    /// [`FileError`]; `Io` with `NotFound` where there is none.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let content: Content =
            serde_json::from_slice(&read_private(path)?).map_err(|e| FileError::Damaged {
                path: path.to_owned(),
                what: format!("no identity, line {}", e.line()),
            })?;
        Ok(Self {
            path: path.to_owned(),
            key: SecretKey::from_seed(content.seed.0),
            meshes: content.meshes,
        })
    }

    /// Reads an identity, or makes a new key where there is none.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open_or_make(path: &Path) -> Result<Self, FileError> {
        match Self::open(path) {
            Err(FileError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                Self::make(path)
            }
            opened => opened,
        }
    }

    /// Makes a new key in place of whatever is there.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn make(path: &Path) -> Result<Self, FileError> {
        let made = Self {
            path: path.to_owned(),
            key: SecretKey::generate()?,
            meshes: BTreeMap::new(),
        };
        made.save()?;
        Ok(made)
    }

    /// The key.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The key, for good.
    pub fn into_key(self) -> SecretKey {
        self.key
    }

    /// What the agent has of the mesh of this registry.
    pub fn membership(&self, registry: &str) -> Option<&Membership> {
        self.meshes.get(registry)
    }

    /// Keeps what the agent has of a mesh.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn put(&mut self, registry: &str, membership: Membership) -> Result<(), FileError> {
        self.meshes.insert(registry.to_owned(), membership);
        self.save()
    }

    /// The file is replaced whole, so that a crash leaves the old one or the new one.
    fn save(&self) -> Result<(), FileError> {
        let content = Content {
            // The seed has a public key's form, not its meaning.
            seed: self.key.seed_text().parse().expect("a seed's own text"),
            meshes: self.meshes.clone(),
        };
        // Text and numbers serialise.
        let text = serde_json::to_vec_pretty(&content).expect("an identity serialises");
        let next = self.path.with_extension("next");
        let write = || {
            let mut options = OpenOptions::new();
            let options = options.create(true).write(true).truncate(true).mode(0o600);
            let mut file = options.open(&next)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&next, &self.path)
        };
        write().map_err(|error| FileError::Io {
            path: self.path.clone(),
            error,
        })
    }
}

/// Reads a file that only its owner may read.
fn read_private(path: &Path) -> Result<Vec<u8>, FileError> {
    let io = |error| FileError::Io {
        path: path.to_owned(),
        error,
    };
    let mode = fs::metadata(path).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(FileError::NotPrivate(path.to_owned()));
    }
    fs::read(path).map_err(io)
}

/// Reads a key from a file of one line: its seed in hexadecimal.
///
/// # Errors
/// [`FileError`].
pub fn read_seed(path: &Path) -> Result<SecretKey, FileError> {
    let bytes = read_private(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let seed = text.trim().parse::<PublicKey>();
    let seed = seed.map_err(|_| FileError::Damaged {
        path: path.to_owned(),
        what: "no key: expected 64 hexadecimal digits".to_owned(),
    })?;
    Ok(SecretKey::from_seed(seed.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_the_same_and_its_file_is_its_owners() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.json");
        let mut made = IdentityFile::open_or_make(&path).unwrap();
        let membership = Membership {
            root: PublicKey([1; 32]),
            certificate: None,
        };
        made.put("http://r", membership.clone()).unwrap();
        let again = IdentityFile::open_or_make(&path).unwrap();
        assert_eq!(again.key().public(), made.key().public());
        assert_eq!(again.membership("http://r"), Some(&membership));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_can_read_and_a_damaged_one_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.json");
        IdentityFile::make(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = IdentityFile::open_or_make(&path);
        assert!(matches!(refused, Err(FileError::NotPrivate(_))));
        fs::write(&path, "{").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let damaged = IdentityFile::open_or_make(&path);
        assert!(matches!(damaged, Err(FileError::Damaged { .. })));
    }
}
