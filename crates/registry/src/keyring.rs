//! Who may come in with what: API keys from the key file, made by an admin, and the admin's own.
//!
//! Lookups are by hash of the secret, in memory; the table of made keys is written through the store first, so a key
//! that was answered survives a crash, and a revoked one stays revoked.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use seamesh_proto::PeerId;
use seamesh_proto::rest::{KeyRecord, Role};

use crate::secret::SecretHash;

/// Id of the admin's own key in lists and tokens.
pub(crate) const ADMIN_KEY_ID: &str = "admin";

/// Peer id that the admin's own key names.
pub(crate) const ADMIN_PEER: &str = "admin";

/// Most API keys. Far more than people who could use them; a script that makes keys in a loop is stopped.
pub(crate) const MAX_KEYS: usize = 100_000;

/// Where a key comes from, which decides who can end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `admin.key` in the data directory.
    AdminFile,
    /// The key file of the existing wire.
    KeyFile,
    /// Made through the API; kept in the store.
    Made,
}

/// One API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Names the key in lists, logs and tokens.
    pub key_id: String,
    /// Whom it names.
    pub peer_id: PeerId,
    /// What it may do.
    pub role: Role,
    /// When it was made, Unix milliseconds; for keys of files, when the registry read them.
    pub created_ms: u64,
    /// SHA-256 of the secret.
    pub hash: SecretHash,
    /// Where it comes from.
    pub origin: Origin,
}

impl Key {
    /// The key as lists show it.
    pub(crate) fn record(&self) -> KeyRecord {
        KeyRecord {
            key_id: self.key_id.clone(),
            peer_id: self.peer_id.clone(),
            role: self.role,
            created_ms: self.created_ms,
        }
    }
}

/// Every live API key.
#[derive(Default)]
pub(crate) struct Keyring {
    keys: RwLock<HashMap<SecretHash, Arc<Key>>>,
}

impl Keyring {
    /// A keyring over these keys; a later one replaces an earlier one with the same secret.
    pub(crate) fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let keys = keys.into_iter().map(|key| (key.hash, Arc::new(key)));
        Self {
            keys: RwLock::new(keys.collect()),
        }
    }

    /// The key with this secret.
    pub(crate) fn by_hash(&self, hash: &SecretHash) -> Option<Arc<Key>> {
        self.read(|keys| keys.get(hash).cloned())
    }

    /// The key with this id.
    pub(crate) fn by_id(&self, key_id: &str) -> Option<Arc<Key>> {
        self.read(|keys| keys.values().find(|k| k.key_id == key_id).cloned())
    }

    /// Whether any live key gives `peer` this role.
    pub(crate) fn grants(&self, peer: &PeerId, role: Role) -> bool {
        self.read(|keys| keys.values().any(|k| k.peer_id == *peer && k.role == role))
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.read(HashMap::len)
    }

    /// Adds a key.
    pub(crate) fn insert(&self, key: Key) {
        self.write(|keys| keys.insert(key.hash, Arc::new(key)));
    }

    /// Takes a key out.
    pub(crate) fn remove(&self, hash: &SecretHash) {
        self.write(|keys| keys.remove(hash));
    }

    /// Every key, oldest first.
    pub(crate) fn list(&self) -> Vec<KeyRecord> {
        let mut list: Vec<_> = self.read(|keys| keys.values().map(|k| k.record()).collect());
        list.sort_by(|a, b| (a.created_ms, &a.key_id).cmp(&(b.created_ms, &b.key_id)));
        list
    }

    // No panic can happen while the lock is held, so a poisoned lock still holds whole data.
    fn read<T>(&self, look: impl FnOnce(&HashMap<SecretHash, Arc<Key>>) -> T) -> T {
        look(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut HashMap<SecretHash, Arc<Key>>) -> T) -> T {
        change(&mut self.keys.write().unwrap_or_else(PoisonError::into_inner))
    }
}
