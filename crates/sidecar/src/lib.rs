//! The sidecar: all networking of one agent, in one thread.
//!
//! One loop owns everything: the UDP socket with its WebRTC links, the Unix socket of the agent, the signaling socket to
//! the registry, and the timers. Every decision is [`seamesh_sidecar_core`]'s; this crate moves bytes.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use seamesh_sidecar::{Options, Told, run};
//!
//! let options = Options {
//!     registry: "http://127.0.0.1:8080".parse()?,
//!     credential: seamesh_client::Credential::ApiKey("a key".to_owned()),
//!     socket: "/run/seamesh/agent.sock".into(),
//!     udp: None,
//!     relay_only: false,
//!     identity: None,
//!     allow_unidentified: false,
//!     test_control: None,
//! };
//! let tell = |told| {
//!     if let Told::Ready(ready) = told {
//!         eprintln!("serving {}", ready.socket);
//!     }
//! };
//! run(options, tell, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

mod clock;
mod driver;
mod faults;
mod ice_servers;
mod identity;
mod ipc;
mod lines;
mod network;
mod notes;
mod options;
mod signaling;
mod socket_file;

pub use driver::run;
pub use options::{Options, Ready, RegistryNews, RunError, Told};
