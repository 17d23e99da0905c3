//! Starts real seamesh processes for tests, the demo and the bench: a temp directory each, port 0, the `ready` line instead
//! of a pause, kill, pause and restart, and logs that are printed when something goes wrong.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use seamesh_harness::Mesh;
//!
//! let mut mesh = Mesh::start().await?;
//! let alpha = mesh.sidecar("alpha").await?;
//! let beta = mesh.sidecar("beta").await?;
//! mesh.wait_links(1).await?;
//! # Ok(())
//! # }
//! ```

pub mod binaries;
mod mesh;
mod process;
mod watch;

pub use mesh::{Mesh, MeshBuilder, Sidecar};
pub use process::{EXIT_CAP, Process, READY_CAP};
pub use watch::{EVENT_CAP, Watch, capped};
