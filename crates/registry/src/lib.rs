//! The registry's shell: HTTP, WebSocket, store, event stream, embedded hub.
//!
//! The rules live in `seamesh-registry-core`, which does no IO. This crate gives them time, randomness, a disk and a
//! network, and decides nothing itself:
//!
//! - one task owns the core (`driver`); requests and frames reach it through a bounded queue, and what it says is done
//!   in order, commits first;
//! - one thread owns the database's writing connection (`store`) and writes all that waits in one transaction;
//! - one table (`seamesh_proto::routes::ROUTES`) decides who may call what (`http::router`).
//!
//! Life of a request: `http::router` finds its row, checks the credential (`auth`) and its role, reads the body; the
//! handler makes an operation of it; the driver hands it to the core; the core's batch goes to the writer; the reply is
//! released when the batch is durable.

mod app;
mod audit;
mod auth;
mod clock;
mod core_handle;
mod data_dir;
mod devices;
mod driver;
mod http;
mod ice;
mod key_file;
mod keyring;
mod limiter;
mod metrics;
mod options;
mod otlp;
mod password;
mod root;
mod run;
mod secret;
mod session;
mod sockets;
mod store;
mod tls;

pub use data_dir::DataDirError;
pub use ice::{IceSettings, TurnSettings};
pub use key_file::KeyFileError;
pub use options::{KEEP_ENDED_DAYS, Limits, Options, Ready, RunError};
pub use otlp::{OtlpError, OtlpSettings};
pub use run::run;
pub use tls::{TlsError, TlsSettings};
