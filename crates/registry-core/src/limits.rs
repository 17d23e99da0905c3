//! Limits of the registry's own rules. Those that the wire shares stand in [`seamesh_proto::limits`].

/// Longest `wait` of a REST request, in milliseconds: proxies cut idle requests after about a minute.
pub const MAX_WAIT_MS: u64 = 60_000;

/// `wait` requests open at once. Each holds a connection of the shell; over it, they are refused with `overloaded`.
pub const MAX_WAITERS: usize = 16_384;

/// Chunks kept for readers over HTTP, of all streams together: 64 MiB at most. Over it, a stream's chunks leave memory and
/// are asked of its handler's sidecar again when they are wanted.
pub const MAX_CHUNKS_KEPT: usize = 512;

/// Tasks one socket may watch at once: as many as it may have open requests.
pub const MAX_WATCHES_PER_SOCKET: usize = seamesh_proto::limits::MAX_OPEN_REQUESTS;

/// Ids in one `task_watch` or `task_report`: one question to the store stays short.
pub const MAX_IDS_PER_FRAME: usize = 1_024;

/// Links in one `links` report: more than one sidecar can hold.
pub const MAX_LINKS_PER_REPORT: usize = 4_096;

/// Milliseconds the links of a disconnected peer stay in the topology when nobody says otherwise: the longest pause
/// between two of a sidecar's attempts to reconnect.
pub const LINKS_KEPT_MS: u64 = 30_000;

/// Milliseconds between two writes of an agent's heartbeat time. Beats themselves are kept in memory: a write for each
/// would cost an fsync. Below [`STALE_AFTER_MS`](seamesh_proto::limits::STALE_AFTER_MS), so that a registry that
/// restarts at once finds its agents healthy.
pub const BEAT_WRITE_MS: u64 = 60_000;

/// Agents the registry knows at most. Over it, newcomers are refused with `overloaded`.
pub const MAX_AGENTS: usize = 100_000;

/// Live invites at most: an admin who makes more has a script gone wrong.
pub const MAX_INVITES: usize = 1_000;

/// Newcomers that wait for approval at most: the open redeem route must not fill the disk.
pub const MAX_WAITING_NEWCOMERS: usize = 1_000;

/// Addresses whose pairing attempts are counted at once. Over it, unknown addresses are refused until the window has
/// passed for some.
pub const MAX_PAIR_ADDRESSES: usize = 10_000;

/// Longest name of a newcomer, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// Longest free text of an agent's record (host name, mode, status, description), in bytes.
pub const MAX_TEXT_BYTES: usize = 4_096;

/// Largest agent record, in bytes of JSON: every sidecar holds all of them.
pub const MAX_AGENT_BYTES: usize = 256 * 1024;

/// Milliseconds for which the beats of a REST agent that names no leases renew what it holds. An existing client cannot
/// say what it received, so an answer that was lost would otherwise be renewed to the end of the TTL; its own callers
/// wait no longer than this.
pub const BLIND_RENEWAL_MS: u64 = 120_000;

/// Questions to the store that may be open at once.
pub const MAX_LOOKUPS: usize = 65_536;

/// Milliseconds between two events that tell watchers of a running task's progress. A handler may say more; the last word
/// is told when the time is over.
pub const PROGRESS_EVENT_MS: u64 = 1_000;
