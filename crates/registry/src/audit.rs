//! What is recorded of a decision, until the store gives it its place in the chain.

use seamesh_proto::Now;
use seamesh_proto::audit::AuditRecord;
use seamesh_proto::ids::REGISTRY_PEER;
use seamesh_proto::rest::Role;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Login,
    LoginRefused,
    Logout,
    SessionEnded,
    LoginLinkMade,
    PasswordSet,
    KeyMade,
    KeyRotated,
    KeyRevoked,
    KeyEnded,
    KeyFileRead,
    SigningKeyRotated,
    InviteMade,
    InviteRedeemed,
    InviteRefused,
    NewcomerApproved,
    NewcomerRejected,
    NewcomerRevoked,
    IdentitySigned,
    AgentRemoved,
}

impl Action {
    /// As it stands in the record.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginRefused => "login_refused",
            Self::Logout => "logout",
            Self::SessionEnded => "session_ended",
            Self::LoginLinkMade => "login_link_made",
            Self::PasswordSet => "password_set",
            Self::KeyMade => "key_made",
            Self::KeyRotated => "key_rotated",
            Self::KeyRevoked => "key_revoked",
            Self::KeyEnded => "key_ended",
            Self::KeyFileRead => "key_file_read",
            Self::SigningKeyRotated => "signing_key_rotated",
            Self::InviteMade => "invite_made",
            Self::InviteRedeemed => "invite_redeemed",
            Self::InviteRefused => "invite_refused",
            Self::NewcomerApproved => "newcomer_approved",
            Self::NewcomerRejected => "newcomer_rejected",
            Self::NewcomerRevoked => "newcomer_revoked",
            Self::IdentitySigned => "identity_signed",
            Self::AgentRemoved => "agent_removed",
        }
    }
}

/// One decision, not yet in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When.
    pub at: Now,
    /// What.
    pub action: Action,
    /// Who, by peer id; empty for somebody without a credential.
    pub by: String,
    /// In which role.
    pub role: Option<Role>,
    /// With which credential.
    pub credential: String,
    /// From which address.
    pub from: String,
    /// About what.
    pub about: String,
    /// More, for a person. Never a secret.
    pub detail: String,
}

impl Entry {
    /// What the registry decided by itself.
    pub(crate) fn by_registry(at: Now, action: Action, about: &str, detail: &str) -> Self {
        Self {
            at,
            action,
            by: REGISTRY_PEER.to_owned(),
            role: None,
            credential: String::new(),
            from: String::new(),
            about: about.to_owned(),
            detail: detail.to_owned(),
        }
    }

    /// The record, without number and hashes.
    pub(crate) fn record(&self) -> AuditRecord {
        AuditRecord {
            n: 0,
            at_ms: self.at.0,
            action: self.action.as_str().to_owned(),
            by: self.by.clone(),
            role: self.role,
            credential: self.credential.clone(),
            from: self.from.clone(),
            about: self.about.clone(),
            detail: self.detail.clone(),
            prev: String::new(),
            hash: String::new(),
        }
    }
}
