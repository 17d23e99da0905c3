//! Limits of the sidecar alone, named with unit and reason. Those that two processes share are in `proto::limits`.

use seamesh_proto::limits::MAX_LINE_BYTES;

/// Largest message on a link, in bytes: with its envelope it still fits an IPC line at both ends.
pub const MAX_MESSAGE_BYTES: usize = MAX_LINE_BYTES - 1024;

/// Cancels of direct work that are kept to be said again over the next link. Of more, the oldest handlers run to their
/// deadline.
pub const MAX_LINK_CANCELS: usize = 1_024;

/// Milliseconds an agent that disconnected has to come back before its work fails over: room for many tries of an SDK that
/// lost its socket and connects again (they begin 20 to 50 ms apart), and well under the second within which a killed
/// agent's work runs elsewhere.
pub const AGENT_RETURN_MS: u64 = 400;

/// Milliseconds a client has to say `hello` before it is taken for one of the old dialect and told of the open links.
/// It may still say `hello` later.
pub const HELLO_WAIT_MS: u64 = 100;

/// Milliseconds an offer waits for its answer: several signaling round trips on a bad path.
pub const ANSWER_WAIT_MS: u64 = 3_000;

/// Milliseconds our offer gets once an old peer dialed us too: it replaces its attempt by ours as soon as ours
/// arrives, unless it was not yet there when we sent it.
pub const GLARE_PATIENCE_MS: u64 = 500;

/// Milliseconds the end with the larger peer id leaves to the other end to redial a lost link.
pub const REDIAL_PATIENCE_MS: u64 = 1_500;

/// First and largest delay, in milliseconds, between attempts to link with a peer.
pub const REDIAL_MS: (u64, u64) = (50, 30_000);

/// Attempts to link with a peer after which we leave it to the peer: it dials us when it joins again.
pub const MAX_REDIALS: u32 = 12;

/// First and largest delay, in milliseconds, between attempts to reach the registry.
pub const RECONNECT_MS: (u64, u64) = (50, 2_000);

/// Links opened without being asked for. In a larger mesh the rest opens on first use, so that a thousand sidecars do
/// not hold half a million links.
pub const MAX_EAGER_LINKS: usize = 128;

/// Peers known at the same time; signaling of further ones is refused.
pub const MAX_PEERS: usize = 4_096;

/// Milliseconds after a change until the open links are reported: a burst of openings is one report.
pub const LINKS_DELAY_MS: u64 = 20;

/// Milliseconds after the first finished direct task until a batch of reports leaves.
pub const REPORT_DELAY_MS: u64 = 50;

/// Reports in one `task_report`: some 100 KiB.
pub const REPORT_BATCH: usize = 256;

/// Reports kept while the registry is away, the oldest dropped first, told in the log.
pub const MAX_REPORTS: usize = 8_192;

/// Askers that one attempt answers: the first, and repeats of it over a link that came back.
pub const MAX_ASKERS: usize = 8;

/// Longest ICE candidate, in bytes; real ones have some hundred.
pub const MAX_CANDIDATE_BYTES: usize = 1024;

/// Bytes of payloads of open requests, kept for the fallback to the queue. Over it `overloaded`.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of outcomes remembered for repeats; the oldest are forgotten first, the fact that they ran is not.
pub const MAX_REMEMBERED_BYTES: usize = 32 * 1024 * 1024;
