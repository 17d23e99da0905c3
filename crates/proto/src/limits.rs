//! Every limit of the wire, named with its unit and its reason. Over a limit the producer gets an error; nothing is
//! dropped in silence.

/// Longest id, in bytes. Long enough for a UUID with a prefix; short enough for a log line and an index.
pub const MAX_ID_BYTES: usize = 128;

/// Longest skill name, in bytes.
pub const MAX_SKILL_BYTES: usize = 128;

/// Most skills one agent offers: the directory of a mesh of 1,000 agents stays within tens of megabytes.
pub const MAX_SKILLS: usize = 256;

/// Largest HTTP body, in bytes (2 MiB, the limit existing clients know).
pub const MAX_HTTP_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Largest signaling frame, in bytes. A task payload of [`MAX_PAYLOAD_BYTES`] fits with its envelope.
pub const MAX_SIGNAL_BYTES: usize = 2 * 1024 * 1024;

/// Largest task payload or result, in bytes of JSON. Larger data goes as an artifact or over the link in parts.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// Longest IPC line, in bytes, newline included. Also the largest message on a native link.
pub const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Largest message to a peer that speaks the old dialect, in bytes: its stack breaks at 65,536.
pub const MAX_OLD_PEER_MESSAGE_BYTES: usize = 65_535;

/// Native links carry JSON lines in DataChannel messages of at most this many bytes, so that a long line never blocks
/// a short one for longer than one piece takes.
pub const LINK_PIECE_BYTES: usize = 16 * 1024;

/// Bytes of its stream that a native link carries ahead of what the receiver has taken. Above what fits into one round
/// trip of a fast path (1 MiB in flight), below half of what SCTP receives (4 MiB), so that its own window stays open.
pub const LINK_WINDOW_BYTES: usize = 96 * 16 * 1024;

/// A receiver grants more once it has taken this many bytes: six messages per window.
pub const LINK_GRANT_BYTES: usize = 256 * 1024;

/// Chunks of one stream that are under way at once: with [`MAX_CHUNK_BYTES`] 4 MiB, what one task may hold in memory.
pub const STREAM_WINDOW: u64 = 32;

/// An asker says what it took after this many chunks: twice per window, so that the stream does not stand still.
pub const STREAM_GRANT: u64 = 16;

/// Milliseconds a stream over HTTP waits for its reader. Work is not held up by a reader that went away: from then on its
/// chunks are taken and thrown away, until somebody reads again.
pub const STREAM_READER_MS: u64 = 30_000;

/// Largest chunk, in bytes of JSON: small enough that a stream does not hold up what else goes over its socket.
pub const MAX_CHUNK_BYTES: usize = 128 * 1024;

/// Bytes of an artifact in one chunk: as base64 they fit [`MAX_CHUNK_BYTES`].
pub const ARTIFACT_PART_BYTES: usize = 90 * 1024;

/// Largest artifact, in bytes. It is held in memory by the one who takes it.
pub const MAX_ARTIFACT_BYTES: u64 = 64 * 1024 * 1024;

/// Longest name or media type of an artifact, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Longest note of a progress, in bytes: a line on a dashboard.
pub const MAX_NOTE_BYTES: usize = 1024;

/// Largest question and largest answer, in bytes of JSON: both stand in the registry's database.
pub const MAX_QUESTION_BYTES: usize = 64 * 1024;

/// Least milliseconds between two progresses of a task that leave its sidecar; of those between, the newest goes.
pub const PROGRESS_EVERY_MS: u64 = 100;

/// Milliseconds the lease of work that waits for an answer survives its holder's closed signaling socket: time to start
/// the sidecar again. Nothing is lost by waiting, for it waits anyway.
pub const INPUT_GRACE_MS: u64 = 15_000;

/// Deepest delegation chain (A asks B asks C …). Stops runaway loops.
pub const MAX_DEPTH: u32 = 16;

/// Most tasks that one task asks for over its life, on both paths and in all its attempts. As many as an agent may have
/// open at once ([`MAX_OPEN_REQUESTS`]): more than a handler asks for on purpose, and few enough to stop a runaway loop
/// within seconds. Larger jobs are split into a tree.
pub const MAX_CHILDREN: usize = 4_096;

/// Most agents that one skill names as its callers: longer lists mean that the skill is open.
pub const MAX_CALLERS: usize = 256;

/// Deepest nesting of JSON that is read (serde_json's own limit).
pub const MAX_JSON_DEPTH: usize = 128;

/// Seconds a task may wait and run in total when its submitter names no TTL.
pub const DEFAULT_TTL_S: u64 = 300;

/// Longest TTL, in seconds (30 days).
pub const MAX_TTL_S: u64 = 30 * 24 * 3600;

/// Highest priority of a task; the lowest is its negative. More steps than anybody tells apart.
pub const MAX_PRIORITY: i32 = 100;

/// Longest delay and longest deadline of a task, in milliseconds: those of [`MAX_TTL_S`].
pub const MAX_DEADLINE_MS: u64 = 30 * 24 * 3600 * 1000;

/// Longest idempotency key, in bytes: a UUID or a digest with a prefix, and short enough for an index.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 128;

/// How often a task is handed out at most when its submitter does not say.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 3;

/// Most attempts a submitter may ask for.
pub const MAX_ATTEMPTS: u32 = 100;

/// Milliseconds a sidecar's lease lives without renewal. A vanished machine's work moves on after this long.
pub const LEASE_TTL_MS: u64 = 15_000;

/// Milliseconds between a sidecar's heartbeats, each of which renews its leases: three fit into [`LEASE_TTL_MS`].
pub const HEARTBEAT_MS: u64 = 5_000;

/// Milliseconds a lease lives when its holder beats over REST every 15 s: it may miss three beats.
pub const HTTP_LEASE_TTL_MS: u64 = 60_000;

/// Milliseconds a lease survives its holder's closed signaling socket, so that a reconnect keeps the work.
pub const RECONNECT_GRACE_MS: u64 = 500;

/// Milliseconds before a task is handed out again once two of its attempts have ended without a result; doubled for each
/// further one. The first costs no pause: work of an agent that was killed runs elsewhere within a second.
pub const RETRY_FIRST_MS: u64 = 500;

/// Longest pause between two attempts, in milliseconds: a service that is repaired gets its work half a minute later.
pub const RETRY_LAST_MS: u64 = 30_000;

/// Milliseconds without a heartbeat after which an agent is `stale`.
pub const STALE_AFTER_MS: u64 = 90_000;

/// Milliseconds without a heartbeat after which an agent is `offline`.
pub const OFFLINE_AFTER_MS: u64 = 270_000;

/// Most tasks one agent holds at once when its profile does not say.
pub const DEFAULT_MAX_CONCURRENT: u32 = 64;

/// Most tasks waiting or running in the registry. Over it, submits are refused with `overloaded`.
pub const MAX_LIVE_TASKS: usize = 1_000_000;

/// Requests one agent may have open at once.
pub const MAX_OPEN_REQUESTS: usize = 4_096;

/// Milliseconds a request waits for its answer when the caller does not say.
pub const DEFAULT_REQUEST_TIMEOUT_MS: u64 = 120_000;

/// (task, attempt) pairs a sidecar remembers, to run each at most once.
pub const DEDUP_WINDOW: usize = 16_384;

/// ICE candidates kept for a link whose description has not arrived.
pub const MAX_EARLY_CANDIDATES: usize = 64;

/// Frames queued towards one signaling socket before it is cut as too slow.
pub const MAX_SIGNAL_QUEUE: usize = 8_192;

/// Bytes queued towards one link or one agent before its producer is paused.
pub const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;

/// Page size of a list when the caller does not say.
pub const DEFAULT_PAGE: usize = 100;

/// Largest page of a list.
pub const MAX_PAGE: usize = 1_000;

/// Longest text to search tasks for, in bytes: a name or a line of an error, not a document.
pub const MAX_SEARCH_BYTES: usize = 256;

/// Seconds a token lives.
pub const TOKEN_TTL_S: u64 = 300;

/// Seconds of clock difference tolerated when a token's expiry is checked.
pub const TOKEN_LEEWAY_S: u64 = 60;

/// Seconds a hub session lives.
pub const SESSION_TTL_S: u64 = 12 * 3600;

/// Shortest administrator's password, in bytes: what a person can remember and nobody guesses at the rate of
/// [`LOGIN_FAILURES_PER_MINUTE`].
pub const MIN_PASSWORD_BYTES: usize = 12;

/// Longest password, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// Refused logins to the dashboard per address and minute; one more becomes possible every twelve seconds.
pub const LOGIN_FAILURES_PER_MINUTE: usize = 5;

/// Refused logins of all addresses together per minute: a guesser with many addresses gets no further than this.
pub const LOGIN_FAILURES_OVERALL_PER_MINUTE: usize = 60;

/// Seconds a rotated API key goes on beside the new one when nobody says otherwise: a day to bring the new one to
/// where the old one is used.
pub const KEY_OVERLAP_S: u64 = 24 * 3600;

/// Longest time that a rotated API key goes on, in seconds (30 days).
pub const MAX_KEY_OVERLAP_S: u64 = 30 * 24 * 3600;

/// Seconds a one-time login link lives.
pub const LOGIN_LINK_TTL_S: u64 = 15 * 60;

/// Seconds an invite (pairing code) lives when its maker does not say.
pub const INVITE_TTL_S: u64 = 300;

/// Longest life of an invite or join token, in seconds (30 days).
pub const MAX_INVITE_TTL_S: u64 = 30 * 24 * 3600;

/// Most newcomers that one join token lets in: a fleet.
pub const MAX_INVITE_USES: u32 = 10_000;

/// Pairing attempts per address within [`PAIR_WINDOW_S`].
pub const MAX_PAIR_ATTEMPTS: usize = 5;

/// Pairing attempts of all addresses together within [`PAIR_WINDOW_S`]: a guesser with many addresses gets no further
/// than one with few.
pub const MAX_PAIR_ATTEMPTS_OVERALL: usize = 600;

/// Seconds of the pairing attempts' window.
pub const PAIR_WINDOW_S: u64 = 60;

/// Seconds a TURN credential lives.
pub const TURN_TTL_S: u64 = 24 * 3600;

/// Requests per second that one agent's or viewer's identity may make in the long run. Those of operators and of the
/// administrator are not counted: they hand in work for many, and somebody has to be able to end a flood.
pub const IDENTITY_REQUESTS_PER_SECOND: u64 = 2_000;

/// Requests that one identity may make at once, after a rest: ten seconds' worth.
pub const IDENTITY_REQUESTS_BURST: u64 = 20_000;

/// Requests per second that one address may make in the long run without a credential.
pub const OPEN_REQUESTS_PER_SECOND: u64 = 100;

/// Requests that one address may make at once without a credential, after a rest: a fleet of thousands behind one
/// address that was started again.
pub const OPEN_REQUESTS_BURST: u64 = 5_000;

/// Signaling frames per second that one identity may send in the long run, over all its sockets: twice what the busiest
/// sidecar sends. Over it a sidecar is told `rate_limited` and its socket is read on once its time has come: nothing of
/// what it sent is lost.
pub const IDENTITY_FRAMES_PER_SECOND: u64 = 20_000;

/// Signaling frames that one identity may send at once, after a rest: two seconds' worth.
pub const IDENTITY_FRAMES_BURST: u64 = 40_000;

/// What is no frame at all, such as a broken line: so much a socket may send in a minute, and one more closes it with
/// `rate_limited`. No sidecar ever sends any.
pub const UNREADABLE_FRAMES_PER_MINUTE: usize = 100;

/// Connections that one address may have open: half of all that there are, so that no address takes everybody's.
pub const CONNECTIONS_PER_ADDRESS: usize = 8_192;

/// Seconds of a `Retry-After` that our clients wait by themselves, once; a longer one is the caller's to wait.
pub const MAX_RETRY_AFTER_S: u64 = 10;
