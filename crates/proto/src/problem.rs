//! Errors on the wire: a stable code, whose fault it is, whether to retry, and what to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who has to change something for the operation to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The caller sent something wrong.
    Caller,
    /// The agent that was asked failed.
    Callee,
    /// The registry or a sidecar failed, or is overloaded.
    Mesh,
    /// The network between them failed.
    Network,
}

/// Whether the same request may succeed when it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// It will fail again.
    Never,
    /// It may succeed later, unchanged.
    Later,
}

macro_rules! codes {
    ($( $(#[$meta:meta])* $variant:ident = $text:literal, $fault:ident, $retry:ident; )+) => {
        /// A stable error code. The text never changes its meaning; new ones may come.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Code {
            $(
                $(#[$meta])*
                #[serde(rename = $text)]
                $variant,
            )+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The code as it stands on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $( Code::$variant => $text, )+ }
            }

            /// Whose fault it is.
            pub fn fault(self) -> Fault {
                match self { $( Code::$variant => Fault::$fault, )+ }
            }

            /// Whether to try again.
            pub fn retry(self) -> Retry {
                match self { $( Code::$variant => Retry::$retry, )+ }
            }
        }
    };
}

codes! {
    /// The bytes are not UTF-8.
    BadEncoding = "bad_encoding", Caller, Never;
    /// The text is not JSON.
    BadJson = "bad_json", Caller, Never;
    /// A field is missing, of the wrong type, or out of range.
    BadField = "bad_field", Caller, Never;
    /// No such message type in this direction.
    UnknownType = "unknown_type", Caller, Never;
    /// A message that this state does not allow (such as a second `hello`).
    OutOfOrder = "out_of_order", Caller, Never;
    /// Over a named limit of size.
    TooLarge = "too_large", Caller, Never;
    /// The protocol version is not spoken here.
    VersionUnsupported = "version_unsupported", Caller, Never;
    /// No credential, or one that is unknown, expired or revoked.
    Unauthorized = "unauthorized", Caller, Never;
    /// The credential is good, but not for this.
    Forbidden = "forbidden", Caller, Never;
    /// No such route or resource.
    NotFound = "not_found", Caller, Never;
    /// The route exists, but not with this HTTP method.
    MethodNotAllowed = "method_not_allowed", Caller, Never;
    /// The body's media type is not JSON.
    UnsupportedMediaType = "unsupported_media_type", Caller, Never;
    /// No such agent.
    AgentUnknown = "agent_unknown", Caller, Never;
    /// No such task.
    TaskUnknown = "task_unknown", Caller, Never;
    /// The task is in a state that does not allow this.
    TaskState = "task_state", Caller, Never;
    /// The lease is not the live one: another attempt has the task, or it ended.
    LeaseStale = "lease_stale", Caller, Never;
    /// The same id or key was used before with other content.
    Conflict = "conflict", Caller, Never;
    /// No agent offers the skill.
    NoAgent = "no_agent", Caller, Later;
    /// The agent has no such skill.
    SkillUnknown = "skill_unknown", Caller, Never;
    /// The delegation chain is too deep.
    DepthExceeded = "depth_exceeded", Caller, Never;
    /// One task asked for too many others.
    FanOutExceeded = "fan_out_exceeded", Caller, Never;
    /// The arguments do not fit the skill's schema.
    BadArguments = "bad_arguments", Caller, Never;
    /// The skill's handler raised.
    SkillFailed = "skill_failed", Callee, Never;
    /// The skill returned something that is not JSON.
    BadResult = "bad_result", Callee, Never;
    /// The task outlived its TTL.
    Expired = "expired", Mesh, Later;
    /// The deadline passed before an answer came.
    DeadlineExceeded = "deadline_exceeded", Callee, Later;
    /// A handler streams, and nobody takes its chunks.
    NotStreamed = "not_streamed", Caller, Never;
    /// A handler asks, and nobody is there to answer.
    NobodyAnswers = "nobody_answers", Caller, Never;
    /// Parts of a stream or of an artifact were lost, or do not have the hash they should have.
    StreamBroken = "stream_broken", Network, Later;
    /// Every allowed attempt was handed out and none ended.
    AttemptsExhausted = "attempts_exhausted", Callee, Later;
    /// The work was canceled.
    Canceled = "canceled", Caller, Never;
    /// No open link to that peer.
    NoLink = "no_link", Network, Later;
    /// The link went down before the other end acknowledged.
    LinkLost = "link_lost", Network, Later;
    /// The registry cannot be reached now.
    RegistryUnavailable = "registry_unavailable", Network, Later;
    /// The agent is not connected to its sidecar.
    AgentAway = "agent_away", Callee, Later;
    /// The sidecar already serves a client.
    SidecarBusy = "sidecar_busy", Caller, Later;
    /// A queue is full.
    Overloaded = "overloaded", Mesh, Later;
    /// Too many attempts from this address.
    RateLimited = "rate_limited", Caller, Later;
    /// The invite is unknown, used or expired.
    InviteInvalid = "invite_invalid", Caller, Never;
    /// A peer shows no identity where one is required.
    IdentityRequired = "identity_required", Caller, Never;
    /// A peer's identity is not signed by this mesh's root key, or its description not by its own.
    IdentityInvalid = "identity_invalid", Caller, Never;
    /// A peer shows another key than before, and no newer approval of it.
    IdentityChanged = "identity_changed", Caller, Never;
    /// The event number is older than what is kept: load the present state and start from there.
    EventsGone = "events_gone", Caller, Never;
    /// The store cannot write (a full disk, for one).
    StoreUnavailable = "store_unavailable", Mesh, Later;
    /// A bug of ours. The log has more.
    Internal = "internal", Mesh, Later;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as every channel tells it. Over HTTP it is `application/problem+json` (RFC 9457) with `code` added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// What happened and what to do next, for a person.
    pub detail: String,
    /// Whose fault it is.
    pub fault: Fault,
    /// Whether to try again.
    pub retry: Retry,
    /// The HTTP status, on REST only (RFC 9457 `status`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The short title, on REST only (RFC 9457 `title`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The request this answers, on signaling and IPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The old dialect's member: the same text as `detail`. On REST only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Problem {
    /// An error with its code's fault and retry advice.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fault: code.fault(),
            retry: code.retry(),
            status: None,
            title: None,
            request_id: None,
            error: None,
        }
    }

    /// The same error as the answer to a request.
    #[must_use]
    pub fn for_request(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = Some(request_id.into());
        self
    }
}
