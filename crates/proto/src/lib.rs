//! The wire of seamesh: messages of every channel, ids, error codes, limits and the seam ledger.
//!
//! Everything two processes say to each other is declared here, once. The schemas, the OpenAPI document and the
//! TypeScript and Python types are generated from these declarations (`cargo xtask gen`).
//!
//! Five channels, one module each:
//!
//! | channel | module | carrier |
//! |---|---|---|
//! | signaling | [`signaling`] | WebSocket between sidecar and registry |
//! | link | [`link`] | WebRTC DataChannel between two sidecars |
//! | IPC | [`ipc`] | Unix socket between agent and sidecar, JSON lines |
//! | REST | [`rest`] | HTTP requests to the registry |
//! | event stream | [`events`] | server-sent events from the registry |
//!
//! Rules that hold on every channel:
//! - a message is `{"type": …, "payload": …}` (REST: a typed body), and the tag is `type`;
//! - absent, `null` and `{}` payloads mean the same: no payload ([`Payload`]);
//! - unknown fields are ignored by a consumer and survive a relay.
//!
//! This crate does no IO, reads no clock and knows no runtime; [`seam`], which only debug builds have, is the exception.

#[macro_use]
mod message;

pub mod agent;
pub mod audit;
pub mod chain;
pub mod events;
pub mod identity;
pub mod ids;
pub mod invite;
pub mod ipc;
pub mod ledger;
pub mod limits;
pub mod link;
pub mod manifest;
pub mod now;
pub mod payload;
pub mod problem;
pub mod rest;
pub mod routes;
pub mod seam;
pub mod signaling;
pub mod surface;
pub mod talk;
pub mod task;
pub mod trace;

pub use agent::{AgentInfo, AgentProfile, AgentRecord, Capabilities, Health, SkillInfo};
pub use ids::{AgentId, IdError, PeerId, TaskId};
pub use message::{Frame, WireError, parse_frame, read_json};
pub use now::Now;
pub use payload::{Payload, Raw};
pub use problem::{Code, Fault, Problem, Retry};
pub use task::{Outcome, Path, Task, TaskError, TaskState};
pub use trace::TraceContext;

/// Version of the native protocol on IPC, links and signaling. Raised only when an old peer would misunderstand.
pub const PROTOCOL_VERSION: u32 = 1;
