//! How a newcomer gets in: invites, identities, and what an administrator decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::{Certificate, PublicKey, Signature};
use crate::ids::PeerId;
use crate::limits::{MAX_INVITE_TTL_S, MAX_INVITE_USES};

/// Body of `POST /api/invites`: which invite to make.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InviteBody {
    /// A join token instead of a code: whoever redeems it is approved at once.
    pub join_token: bool,
    /// How many newcomers a join token lets in, 1 to [`MAX_INVITE_USES`](crate::limits::MAX_INVITE_USES); absent: 1.
    /// A code lets in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_INVITE_USES))]
    pub uses: Option<u32>,
    /// Seconds it lives, 1 to [`MAX_INVITE_TTL_S`](crate::limits::MAX_INVITE_TTL_S); absent:
    /// [`INVITE_TTL_S`](crate::limits::INVITE_TTL_S).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_INVITE_TTL_S))]
    pub ttl_s: Option<u64>,
    /// The peer that gets a new key (and loses its old one with the approval); absent: a new peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<PeerId>,
}

/// Answer of `POST /api/invites` and `POST /api/pairing/generate-code`: the only time the code is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteAnswer {
    /// What the newcomer types: [`invite`](crate::invite).
    pub code: String,
    /// Seconds it lives.
    pub expires_in: u64,
}

/// Body of `POST /api/identities`: a key to be signed by the root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityBody {
    /// Whose it is.
    pub peer_id: PeerId,
    /// The key.
    pub key: PublicKey,
}

/// Answer of `POST /api/identities`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityAnswer {
    /// The mesh's root key.
    pub root: PublicKey,
    /// What it says of the peer's key.
    pub certificate: Certificate,
}

/// Body of `POST /api/pairing/{id}/certify`: an approval by somebody who has the root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertifyBody {
    /// What the root key says of the newcomer's key.
    pub certificate: Certificate,
}

/// Query of `GET /api/pairing/{id}/status`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StatusQuery {
    /// Milliseconds to wait for a decision at most, up to 60,000; absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Answer of `GET /api/pairing/{id}/status`: where the newcomer itself stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusAnswer {
    /// Where it stands.
    pub status: PairingStatus,
    /// Its peer id.
    pub peer_id: PeerId,
    /// The mesh's root key: to be checked against the invite.
    pub root: PublicKey,
    /// What the root key says of its key, once approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

/// Body of `POST /api/pairing/pair`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairBody {
    /// The invite's code.
    pub code: String,
    /// The newcomer's name, for whoever approves.
    pub agent_name: String,
    /// The newcomer's identity key; absent from existing clients, which have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<NewcomerIdentity>,
}

/// A newcomer's key, and the device token that it made itself, so that no secret ever has to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewcomerIdentity {
    /// The key.
    pub key: PublicKey,
    /// SHA-256 of its device token, 64 lower-case hexadecimal digits. The token is good once it is approved.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub token_digest: String,
    /// The key's signature over [`pair_statement`](crate::identity::pair_statement).
    pub signature: Signature,
}

/// Answer of `POST /api/pairing/pair`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairAnswer {
    /// The onboarding entry.
    pub id: String,
    /// `pending_approval`.
    pub status: PairingStatus,
    /// The peer id the newcomer will have.
    pub peer_id: PeerId,
}

/// Where a newcomer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairingStatus {
    /// Waits for an admin.
    PendingApproval,
    /// In.
    Approved,
    /// Refused.
    Rejected,
    /// Was in.
    Revoked,
}

/// A newcomer. The device token is never listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OnboardingEntry {
    /// The entry.
    pub id: String,
    /// The name it gave.
    pub agent_name: String,
    /// Its peer id.
    pub peer_id: PeerId,
    /// Its identity key: to be compared with what the newcomer shows. Absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
    /// Where it stands.
    pub status: PairingStatus,
    /// When it asked, Unix seconds.
    pub created_at: f64,
    /// When it changed last, Unix seconds.
    pub updated_at: f64,
}

/// Answer of `POST /api/pairing/{id}/approve`: the only time the device token is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApproveAnswer {
    /// The entry.
    pub id: String,
    /// `approved`.
    pub status: PairingStatus,
    /// Its peer id.
    pub peer_id: PeerId,
    /// The newcomer's credential for `POST /api/token` (header `x-device-token`). Absent when the newcomer made its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
}
