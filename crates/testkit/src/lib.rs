//! Tests of agents in a real mesh: a registry and a sidecar for each agent as processes of this machine, the agents in the
//! test's own process, peers that answer as the test says, and faults on request. The Python SDK's pytest fixture `mesh`
//! has the same verbs; docs/guide/testing-your-agents.md explains them.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use seamesh_testkit::{Answer, TestMesh};
//! use serde_json::json;
//!
//! let mut mesh = TestMesh::start().await?;
//! mesh.fake_agent("reader", [("summarize", Answer::from(json!("Short.")))]).await?;
//! mesh.fake_agent("editor", []).await?;
//! let answer = mesh.call_by("editor", "summarize", json!({"text": "Long."})).await?;
//! assert_eq!(answer, "Short.");
//!
//! mesh.partition("editor", "reader").await?;
//! mesh.call_by("editor", "summarize", json!({"text": "Long."})).await?;
//! let paths: Vec<_> = mesh.calls().iter().map(|call| call.path.clone()).collect();
//! assert_eq!(paths, ["direct", "queue"]);
//! # Ok(())
//! # }
//! ```

mod book;
mod cassette;
mod fakes;
mod mesh;
mod tap;

pub use book::Call;
pub use cassette::{Cassette, Recorded, RecordedError};
pub use fakes::Answer;
pub use mesh::{CALL_CAP, MAX_ADVANCE, REGISTRY, TestMesh};
