//! What a sidecar is started with, and what it says when it serves.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use seamesh_client::{ClientError, Credential, RegistryUrl};
use seamesh_identity::FileError;
use serde::{Deserialize, Serialize};

/// How to run a sidecar.
#[derive(Clone, Debug)]
pub struct Options {
    /// The registry. It may be away: it is waited for.
    pub registry: RegistryUrl,
    /// What names this sidecar: an API key or a device token.
    pub credential: Credential,
    /// The file with this sidecar's identity; `None`: it has none.
    pub identity: Option<PathBuf>,
    /// Whether it links with peers that show no identity: those of the old dialect, and those with an API key alone.
    pub allow_unidentified: bool,
    /// Where the agent connects. The directory is made (0700) when it is missing.
    pub socket: PathBuf,
    /// Address of the UDP socket that all links share. `None`: any port of `127.0.0.1` when the registry is on this
    /// machine, of all interfaces otherwise.
    pub udp: Option<SocketAddr>,
    /// Whether peers are offered addresses on the registry's TURN server alone, so that they learn none of this host.
    /// Without such a server no link opens, and work goes through the queue.
    pub relay_only: bool,
    /// The socket by which a test cuts and delays links and moves the clock; `None`: nobody does. Only with a registry
    /// on this machine.
    pub test_control: Option<PathBuf>,
}

impl Options {
    pub(crate) fn udp(&self) -> SocketAddr {
        let any: [u8; 4] = match self.registry.is_loopback() {
            true => [127, 0, 0, 1],
            false => [0, 0, 0, 0],
        };
        self.udp.unwrap_or_else(|| (any, 0).into())
    }
}

/// What a sidecar says when its agent can connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// `sidecar`.
    pub component: &'static str,
    /// The IPC socket.
    pub socket: String,
    /// The process.
    pub pid: u32,
}

/// What a sidecar tells whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its agent can connect. Once, and first of all.
    Ready(Ready),
    /// The registry is reached, or is not; each change, and each new reason.
    Registry(RegistryNews),
}

/// Whether the registry is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryNews {
    /// It is.
    pub is_up: bool,
    /// It is not let in: its credential is unknown or not enough, or who answers there is not trusted. Trying again, which
    /// the sidecar does, will not help until somebody changes something.
    pub is_refused: bool,
    /// Why it is not reached, and what to do; empty when it is.
    pub reason: String,
}

/// Why a sidecar cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another process answers on the socket.
    #[error("another sidecar serves {0}; stop it or choose another --socket")]
    SocketInUse(PathBuf),
    /// Something that is no socket has the socket's name.
    #[error("{0} exists and is no socket; choose another --socket")]
    NotASocket(PathBuf),
    /// Tests control only what is theirs.
    #[error("--test-control is for a registry on this machine, and {0} is elsewhere; leave it out")]
    ControlElsewhere(RegistryUrl),
    /// The test control socket cannot be served.
    #[error("{0}")]
    Control(#[from] seamesh_control::BindError),
    /// The IPC socket cannot be made.
    #[error("cannot serve the socket {path}: {source}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The UDP socket cannot be made.
    #[error("cannot bind UDP {address}: {source}; choose another --udp")]
    Udp {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The identity cannot be used.
    #[error("identity: {0}")]
    Identity(#[from] FileError),
    /// The registry's client cannot be made.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The system gives no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// The WebRTC transport cannot be made.
    #[error("cannot set up WebRTC: {0}")]
    Transport(#[from] seamesh_transport::SetupError),
    /// The system refuses to wait on a socket.
    #[error("cannot wait on a socket: {0}")]
    Wait(io::Error),
}
