//! The audit: who decided what, when and from where, as a chain of records that shows every change of an older one.
//!
//! The hash of a record is the SHA-256 of its JSON text without its last member, `hash`: no white space, the members in
//! the order they have here. `prev` is part of that text, so every record vouches for all before it. Whoever keeps the
//! number and hash of one record elsewhere can tell later whether anything up to it was changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_PAGE;
use crate::rest::Role;

/// `prev` of the first record.
pub const FIRST_PREV: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// Its number: 1 for the first, and one more for each that follows.
    pub n: u64,
    /// When it was decided, Unix milliseconds.
    pub at_ms: u64,
    /// What was decided: `login`, `login_refused`, `logout`, `session_ended`, `login_link_made`, `password_set`,
    /// `key_made`, `key_rotated`, `key_revoked`, `key_ended`, `key_file_read`, `signing_key_rotated`, `invite_made`,
    /// `invite_redeemed`, `invite_refused`, `newcomer_approved`, `newcomer_rejected`, `newcomer_revoked`,
    /// `identity_signed`, `agent_removed`. More may come.
    pub action: String,
    /// Peer id of who decided; `registry` for the registry itself, empty for somebody without a credential.
    pub by: String,
    /// The role it acted in; absent without a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Id of the credential it showed; empty without one.
    pub credential: String,
    /// Address the request came from; a proxy's, behind one. Empty for the registry itself.
    pub from: String,
    /// What it was about: a key, a newcomer, a peer, an agent.
    pub about: String,
    /// More, for a person.
    pub detail: String,
    /// `hash` of the record before; 64 zeros in the first.
    pub prev: String,
    /// SHA-256 of this record without this member, 64 lower-case hexadecimal digits.
    pub hash: String,
}

impl AuditRecord {
    /// The text that `hash` is made of.
    pub fn sealed_text(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            // The last member: taking it out moves no other.
            members.remove("hash");
        }
        value.to_string()
    }
}

/// Query of `GET /api/audit`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuditQuery {
    /// Only records numbered above this one: `next_after` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Page size, 1 to [`MAX_PAGE`](crate::limits::MAX_PAGE); absent: [`DEFAULT_PAGE`](crate::limits::DEFAULT_PAGE).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_PAGE))]
    pub limit: Option<usize>,
    /// The newest first: then `after` is a number to stay below, and `next_after` goes down.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub newest: bool,
}

/// Answer of `GET /api/audit`: oldest first, unless the newest were asked for first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_every_member_but_the_hash_in_the_declared_order() {
        let record = AuditRecord {
            n: 1,
            at_ms: 2,
            action: "login".into(),
            by: "admin".into(),
            role: Some(Role::Admin),
            credential: "k".into(),
            from: "::1".into(),
            about: String::new(),
            detail: "\"é\"".into(),
            prev: "p".into(),
            hash: "h".into(),
        };
        assert_eq!(
            record.sealed_text(),
            "{\"n\":1,\"at_ms\":2,\"action\":\"login\",\"by\":\"admin\",\"role\":\"admin\",\"credential\":\"k\",\
             \"from\":\"::1\",\"about\":\"\",\"detail\":\"\\\"é\\\"\",\"prev\":\"p\"}"
        );
    }
}
