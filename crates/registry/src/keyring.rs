//! Who may come in with what: API keys from the key file, made by an admin, and the admin's own.
//!
//! Lookups are by hash of the secret, in memory; the table of made keys is written through the store first, so a key
//! that was answered survives a crash, and a revoked one stays revoked.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use seamesh_proto::rest::{KeyRecord, Role};
use seamesh_proto::{Now, PeerId};
use tokio::sync::watch;

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
    /// When it ends by itself, if it does.
    pub expires: Option<Now>,
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
            expires_ms: self.expires.map(|at| at.0),
        }
    }

    /// Whether it still counts.
    fn is_good(&self, now: Now) -> bool {
        self.expires.is_none_or(|at| at > now)
    }
}

/// Every live API key.
pub(crate) struct Keyring {
    keys: RwLock<HashMap<SecretHash, Arc<Key>>>,
    changes: watch::Sender<()>,
}

/// What a newly read key file changed.
#[derive(Default)]
pub(crate) struct FileChange {
    /// Keys that are new.
    pub added: Vec<Arc<Key>>,
    /// Keys that are not there any more, or not as they were.
    pub removed: Vec<Arc<Key>>,
}

impl Keyring {
    /// A keyring over these keys; a later one replaces an earlier one with the same secret.
    pub(crate) fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let keys = keys.into_iter().map(|key| (key.hash, Arc::new(key)));
        Self {
            keys: RwLock::new(keys.collect()),
            changes: watch::channel(()).0,
        }
    }

    /// The key with this secret.
    pub(crate) fn by_hash(&self, hash: &SecretHash, now: Now) -> Option<Arc<Key>> {
        self.read(|keys| keys.get(hash).filter(|k| k.is_good(now)).cloned())
    }

    /// The key with this id.
    pub(crate) fn by_id(&self, key_id: &str, now: Now) -> Option<Arc<Key>> {
        let is_meant = |k: &&Arc<Key>| k.key_id == key_id && k.is_good(now);
        self.read(|keys| keys.values().find(is_meant).cloned())
    }

    /// Whether any live key gives `peer` this role.
    pub(crate) fn grants(&self, peer: &PeerId, role: Role, now: Now) -> bool {
        let gives = |k: &Arc<Key>| k.peer_id == *peer && k.role == role && k.is_good(now);
        self.read(|keys| keys.values().any(gives))
    }

    /// When the next key ends by itself.
    pub(crate) fn next_end(&self) -> Option<Now> {
        self.read(|keys| keys.values().filter_map(|k| k.expires).min())
    }

    /// The keys that have ended by themselves.
    pub(crate) fn ended(&self, now: Now) -> Vec<Arc<Key>> {
        self.read(|keys| keys.values().filter(|k| !k.is_good(now)).cloned().collect())
    }

    /// Wakes whenever a key comes, goes, or gets an end.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// What it would change if these were the keys of the key file.
    pub(crate) fn compare_file(&self, read: Vec<Key>) -> FileChange {
        let mut change = FileChange::default();
        let read: HashMap<_, _> = read.into_iter().map(|k| (k.hash, Arc::new(k))).collect();
        self.read(|keys| {
            let as_before = |old: &Arc<Key>| {
                let new = read.get(&old.hash);
                new.is_some_and(|new| (&new.peer_id, new.role) == (&old.peer_id, old.role))
            };
            let of_file = keys.values().filter(|k| k.origin == Origin::KeyFile);
            change.removed = of_file.filter(|k| !as_before(k)).cloned().collect();
            let is_new = |new: &&Arc<Key>| keys.get(&new.hash).is_none_or(|old| !as_before(old));
            change.added = read.values().filter(is_new).cloned().collect();
        });
        change.added.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        change.removed.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        change
    }

    /// Makes such a change.
    pub(crate) fn apply_file(&self, change: &FileChange) {
        self.write(|keys| {
            change.removed.iter().for_each(|k| _ = keys.remove(&k.hash));
            let added = change.added.iter().map(|k| (k.hash, k.clone()));
            keys.extend(added);
        });
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
        let result = change(&mut self.keys.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_replace(());
        result
    }
}
