//! What every request handler works with.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use seamesh_identity::token::TokenSigner;
use seamesh_proto::rest::Settings;
use seamesh_proto::{Now, PeerId, Problem};
use seamesh_registry_core::{Caller, Op, Reply};
use tokio::sync::watch;

use crate::audit::{Action, Entry};
use crate::clock::Clock;
use crate::core_handle::CoreHandle;
use crate::devices::Devices;
use crate::ice::IceSettings;
use crate::keyring::{Key, Keyring};
use crate::limiter::Limiter;
use crate::metrics::Metrics;
use crate::options::Limits;
use crate::password::PasswordGate;
use crate::root::Root;
use crate::secret::SecretHash;
use crate::session::Sessions;
use crate::sockets::Sockets;
use crate::store::{AccessWrite, Reader, Writer};

/// Between two attempts to take out a key whose time is over.
const KEY_RETRY: Duration = Duration::from_millis(100);

/// The registry's parts, shared by all requests.
pub(crate) struct App {
    /// The clock.
    pub clock: Clock,
    /// Makes and checks tokens.
    pub signer: TokenSigner,
    /// API keys.
    pub keyring: Keyring,
    /// The mesh's root key.
    pub root: Root,
    /// Device tokens.
    pub devices: Arc<Devices>,
    /// Dashboard sessions.
    pub sessions: Sessions,
    /// The administrator's password.
    pub password: PasswordGate,
    /// Refused logins, by address.
    pub login_failures: Limiter<IpAddr>,
    /// Requests, by identity.
    pub requests: Limiter<PeerId>,
    /// Requests without a credential, by address.
    pub open_requests: Limiter<IpAddr>,
    /// How often an identity may send a signaling frame.
    pub frames: Limiter<PeerId>,
    /// How much one caller may ask for.
    pub limits: Limits,
    /// What is told of how it was started.
    pub settings: Settings,
    /// The file of the secret that tokens are signed with.
    pub token_file: PathBuf,
    /// The key file, where there is one.
    pub key_file: Option<PathBuf>,
    /// Whether `/ws?token=` is allowed.
    pub compat_url_token: bool,
    /// STUN and TURN servers.
    pub ice: IceSettings,
    /// The rules.
    pub core: CoreHandle,
    /// The store, for writing.
    pub writer: Writer,
    /// The store, for reading.
    pub reader: Reader,
    /// The open signaling sockets.
    pub sockets: Arc<Sockets>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Turns true when the registry begins to shut down.
    pub stopping: watch::Receiver<bool>,
    /// Counts revocations: wakes streams to see whether they may go on.
    pub revoked: watch::Sender<u64>,
}

impl App {
    /// Asks the core.
    ///
    /// # Errors
    /// The core's refusal, or `store_unavailable`.
    pub(crate) async fn ask(&self, caller: Caller, op: Op) -> Result<Reply, Problem> {
        self.core.call(caller, op, None).await
    }

    /// Has the core decide something that the audit records.
    ///
    /// # Errors
    /// The core's refusal, or `store_unavailable`.
    pub(crate) async fn decide(
        &self,
        caller: Caller,
        op: Op,
        entry: Entry,
    ) -> Result<Reply, Problem> {
        self.core.call(caller, op, Some(entry)).await
    }

    /// Makes changes of keys or sessions durable, with what the audit says of them.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub(crate) async fn write(
        &self,
        write: Option<AccessWrite>,
        entry: Entry,
    ) -> Result<(), Problem> {
        let writes = write.into_iter().chain([AccessWrite::Audit(entry)]);
        Ok(self.writer.access(writes.collect()).await?)
    }

    /// Ends what a key opened that is no more, when the peer has no other.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn key_is_gone(&self, key: &Key) -> Result<(), Problem> {
        self.credential_revoked(&key.key_id);
        let peer = key.peer_id.clone();
        if self.keyring.grants(&peer, key.role, self.clock.now()) {
            return Ok(());
        }
        let caller = Caller {
            peer: peer.clone(),
            role: key.role,
        };
        self.ask(caller, Op::CloseCaller { peer }).await.map(drop)
    }

    /// Takes out every key that ends by itself, when its time comes, until the registry stops.
    pub(crate) async fn keep_ending_keys(self: Arc<Self>) {
        let mut changes = self.keyring.changes();
        loop {
            let now = self.clock.now();
            for key in self.keyring.ended(now) {
                self.end_key(&key, now).await;
            }
            let next = self.keyring.next_end();
            let due = async {
                match next {
                    // A key that could not be taken out is tried again, not at once.
                    Some(at) => {
                        let at = self.clock.instant(at);
                        let soonest = tokio::time::Instant::now() + KEY_RETRY;
                        tokio::time::sleep_until(at.max(soonest)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                _ = changes.changed() => {}
                () = self.stopped() => return,
            }
        }
    }

    async fn end_key(&self, key: &Key, now: Now) {
        let write = AccessWrite::RemoveKey {
            hash: key.hash,
            key_id: key.key_id.clone(),
        };
        let entry = Entry::by_registry(now, Action::KeyEnded, &key.key_id, "its time was over");
        if self.write(Some(write), entry).await.is_ok() {
            self.keyring.remove(&key.hash);
            // A core that cannot close sockets now starts again without any.
            drop(self.key_is_gone(key).await);
            tracing::info!(key_id = %key.key_id, "a rotated API key ended");
        }
    }

    /// Ends what a revoked credential opened besides signaling sockets: sessions, login codes, event streams.
    pub(crate) fn credential_revoked(&self, credential: &str) {
        self.sessions.remove_credential(credential);
        self.revoked.send_modify(|count| *count += 1);
    }

    /// Ends a session that the store no longer has, and the event streams that it opened.
    pub(crate) fn session_over(&self, hash: &SecretHash) {
        self.sessions.remove(hash);
        self.revoked.send_modify(|count| *count += 1);
    }

    /// Resolves once the registry begins to shut down.
    pub(crate) async fn stopped(&self) {
        // A sender that is gone is a registry that has stopped.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}
