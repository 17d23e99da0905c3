//! Typed client of the registry: its HTTP API, its event stream and the signaling WebSocket.
//!
//! - [`RegistryUrl`] is the one place where a registry's address becomes the URLs of its routes.
//! - [`Registry`] calls the routes.
//! - [`Events`] watches the numbered event stream and resumes where it stopped.
//! - [`SignalSocket`] is a sidecar's WebSocket.
//!
//! Every failure is a [`ClientError`] that knows whose fault it is and what to do next. The TLS stack is rustls with
//! ring; for a plain `http://` registry no certificate store is read, because a cold start is counted in milliseconds.

mod calls;
mod error;
mod events;
mod registry;
mod signal;
mod sse;
mod tls;
mod url;

pub use calls::WAIT_SLICE_MS;
pub use error::ClientError;
pub use events::Events;
pub use registry::{Credential, Registry, http_builder};
pub use signal::{Incoming, SignalReceiver, SignalSender, SignalSocket};
pub use tls::{Fingerprint, FingerprintError, Trust, install_crypto};
pub use url::{RegistryUrl, UrlError};
