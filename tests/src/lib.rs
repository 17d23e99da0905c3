//! What the end-to-end tests share: agents whose doings a test can watch, and clients that speak a channel themselves.

mod checked;
mod collector;
mod member;
mod old_client;
mod probe;
mod signaling_peer;
mod stun;
mod turn;

pub use checked::{Checked, Failure};
pub use collector::{Collector, Span};
pub use member::{Member, cap, in_time};
pub use old_client::OldClient;
pub use probe::Probe;
pub use signaling_peer::SignalingPeer;
pub use stun::{StunServer, is_binding_request};
pub use turn::TurnServer;

/// Chunks that the chaos agents pour.
pub const CHUNKS: u64 = 6;

/// How a chaos agent says that a stream was not what was poured.
pub const BROKEN_STREAM: &str = "broken stream";
