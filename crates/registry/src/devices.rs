//! Device tokens of approved newcomers, as the last durable commit has them.
//!
//! The core decides who is approved; the shell asks here on every request, so that a revocation holds from the moment
//! its commit is durable, for tokens that were made before it too.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use seamesh_proto::PeerId;
use seamesh_proto::identity::Certificate;
use seamesh_proto::rest::PairingStatus;
use seamesh_registry_core::store::StoredNewcomer;
use tokio::sync::watch;

/// A newcomer, as its device token shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its onboarding entry.
    pub id: String,
    /// Id of the credential, in tokens and sessions: `device-` and the onboarding entry.
    pub credential: String,
    /// Its peer id.
    pub peer_id: PeerId,
    /// Where it stands: only an approved one is let in.
    pub status: PairingStatus,
    /// What the root key says of its key.
    pub certificate: Option<Certificate>,
}

/// Every newcomer with a device token, by the token's digest.
pub(crate) struct Devices {
    by_digest: RwLock<HashMap<String, Arc<Device>>>,
    changes: watch::Sender<u64>,
}

impl Devices {
    /// Those among these that have a token.
    pub(crate) fn new<'a>(newcomers: impl IntoIterator<Item = &'a StoredNewcomer>) -> Self {
        let devices = Self {
            by_digest: RwLock::default(),
            changes: watch::channel(0).0,
        };
        newcomers.into_iter().for_each(|n| devices.update(n));
        devices
    }

    /// Takes a newcomer as it is now.
    pub(crate) fn update(&self, newcomer: &StoredNewcomer) {
        let device = Device {
            id: newcomer.id.clone(),
            credential: format!("device-{}", newcomer.id),
            peer_id: newcomer.peer_id.clone(),
            status: newcomer.status,
            certificate: newcomer.certificate.clone(),
        };
        // No panic can happen while the lock is held.
        let mut map = self
            .by_digest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        map.retain(|_, known| known.credential != device.credential);
        if let Some(digest) = &newcomer.token_digest {
            map.insert(digest.clone(), Arc::new(device));
        }
        drop(map);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Turns to another number whenever a newcomer changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whose token it is, approved or not.
    pub(crate) fn newcomer(&self, digest: &str) -> Option<Arc<Device>> {
        self.read(|map| map.get(digest).cloned())
    }

    /// Whom a token names, if that one is approved.
    pub(crate) fn by_digest(&self, digest: &str) -> Option<Arc<Device>> {
        self.newcomer(digest).filter(|d| d.is_approved())
    }

    /// The approved newcomer with this credential id.
    pub(crate) fn by_credential(&self, credential: &str) -> Option<Arc<Device>> {
        let is_meant = |d: &&Arc<Device>| d.is_approved() && d.credential == credential;
        self.read(|map| map.values().find(is_meant).cloned())
    }

    /// Whether `peer` is an approved newcomer.
    pub(crate) fn approves(&self, peer: &PeerId) -> bool {
        self.read(|map| map.values().any(|d| d.is_approved() && d.peer_id == *peer))
    }

    fn read<T>(&self, look: impl FnOnce(&HashMap<String, Arc<Device>>) -> T) -> T {
        look(
            &self
                .by_digest
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Device {
    fn is_approved(&self) -> bool {
        self.status == PairingStatus::Approved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newcomer(status: PairingStatus) -> StoredNewcomer {
        StoredNewcomer {
            id: "e1".into(),
            agent_name: "n".into(),
            peer_id: "p1".parse().unwrap(),
            status,
            token_digest: Some("d1".into()),
            key: None,
            certificate: None,
            version: 1,
            created_ms: 0,
            updated_ms: 0,
        }
    }

    #[test]
    fn a_token_counts_from_approval_to_revocation() {
        let devices = Devices::new([&newcomer(PairingStatus::PendingApproval)]);
        assert!(devices.by_digest("d1").is_none());
        assert!(devices.newcomer("d1").is_some());
        devices.update(&newcomer(PairingStatus::Approved));
        let device = devices.by_digest("d1").unwrap();
        assert_eq!(device.peer_id.as_str(), "p1");
        assert!(devices.by_credential("device-e1").is_some());
        devices.update(&newcomer(PairingStatus::Revoked));
        assert!(devices.by_digest("d1").is_none());
        assert!(!devices.approves(&"p1".parse().unwrap()));
    }
}
