//! What every request handler works with.

use std::sync::Arc;

use seamesh_proto::Problem;
use seamesh_registry_core::{Caller, Op, Reply};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::core_handle::CoreHandle;
use crate::devices::Devices;
use crate::ice::IceSettings;
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::root::Root;
use crate::session::Sessions;
use crate::sockets::Sockets;
use crate::store::{Reader, Writer};
use crate::token::TokenSigner;

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
        self.core.call(caller, op).await
    }

    /// Ends what a revoked credential opened besides signaling sockets: sessions, login codes, event streams.
    pub(crate) fn credential_revoked(&self, credential: &str) {
        self.sessions.remove_credential(credential);
        self.revoked.send_modify(|count| *count += 1);
    }

    /// Resolves once the registry begins to shut down.
    pub(crate) async fn stopped(&self) {
        // A sender that is gone is a registry that has stopped.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}
