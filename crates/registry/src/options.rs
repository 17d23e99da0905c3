//! What a registry is started with, what it says when it serves, and why it does not.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use seamesh_proto::identity::PublicKey;
use seamesh_proto::limits;
use seamesh_proto::rest::{Allowance, Settings, TlsKind};
use serde::Serialize;

use crate::data_dir::DataDirError;
use crate::http::router::TableMismatch;
use crate::ice::IceSettings;
use crate::key_file::KeyFileError;
use crate::keyring::MAX_KEYS;
use crate::limiter::Rate;
use crate::otlp::{OtlpError, OtlpSettings};
use crate::root::Root;
use crate::session::MAX_SESSIONS;
use crate::store::{EVENTS_KEPT, OpenError};
use crate::tls::{TlsError, TlsSettings};

/// Days that a task is kept after its end when nobody says otherwise: a month of work can be looked up.
pub const KEEP_ENDED_DAYS: u64 = 30;

/// Seconds of a day.
const DAY_S: u64 = 24 * 3600;

/// How a registry runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Its data directory, made when missing. One registry at a time.
    pub data: PathBuf,
    /// Key file of the existing wire, beside the keys made with the API.
    pub api_keys: Option<PathBuf>,
    /// Public half of a root key that is kept elsewhere: newcomers are then approved by whoever has it. `None`: the root
    /// key is in the data directory.
    pub root: Option<PublicKey>,
    /// Its certificate; `None`: plain HTTP.
    pub tls: Option<TlsSettings>,
    /// Whether `/ws?token=` is allowed. Tokens in URLs end up in logs: off unless an old sidecar needs it.
    pub compat_url_token: bool,
    /// STUN and TURN servers that sidecars are told of.
    pub ice: IceSettings,
    /// Largest size of the database file, in bytes; commits beyond it are refused with `store_unavailable`. `None`: as
    /// large as the disk.
    pub max_database_bytes: Option<u64>,
    /// How long a task is kept after its end. Its idempotency key is free then, and its id unknown.
    pub keep_ended: Duration,
    /// The collector that is told of every task that ends; `None`: nobody.
    pub otlp: Option<OtlpSettings>,
    /// The socket by which a test moves the clock; `None`: nobody does. Only on loopback.
    pub test_control: Option<PathBuf>,
    /// How much one caller may ask for.
    pub limits: Limits,
}

/// How much one caller may ask for, and how long it may be silent. The defaults are those of [`seamesh_proto::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests per second of one agent's or viewer's identity in the long run.
    pub identity_requests_per_second: u64,
    /// Requests of one identity at once.
    pub identity_requests_burst: u64,
    /// Requests per second of one address without a credential, in the long run.
    pub open_requests_per_second: u64,
    /// Requests of one address at once without a credential.
    pub open_requests_burst: u64,
    /// Signaling frames per second of one identity in the long run.
    pub identity_frames_per_second: u64,
    /// Signaling frames of one identity at once.
    pub identity_frames_burst: u64,
    /// Connections of one address at once.
    pub connections_per_address: usize,
    /// Between two pings on a signaling socket: keeps NAT bindings and proxies open.
    pub ping: Duration,
    /// After so long without a word, a pong included, a signaling socket is dead: three pings.
    pub idle: Duration,
}

impl Limits {
    /// The rate of one identity.
    pub(crate) fn of_identity(&self) -> Rate {
        Rate::per_second(
            self.identity_requests_per_second,
            self.identity_requests_burst,
        )
    }

    /// The rate of one identity's signaling frames.
    pub(crate) fn of_frames(&self) -> Rate {
        Rate::per_second(self.identity_frames_per_second, self.identity_frames_burst)
    }

    /// The rate of one address without a credential.
    pub(crate) fn without_credential(&self) -> Rate {
        Rate::per_second(self.open_requests_per_second, self.open_requests_burst)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identity_requests_per_second: limits::IDENTITY_REQUESTS_PER_SECOND,
            identity_requests_burst: limits::IDENTITY_REQUESTS_BURST,
            open_requests_per_second: limits::OPEN_REQUESTS_PER_SECOND,
            open_requests_burst: limits::OPEN_REQUESTS_BURST,
            identity_frames_per_second: limits::IDENTITY_FRAMES_PER_SECOND,
            identity_frames_burst: limits::IDENTITY_FRAMES_BURST,
            connections_per_address: limits::CONNECTIONS_PER_ADDRESS,
            ping: Duration::from_secs(15),
            idle: Duration::from_secs(45),
        }
    }
}

impl Options {
    /// What everybody who watches may know of them.
    pub(crate) fn told(&self, root: &Root) -> Settings {
        let limits = &self.limits;
        let allowance = |per_second, burst| Allowance { per_second, burst };
        Settings {
            tls: match &self.tls {
                None => TlsKind::Off,
                Some(TlsSettings::Files { .. }) => TlsKind::Files,
                Some(TlsSettings::SelfMade) => TlsKind::SelfMade,
            },
            root: root.public(),
            root_is_here: root.is_here(),
            has_key_file: self.api_keys.is_some(),
            takes_url_token: self.compat_url_token,
            tells_traces: self.otlp.is_some(),
            keep_ended_s: self.keep_ended.as_secs(),
            keep_events: EVENTS_KEPT,
            max_database_bytes: self.max_database_bytes,
            max_sessions: MAX_SESSIONS,
            max_keys: MAX_KEYS,
            connections_per_address: limits.connections_per_address,
            requests: allowance(
                limits.identity_requests_per_second,
                limits.identity_requests_burst,
            ),
            open_requests: allowance(limits.open_requests_per_second, limits.open_requests_burst),
            frames: allowance(
                limits.identity_frames_per_second,
                limits.identity_frames_burst,
            ),
            socket_idle_ms: u64::try_from(limits.idle.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// An age in days.
    pub fn days(days: u64) -> Duration {
        Duration::from_secs(days.saturating_mul(DAY_S))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            data: PathBuf::from("seamesh-data"),
            api_keys: None,
            root: None,
            tls: None,
            compat_url_token: false,
            ice: IceSettings::default(),
            max_database_bytes: None,
            keep_ended: Self::days(KEEP_ENDED_DAYS),
            otlp: None,
            test_control: None,
            limits: Limits::default(),
        }
    }
}

/// What a serving registry says of itself: the readiness line's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// `registry`.
    pub component: &'static str,
    /// The address it listens on, with the real port.
    pub listen: SocketAddr,
    /// Its URL for clients on this machine.
    pub url: String,
    /// With TLS, the fingerprint of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Its process.
    pub pid: u32,
    /// Its data directory.
    pub data: PathBuf,
    /// At the first start, the link by which the first administrator logs in, once. For the one who started it, not
    /// for a log.
    #[serde(skip)]
    pub first_login: Option<String>,
}

impl Ready {
    /// What a registry on this address says.
    pub(crate) fn new(listen: SocketAddr, data: PathBuf, fingerprint: Option<String>) -> Self {
        let mut reachable = listen;
        // An unspecified address is for listening only.
        if listen.ip().is_unspecified() {
            reachable.set_ip(match listen {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        Self {
            component: "registry",
            listen,
            url: match fingerprint {
                Some(_) => format!("https://{reachable}"),
                None => format!("http://{reachable}"),
            },
            fingerprint,
            pid: std::process::id(),
            data,
            first_login: None,
        }
    }
}

/// Why a registry did not start, or stopped by itself. Each text says the next step where there is one.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data directory is not usable.
    #[error("data directory: {0}")]
    Data(#[from] DataDirError),
    /// The key file does not say what it means.
    #[error("key file {path}: {error}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyFileError,
    },
    /// The database is not usable.
    #[error("database {path}: {error}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: OpenError,
    },
    /// TLS cannot be spoken.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// Tests control only what is theirs.
    #[error(
        "--test-control is for a registry that listens on loopback, and {0} can be reached from elsewhere; leave it out"
    )]
    ControlElsewhere(SocketAddr),
    /// The test control socket cannot be served.
    #[error(transparent)]
    Control(#[from] seamesh_control::BindError),
    /// Traces cannot be told to the collector.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    /// The system gives no thread, randomness or socket.
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
    /// Routes and handlers do not match: a bug.
    #[error(transparent)]
    Tables(#[from] TableMismatch),
    /// The task that owns the rules ended by itself: a bug; the log has more.
    #[error("the registry's core stopped by itself")]
    CoreStopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_an_unspecified_address_is_one_that_clients_can_reach() {
        let url = |listen: &str| Ready::new(listen.parse().unwrap(), PathBuf::new(), None).url;
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:80"), "http://[::1]:80");
        assert_eq!(url("10.0.0.1:8080"), "http://10.0.0.1:8080");
    }
}
