//! The Rust SDK: write skills, delegate work. An agent opens no network socket; it speaks JSON lines with its sidecar
//! over a Unix socket.
//!
//! ```no_run
//! use seamesh_agent::{Agent, Ctx, SkillError};
//!
//! /// Greets somebody by name.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Greet {
//!     name: String,
//! }
//!
//! async fn greet(ctx: Ctx, args: Greet) -> Result<String, SkillError> {
//!     let title: String = ctx.delegate("title", serde_json::json!({ "name": args.name })).to("herald").get().await?;
//!     Ok(format!("Hello, {title} {}!", args.name))
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), seamesh_agent::AgentError> {
//!     Agent::new("greeter").describe("Greets people.").skill("greet", greet).run_from_env().await
//! }
//! ```
//!
//! The protocol is sans-IO (`protocol`), the bytes move in `session` over a [`Connection`]. A sidecar that restarts is
//! connected to again: running skills go on, their answers are delivered, and work handed over twice runs once.

mod agent;
mod answers;
mod builtin;
mod connection;
mod ctx;
mod delegation;
mod error;
mod handed;
mod lines;
mod port;
mod prompt;
mod protocol;
mod session;
mod skill;
mod stream;
mod talk;
mod words;

pub use agent::{Agent, Running, STOP_GRACE_S};
pub use builtin::BUILTIN;
pub use connection::Connection;
pub use ctx::{Ctx, Mesh};
pub use delegation::{Delegation, Reply};
pub use error::{AgentError, MeshError, SkillError};
pub use handed::HANDED_ENV;
pub use prompt::{PROMPT_TTL, Prompt, Told, ToldAll};
pub use seamesh_proto as proto;
pub use seamesh_proto::ipc::{Message, Via};
pub use seamesh_proto::talk::{Progress, Question};
pub use seamesh_proto::{AgentId, AgentRecord, Code, Path, PeerId, TaskId, TraceContext};
pub use stream::{Artifact, Part, Stream};
pub use words::PROMPT;

/// Names the sidecar's socket; `seamesh run` sets it.
pub const SOCKET_ENV: &str = "SEAMESH_SOCKET";
